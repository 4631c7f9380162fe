"""Virtual networks and their subnets. Pure.

That subnets lie in the VNet and apart is checked by `model/aks_rules.py`; here is what concerns
ARM's resources: syntax with the resource's id, references, and what is in use. Source: Azure
virtual network documentation and the texts in users' threads (the table in docs/azure-errors.md).
"""

from __future__ import annotations

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules.common import check_reference
from podwire.arm.rules.fields import at, missing, objects, reference, same, strings, text
from podwire.arm.rules.names import check_network_name
from podwire.arm.rules.peering import check_list, check_space
from podwire.arm.rules.prefixes import check_prefix
from podwire.arm.rules.world import Body, World
from podwire.model.aks_rules import check_vnet
from podwire.model.vnet import Subnet, VNet

SUBNETS = "microsoft.network/virtualnetworks/subnets"


def check_put(vnet_id: str, old: Body | None, new: Body, world: World) -> None:
    """A VNet; with a list of subnets it is also a PUT of each, and a DELETE of those missing."""
    prefixes = strings(new, "properties.addressSpace.addressPrefixes")
    if not prefixes:
        raise missing("addressPrefixes", "properties.addressSpace")
    for prefix in prefixes:
        check_prefix(prefix, vnet_id)
    existing = list(world.children(vnet_id, SUBNETS))
    wanted = existing
    if at(new, "properties.subnets") is not None:
        wanted = objects(new, "properties.subnets")
        _check_list(vnet_id, existing, wanted, world)
    check_vnet(vnet_value(vnet_id, prefixes, wanted))
    if at(new, "properties.virtualNetworkPeerings") is None:
        check_space(vnet_id, prefixes, world)
    else:
        check_list(vnet_id, prefixes, objects(new, "properties.virtualNetworkPeerings"), world)


def check_subnet_put(subnet_id: str, old: Body | None, new: Body, world: World) -> None:
    vnet_id = ids.parse(subnet_id).parent
    _check_subnet(subnet_id, old, new, world)
    others = [
        one for one in world.children(vnet_id, SUBNETS) if not same(text(one, "id"), subnet_id)
    ]
    named = {**new, "name": ids.parse(subnet_id).name}
    vnet = world.get(vnet_id) or {}
    prefixes = strings(vnet, "properties.addressSpace.addressPrefixes")
    check_vnet(vnet_value(vnet_id, prefixes, [*others, named]))


def check_delete(vnet_id: str, old: Body, world: World) -> None:
    for subnet in world.children(vnet_id, SUBNETS):
        check_subnet_delete(text(subnet, "id"), subnet, world)


def check_subnet_delete(subnet_id: str, old: Body, world: World) -> None:
    holders = list(dict.fromkeys(holder for holder, _ in world.used(subnet_id)))
    if holders:
        raise ArmError(
            400,
            "InUseSubnetCannotBeDeleted",
            f"Subnet {ids.parse(subnet_id).name} is in use by {', '.join(holders)} and cannot be "
            "deleted. In order to delete the subnet, delete all the resources within the subnet. "
            "See aka.ms/deletesubnet.",
        )


def vnet_value(vnet_id: str, prefixes: list[str], subnets: list[Body]) -> VNet:
    """The model's VNet, of bodies whose prefixes are well formed."""
    target = ids.parse(vnet_id)
    values = tuple(Subnet(text(one, "name"), prefix_of(one)) for one in subnets)
    return VNet(target.name, target.group, tuple(prefixes), values)


def prefix_of(subnet: Body) -> str:
    """New clients send addressPrefixes with one element."""
    listed = strings(subnet, "properties.addressPrefixes")
    return text(subnet, "properties.addressPrefix") or (listed[0] if listed else "")


def _check_list(vnet_id: str, existing: list[Body], wanted: list[Body], world: World) -> None:
    by_name = {text(one, "name").lower(): one for one in existing}
    for subnet in wanted:
        name = text(subnet, "name")
        check_network_name(name)
        _check_subnet(f"{vnet_id}/subnets/{name}", by_name.get(name.lower()), subnet, world)
    names = [text(one, "name").lower() for one in wanted]
    for name in names:
        if names.count(name) > 1:
            raise ArmError(
                400,
                "DuplicateResourceName",
                f"Virtual network '{ids.parse(vnet_id).name}' has two subnets with name '{name}'. "
                "Names of subnets are unique within a virtual network.",
            )
    for gone in by_name.keys() - set(names):
        check_subnet_delete(text(by_name[gone], "id"), by_name[gone], world)


def _check_subnet(subnet_id: str, old: Body | None, new: Body, world: World) -> None:
    prefix = prefix_of(new)
    check_prefix(prefix, subnet_id)
    for path in ("properties.networkSecurityGroup", "properties.routeTable"):
        check_reference(reference(new, path), subnet_id, world)
    if old is None or not world.used(subnet_id):
        return
    if prefix_of(old) != prefix:
        raise ArmError(
            400,
            "InUsePrefixCannotBeDeleted",
            f"IpPrefix {prefix_of(old)} on Subnet {ids.parse(subnet_id).name} has active "
            "allocations and cannot be deleted.",
        )
    if services(old) != services(new):
        raise ArmError(
            400,
            "SubnetDelegationsCannotChange",
            f"Delegations of subnet {subnet_id} cannot be changed from {_listed(services(old))} "
            f"to {_listed(services(new))} because it is being used by the resource "
            f"{world.used(subnet_id)[0][0]}.",
        )


def services(subnet: Body) -> list[str]:
    """What the subnet is delegated to, as in Microsoft.ContainerService/managedClusters."""
    delegations = objects(subnet, "properties.delegations")
    return sorted(text(one, "properties.serviceName") for one in delegations)


def _listed(names: list[str]) -> str:
    return f"[{', '.join(names)}]"
