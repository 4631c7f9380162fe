"""A subscription as the rules see it: the walkthrough's VNet and cluster, and some neighbours.

The table (refusals.toml) is written against it: what is new starts from a template here, what
exists starts from what is stored.
"""

from __future__ import annotations

import copy
from typing import Any

from podwire.arm import ids

Body = dict[str, Any]
GROUP = "/subscriptions/SUB/resourceGroups/NetworkLab"
NET = f"{GROUP}/providers/Microsoft.Network"
AKS = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters"
NODES = "/subscriptions/SUB/resourceGroups/MC_NetworkLab_c1_eastus"
VNET = f"{NET}/virtualNetworks/aksvnet"
VMSS = f"{NODES}/providers/Microsoft.Compute/virtualMachineScaleSets"
NIC = f"{NET}/networkInterfaces/vm1-nic"


def group(name: str, location: str = "eastus", state: str = "Succeeded") -> Body:
    return {
        "id": f"/subscriptions/SUB/resourceGroups/{name}",
        "name": name,
        "location": location,
        "properties": {"provisioningState": state},
    }


def resource(resource_id: str, **properties: Any) -> Body:
    return {
        "id": resource_id,
        "name": resource_id.rpartition("/")[2],
        "location": "eastus",
        "properties": properties,
    }


def vnet(name: str, *prefixes: str) -> Body:
    return resource(
        f"{NET}/virtualNetworks/{name}", addressSpace={"addressPrefixes": list(prefixes)}
    )


def subnet(name: str, prefix: str, **properties: Any) -> Body:
    return resource(f"{VNET}/subnets/{name}", addressPrefix=prefix, **properties)


def rule(name: str, priority: int) -> Body:
    return {
        "name": name,
        "properties": {
            "priority": priority,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourceAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "VirtualNetwork",
            "destinationPortRange": "80",
        },
    }


def route(name: str, prefix: str) -> Body:
    hop = {"nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.220.3.4"}
    return {"name": name, "properties": {"addressPrefix": prefix, **hop}}


def pool(name: str, count: int, mode: str, subnet_name: str = "azurecni") -> Body:
    return {
        "name": name,
        "count": count,
        "maxPods": 30,
        "mode": mode,
        "osType": "Linux",
        "type": "VirtualMachineScaleSets",
        "vmSize": "Standard_DS2_v2",
        "vnetSubnetID": f"{VNET}/subnets/{subnet_name}",
        "orchestratorVersion": "1.20.2",
    }


def cluster(name: str, *pools: Body) -> Body:
    network = {
        "networkPlugin": "azure",
        "serviceCidr": "10.200.0.0/16",
        "dnsServiceIP": "10.200.0.10",
    }
    return resource(
        f"{AKS}/{name}",
        kubernetesVersion="1.20.2",
        dnsPrefix=f"{name}-NetworkLab",
        nodeResourceGroup=f"MC_NetworkLab_{name}_eastus",
        agentPoolProfiles=list(pools),
        networkProfile=network,
    )


def nic(name: str, address: str) -> Body:
    part = {
        "name": "ipconfig1",
        "properties": {
            "privateIPAddress": address,
            "privateIPAllocationMethod": "Static",
            "subnet": {"id": f"{VNET}/subnets/azurecni"},
        },
    }
    return resource(f"{NET}/networkInterfaces/{name}", ipConfigurations=[part])


def peering(vnet_name: str, name: str, remote: str) -> Body:
    return resource(
        f"{NET}/virtualNetworks/{vnet_name}/virtualNetworkPeerings/{name}",
        remoteVirtualNetwork={"id": f"{NET}/virtualNetworks/{remote}"},
    )


def balancer(name: str) -> Body:
    base = f"{NET}/loadBalancers/{name}"
    frontend = {
        "name": "front",
        "properties": {
            "subnet": {"id": f"{VNET}/subnets/services"},
            "privateIPAddress": "10.220.3.100",
            "privateIPAllocationMethod": "Static",
        },
    }
    balanced = {
        "name": "http",
        "properties": {
            "frontendIPConfiguration": {"id": f"{base}/frontendIPConfigurations/front"},
            "backendAddressPool": {"id": f"{base}/backendAddressPools/nodes"},
        },
    }
    return resource(
        base,
        frontendIPConfigurations=[frontend],
        backendAddressPools=[{"name": "nodes"}],
        loadBalancingRules=[balanced],
    )


