"""All ways in which one object of a wiring can be taken away or changed, as commands."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface

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

from ..cni.node import GATEWAY

OTHER_MAC = "02:00:00:00:00:99"
Harm = tuple[str, str, str]
"""What is done, the place, the command."""

OF_A_NODE = {
    "bridge": (
        "ip link del azure0",
        "ip link set eth0 nomaster",
        "ip link set azure0 down",
        "nft delete table bridge azure-vnet",
        "nft flush table bridge azure-vnet",
        "nft flush ruleset",
    ),
    "transparent": ("sysctl -q -w net.ipv4.ip_forward=0",),
}
OF_A_POD = {
    "bridge": (
        "ip link del {link}",
        "ip link set {link} nomaster",
        "ip link set {link} down",
        "ip neigh del {ip} dev azure0",
        "nft delete element bridge azure-vnet pod_mac {{ {ip} }}",
        "bridge link set dev {link} hairpin off",
    ),
    "transparent": (
        "ip link del {link}",
        "ip link set {link} down",
        "ip link set {link} mtu 1400",
        "ip neigh del {ip} dev {link}",
        "ip route del {ip}/32",
    ),
}
"""Commands on the node, by its mode: each breaks what CHECK must find and ADD repair."""


def words(command: str) -> list[str]:
    """As execve wants it; nft takes its script as one word."""
    return ["nft", command.removeprefix("nft ")] if command.startswith("nft ") else command.split()


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
    if one.mac:
        yield "another mac", one.place, f"ip link set {one.name} address {OTHER_MAC}"
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
    if one.prefix_route is False:
        subnet = ip_interface(one.cidr).network
        yield "its subnet on the link", one.place, f"ip route add {subnet} dev {one.link}"


def _route(one: Route) -> Iterator[Harm]:
    if one.absent:
        yield "added", one.place, f"ip route add {one.dst} dev {one.link} metric 50"
        return
    yield "deleted", one.place, f"ip route del {one.dst} dev {one.link}"
    if one.via:
        other = "fe80::99" if ":" in one.dst else "10.220.2.99"
        command = f"ip route replace {one.dst} via {other} dev {one.link} onlink"
        yield "another gateway", one.place, command
    elif ":" not in one.dst:
        yield (
            "by a gateway",
            one.place,
            f"ip route replace {one.dst} via {GATEWAY} onlink dev {one.link}",
        )


def _neighbour(one: Neighbour) -> Iterator[Harm]:
    yield "deleted", one.place, f"ip neigh del {one.ip} dev {one.link}"
    command = f"ip neigh replace {one.ip} dev {one.link} lladdr"
    yield "another mac", one.place, f"{command} {OTHER_MAC} nud permanent"
    yield "not permanent", one.place, f"{command} {one.mac} nud reachable"


def _proxy(one: NeighbourProxy) -> Iterator[Harm]:
    yield "deleted", one.place, f"ip neigh del proxy {one.ip} dev {one.link}"


def _sysctl(one: Sysctl) -> Iterator[Harm]:
    other = "0" if one.value != "0" else "1"
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
