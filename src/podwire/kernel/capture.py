"""Frames of every link of a namespace as they pass, with the kernel's own clock.

One packet socket sees all links of its namespace, arriving and leaving, before any firewall on the
way in and after all on the way out. Must not know what the frames are for.
Source: packet(7), socket(7) (SO_TIMESTAMPNS), Documentation/networking/filter.rst (classic BPF).
"""

from __future__ import annotations

import socket
import struct
import time
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

_ALL, _OUTGOING = 0x0003, 4
_ETHERNET, _LOOPBACK = 1, 772
_ATTACH_FILTER, _TIMESTAMPNS = 26, 35
_LONGEST = 1 << 16
_BUFFER = 4 << 20
_TIMESPEC = struct.Struct("=qq")
_ARP, _IPV4, _ICMP, _TCP = 0x0806, 0x0800, 1, 6
_LD_HALF, _LD_BYTE, _LDX_IP_LENGTH, _LD_TRANSPORT = 0x28, 0x30, 0xB1, 0x40
_IF_EQUAL, _IF_AT_LEAST, _SUBTRACT, _RETURN = 0x15, 0x35, 0x14, 0x06

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


class Frame(NamedTuple):
    """at: Unix time in ns. link: its name in the namespace; outgoing: sent by it, else received."""

    at: int
    link: str
    outgoing: bool
    data: bytes


class Capture:
    """Captures from the moment that it is made until `close`. One thread at a time.

    A frame that passed before the filter was there may come too.
    """

    def __init__(self, namespace: NetNamespace, program: Sequence[Instruction]) -> None:
        """Raises KernelError."""
        try:
            self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            self._attach(program)
            self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.setblocking(False)
        except OSError as error:
            raise KernelError(
                f"cannot capture in {namespace.name}: {error.strerror}; it needs root",
                errno=error.errno or 0,
            ) from error

    def _attach(self, program: Sequence[Instruction]) -> None:
        code = array("B", b"".join(struct.pack("=HBBI", *one) for one in program))
        where = struct.pack("@HP", len(program), code.buffer_info()[0])
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, where)

    def fileno(self) -> int:
        """For select: readable when a frame has come."""
        return self._socket.fileno()

    def frames(self) -> list[Frame]:
        """What has come since the last call, in the order in which it passed."""
        found: list[Frame] = []
        while True:
            try:
                data, more, _, address = self._socket.recvmsg(_LONGEST, 64)
            except BlockingIOError:
                return found
            except OSError:
                continue  # a link of the namespace went down
            if address[3] in (_ETHERNET, _LOOPBACK):
                found.append(Frame(_stamp(more), address[0], address[2] == _OUTGOING, data))

    def close(self) -> None:
        self._socket.close()


def await_stamps(seconds: float = 0.5) -> None:
    """Wait until frames are stamped as they pass, at most so long. To be called with a Capture.

    The kernel begins with it a while after the first one asked; until then a frame gets the time at
    which it is read, and frames of several sockets the order in which those are. A datagram to
    oneself tells. Source: net/core/dev.c (netstamp_work), net/socket.c (__sock_recv_timestamp).
    """
    end = time.monotonic() + seconds
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        own.settimeout(seconds)
        own.bind(("127.0.0.1", 0))
        while time.monotonic() < end:
            own.sendto(b"", own.getsockname())
            before = time.time_ns()
            if _stamp(own.recvmsg(1, 64)[1]) < before:
                return
            time.sleep(0.001)


def _stamp(more: Iterable[tuple[int, int, bytes]]) -> int:
    for level, kind, data in more:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(data[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def filter_of(
    protocol: int, sequence: int | None = None, reach: int = 1 << 17
) -> list[Instruction]:
    """Classic BPF that takes ARP, ICMP, and IPv4 of `protocol`.

    sequence: of TCP those alone whose sequence or acknowledgement is not further than `reach`
    behind it, which no NAT changes.
    """
    tests: list[tuple[Instruction, str, str]] = [
        ((_LD_HALF, 0, 0, 12), "", ""),
        ((_IF_EQUAL, 0, 0, _ARP), "take", ""),
        ((_IF_EQUAL, 0, 0, _IPV4), "", "leave"),
        ((_LD_BYTE, 0, 0, 23), "", ""),
        ((_IF_EQUAL, 0, 0, _ICMP), "take", ""),
        ((_IF_EQUAL, 0, 0, protocol), "" if sequence is not None else "take", "leave"),
    ]
    if sequence is not None:
        tests.append(((_LDX_IP_LENGTH, 0, 0, 14), "", ""))
        for offset in (4, 8):
            tests.append(((_LD_TRANSPORT, 0, 0, 14 + offset), "", ""))
            tests.append(((_SUBTRACT, 0, 0, sequence), "", ""))
            tests.append(((_IF_AT_LEAST, 0, 0, reach), "leave" if offset == 8 else "", "take"))
    return _assembled(tests)


def _assembled(tests: Sequence[tuple[Instruction, str, str]]) -> list[Instruction]:
    """Behind the tests stand: leave the frame, take it."""
    end = len(tests)
    program: list[Instruction] = []
    for at, ((code, _, _, operand), yes, no) in enumerate(tests):
        program.append((code, _jump(yes, at, end), _jump(no, at, end), operand))
    return [*program, (_RETURN, 0, 0, 0), (_RETURN, 0, 0, _LONGEST)]


def _jump(target: str, at: int, end: int) -> int:
    return {"": 0, "leave": end - at - 1, "take": end - at}[target]
