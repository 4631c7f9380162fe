"""A snapshot's spaces as a wiring: what `kernel.wire.observe` is to a live kernel, so that
`model.wiring.diff` compares what is wanted with what the snapshot holds.

Pure. What the snapshot does not tell (a part that was not read, a sysctl that is not among those
that are) counts as wanted: nobody shall repair on a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

from podwire.kernel import nft
from podwire.lens.nfttext import expression
from podwire.lens.snapshot import MAIN, Link, Space
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
    Wiring,
)

Places = Mapping[str, Space]
"""A wiring's place -> the space that it is."""


def seen(wanted: Wiring, places: Places) -> Wiring:
    """The spaces' version of each wanted object that is there. A place that is not among `places`
    is not judged: its objects come back as wanted."""
    found = (_see(one, places) for one in wanted)
    return Wiring.of(one for one in found if one is not None)


def members(space: Space, family: str, table: str, name: str) -> dict[str, str | None]:
    """Of a set or map: item -> value, None in a set; {} where there is none. Parts of what is
    concatenated are joined by " . ", as in a wiring."""
    for one in nft_objects(space, "set", "map"):
        if (one["family"], one["table"], one["name"]) == (family, table, name):
            return dict(_member(raw) for raw in one.get("elem") or ())
    return {}


def nft_objects(space: Space, *kinds: str) -> Iterator[Mapping[str, Any]]:
    """The bodies of nft's objects of these kinds ("table", "chain", "rule", "set", "map")."""
    return (one[kind] for one in space.nft for kind in kinds if kind in one)


def _see(one: KernelObject, places: Places) -> KernelObject | None:
    part, look = _EYES.get(type(one), ("", _unknown))
    space = places.get(one.place)
    if space is None or part in space.unread:
        return None if getattr(one, "absent", False) else one
    return look(one, places)


def _unknown(want: KernelObject, places: Places) -> KernelObject:
    """PolicyRoute and PolicyRule are a lab's fabric's, no node's."""
    return want


def _bridge(want: Bridge, places: Places) -> Bridge | None:
    have = places[want.place].link(want.name)
    if have is None or have.kind != "bridge" or not have.up:
        return None
    return replace(want, mac=have.mac, mtu=have.mtu)


def _veth(want: Veth, places: Places) -> Veth | None:
    have = places[want.place].link(want.name)
    if have is None or have.kind != "veth" or not have.up:
        return None
    if want.peer_place not in places:
        return replace(want, mac=have.mac, mtu=have.mtu)
    peer = places[want.peer_place].link(want.peer_name)
    if peer is None or not peer.up or not _is_pair(have, peer):
        return None
    mtu = have.mtu if have.mtu != want.mtu else peer.mtu
    return replace(want, mac=have.mac, peer_mac=peer.mac, mtu=mtu)


def _is_pair(one: Link, other: Link) -> bool:
    return (one.ifindex, one.peer_index) == (other.peer_index, other.ifindex)


def _port(want: BridgePort, places: Places) -> BridgePort | None:
    have = places[want.place].link(want.link)
    if have is None or have.master != want.bridge:
        return None
    return replace(want, hairpin=have.hairpin, neigh_suppress=have.neigh_suppress)


def _address(want: Address, places: Places) -> Address | None:
    space = places[want.place]
    if not any((one.link, one.cidr) == (want.link, want.cidr) for one in space.addresses):
        return None
    if want.prefix_route is None:
        return replace(want, absent=False)
    subnet = str(ip_interface(want.cidr).network)
    routed = any((one.dst, one.via) == (subnet, "") for one in _routes(space, want.link))
    return replace(want, absent=False, prefix_route=routed)


def _route(want: Route, places: Places) -> Route | None:
    for one in _routes(places[want.place], want.link):
        if one.dst == want.dst:
            metric = None if want.metric is None else one.metric
            return replace(
                want, via=one.via or None, onlink=one.onlink, absent=False, metric=metric
            )
    return None


def _routes(space: Space, link: str) -> Iterator[Any]:
    return (
        one for one in space.routes if (one.link, one.table, one.kind) == (link, MAIN, "unicast")
    )


def _neighbour(want: Neighbour, places: Places) -> Neighbour | None:
    for one in places[want.place].neighbours:
        if (one.link, one.ip, one.state, one.proxy) == (want.link, want.ip, "PERMANENT", False):
            return replace(want, mac=one.mac)
    return None


def _proxy(want: NeighbourProxy, places: Places) -> NeighbourProxy | None:
    have = places[want.place].neighbours
    found = any(one.proxy and (one.link, one.ip) == (want.link, want.ip) for one in have)
    return want if found else None


def _sysctl(want: Sysctl, places: Places) -> Sysctl:
    """As sysctl(8) writes the name: a dot in a link's name is a slash there."""
    name = want.name.translate(str.maketrans("/.", "./"))
    return replace(want, value=places[want.place].sysctls.get(name, want.value))


def _table(want: Table, places: Places) -> Table | None:
    """Its seal tells whether it was loaded from these rules and not touched since (kernel/nft)."""
    space, mine = places[want.place], (want.family, want.name)
    if mine not in {(one["family"], one["name"]) for one in nft_objects(space, "table")}:
        return None
    handles = [(one["chain"], one["handle"]) for one in _within(space, "rule", mine)]
    chains = {one["name"] for one in _within(space, "chain", mine)}
    return want if nft.seal(want.rules, handles) in chains else replace(want, rules="")


def _within(space: Space, kind: str, table: tuple[str, str]) -> Iterator[Mapping[str, Any]]:
    found = nft_objects(space, kind)
    return (one for one in found if (one["family"], one["table"]) == table)


def _element(want: Element, places: Places) -> Element | None:
    have = members(places[want.place], want.family, want.table, want.set)
    if want.item not in have:
        return None
    return want if want.value is None else replace(want, value=have[want.item])


def _member(raw: Any) -> tuple[str, str | None]:
    """A map's is a pair. Source: libnftables-json(5)."""
    if isinstance(raw, list | tuple):
        return expression(raw[0]), expression(raw[1])
    return expression(raw), None


_EYES: dict[type, tuple[str, Callable[[Any, Places], KernelObject | None]]] = {
    Bridge: ("links", _bridge),
    Veth: ("links", _veth),
    BridgePort: ("links", _port),
    Address: ("addresses", _address),
    Route: ("routes", _route),
    Neighbour: ("neighbours", _neighbour),
    NeighbourProxy: ("neighbours", _proxy),
    Sysctl: ("sysctls", _sysctl),
    Table: ("nft", _table),
    Element: ("nft", _element),
}
"""Kind -> the part of a space that it is read from, and how."""
