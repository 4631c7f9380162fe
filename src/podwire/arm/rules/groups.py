"""Resource groups: their region, their name, and what keeps one from being deleted. Pure."""

from __future__ import annotations

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.places import LOCATIONS, region
from podwire.arm.rules.common import being_deleted, location_required
from podwire.arm.rules.fields import same, text
from podwire.arm.rules.names import check_group_name, check_tags
from podwire.arm.rules.world import Body, World

_CLUSTERS = "microsoft.containerservice/managedclusters"


def check_put(resource_id: str, old: Body | None, new: Body, world: World) -> None:
    name = ids.parse(resource_id).group
    check_group_name(name)
    _check_location(name, old, new)
    if old is not None and text(old, "properties.provisioningState") == "Deleting":
        raise being_deleted(name)
    check_tags(new)


def _check_location(name: str, old: Body | None, new: Body) -> None:
    wanted = region(text(new, "location"))
    if not wanted and old is None:
        raise location_required()
    if old is not None and wanted and wanted != region(text(old, "location")):
        raise ArmError(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{wanted}'. The Resource group already exists in "
            f"location '{text(old, 'location')}'.",
        )
    if wanted and wanted not in LOCATIONS:
        raise ArmError(
            400,
            "LocationNotAvailableForResourceGroup",
            f"The provided location '{wanted}' is not available for resource group. List of "
            f"available regions is '{','.join(LOCATIONS)}'.",
        )


def check_delete(resource_id: str, old: Body, world: World) -> None:
    """Refused: a living cluster's node resource group, and what others outside still use."""
    name = ids.parse(resource_id).group
    for cluster in world.all(_CLUSTERS):
        if same(text(cluster, "properties.nodeResourceGroup"), name):
            raise _denied(resource_id, text(cluster, "id"))
    blocked = _used_from_outside(resource_id, world)
    if blocked:
        listed = ",".join(blocked)
        raise ArmError(
            409,
            "ResourceGroupDeletionBlocked",
            f"Deletion of resource group '{name}' failed as resources with identifiers "
            f"'{listed}' could not be deleted. The provisioning state of the resource group will "
            "be rolled back. Please check audit logs for more details.",
        )


def _denied(group_id: str, cluster_id: str) -> ArmError:
    return ArmError(
        403,
        "DenyAssignmentAuthorizationFailed",
        "The client has permission to perform action "
        f"'Microsoft.Resources/subscriptions/resourceGroups/delete' on scope '{group_id}'; "
        "however, the access is denied because of the deny assignment with name 'System deny "
        f"assignment created by Azure Kubernetes Service {cluster_id}'. Delete the cluster: its "
        "node resource group goes with it.",
    )


def _used_from_outside(group_id: str, world: World) -> list[str]:
    """The VNets of a group whose subnets serve what would outlive it."""
    inside = {group_id.lower()}
    for cluster in world.all(_CLUSTERS):
        if text(cluster, "id").lower().startswith(f"{group_id.lower()}/"):
            subscription = ids.parse(group_id).subscription
            nodes = text(cluster, "properties.nodeResourceGroup")
            inside.add(ids.group_id(subscription, nodes).lower())
    return [
        f"Microsoft.Network/virtualNetworks/{text(vnet, 'name')}"
        for vnet in world.all("microsoft.network/virtualnetworks")
        if text(vnet, "id").lower().startswith(f"{group_id.lower()}/")
        and any(_group_of(one) not in inside for one in _holders(text(vnet, "id"), world))
    ]


def _holders(vnet_id: str, world: World) -> list[str]:
    subnets = world.children(vnet_id, "microsoft.network/virtualnetworks/subnets")
    return [holder for subnet in subnets for holder, _ in world.used(text(subnet, "id"))]


def _group_of(resource_id: str) -> str:
    target = ids.parse(resource_id)
    return ids.group_id(target.subscription, target.group).lower()
