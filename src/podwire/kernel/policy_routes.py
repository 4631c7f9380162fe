"""Routes of tables besides main, and the rules that choose a table by a packet's mark.

As rtnetlink.py, whose door it uses: one request each, KernelError says what the kernel says.
Source: linux/rtnetlink.h, linux/fib_rules.h, net/ipv4/fib_semantics.c (fib_lookup, RTN_THROW).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import NamedTuple

from podwire.kernel import rtvalues as rt
from podwire.kernel.netlink import CREATE, DUMP, EXCLUSIVE, REPLACE, attribute, attributes, number
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import KernelError

_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_STATIC, _UNICAST, _THROW, _TO_TABLE = 4, 1, 9, 1
_SCOPE_GLOBAL, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255
_FRA_PRIORITY, _FRA_MARK, _FRA_TABLE, _FRA_MARK_MASK = 6, 10, 15, 16
_PRIORITY = 100
"""After the kernel's table of local addresses (0), before main (32766)."""
_RULE = struct.Struct("=BBBBBBBBI")


class TableRoute(NamedTuple):
    """ifindex 0: a throw route."""

    dst: str
    ifindex: int
    via: str | None
    metric: int


def set_route(
    door: RtNetlink, table: int, dst: str, index: int, via: str | None, metric: int
) -> None:
    """index 0: a throw route. In place of the route of this metric to `dst`."""
    door.request(_NEWROUTE, _route(table, dst, index, via, metric), CREATE | REPLACE)


def delete_route(door: RtNetlink, table: int, dst: str, index: int, metric: int) -> None:
    door.request(_DELROUTE, _route(table, dst, index, None, metric, deletion=True))


def _route(
    table: int, dst: str, index: int, via: str | None, metric: int, *, deletion: bool = False
) -> bytes:
    """A deletion names what identifies the route and leaves the rest open."""
    family, packed, length = rt.split_cidr(dst)
    scope = _SCOPE_LINK if index and not via else _SCOPE_GLOBAL
    kind = (_STATIC, scope, _UNICAST if index else _THROW)
    flags = rt.RTNH_F_ONLINK if via else 0
    head = (0, _SCOPE_NOWHERE, 0) if deletion else kind
    body = rt.RTMSG.pack(family, length, 0, 0, 0, *head, flags)
    body += number(rt.RTA_TABLE, table)
    body += attribute(rt.RTA_DST, packed) if length else b""
    body += attribute(rt.RTA_GATEWAY, rt.pack_ip(via)[1]) if via else b""
    body += number(rt.RTA_OIF, index) if index else b""
    return body + (number(rt.RTA_PRIORITY, metric) if metric else b"")


def routes(door: RtNetlink, table: int) -> list[TableRoute]:
    """All of a table; none of one that has never had any, of which the kernel says ENOENT."""
    head = rt.RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    try:
        bodies = door.request(_GETROUTE, head + number(rt.RTA_TABLE, table), DUMP)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return []
        raise
    found = [rt.parse_route(one) for one in bodies if _table(one) == table]
    return [TableRoute(one.dst, one.ifindex, one.via, one.metric) for one in found]


def _table(body: bytes) -> int:
    return int.from_bytes(attributes(body[rt.RTMSG.size :])[rt.RTA_TABLE], sys.byteorder)


def add_rule(door: RtNetlink, table: int) -> None:
    """What has the mark `table` follows it."""
    door.request(_NEWRULE, _rule(table), CREATE | EXCLUSIVE)


def delete_rule(door: RtNetlink, table: int) -> None:
    door.request(_DELRULE, _rule(table))


def _rule(table: int) -> bytes:
    head = _RULE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, _TO_TABLE, 0)
    return (
        head
        + number(_FRA_PRIORITY, _PRIORITY)
        + number(_FRA_MARK, table)
        + number(_FRA_MARK_MASK, 0xFFFFFFFF)
        + number(_FRA_TABLE, table)
    )


def ruled_tables(door: RtNetlink) -> set[int]:
    """The tables that a mark of the same number leads to."""
    head = _RULE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    found = [attributes(one[_RULE.size :]) for one in door.request(_GETRULE, head, DUMP)]
    marked = [one for one in found if _FRA_MARK in one and one[_FRA_MARK] == one[_FRA_TABLE]]
    return {int.from_bytes(one[_FRA_TABLE], sys.byteorder) for one in marked}
