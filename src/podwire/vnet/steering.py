"""Which way packets go in the fabric beyond "to the NIC that has the address": routes as values.

A subnet with a route table has a routing table of its own, with one route for each effective route;
what stays in the VNet is thrown back to main, where each address has its route. `classes` marks
the packets of the subnet's NICs with the table's number.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from podwire.model.effective_routes import (
    ACTIVE,
    RESERVED,
    USER_SOURCE,
    EffectiveRoute,
    route_to,
)
from podwire.model.route_table import NextHop
from podwire.model.vnet import PLATFORM_RANGE
from podwire.model.wiring import (
    KernelObject,
    Neighbour,
    PolicyRoute,
    PolicyRule,
    Route,
    Table,
    Wiring,
)
from podwire.vnet.scene import Scene, SubnetTable
from podwire.vnet.segments import FABRIC

NEXT_FABRIC = "169.254.0.1"
"""The other end of a link to another fabric: a permanent neighbour there."""
OUTSIDE = "outside"
"""The link that leads out of the VNet."""
OUTSIDE_GATEWAY = "192.0.2.2"
_LAST_RESORT = 1000
"""Metric of the route that an appliance's prefix has when the appliance's link vanishes."""
_EVERYTHING = "0.0.0.0/0"
_HALVES = ("0.0.0.0/1", "128.0.0.0/1")
"""Everything, and still more specific than the default route into lo."""


def steering(scene: Scene) -> Wiring:
    """All routes that the VNet's route tables, peerings and the way out ask for."""
    return Wiring((*_main_routes(scene), *_tables(scene), *_entries(scene)))


def _main_routes(scene: Scene) -> Iterator[KernelObject]:
    for link, peering in scene.open_peers:
        for prefix in peering.remote_prefixes:
            yield Route(FABRIC, prefix, link, via=NEXT_FABRIC, onlink=True)
    if scene.outside:
        for prefix in dict.fromkeys((*scene.vnet.prefixes, *RESERVED)):
            yield Route(FABRIC, prefix, "lo")
        for prefix in _HALVES:
            yield Route(FABRIC, prefix, OUTSIDE, via=OUTSIDE_GATEWAY, onlink=True)


def _tables(scene: Scene) -> Iterator[KernelObject]:
    for table in scene.tables.values():
        for one in table.routes:
            if one.state == ACTIVE:
                yield from _routes(scene, table.number, one, one.prefix)
        yield from _platform_routes(scene, table)
        yield PolicyRule(FABRIC, table.number)


def _entries(scene: Scene) -> Iterator[KernelObject]:
    """What comes from a peer in a frame to a forwarding NIC goes there, whatever its destination:
    a route of the peer's leads by way of this NIC."""
    for mark, port in scene.entries:
        yield PolicyRoute(FABRIC, mark, _EVERYTHING, "lo", metric=_LAST_RESORT)
        yield PolicyRoute(FABRIC, mark, _EVERYTHING, port.link, port.nic.primary)
        yield PolicyRule(FABRIC, mark)
    for link, _ in scene.open_peers if scene.entries else ():
        yield Table(FABRIC, "netdev", link, "\n".join(_arrivals(scene, link)))


def _arrivals(scene: Scene, link: str) -> Iterator[str]:
    yield f"chain arrivals {{ type filter hook ingress device {link} priority 0; policy accept;"
    for mark, port in scene.entries:
        for address in port.nic.addresses:
            mac = hop_mac(address)
            yield f"ether daddr {mac} meta pkttype set host meta mark set {mark}"
    yield "}"


def hop_mac(address: str) -> str:
    """To which MAC a peer sends what is to go by way of this address: a local one, made of it."""
    return f"02:00:{IPv4Address(address).packed.hex(':')}"


def _platform_routes(scene: Scene, table: SubnetTable) -> Iterator[KernelObject]:
    """What plays a public address goes where public addresses go, in spite of its range."""
    whole = IPv4Network(PLATFORM_RANGE)
    around = [one for one in table.routes if whole.subnet_of(one.network)]
    if not any(one.network == whole for one in around):
        taken = route_to(str(whole.network_address), around)
        yield from _routes(scene, table.number, taken, PLATFORM_RANGE)


def _routes(scene: Scene, table: int, route: EffectiveRoute, prefix: str) -> Iterator[KernelObject]:
    """What leads nowhere goes to lo, where it is counted. An appliance that is not there, or does
    not forward, is nowhere."""
    hop = route.next_hop_type
    if hop in (NextHop.VNET_LOCAL, NextHop.PEERING) or _leads_out_by_default(route):
        yield PolicyRoute(FABRIC, table, prefix)
    elif hop == NextHop.INTERNET and scene.outside:
        yield PolicyRoute(FABRIC, table, prefix, OUTSIDE, OUTSIDE_GATEWAY)
    elif hop == NextHop.VIRTUAL_APPLIANCE:
        yield PolicyRoute(FABRIC, table, prefix, "lo", metric=_LAST_RESORT)
        yield from _by_way_of(scene, table, route.next_hop_ip, prefix)
    else:
        yield PolicyRoute(FABRIC, table, prefix, "lo")


def _by_way_of(scene: Scene, table: int, hop: str, prefix: str) -> Iterator[KernelObject]:
    """Whether a peer's NIC is there and forwards, its own fabric knows."""
    port, peer = scene.owner(hop), scene.peer_of(hop)
    if port is not None and port.nic.ip_forwarding:
        yield PolicyRoute(FABRIC, table, prefix, port.link, hop)
    elif port is None and peer is not None:
        yield Neighbour(FABRIC, peer, hop, hop_mac(hop))
        yield PolicyRoute(FABRIC, table, prefix, peer, hop)


def _leads_out_by_default(route: EffectiveRoute) -> bool:
    """Main knows which addresses are the platform's, which are outside, and whether that is open;
    only a user's route takes a reserved range out."""
    if route.next_hop_type != NextHop.INTERNET:
        return False
    return route.source != USER_SOURCE or route.prefix == _EVERYTHING
