"""Peerings of virtual networks: whom, once each, and no address twice. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network

from podwire.arm import ids
from podwire.arm.errors import ArmError
from podwire.arm.rules.common import check_reference
from podwire.arm.rules.fields import reference, same, strings, text
from podwire.arm.rules.world import Body, World

PEERINGS = "microsoft.network/virtualnetworks/virtualnetworkpeerings"
_INFO = "For more information please refer to https://aka.ms/VnetPeeringInfo"


def check_put(peering_id: str, old: Body | None, new: Body, world: World) -> None:
    vnet_id = ids.parse(peering_id).parent
    remote = reference(new, "properties.remoteVirtualNetwork")
    check_reference(remote or "(none)", peering_id, world)
    if same(remote, vnet_id):
        raise ArmError(
            400,
            "VnetPeeringToItselfNotAllowed",
            f"Cannot create or update peering {peering_id}. Virtual network {vnet_id} cannot be "
            f"peered with itself. {_INFO}",
        )
    _check_change(peering_id, old, remote)
    _check_twice(peering_id, vnet_id, remote, world)
    _check_overlap(peering_id, vnet_id, remote, world)
    _check_others(peering_id, vnet_id, remote, world)


def check_space(vnet_id: str, prefixes: list[str], world: World) -> None:
    """A VNet's address space, changed while it is peered."""
    for peering in world.children(vnet_id, PEERINGS):
        remote = reference(peering, "properties.remoteVirtualNetwork")
        shared = _overlaps(prefixes, _prefixes(remote, world))
        if shared:
            raise _overlap(text(peering, "id"), vnet_id, remote, shared)


def check_list(vnet_id: str, prefixes: list[str], wanted: list[Body], world: World) -> None:
    """The peerings in a PUT of a VNet whose address space becomes `prefixes`. One that is as it
    was stays, whatever has become of its other side."""
    had = {text(one, "name").lower(): one for one in world.children(vnet_id, PEERINGS)}
    remotes: list[str] = []
    for peering in wanted:
        name, remote = text(peering, "name"), reference(peering, "properties.remoteVirtualNetwork")
        peering_id = f"{vnet_id}/virtualNetworkPeerings/{name}"
        old = had.get(name.lower())
        if old is None or not same(reference(old, "properties.remoteVirtualNetwork"), remote):
            check_put(peering_id, old, peering, world)
        if remote.lower() in remotes:
            raise _twice(peering_id, vnet_id, remote)
        remotes.append(remote.lower())
        if shared := _overlaps(prefixes, _prefixes(remote, world)):
            raise _overlap(peering_id, vnet_id, remote, shared)


def _check_change(peering_id: str, old: Body | None, remote: str) -> None:
    if old is not None and not same(reference(old, "properties.remoteVirtualNetwork"), remote):
        raise ArmError(
            400,
            "ChangingRemoteVirtualNetworkNotAllowed",
            f"Cannot change the remote virtual network of peering {peering_id} to {remote}. "
            f"Delete the peering and create it again. {_INFO}",
        )


def _check_twice(peering_id: str, vnet_id: str, remote: str, world: World) -> None:
    for other in world.children(vnet_id, PEERINGS):
        if same(text(other, "id"), peering_id):
            continue
        if same(reference(other, "properties.remoteVirtualNetwork"), remote):
            raise _twice(peering_id, text(other, "id"), remote)


def _twice(peering_id: str, other: str, remote: str) -> ArmError:
    return ArmError(
        400,
        "AnotherPeeringAlreadyReferencesRemoteVnet",
        f"Peering {other} already references remote virtual network {remote}. Cannot add another "
        f"peering {peering_id} referencing the same remote virtual network.",
    )


def _check_overlap(peering_id: str, vnet_id: str, remote: str, world: World) -> None:
    shared = _overlaps(_prefixes(vnet_id, world), _prefixes(remote, world))
    if shared:
        raise _overlap(peering_id, vnet_id, remote, shared)


def _overlap(peering_id: str, vnet_id: str, remote: str, shared: list[str]) -> ArmError:
    return ArmError(
        400,
        "VnetAddressSpacesOverlap",
        f"Cannot create or update peering {peering_id}. Virtual networks {vnet_id} and {remote} "
        "cannot be peered because their address spaces overlap. Overlapping address prefixes: "
        f"{', '.join(shared)}. {_INFO}",
    )


def _check_others(peering_id: str, vnet_id: str, remote: str, world: World) -> None:
    """The remote VNet must not reach the same addresses through another peering."""
    for other in world.children(remote, PEERINGS):
        third = reference(other, "properties.remoteVirtualNetwork")
        shared = (
            []
            if same(third, vnet_id)
            else _overlaps(_prefixes(vnet_id, world), _prefixes(third, world))
        )
        if shared:
            raise ArmError(
                400,
                "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet",
                f"Cannot create or update peering {peering_id}. Virtual networks {vnet_id} and "
                f"{remote} cannot be peered because address space of the first virtual network "
                f"overlaps with address space of virtual network {third} already peered with the "
                f"second virtual network. Overlapping address prefixes: {', '.join(shared)}. "
                f"{_INFO}",
            )


def _prefixes(vnet_id: str, world: World) -> list[str]:
    return strings(world.get(vnet_id) or {}, "properties.addressSpace.addressPrefixes")


def _overlaps(ours: list[str], theirs: list[str]) -> list[str]:
    others = [IPv4Network(one) for one in theirs]
    return [one for one in ours if any(IPv4Network(one).overlaps(other) for other in others)]
