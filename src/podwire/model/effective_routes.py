"""Which way a NIC's packets go: the system's routes and the user's, merged as Azure merges them.

Longest prefix first; of one prefix the user's route is active and the system's invalid. Source:
Azure's virtual network traffic routing, "how Azure selects a route".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from podwire.model.route_table import NextHop
from podwire.model.vnet import PLATFORM_RANGE, Nic, Subnet, VNet

RESERVED = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
"""Ranges that the Internet has not: the system's routes to them lead nowhere."""
DEFAULT_SOURCE, USER_SOURCE = "Default", "User"
ACTIVE, INVALID = "Active", "Invalid"


@dataclass(frozen=True, slots=True)
class EffectiveRoute:
    """A line of `az network nic show-effective-route-table`. name: of a user's route, else ""."""

    source: str
    state: str
    prefix: str
    next_hop_type: NextHop
    next_hop_ip: str = ""
    name: str = ""

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.prefix)


def effective_routes(nic: Nic, vnet: VNet) -> tuple[EffectiveRoute, ...]:
    """What the NIC's packets follow: the system's routes first, then the user's."""
    return subnet_routes(vnet.subnet_of(nic) or nic.subnet, vnet)


def subnet_routes(subnet: Subnet, vnet: VNet) -> tuple[EffectiveRoute, ...]:
    """The same, for every NIC of the subnet."""
    user = tuple(
        EffectiveRoute(
            USER_SOURCE, ACTIVE, one.prefix, one.next_hop_type, one.next_hop_ip, one.name
        )
        for one in (subnet.route_table.routes if subnet.route_table else ())
    )
    taken = {one.network for one in user}
    system = (replace(one, state=INVALID) if one.network in taken else one for one in _system(vnet))
    return (*system, *user)


def _system(vnet: VNet) -> Iterator[EffectiveRoute]:
    """A reserved range that is a VNet's, whole or part of it, is not reserved any more."""
    peers = [prefix for one in vnet.peerings if one.open for prefix in one.remote_prefixes]
    own = [IPv4Network(one) for one in (*vnet.prefixes, *peers)]
    for prefix in vnet.prefixes:
        yield EffectiveRoute(DEFAULT_SOURCE, ACTIVE, prefix, NextHop.VNET_LOCAL)
    for prefix in peers:
        yield EffectiveRoute(DEFAULT_SOURCE, ACTIVE, prefix, NextHop.PEERING)
    yield EffectiveRoute(DEFAULT_SOURCE, ACTIVE, "0.0.0.0/0", NextHop.INTERNET)
    for prefix in RESERVED:
        if not any(IPv4Network(prefix).subnet_of(one) for one in own):
            yield EffectiveRoute(DEFAULT_SOURCE, ACTIVE, prefix, NextHop.NONE)


def route_to(destination: str, routes: Sequence[EffectiveRoute]) -> EffectiveRoute:
    """The route that a packet to `destination` takes. There is always one.

    What the lab has in PLATFORM_RANGE has a public address in Azure: the system's routes to
    reserved ranges do not count for it.
    """
    address = IPv4Address(destination)
    public = address in IPv4Network(PLATFORM_RANGE)
    fit = (
        one
        for one in routes
        if one.state == ACTIVE
        and address in one.network
        and not (public and one.source == DEFAULT_SOURCE and one.next_hop_type == NextHop.NONE)
    )
    return max(fit, key=lambda one: one.network.prefixlen)
