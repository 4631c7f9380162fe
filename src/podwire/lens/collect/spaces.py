"""One network namespace as a Space: links, addresses, routes, neighbours, flows, sysctls.

Peers are still numbers here: `peers` finds whose they are. Filters are read by programs beside
this (`filters`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from podwire.kernel import procnet, rulesets, sockdiag, survey, sysctl
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import AddressEntry, RtNetlink
from podwire.lens.collect.reading import Reading
from podwire.lens.snapshot import (
    Address,
    Connection,
    FdbEntry,
    Link,
    Neighbour,
    PolicyRule,
    Route,
    Socket,
    Space,
)
from podwire.model.errors import KernelError

MOST_CONNECTIONS = 20_000
"""More of a space are not listed; `unread` says so."""
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/conf/all/proxy_arp",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_local_port_range",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/all/disable_ipv6",
)
_SYSCTLS_DEEP = (
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-arptables",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_buckets",
    "net/ipv4/neigh/default/gc_thresh1",
    "net/ipv4/neigh/default/gc_thresh2",
    "net/ipv4/neigh/default/gc_thresh3",
)
_SYSCTLS_OF_LINK = ("net/ipv4/conf/{}/rp_filter", "net/ipv4/conf/{}/forwarding")
_SYSCTLS_OF_LINK_DEEP = (
    "net/ipv4/conf/{}/proxy_arp",
    "net/ipv4/conf/{}/route_localnet",
    "net/ipv6/conf/{}/accept_ra",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A space and what its links' numbers mean. namespace: still open; links: by ifindex."""

    space: Space
    namespace: NetNamespace
    links: Mapping[int, survey.LinkSurvey] = field(default_factory=dict)


def read_space(
    id: str,  # noqa: A002  what it is called everywhere
    kind: str,
    namespace: NetNamespace,
    owners: Callable[[], Mapping[int, str]],
    resolv_conf: str = "",
) -> Seen:
    """owners: inode of a socket -> its program. Of pods the cheap part: no list of connections."""
    reading, deep = Reading(), kind != "pod"
    with namespace.entered(), RtNetlink(namespace) as door:
        links = {one.link.ifindex: one for one in reading.part("links", survey.links, door) or ()}
        names = {index: one.link.name for index, one in links.items()}
        space = Space(
            *(id, kind, namespace.inode),
            links=tuple(_link(one, names) for one in links.values()),
            addresses=reading.part("addresses", _addresses, door, names) or (),
            routes=reading.part("routes", _routes, door, names) or (),
            rules=reading.part("rules", _rules, door) or (),
            neighbours=reading.part("neighbours", _neighbours, door, names) or (),
            fdb=(reading.part("fdb", _fdb, door, names) or ()) if deep else (),
            connections=_connections(namespace, reading) if deep else (),
            sockets=reading.part("sockets", _sockets, namespace, owners) or (),
            sysctls=reading.part("sysctls", _sysctls, namespace, names.values(), deep) or {},
            resolv_conf=resolv_conf,
            unread=reading.unread,
        )
    return Seen(space, namespace, links)


def read_again(seen: Seen) -> Space:
    """Its links, addresses and routes as they are now, nothing else. Raises KernelError."""
    with RtNetlink(seen.namespace) as door:
        links = survey.links(door)
        names = {one.link.ifindex: one.link.name for one in links}
        return Space(
            *(seen.space.id, seen.space.kind, seen.space.inode),
            links=tuple(_link(one, names) for one in links),
            addresses=_addresses(door, names),
            routes=_routes(door, names),
        )


def _link(seen: survey.LinkSurvey, names: Mapping[int, str]) -> Link:
    one = seen.link
    return Link(
        ifindex=one.ifindex,
        name=one.name,
        mac=one.mac,
        mtu=one.mtu,
        up=one.up,
        carrier=seen.carrier,
        kind=one.kind,
        master=names.get(one.master, ""),
        peer_index=one.peer,
        port_state=seen.port_state,
        hairpin=one.hairpin,
        neigh_suppress=one.neigh_suppress,
        proxy_arp=seen.proxy_arp,
        counters=seen.counters,
    )


