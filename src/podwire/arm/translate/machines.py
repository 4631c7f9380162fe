"""What a node resource group holds, made of what the lab has: scale sets, instances, NICs. Pure.

Source: Microsoft.Compute/virtualMachineScaleSets and Microsoft.Network/networkInterfaces as AKS
makes them (names in AKS naming rules; one IP configuration for each address of a NIC).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podwire.arm.ids import group_id, resource_id
from podwire.arm.store import Body
from podwire.arm.translate.cluster import CLUSTERS, identity
from podwire.arm.translate.vnet import VNETS
from podwire.model.cluster import ClusterSpec
from podwire.model.node_pool import Pool
from podwire.model.vnet import Nic, VNet

SCALE_SETS = "Microsoft.Compute/virtualMachineScaleSets"
MACHINES = f"{SCALE_SETS}/virtualMachines"
NICS = "Microsoft.Network/networkInterfaces"
MACHINE_NICS = f"{MACHINES}/networkInterfaces"

_DISK = {"osDisk": {"osType": "Linux", "diskSizeGB": 128, "createOption": "FromImage"}}


class Names:
    """The ids of one cluster's things. subscription: the lab's; vnet: the cluster's, None when
    the lab has it no more."""

    def __init__(self, spec: ClusterSpec, subscription: str, vnet: VNet | None) -> None:
        self.spec = spec
        self.subscription = subscription
        self.vnet = vnet

    @property
    def cluster(self) -> str:
        return resource_id(self.subscription, self.spec.resource_group, CLUSTERS, self.spec.name)

    @property
    def group(self) -> str:
        return group_id(self.subscription, self.spec.node_resource_group)

    def of(self, kind: str, *names: str) -> str:
        return resource_id(self.subscription, self.spec.node_resource_group, kind, *names)

    def scale_set(self, pool: str) -> str:
        return self.of(SCALE_SETS, self.spec.scale_set(pool))

    def machine(self, pool: str, instance: int) -> str:
        return f"{self.scale_set(pool)}/virtualMachines/{instance}"

    @property
    def vnet_id(self) -> str:
        group, _, vnet = self.spec.vnet.partition("/")
        if self.vnet is not None:
            group, vnet = self.vnet.resource_group, self.vnet.name
        return resource_id(self.subscription, group, VNETS, vnet)

    def subnet(self, pool: Pool) -> str:
        return f"{self.vnet_id}/subnets/{self.spec.subnet_of(pool)}"

    def tags(self, pool: str = "") -> Body:
        tags = {
            "aks-managed-cluster-name": self.spec.name,
            "aks-managed-cluster-rg": self.spec.resource_group,
        }
        return {**tags, "aks-managed-poolName": pool} if pool else tags


def group_body(names: Names) -> Body:
    spec = names.spec
    return {
        "id": names.group,
        "name": spec.node_resource_group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": spec.location,
        "managedBy": names.cluster,
        "tags": names.tags(),
        "properties": {"provisioningState": "Succeeded"},
    }


def scale_set_body(names: Names, pool: Pool, extensions: Sequence[Body]) -> Body:
    """extensions: those that were set, without what is secret."""
    spec = names.spec
    return {
        "id": names.scale_set(pool.name),
        "name": spec.scale_set(pool.name),
        "type": SCALE_SETS,
        "location": spec.location,
        "tags": names.tags(pool.name),
        "sku": {"name": pool.vm_size, "tier": "Standard", "capacity": pool.count},
        "properties": {
            "provisioningState": "Succeeded",
            "uniqueId": identity(names.scale_set(pool.name)),
            "singlePlacementGroup": True,
            "overprovision": False,
            "upgradePolicy": {"mode": "Manual"},
            "platformFaultDomainCount": 1,
            "virtualMachineProfile": {
                "osProfile": {
                    "computerNamePrefix": spec.scale_set(pool.name),
                    "adminUsername": "azureuser",
                    "linuxConfiguration": {"disablePasswordAuthentication": True},
                },
                "storageProfile": {
                    "osDisk": {"osType": "Linux", "diskSizeGB": 128, "createOption": "FromImage"}
                },
                "networkProfile": {
                    "networkInterfaceConfigurations": [_nic_configuration(names, pool)]
                },
                "extensionProfile": {"extensions": list(extensions)},
            },
        },
    }


def _nic_configuration(names: Names, pool: Pool) -> Body:
    """A primary configuration, and one for each pod when pods have the subnet's addresses."""
    kubenet = names.spec.is_kubenet
    count = 1 if kubenet else 1 + pool.max_pods
    subnet = {"id": names.subnet(pool)}
    return {
        "name": names.spec.scale_set(pool.name),
        "properties": {
            "primary": True,
            "enableIPForwarding": kubenet,
            "ipConfigurations": [
                {
                    "name": f"ipconfig{number}",
                    "properties": {"primary": number == 1, "subnet": subnet},
                }
                for number in range(1, count + 1)
            ],
        },
    }