TEMPLATES: dict[str, Body] = {
    "resourcegroups": {"location": "eastus"},
    "virtualnetworks": {
        "location": "eastus",
        "properties": {"addressSpace": {"addressPrefixes": ["10.230.0.0/16"]}},
    },
    "subnets": {"properties": {"addressPrefix": "10.220.9.0/24"}},
    "virtualnetworkpeerings": {
        "properties": {"remoteVirtualNetwork": {"id": f"{NET}/virtualNetworks/spoke"}}
    },
    "networksecuritygroups": {
        "location": "eastus",
        "properties": {"securityRules": [rule("first", 100), rule("second", 200)]},
    },
    "securityrules": rule("", 300),
    "routetables": {
        "location": "eastus",
        "properties": {"routes": [route("a", "10.1.0.0/24"), route("b", "10.1.1.0/24")]},
    },
    "routes": route("", "10.9.0.0/24"),
    "networkinterfaces": {**nic("", "10.220.2.210"), "id": ""},
    "loadbalancers": balancer("new"),
    "managedclusters": cluster("new", pool("nodepool1", 3, "System", "empty")),
    "agentpools": {"properties": pool("", 1, "User", "empty")},
}
"""By the last word of the type: a body that is accepted."""


class SmallWorld:
    """Rows by id. It is what podwire.arm.rules.World asks for."""

    def __init__(self) -> None:
        container = {"serviceName": "Microsoft.ContainerInstance/containerGroups"}
        web = {"id": f"{NET}/networkSecurityGroups/web"}
        table = {"id": f"{NET}/routeTables/rt"}
        bodies = [
            group("NetworkLab"),
            group("MC_NetworkLab_c1_eastus"),
            group("Leaving", state="Deleting"),
            group("Empty", "westus"),
            vnet("aksvnet", "10.220.0.0/16"),
            subnet("kubenet", "10.220.1.0/24"),
            subnet("azurecni", "10.220.2.0/24"),
            subnet("services", "10.220.3.0/24", networkSecurityGroup=web, routeTable=table),
            subnet("empty", "10.220.4.0/24"),
            subnet("containers", "10.220.5.0/24", delegations=[{"properties": container}]),
            vnet("hub", "10.0.0.0/16"),
            vnet("spoke", "10.1.0.0/16"),
            vnet("twin", "10.0.0.0/16"),
            vnet("far", "10.1.128.0/17"),
            resource(f"{NET}/virtualNetworks/far/subnets/one", addressPrefix="10.1.128.0/24"),
            peering("hub", "to-spoke", "spoke"),
            resource(f"{NET}/networkSecurityGroups/web", securityRules=[rule("http", 100)]),
            {**rule("http", 100), "id": f"{NET}/networkSecurityGroups/web/securityRules/http"},
            resource(f"{NET}/networkSecurityGroups/unused"),
            resource(f"{NET}/routeTables/rt"),
            {**route("one", "10.1.0.0/24"), "id": f"{NET}/routeTables/rt/routes/one"},
            resource(f"{NET}/routeTables/unused"),
            nic("vm1-nic", "10.220.2.200"),
            nic("unused-nic", "10.220.2.201"),
            resource(f"{NET}/publicIPAddresses/pip"),
            resource(f"{NET}/publicIPAddresses/unused"),
            cluster("c1", pool("nodepool1", 3, "System"), pool("batch", 1, "User")),
            resource(f"{AKS}/c1/agentPools/nodepool1", **pool("nodepool1", 3, "System")),
            resource(f"{AKS}/c1/agentPools/batch", **pool("batch", 1, "User")),
        ]
        self.rows = {one["id"].lower(): one for one in copy.deepcopy(bodies)}
        first = self.rows[NIC.lower()]
        machine = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm1"
        first["properties"]["virtualMachine"] = {"id": machine}
        part = first["properties"]["ipConfigurations"][0]["properties"]
        part["publicIPAddress"] = {"id": f"{NET}/publicIPAddresses/pip"}
        self.holders: dict[str, list[tuple[str, int]]] = {
            f"{VNET}/subnets/azurecni".lower(): [
                (f"{VMSS}/aks-nodepool1-12345678-vmss", 93),
                (f"{VMSS}/aks-batch-12345678-vmss", 31),
                (f"{NIC}/ipConfigurations/ipconfig1", 1),
            ]
        }

    def get(self, resource_id: str) -> Body | None:
        return self.rows.get(resource_id.lower())

    def children(self, parent_id: str, kind: str) -> list[Body]:
        below = f"{parent_id}/{kind.rpartition('/')[2]}/".lower()
        return [body for key, body in self.rows.items() if key.startswith(below)]

    def all(self, kind: str) -> list[Body]:
        return [body for key, body in self.rows.items() if ids.parse(key).kind == kind]

    def used(self, subnet_id: str) -> list[tuple[str, int]]:
        return self.holders.get(subnet_id.lower(), [])

    def versions(self) -> list[str]:
        return ["1.19.16", "1.20.2", "1.20.15", "1.21.14", "1.22.17"]