def _addresses(door: RtNetlink, names: Mapping[int, str]) -> tuple[Address, ...]:
    return tuple(_address(one, names) for one in door.addresses())


def _address(one: AddressEntry, names: Mapping[int, str]) -> Address:
    return Address(_name(one.ifindex, names), one.cidr, _SCOPES.get(one.scope, str(one.scope)))


def _routes(door: RtNetlink, names: Mapping[int, str]) -> tuple[Route, ...]:
    return tuple(
        Route(
            dst=one.dst,
            link=_name(one.ifindex, names),
            via=one.via,
            table=one.table,
            kind=one.kind,
            onlink=one.onlink,
            metric=one.metric,
            source=one.source,
            protocol=one.protocol,
        )
        for one in survey.routes(door)
    )


def _rules(door: RtNetlink) -> tuple[PolicyRule, ...]:
    return tuple(PolicyRule(**one._asdict()) for one in survey.rules(door))


def _neighbours(door: RtNetlink, names: Mapping[int, str]) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(_name(one.ifindex, names), one.ip, one.mac, one.state, one.proxy)
        for one in survey.neighbours(door)
    )


def _fdb(door: RtNetlink, names: Mapping[int, str]) -> tuple[FdbEntry, ...]:
    return tuple(
        FdbEntry(_name(one.bridge, names), _name(one.port, names), one.mac, one.local)
        for one in survey.forwarding(door)
    )


def _name(index: int, names: Mapping[int, str]) -> str:
    """A link that came after the links were listed is told by its number."""
    return names.get(index, f"if{index}") if index else ""


def _connections(namespace: NetNamespace, reading: Reading) -> tuple[Connection, ...]:
    lines = reading.part("connections", _conntrack, namespace) or []
    if len(lines) > MOST_CONNECTIONS:
        reading.unread["connections"] = (
            f"{len(lines)} are known, the first {MOST_CONNECTIONS} listed"
        )
    found = procnet.flows(islice(lines, MOST_CONNECTIONS))
    return tuple(Connection(*one) for one in found)


def _conntrack(namespace: NetNamespace) -> list[str]:
    """Without the file (CONFIG_NF_CONNTRACK_PROCFS) the program is asked."""
    text = procnet.read_text(namespace, "nf_conntrack")
    if text is None and sysctl.read(namespace, "net/netfilter/nf_conntrack_max") is not None:
        text = rulesets.run(namespace, ("conntrack", "-L"))
    return (text or "").splitlines()


def _sockets(
    namespace: NetNamespace, owners: Callable[[], Mapping[int, str]]
) -> tuple[Socket, ...]:
    found = sockdiag.listening(namespace)
    known = owners() if found else {}
    return tuple(
        Socket(one.protocol, one.address, one.port, known.get(one.inode, "")) for one in found
    )


def _sysctls(namespace: NetNamespace, links: Iterable[str], deep: bool) -> dict[str, str]:
    of_link = _SYSCTLS_OF_LINK + (_SYSCTLS_OF_LINK_DEEP if deep else ())
    names = [*_SYSCTLS, *(_SYSCTLS_DEEP if deep else ())]
    names += [one.format(link) for link in links for one in of_link]
    values = ((name, _sysctl(namespace, name)) for name in names)
    return {_dotted(name): value for name, value in values if value is not None}


def _sysctl(namespace: NetNamespace, name: str) -> str | None:
    try:
        return sysctl.read(namespace, name)
    except KernelError:
        return None  # its link went meanwhile


def _dotted(name: str) -> str:
    """As sysctl(8) writes it: a dot in a link's name becomes a slash."""
    return name.translate(str.maketrans("/.", "./"))
