"""All that rtnetlink tells of one namespace: what a packet meets there, of every table and family.

Read only, by dumps; rtnetlink.py has what the plugins need, which is less of each object.
Source: linux/if_link.h, linux/if_bridge.h, linux/rtnetlink.h, linux/fib_rules.h,
linux/neighbour.h, linux/if_ether.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from podwire.kernel import rtvalues as rt
from podwire.kernel.netlink import DUMP, attributes
from podwire.kernel.rtnetlink import Link, RtNetlink

_GETLINK, _GETROUTE, _GETNEIGH, _GETRULE = 18, 26, 30, 34
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_IFLA_STATS64 = 23
_COUNTERS = struct.Struct("=8Q")
_BRPORT_STATE, _BRPORT_PROXYARP = 1, 10
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 7, 9, 15, 18
_NEXT_HOP = struct.Struct("=HBBi")
_ROUTE_KINDS = ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole",
                "unreachable", "prohibit", "throw", "nat")  # fmt: skip
_RULE = struct.Struct("=BBBBBBBBI")
_RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_FRA_DST, _FRA_SRC, _FRA_IIF, _FRA_GOTO, _FRA_PRIORITY = 1, 2, 3, 4, 6
_FRA_MARK, _FRA_TABLE, _FRA_MASK, _FRA_OIF = 10, 15, 16, 17
_RULE_INVERTED = 0x2
_NDA_MASTER = 9
_NEIGHBOUR_STATES = {0x01: "INCOMPLETE", 0x02: "REACHABLE", 0x04: "STALE", 0x08: "DELAY",
                     0x10: "PROBE", 0x20: "FAILED", 0x40: "NOARP", 0x80: "PERMANENT"}  # fmt: skip


class LinkSurvey(NamedTuple):
    """link: as the plugins see it. port_state: "" of what is no bridge port; counters: name ->
    number since the link was made."""

    link: Link
    carrier: bool
    port_state: str
    proxy_arp: bool
    counters: dict[str, int]


class RouteSurvey(NamedTuple):
    """A next hop of a route. kind: as `ip route` names it; ifindex: 0 for none; table: 254 main."""

    dst: str
    ifindex: int
    via: str
    table: int
    kind: str
    onlink: bool
    metric: int
    source: str
    protocol: int


class RuleSurvey(NamedTuple):
    """As lens's PolicyRule; table is the target's priority for action "goto"."""

    priority: int
    table: int
    family: int
    action: str
    mark: int
    mask: int
    source: str
    destination: str
    iif: str
    oif: str
    inverted: bool


class NeighbourSurvey(NamedTuple):
    ifindex: int
    ip: str
    mac: str
    state: str
    proxy: bool


class ForwardingSurvey(NamedTuple):
    """A frame to `mac` that comes to the bridge `bridge` leaves by `port`, both by index."""

    bridge: int
    port: int
    mac: str
    local: bool


def links(door: RtNetlink) -> list[LinkSurvey]:
    """All with their counters. Raises KernelError, as every function here."""
    bodies = door.request(_GETLINK, rt.IFINFO.pack(0, 0, 0, 0, 0), DUMP)
    return [_link(one) for one in bodies]


def _link(body: bytes) -> LinkSurvey:
    have = attributes(body[rt.IFINFO.size :])
    info = attributes(have.get(rt.IFLA_LINKINFO, b""))
    is_port = info.get(rt.IFLA_INFO_SLAVE_KIND, b"").startswith(b"bridge\0")
    port = attributes(info.get(rt.IFLA_INFO_SLAVE_DATA, b"")) if is_port else {}
    state = port.get(_BRPORT_STATE, b"")[:1]
    return LinkSurvey(
        rt.parse_link(body),
        have.get(rt.IFLA_CARRIER) == b"\1",
        _PORT_STATES[state[0]] if state and state[0] < len(_PORT_STATES) else "",
        port.get(_BRPORT_PROXYARP) == b"\1",
        _counters(have.get(_IFLA_STATS64, b"")),
    )


def _counters(data: bytes) -> dict[str, int]:
    if len(data) < _COUNTERS.size:
        return {}
    rx, tx, _, _, rx_errors, tx_errors, rx_dropped, tx_dropped = _COUNTERS.unpack_from(data)
    return {
        "rx_packets": rx,
        "tx_packets": tx,
        "rx_dropped": rx_dropped,
        "tx_dropped": tx_dropped,
        "rx_errors": rx_errors,
        "tx_errors": tx_errors,
    }


def routes(door: RtNetlink) -> list[RouteSurvey]:
    """Of all tables, IPv4 first; one entry for each next hop."""
    found: list[RouteSurvey] = []
    for family in _FAMILIES:
        head = rt.RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        for body in door.request(_GETROUTE, head, DUMP):
            found.extend(_route(body))
    return found


def _route(body: bytes) -> Iterator[RouteSurvey]:
    family, length, _, _, table, protocol, _, kind, flags = rt.RTMSG.unpack_from(body)
    have = attributes(body[rt.RTMSG.size :])
    dst = have.get(rt.RTA_DST) or bytes(16 if family == socket.AF_INET6 else 4)
    source = have.get(_RTA_PREFSRC)
    for index, via, hop_flags in _hops(family, have):
        yield RouteSurvey(
            f"{socket.inet_ntop(family, dst)}/{length}",
            index,
            via,
            rt.u32(have.get(_RTA_TABLE)) or table,
            _ROUTE_KINDS[kind] if kind < len(_ROUTE_KINDS) else str(kind),
            bool((flags | hop_flags) & rt.RTNH_F_ONLINK),
            rt.u32(have.get(rt.RTA_PRIORITY)),
            socket.inet_ntop(family, source) if source else "",
            protocol,
        )


def _hops(family: int, have: dict[int, bytes]) -> Iterator[tuple[int, str, int]]:
    """(index of the link, gateway, flags) of each next hop."""
    several = have.get(_RTA_MULTIPATH, b"")
    if not several:
        yield rt.u32(have.get(rt.RTA_OIF)), _gateway(family, have), 0
    while len(several) >= _NEXT_HOP.size:
        length, flags, _, index = _NEXT_HOP.unpack_from(several)
        if length < _NEXT_HOP.size:
            return
        own = attributes(several[_NEXT_HOP.size : length])
        yield index, _gateway(family, own), flags
        several = several[(length + 3) & ~3 :]


def _gateway(family: int, have: dict[int, bytes]) -> str:
    """RTA_VIA: a gateway of the other family, its family before it (RFC 5549)."""
    if rt.RTA_GATEWAY in have:
        return socket.inet_ntop(family, have[rt.RTA_GATEWAY])
    via = have.get(_RTA_VIA, b"")
    if len(via) in (6, 18):
        return socket.inet_ntop(socket.AF_INET if len(via) == 6 else socket.AF_INET6, via[2:])
    return ""


def rules(door: RtNetlink) -> list[RuleSurvey]:
    """In order of priority, IPv4 first."""
    found: list[RuleSurvey] = []
    for family in _FAMILIES:
        head = _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        mine = [_rule(one) for one in door.request(_GETRULE, head, DUMP)]
        found.extend(sorted(mine, key=lambda one: one.priority))
    return found


def _rule(body: bytes) -> RuleSurvey:
    family, dst_length, src_length, _, table, _, _, action, flags = _RULE.unpack_from(body)
    have = attributes(body[_RULE.size :])
    name = _RULE_ACTIONS.get(action, str(action))
    return RuleSurvey(
        priority=rt.u32(have.get(_FRA_PRIORITY)),
        table=rt.u32(have.get(_FRA_GOTO if name == "goto" else _FRA_TABLE)) or table,
        family=6 if family == socket.AF_INET6 else 4,
        action=name,
        mark=rt.u32(have.get(_FRA_MARK)),
        mask=rt.u32(have.get(_FRA_MASK)),
        source=_prefix(family, have.get(_FRA_SRC), src_length),
        destination=_prefix(family, have.get(_FRA_DST), dst_length),
        iif=rt.text_of(have.get(_FRA_IIF)),
        oif=rt.text_of(have.get(_FRA_OIF)),
        inverted=bool(flags & _RULE_INVERTED),
    )


def neighbours(door: RtNetlink) -> list[NeighbourSurvey]:
    """Of both families, the proxies after them; without groups, as `ip neighbour` shows them."""
    found: list[NeighbourSurvey] = []
    for flag in (0, rt.NTF_PROXY):
        head = rt.NDMSG.pack(0, 0, 0, flag, 0)
        bodies = door.request(_GETNEIGH, head, DUMP)
        found.extend(_neighbour(one) for one in bodies if one[0] in _FAMILIES)
    return [one for one in found if one.state != "NOARP"]


def _neighbour(body: bytes) -> NeighbourSurvey:
    family, index, state, flags, _ = rt.NDMSG.unpack_from(body)
    have = attributes(body[rt.NDMSG.size :])
    return NeighbourSurvey(
        index,
        socket.inet_ntop(family, have[rt.NDA_DST]),
        have.get(rt.NDA_LLADDR, b"").hex(":"),
        _NEIGHBOUR_STATES.get(state, "NONE"),
        bool(flags & rt.NTF_PROXY),
    )


def forwarding(door: RtNetlink) -> list[ForwardingSurvey]:
    """What bridges have learned and were told; not the addresses that links themselves hear."""
    head = rt.NDMSG.pack(socket.AF_BRIDGE, 0, 0, 0, 0)
    found = []
    for body in door.request(_GETNEIGH, head, DUMP):
        _, index, state, _, _ = rt.NDMSG.unpack_from(body)
        known = attributes(body[rt.NDMSG.size :])
        if _NDA_MASTER in known:
            mac = known.get(rt.NDA_LLADDR, b"").hex(":")
            local = bool(state & rt.NUD_PERMANENT)
            found.append(ForwardingSurvey(rt.u32(known[_NDA_MASTER]), index, mac, local))
    return found


def _prefix(family: int, packed: bytes | None, length: int) -> str:
    return f"{socket.inet_ntop(family, packed)}/{length}" if packed else ""
