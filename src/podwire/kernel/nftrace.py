"""nftables tracing of chosen packets: which rule of which chain each one met, and its verdict.

A table of our own marks the packets (`meta nftrace set 1`). It belongs to the socket that made it
(NFT_TABLE_F_OWNER, Linux 5.12): when the process ends, whatever the reason, the kernel removes it.
iptables-legacy is no part of nftables and tells nothing.
Source: linux/netfilter/nf_tables.h, net/netfilter/nf_tables_trace.c.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from podwire.kernel.netlink import (
    APPEND,
    CREATE,
    Request,
    attribute,
    attributes,
    messages,
    nested,
    text,
)
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import FAMILIES, NfNetlink
from podwire.model.errors import KernelError

TABLE_PREFIX = "podwire-trace"
_NETFILTER, _SUBSYSTEM, _TRACE = 12, 10, 17
_SOL_NETLINK, _JOIN, _TRACE_GROUP = 270, 1, 9
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_OWNED = 2
_META_NFTRACE, _META_L4PROTO = 12, 16
_REGISTER = 8
_BEFORE_ALL = -500
_HOOKS = {"prerouting": 0, "output": 3}
_BUFFER = 4 << 20
_SIZE = 1 << 16
_KINDS = {1: "policy", 2: "return", 3: "rule"}
_VERDICTS = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    -1: "continue",
    -2: "continue",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
_FAMILY_NAMES = {number: name for name, number in FAMILIES.items()}


NETWORK, TRANSPORT = 1, 2
"""The headers that a Match looks into, as NFT_PAYLOAD_* has them."""


class Match(NamedTuple):
    """Packets of an IP protocol with these bytes at this offset of a header."""

    protocol: int
    offset: int
    wanted: bytes
    header: int = TRANSPORT


class Event(NamedTuple):
    """One rule that matched, or a chain's end. family: as in "ip"; handle: the rule's, 0 for none.

    kind: "rule", "return", "policy"; verdict: "accept", "drop", "jump", ...; target: of a jump.
    packet: the same for all events of one packet in one namespace. network, transport: the
    headers, b"" where the kernel has given them with an earlier event.
    """

    packet: int
    family: str
    table: str
    chain: str
    handle: int
    kind: str
    verdict: str
    target: str
    network: bytes
    transport: bytes


class Tracer:
    """Traces what matches in one namespace until `close`."""

    def __init__(self, namespace: NetNamespace, matches: Sequence[Match]) -> None:
        """Raises KernelError, as with a kernel older than 5.12."""
        self._door = _Owner(namespace)
        self._events = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        try:
            self._events.bind((0, 0))  # one without an address hears no group
            self._events.setsockopt(_SOL_NETLINK, _JOIN, _TRACE_GROUP)
            self._events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._events.setblocking(False)
            name = f"{TABLE_PREFIX}-{os.getpid()}"
            self._door.transact([one for f in ("ip", "bridge") for one in _table(f, name, matches)])
        except (OSError, KernelError):
            self.close()
            raise

    def events(self) -> list[Event]:
        """What has happened since the last call, in order, but in our own table."""
        found: list[Event] = []
        while True:
            try:
                data = self._events.recv(_SIZE)
            except BlockingIOError:
                return found
            except OSError:
                continue  # more came than the buffer takes: those are lost
            found += _parsed(data)

    def close(self) -> None:
        """The table goes with its socket."""
        self._events.close()
        self._door.close()


class _Owner(NfNetlink):
    def transact(self, steps: Sequence[Request]) -> None:
        self._transaction(steps)


def _table(family: str, name: str, matches: Sequence[Match]) -> Iterator[Request]:
    head = struct.pack("=BBH", FAMILIES[family], 0, 0)
    yield _NEWTABLE, CREATE, head + text(1, name) + _big(2, _OWNED)
    for chain, hook in _HOOKS.items():
        where = nested(4, _big(1, hook), _big(2, _BEFORE_ALL & 0xFFFFFFFF))
        yield _NEWCHAIN, CREATE, head + text(1, name) + text(3, chain) + where + text(7, "filter")
        for match in matches:
            rule = nested(4, *(nested(1, one) for one in _expressions(match)))
            yield _NEWRULE, CREATE | APPEND, head + text(1, name) + text(2, chain) + rule


def _expressions(match: Match) -> Iterator[bytes]:
    yield _expression("meta", _big(1, _REGISTER), _big(2, _META_L4PROTO))
    yield _compared(bytes([match.protocol]))
    length = len(match.wanted)
    read = (_big(1, _REGISTER), _big(2, match.header), _big(3, match.offset), _big(4, length))
    yield _expression("payload", *read)
    yield _compared(match.wanted)
    yield _expression("immediate", _big(1, _REGISTER), nested(2, attribute(1, b"\1")))
    yield _expression("meta", _big(2, _META_NFTRACE), _big(3, _REGISTER))


def _compared(value: bytes) -> bytes:
    return _expression("cmp", _big(1, _REGISTER), _big(2, 0), nested(3, attribute(1, value)))


def _expression(name: str, *parts: bytes) -> bytes:
    return text(1, name) + nested(2, *parts)


def _big(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


def _parsed(data: bytes) -> Iterator[Event]:
    for one in messages(data):
        if one.kind == _SUBSYSTEM << 8 | _TRACE:
            with suppress(KeyError, struct.error):  # a kind that is newer than this
                event = _event(attributes(one.body[4:]), _FAMILY_NAMES.get(one.body[0], "?"))
                if not event.table.startswith(TABLE_PREFIX):
                    yield event


def _event(have: dict[int, bytes], family: str) -> Event:
    verdict = attributes(have.get(5, b""))
    code = struct.unpack("!i", verdict[1])[0] if 1 in verdict else _policy(have)
    return Event(
        int.from_bytes(have[6], "big"),
        family,
        _string(have[1]),
        _string(have.get(2, b"")),
        int.from_bytes(have.get(3, b""), "big"),
        _KINDS[int.from_bytes(have[4], "big")],
        _VERDICTS.get(code, str(code)),
        _string(verdict.get(2, b"")),
        have.get(8, b""),
        have.get(9, b""),
    )


def _policy(have: dict[int, bytes]) -> int:
    return int.from_bytes(have[16], "big") if 16 in have else -1


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