def machine_body(names: Names, node: Any, pool: Pool, *, latest: bool) -> Body:
    """An instance. node: the lab's NodeFacts; latest: whether it has the scale set's model."""
    scale_set = names.spec.scale_set(node.pool)
    machine = names.machine(node.pool, node.instance)
    nic = f"{machine}/networkInterfaces/{scale_set}"
    return {
        "id": machine,
        "name": f"{scale_set}_{node.instance}",
        "type": MACHINES,
        "location": names.spec.location,
        "instanceId": str(node.instance),
        "sku": {"name": pool.vm_size, "tier": "Standard"},
        "tags": names.tags(node.pool),
        "properties": {
            "provisioningState": "Succeeded",
            "vmId": identity(machine),
            "latestModelApplied": latest,
            "hardwareProfile": {"vmSize": pool.vm_size},
            "osProfile": {"computerName": node.name, "adminUsername": "azureuser"},
            "storageProfile": {
                "osDisk": {"osType": "Linux", "diskSizeGB": 128, "createOption": "FromImage"}
            },
            "networkProfile": {"networkInterfaces": [{"id": nic}]},
        },
    }


def instance_view(node: Any) -> Body:
    """node: the lab's NodeFacts."""
    up = node.state not in ("stopped", "failed")
    power = ("running", "VM running") if up else ("stopped", "VM stopped")
    return {
        "computerName": node.name,
        "osName": "ubuntu",
        "vmAgent": {
            "vmAgentVersion": "2.2.45",
            "statuses": [{"code": "ProvisioningState/succeeded", "displayStatus": "Ready"}],
        },
        "statuses": [
            {"code": "ProvisioningState/succeeded", "displayStatus": "Provisioning succeeded"},
            {"code": f"PowerState/{power[0]}", "displayStatus": power[1]},
        ],
    }


def nic_body(names: Names, node: Any, pool: Pool, nic_id: str, kind: str) -> Body:
    """A node's NIC, with an IP configuration for each of its addresses. nic_id: it has two ids,
    one below its instance, as Azure has it, and one in the resource group, for `az network nic`."""
    nic: Nic = node.nic
    configurations = [
        {
            "id": f"{nic_id}/ipConfigurations/ipconfig{number}",
            "name": f"ipconfig{number}",
            "type": f"{NICS}/ipConfigurations",
            "properties": {
                "provisioningState": "Succeeded",
                "privateIPAddress": address,
                "privateIPAllocationMethod": "Dynamic",
                "privateIPAddressVersion": "IPv4",
                "primary": number == 1,
                "subnet": {"id": names.subnet(pool)},
            },
        }
        for number, address in enumerate(nic.addresses, 1)
    ]
    return {
        "id": nic_id,
        "name": nic_id.rpartition("/")[2],
        "type": kind,
        "location": names.spec.location,
        "tags": names.tags(node.pool),
        "properties": {
            "provisioningState": "Succeeded",
            "macAddress": nic.mac.upper().replace(":", "-"),
            "primary": True,
            "enableIPForwarding": nic.ip_forwarding,
            "enableAcceleratedNetworking": False,
            "virtualMachine": {"id": names.machine(node.pool, node.instance)},
            "ipConfigurations": configurations,
        },
    }
