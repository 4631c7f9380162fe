"""What Azure Resource Manager itself refuses, whatever the type: the group, the parent, the region.

The resource providers' own rules are in the modules beside this one.
"""

from __future__ import annotations

from podwire.arm import ids
from podwire.arm.errors import ArmError, group_not_found
from podwire.arm.places import LOCATIONS, region
from podwire.arm.rules.fields import at, text
from podwire.arm.rules.names import check_name, check_tags
from podwire.arm.rules.world import Body, World

_TRACKED = frozenset(
    {
        "microsoft.network/virtualnetworks",
        "microsoft.network/networksecuritygroups",
        "microsoft.network/routetables",
        "microsoft.network/networkinterfaces",
        "microsoft.network/publicipaddresses",
        "microsoft.network/loadbalancers",
        "microsoft.containerservice/managedclusters",
    }
)
"""Types whose resources lie in a region."""


def check(kind: str, resource_id: str, old: Body | None, new: Body, world: World) -> None:
    """Before a resource is created or changed: group, parent, name, region, tags."""
    target = ids.parse(resource_id)
    check_group(target, world)
    if len(target.names) > 1 and world.get(target.parent) is None:
        raise parent_not_found(target)
    if old is None:
        check_name(kind, resource_id)
    if kind in _TRACKED:
        _check_location(target, old, new)
    check_tags(new)


def check_group(target: ids.Target, world: World) -> None:
    group = world.get(ids.group_id(target.subscription, target.group))
    if group is None:
        raise group_not_found(target.group)
    if text(group, "properties.provisioningState") == "Deleting":
        raise being_deleted(target.group)


def being_deleted(group: str) -> ArmError:
    return ArmError(
        409,
        "ResourceGroupBeingDeleted",
        f"The resource group '{group}' is in deprovisioning state and cannot perform this "
        "operation.",
    )


def parent_not_found(target: ids.Target) -> ArmError:
    parent = "/".join(target.names[:-1])
    return ArmError(
        404,
        "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. Parent resource "
        f"'{parent}' not found.",
    )


def invalid_reference(referenced: str, by: str) -> ArmError:
    return ArmError(
        400,
        "InvalidResourceReference",
        f"Resource {referenced} referenced by resource {by} was not found. Please make sure that "
        "the referenced resource exists, and that both resources are in the same region.",
    )


def check_reference(referenced: str, by: str, world: World) -> None:
    """referenced: an id, "" when nothing is."""
    if referenced and world.get(referenced) is None:
        raise invalid_reference(referenced, by)


def location_required() -> ArmError:
    message = "The location property is required for this definition."
    return ArmError(400, "LocationRequired", message)


def _check_location(target: ids.Target, old: Body | None, new: Body) -> None:
    wanted = text(new, "location")
    if not wanted:
        if old is None:
            raise location_required()
        return
    if old is not None and region(wanted) != region(text(old, "location")):
        raise ArmError(
            409,
            "InvalidResourceLocation",
            f"The resource '{target.name}' already exists in location '{at(old, 'location')}' in "
            f"resource group '{target.group}'. A resource with the same name cannot be created "
            f"in location '{region(wanted)}'. Please select a new resource name.",
        )
    if region(wanted) not in LOCATIONS:
        raise ArmError(
            400,
            "LocationNotAvailableForResourceType",
            f"The provided location '{wanted}' is not available for resource type "
            f"'{target.kind}'. List of available regions for the resource type is "
            f"'{','.join(LOCATIONS)}'.",
        )
