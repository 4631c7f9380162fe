"""Netlink messages and sockets: framing, attributes, acknowledgements, dumps.

Must not know any family: rtnetlink.py and nfnetlink.py build on it.
Source: linux/netlink.h; Documentation/userspace-api/netlink/intro.rst.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, TypeAlias, TypeVar

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

REQUEST, ACK = 0x1, 0x4
DUMP = 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
NESTED = 0x8000

_TYPE_MASK = 0x3FFF
_ERROR, _DONE = 2, 3
_DUMP_INTERRUPTED, _HAS_ATTRIBUTES = 0x10, 0x200
_SOL_NETLINK = 270
_EXTENDED_ACK, _CAP_ACK, _STRICT_CHECK = 11, 10, 12
_MESSAGE_TEXT = 1
_SIZE = 1 << 16
_DUMP_TRIES = 8
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")
_UNSIGNED = struct.Struct("=I")

Self = TypeVar("Self", bound="NetlinkSocket")
Request: TypeAlias = tuple[int, int, bytes]
"""Kind, flags besides REQUEST and ACK, body."""


class Message(NamedTuple):
    """One received message without its header."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length & 3)


def nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """A string attribute, with its closing zero byte."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute in the machine's byte order."""
    return attribute(kind, _UNSIGNED.pack(value))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by type; of several with one type, the last."""
    found, at, end, unpack = {}, 0, len(data) - 3, _ATTRIBUTE.unpack_from
    while at < end:  # as attribute_list, in place: a link has fifty
        length, kind = unpack(data, at)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    at, end = 0, len(data)
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[at + 4 : at + length]
        at += (length + 3) & ~3


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(16 + len(body), kind, flags, sequence, 0) + body


def messages(data: bytes) -> Iterator[Message]:
    at, end = 0, len(data)
    while at + 16 <= end:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        yield Message(kind, flags, sequence, data[at + 16 : at + length])
        at += (length + 3) & ~3


class NetlinkSocket:
    """A netlink socket that lives in one namespace. One thread at a time."""

    def __init__(self, namespace: NetNamespace, protocol: int) -> None:
        """Raises KernelError."""
        try:
            self._socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        except OSError as error:
            raise _failed(error.errno or 0, f"netlink socket {protocol}") from error
        self._recorded: list[Request] | None = None
        for option in (_EXTENDED_ACK, _CAP_ACK, _STRICT_CHECK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 0

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        """Send one request, wait for its end; the bodies of what came back (a dump: all).

        Raises KernelError with the kernel's errno, and its explanation where it gives one.
        """
        if self._recorded is not None:
            self._recorded.append((kind, flags, body))
            return []
        for _ in range(_DUMP_TRIES):
            self._sequence += 1
            self._send(message(kind, REQUEST | ACK | flags, self._sequence, body))
            replies, whole = self._replies(self._sequence)
            if whole:
                return replies
        raise KernelError(f"the kernel's list (netlink {kind}) changed under every reading of it")

    def get(self, kind: int, body: bytes) -> bytes:
        """The one object that a request without DUMP asks for. Raises KernelError."""
        self._sequence += 1
        sequence = self._sequence
        self._send(message(kind, REQUEST, sequence, body))
        while True:
            for one in messages(self._receive()):
                if one.sequence == sequence:
                    if one.kind == _ERROR:
                        check(one)
                    return one.body

    def record(self, work: Callable[[], None]) -> list[Request]:
        """The requests that `work` would make of this socket; `work` sees each succeed."""
        recorded: list[Request] = []
        self._recorded = recorded
        try:
            work()
        finally:
            self._recorded = None
        return recorded

    def batch(self, requests: Sequence[Request]) -> list[KernelError | None]:
        """Send all at once; the kernel takes them one after the other. Each one's refusal.

        It tells of every refusal, before it answers the last, which alone asks for an answer.
        """
        first = self._sequence + 1
        self._sequence += len(requests)
        frames = [
            message(kind, REQUEST | flags, number, body)
            for number, (kind, flags, body) in enumerate(requests[:-1], first)
        ]
        kind, flags, body = requests[-1]
        self._send(b"".join(frames) + message(kind, REQUEST | ACK | flags, self._sequence, body))
        refused: list[KernelError | None] = [None] * len(requests)
        while True:
            for one in messages(self._receive()):
                if one.kind == _ERROR and one.sequence >= first:
                    refused[one.sequence - first] = refusal(one)
                    if one.sequence == self._sequence:
                        return refused

    def _replies(self, sequence: int) -> tuple[list[bytes], bool]:
        """False: the list changed while it was dumped, so that it may lack entries."""
        bodies: list[bytes] = []
        whole = True
        while True:
            for one in messages(self._receive()):
                if one.sequence != sequence:
                    continue
                whole = whole and not one.flags & _DUMP_INTERRUPTED
                if one.kind in (_ERROR, _DONE):
                    check(one)
                    return bodies, whole
                bodies.append(one.body)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, (0, 0))
        except OSError as error:
            raise _failed(error.errno or 0, "") from error

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_SIZE)
        except OSError as error:
            raise _failed(error.errno or 0, "no answer") from error

    def close(self) -> None:
        self._socket.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_ack(one: Message) -> bool:
    return one.kind == _ERROR


def check(one: Message) -> None:
    """Raise KernelError when the acknowledgement, or a dump's end, says so."""
    code = _NUMBER.unpack_from(one.body)[0] if len(one.body) >= 4 else 0
    if code == 0:
        return
    # An error repeats the request's header (16 bytes) before its attributes; a dump's end does not.
    at = 20 if one.kind == _ERROR else 4
    said = attributes(one.body[at:]) if one.flags & _HAS_ATTRIBUTES else {}
    raise _failed(-code, said.get(_MESSAGE_TEXT, b"").rstrip(b"\0").decode(errors="replace"))


def refusal(one: Message) -> KernelError | None:
    """The error that an acknowledgement tells of."""
    try:
        check(one)
    except KernelError as error:
        return error
    return None


def _failed(code: int, explanation: str) -> KernelError:
    why = f" ({explanation})" if explanation else ""
    return KernelError(os.strerror(code) + why, errno=code)
