"""nftables by nfnetlink messages made by hand: elements of sets and maps, what identifies rules.

The path of every pod: no process is started. Loading a whole table is nft.py's.
Elements are written as nft writes them: IPv4 addresses, MACs and interface names, joined by " . "
when concatenated. Source: linux/netfilter/nf_tables.h, net/netfilter/nf_tables_api.c.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podwire.kernel.netlink import (
    ACK,
    CREATE,
    DUMP,
    REQUEST,
    NetlinkSocket,
    Request,
    attribute,
    attribute_list,
    attributes,
    message,
    messages,
    nested,
    refusal,
    text,
)
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtvalues import pack_ip, pack_mac
from podwire.model.errors import KernelError

FAMILIES = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_BEGIN, _END = 0x10, 0x11
_GETTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN, _GETRULE = 1, 2, 3, 4, 7
_GETSET, _NEWELEMENT, _GETELEMENT, _DELELEMENT = 10, 12, 13, 14
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME = 1, 3
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE = 1, 2, 3
_SET_TABLE, _SET_NAME, _SET_FLAGS, _SET_KEY_TYPE, _SET_DATA_TYPE = 1, 2, 3, 4, 6
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 1, 2, 3, 1
_ELEMENT_KEY, _ELEMENT_DATA, _DATA_VALUE = 1, 2, 1
_ANONYMOUS, _INTERVAL = 0x1, 0x4
_IPV4, _IPV6, _MAC, _IFNAME = 7, 8, 9, 41
_SIZES = {_IPV4: 4, _IPV6: 16, _MAC: 6, _IFNAME: 16}
_A_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_AN_IPV4 = re.compile(r"\d+(\.\d+){3}")


class SetEntry(NamedTuple):
    """A named set or map. types: nft's numbers of the key's parts and of the value's."""

    name: str
    key_types: tuple[int, ...]
    data_types: tuple[int, ...]

    @property
    def readable(self) -> bool:
        """Whether all its parts are of kinds that this module can write and read."""
        return all(one in _SIZES for one in self.key_types + self.data_types)


