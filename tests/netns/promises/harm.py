"""All ways in which one object of a wiring can be taken away or changed, as commands."""

from __future__ import annotations

from collections.abc import Iterator

from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Element,
    KernelObject,
    Neighbour,
    NeighbourProxy,
    Route,
    Sysctl,
    Table,
    Veth,
)

OTHER_MAC = "02:00:00:00:00:99"
Harm = tuple[str, str, str]
"""What is done, the place, the command."""


def harms(one: KernelObject) -> list[Harm]:
    """At least one for each object; the commands are those of iproute2, nft and sysctl."""
    return list(_HARMS[type(one)](one))


def _bridge(one: Bridge) -> Iterator[Harm]:
    yield "deleted", one.place, f"ip link del {one.name}"
    yield "down", one.place, f"ip link set {one.name} down"
    yield "another mtu", one.place, f"ip link set {one.name} mtu 1400"
    yield "another mac", one.place, f"ip link set {one.name} address {OTHER_MAC}"


def _veth(one: Veth) -> Iterator[Harm]:
    yield "deleted", one.place, f"ip link del {one.name}"
    yield "down", one.place, f"ip link set {one.name} down"
    yield "another mtu", one.place, f"ip link set {one.name} mtu 1400"
    yield "peer down", one.peer_place, f"ip link set {one.peer_name} down"
    yield "peer with another mtu", one.peer_place, f"ip link set {one.peer_name} mtu 1400"
    yield (
        "peer with another mac",
        one.peer_place,
        f"ip link set {one.peer_name} address {OTHER_MAC}",
    )
    yield "peer renamed", one.peer_place, f"ip link set {one.peer_name} name other0"


def _port(one: BridgePort) -> Iterator[Harm]:
    yield "no port", one.place, f"ip link set {one.link} nomaster"
    state = "off" if one.hairpin else "on"
    yield "hairpin", one.place, f"bridge link set dev {one.link} hairpin {state}"
    yield "neigh_suppress", one.place, f"bridge link set dev {one.link} neigh_suppress on"


def _address(one: Address) -> Iterator[Harm]:
    verb = "add" if one.absent else "del"
    yield verb, one.place, f"ip addr {verb} {one.cidr} dev {one.link}"


def _route(one: Route) -> Iterator[Harm]:
    if one.absent:
        yield "added", one.place, f"ip route add {one.dst} dev {one.link} metric 50"
        return
    yield "deleted", one.place, f"ip route del {one.dst} dev {one.link}"
    other = "fe80::99" if ":" in one.dst else "10.220.2.99"
    if one.via:
        command = f"ip route replace {one.dst} via {other} dev {one.link}"
        yield "another gateway", one.place, command


def _neighbour(one: Neighbour) -> Iterator[Harm]:
    yield "deleted", one.place, f"ip neigh del {one.ip} dev {one.link}"
    command = f"ip neigh replace {one.ip} dev {one.link} lladdr"
    yield "another mac", one.place, f"{command} {OTHER_MAC} nud permanent"
    yield "not permanent", one.place, f"{command} {one.mac} nud reachable"


def _proxy(one: NeighbourProxy) -> Iterator[Harm]:
    yield "deleted", one.place, f"ip neigh del proxy {one.ip} dev {one.link}"


def _sysctl(one: Sysctl) -> Iterator[Harm]:
    other = "2" if one.value != "2" else "1"
    yield "another value", one.place, f"sysctl -q -w {one.name}={other}"


def _table(one: Table) -> Iterator[Harm]:
    name = f"{one.family} {one.name}"
    yield "deleted", one.place, f"nft delete table {name}"
    yield "flushed", one.place, f"nft flush table {name}"
    yield "everything flushed", one.place, "nft flush ruleset"
    yield "a chain flushed", one.place, f"nft flush chain {name} to_fabric"
    yield "a rule added", one.place, f"nft insert rule {name} forward counter"


def _element(one: Element) -> Iterator[Harm]:
    where = f"{one.family} {one.table} {one.set}"
    yield "deleted", one.place, f"nft delete element {where} {{ {one.item} }}"
    if one.value is not None:
        delete = f"nft delete element {where} {{ {one.item} }}"
        add = f"add element {where} {{ {one.item} : {OTHER_MAC} }}"
        yield "another value", one.place, f"{delete}; {add}"


_HARMS = {
    Bridge: _bridge,
    Veth: _veth,
    BridgePort: _port,
    Address: _address,
    Route: _route,
    Neighbour: _neighbour,
    NeighbourProxy: _proxy,
    Sysctl: _sysctl,
    Table: _table,
    Element: _element,
}
