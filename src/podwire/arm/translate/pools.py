"""Agent pools: a profile completed with Azure's defaults, and read as the lab's Pool. Pure."""

from __future__ import annotations

from podwire.arm.store import Body
from podwire.model import ip_modes
from podwire.model.cluster import KUBENET
from podwire.model.node_pool import DEFAULT_VM_SIZE, Pool, Surge

_DEFAULTS: Body = {
    "count": 1,
    "osDiskSizeGB": 128,
    "osDiskType": "Managed",
    "kubeletDiskType": "OS",
    "type": "VirtualMachineScaleSets",
    "enableAutoScaling": False,
    "scaleDownMode": "Delete",
    "powerState": {"code": "Running"},
    "enableNodePublicIP": False,
    "enableEncryptionAtHost": False,
    "enableUltraSSD": False,
    "enableFIPS": False,
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "nodeImageVersion": "AKSUbuntu-1804-2020.11.11",
    "upgradeSettings": {"maxSurge": "1"},
    "provisioningState": "Succeeded",
}


def profile_of(
    given: Body, old: Body | None, *, plugin: str, version: str, subnet: str, first: bool
) -> Body:
    """A profile as it is stored: what was sent, over what is stored, over the defaults.

    plugin, version, subnet: the cluster's; first: of its pools, which is a System one.
    """
    mode = ip_modes.KUBENET if plugin.lower() == KUBENET else ip_modes.NODE_SUBNET
    defaults = {
        **_DEFAULTS,
        "maxPods": mode.default_max_pods,
        "mode": "System" if first else "User",
        "vnetSubnetID": subnet,
        "orchestratorVersion": version,
    }
    told = {name: value for name, value in given.items() if value != ""}
    profile = {**defaults, **(old or {}), **told}
    profile.setdefault("vmSize", DEFAULT_VM_SIZE)
    if not profile["upgradeSettings"].get("maxSurge"):
        profile["upgradeSettings"] = {**profile["upgradeSettings"], "maxSurge": "1"}
    profile.setdefault("currentOrchestratorVersion", profile["orchestratorVersion"])
    return profile


def stays(profile: Body) -> bool:
    """Whether the pool shall be there once all is done."""
    return bool(profile["provisioningState"] != "Deleting")


def pool_value(profile: Body, subnet: str) -> Pool:
    """subnet: its own subnet's name, "" for the cluster's."""
    return Pool(
        name=profile["name"],
        count=profile["count"],
        max_pods=profile["maxPods"],
        surge=Surge.parse(str(profile["upgradeSettings"]["maxSurge"])),
        subnet=subnet,
        vm_size=profile["vmSize"],
        mode=profile["mode"],
    )


def pool_body(profile: Body, cluster_id: str) -> Body:
    """The same as a resource of its own."""
    properties = {name: value for name, value in profile.items() if name != "name"}
    return {
        "id": f"{cluster_id}/agentPools/{profile['name']}",
        "name": profile["name"],
        "type": "Microsoft.ContainerService/managedClusters/agentPools",
        "properties": properties,
    }