class NfNetlink(NetlinkSocket):
    """The nftables door of one namespace."""

    def __init__(self, namespace: NetNamespace) -> None:
        super().__init__(namespace, _NETLINK_NETFILTER)

    def add_elements(
        self, family: str, table: str, name: str, items: Iterable[tuple[str, str | None]]
    ) -> None:
        """Add them in one transaction; one that is there with the same value is fine.

        items: (item, value), value None in a set. Raises KernelError: ENOENT when there is no such
        set or table, EEXIST or EBUSY (older kernels) when one is there with another value.
        """
        body = _elements(family, table, name, items)
        self._transaction([(_NEWELEMENT, CREATE, body)])

    def delete_elements(self, family: str, table: str, name: str, items: Iterable[str]) -> None:
        """Raises KernelError (ENOENT) when one, the set or the table is not there."""
        body = _elements(family, table, name, ((one, None) for one in items))
        self._transaction([(_DELELEMENT, 0, body)])

    def replace_element(
        self, family: str, table: str, name: str, item: str, value: str | None
    ) -> None:
        """Delete the element and add it with its new value in one transaction."""
        old = _elements(family, table, name, [(item, None)])
        new = _elements(family, table, name, [(item, value)])
        self._transaction([(_DELELEMENT, 0, old), (_NEWELEMENT, CREATE, new)])

    def element(self, family: str, table: str, name: str, item: str) -> bytes | None:
        """The raw value of an element (b"" in a set); None when it is not there."""
        body = _elements(family, table, name, [(item, None)])
        try:
            replies = self.request(_kind(_GETELEMENT), body)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return next(iter(_raw_elements(replies)), (b"", b""))[1]

    def elements(self, family: str, table: str, name: str) -> dict[str, str | None]:
        """All elements of a set (values None) or map. Raises KernelError (ENOENT)."""
        wanted = _head(family) + text(_SET_TABLE, table) + text(_SET_NAME, name)
        found = _set_entry(self.request(_kind(_GETSET), wanted)[0])
        if not found.readable:
            raise KernelError(f"set {family} {table} {name} has a type that is not supported")
        listed = _head(family) + text(_LIST_TABLE, table) + text(_LIST_SET, name)
        replies = self.request(_kind(_GETELEMENT), listed, DUMP)
        return {
            decode(key, found.key_types): decode(data, found.data_types) if data else None
            for key, data in _raw_elements(replies)
        }

    def sets(self, family: str, table: str) -> list[SetEntry]:
        """The named sets and maps of a table without intervals."""
        body = _head(family) + text(_SET_TABLE, table)
        replies = self.request(_kind(_GETSET), body, DUMP)
        plain = [one for one in replies if not _set_flags(one) & (_ANONYMOUS | _INTERVAL)]
        return [_set_entry(one) for one in plain]

    def rule_handles(self, family: str, table: str) -> list[tuple[str, int]]:
        """(chain, handle) of each rule of the table in order; a changed rule has a new handle."""
        body = _head(family) + text(_RULE_TABLE, table)
        found = [attributes(one[4:]) for one in self.request(_kind(_GETRULE), body, DUMP)]
        return [
            (_string(one[_RULE_CHAIN]), int.from_bytes(one[_RULE_HANDLE], "big")) for one in found
        ]

    def tables(self) -> list[tuple[str, str]]:
        """(family, name) of every table."""
        names = {number: name for name, number in FAMILIES.items()}
        replies = self.request(_kind(_GETTABLE), struct.pack("=BBH", 0, 0, 0), DUMP)
        found = [(names.get(one[0], ""), attributes(one[4:])) for one in replies]
        return [(family, _string(have[_TABLE_NAME])) for family, have in found if family]

    def has_table(self, family: str, table: str) -> bool:
        return self._exists(_GETTABLE, _head(family) + text(_TABLE_NAME, table))

    def has_chain(self, family: str, table: str, chain: str) -> bool:
        body = _head(family) + text(_CHAIN_TABLE, table) + text(_CHAIN_NAME, chain)
        return self._exists(_GETCHAIN, body)

    def _exists(self, kind: int, body: bytes) -> bool:
        try:
            return bool(self.request(_kind(kind), body))
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return False
            raise

    def add_chain(self, family: str, table: str, chain: str) -> None:
        body = _head(family) + text(_CHAIN_TABLE, table) + text(_CHAIN_NAME, chain)
        self._transaction([(_NEWCHAIN, CREATE, body)])

    def delete_table(self, family: str, table: str) -> None:
        """Raises KernelError (ENOENT)."""
        self._transaction([(_DELTABLE, 0, _head(family) + text(_TABLE_NAME, table))])

    def batch(self, requests: Sequence[Request]) -> list[KernelError | None]:
        """In one transaction, so that all are refused when one is."""
        try:
            self._transaction(requests)
        except KernelError as error:
            return [error] * len(requests)
        return [None] * len(requests)

    def _transaction(self, steps: Sequence[Request]) -> None:
        """All or nothing. steps: (message, flags, body). Raises the first refusal (KernelError)."""
        if self._recorded is not None:
            self._recorded.extend(steps)
            return
        first = self._sequence + 1
        self._sequence += len(steps) + 2
        frame = struct.pack("=BBH", 0, 0, socket.htons(_SUBSYSTEM))
        data = message(_BEGIN, REQUEST, first, frame)
        last = first + len(steps)
        for at, (kind, flags, body) in enumerate(steps, first + 1):
            asked = REQUEST | ACK if at == last else REQUEST
            data += message(_kind(kind), asked | flags, at, body)
        self._send(data + message(_END, REQUEST, self._sequence, frame))
        self._check_answers(first, last)

    def _check_answers(self, first: int, last: int) -> None:
        """Read every answer before the first refusal is raised, so that none is left behind.

        The kernel tells of every refused step, and answers the last; or the batch's begin, when it
        refuses all of it.
        """
        refused: KernelError | None = None
        awaited = True
        while awaited:
            for one in messages(self._receive()):
                if one.sequence >= first:
                    awaited = awaited and one.sequence not in (first, last)
                    refused = refused or refusal(one)
        if refused is not None:
            raise refused


