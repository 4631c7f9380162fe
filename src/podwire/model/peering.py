"""Peerings between several VNets: when they are connected, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from podwire.model.errors import InvalidInputError
from podwire.model.prefixes import overlapping
from podwire.model.vnet import Peering, VNet


def connect_peerings(vnets: Iterable[VNet]) -> dict[str, VNet]:
    """The VNets by key, their peerings told the other side's prefixes and whether it is there.

    A peering is connected when each of the two VNets has one to the other. Raises
    InvalidInputError when the address spaces of two VNets that are peered overlap.
    """
    known = {one.key: one for one in vnets}
    return {
        key: replace(vnet, peerings=tuple(_connect(vnet, one, known) for one in vnet.peerings))
        for key, vnet in known.items()
    }


def _connect(vnet: VNet, peering: Peering, known: Mapping[str, VNet]) -> Peering:
    remote = known.get(peering.remote.lower())
    if remote is None:
        return replace(peering, connected=False)
    check_peering(vnet, peering.name, remote)
    mutual = any(one.remote.lower() == vnet.key for one in remote.peerings)
    return replace(peering, remote_prefixes=remote.prefixes, connected=mutual)


def check_peering(vnet: VNet, name: str, remote: VNet) -> None:
    """Raises InvalidInputError when the two cannot be peered."""
    shared = overlapping(vnet.prefixes, remote.prefixes)
    if shared:
        raise InvalidInputError(
            f"Cannot create or update peering {name}. Virtual networks {vnet.name} and "
            f"{remote.name} cannot be peered because their address spaces overlap. Overlapping "
            f"address prefixes: {', '.join(shared)}",
            code="VnetAddressSpacesOverlap",
        )