def encode(item: str) -> bytes:
    """The bytes of an element: parts joined by " . ", each padded to four bytes when several.

    Raises KernelError.
    """
    parts = [_encode_part(part.strip()) for part in item.split(" . ")]
    if len(parts) == 1:
        return parts[0]
    return b"".join(part + b"\0" * (-len(part) & 3) for part in parts)


def _encode_part(part: str) -> bytes:
    if _A_MAC.fullmatch(part):
        return pack_mac(part)
    if ":" in part or _AN_IPV4.fullmatch(part):
        return pack_ip(part)[1]
    name = part.strip('"').encode()
    if not 0 < len(name) < _SIZES[_IFNAME]:
        raise KernelError(f"{part} is no address and no link name", errno=errno.EINVAL)
    return name.ljust(_SIZES[_IFNAME], b"\0")


def decode(data: bytes, types: tuple[int, ...]) -> str:
    """The text of an element whose parts have these types."""
    parts, at = [], 0
    for kind in types:
        size = _SIZES[kind]
        parts.append(_decode_part(kind, data[at : at + size]))
        at += (size + 3) & ~3
    return " . ".join(parts)


def _decode_part(kind: int, data: bytes) -> str:
    if kind == _MAC:
        return data.hex(":")
    if kind == _IFNAME:
        return data.rstrip(b"\0").decode(errors="replace")
    return socket.inet_ntop(socket.AF_INET if kind == _IPV4 else socket.AF_INET6, data)


def _kind(one: int) -> int:
    return _SUBSYSTEM << 8 | one


def _head(family: str) -> bytes:
    return struct.pack("=BBH", FAMILIES[family], 0, 0)


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode()


def _elements(family: str, table: str, name: str, items: Iterable[tuple[str, str | None]]) -> bytes:
    head = _head(family) + text(_LIST_TABLE, table) + text(_LIST_SET, name)
    listed = (nested(_LIST_ELEMENT, *_element(item, value)) for item, value in items)
    return head + nested(_LIST_ELEMENTS, *listed)


def _element(item: str, value: str | None) -> Iterable[bytes]:
    yield nested(_ELEMENT_KEY, attribute(_DATA_VALUE, encode(item)))
    if value is not None:
        yield nested(_ELEMENT_DATA, attribute(_DATA_VALUE, encode(value)))


def _raw_elements(replies: Iterable[bytes]) -> Iterable[tuple[bytes, bytes]]:
    for reply in replies:
        for _, entry in attribute_list(attributes(reply[4:]).get(_LIST_ELEMENTS, b"")):
            have = attributes(entry)
            data = attributes(have.get(_ELEMENT_DATA, b"")).get(_DATA_VALUE, b"")
            yield attributes(have[_ELEMENT_KEY])[_DATA_VALUE], data


def _set_entry(reply: bytes) -> SetEntry:
    have = attributes(reply[4:])
    return SetEntry(
        _string(have[_SET_NAME]),
        _split_types(have.get(_SET_KEY_TYPE, b"")),
        _split_types(have.get(_SET_DATA_TYPE, b"")),
    )


def _set_flags(reply: bytes) -> int:
    return int.from_bytes(attributes(reply[4:]).get(_SET_FLAGS, b""), "big")


def _split_types(packed: bytes) -> tuple[int, ...]:
    """nft keeps the parts of a concatenated type in one number, six bits each."""
    number, types = int.from_bytes(packed, "big"), list[int]()
    while number:
        types.insert(0, number & 0x3F)
        number >>= 6
    return tuple(types)
