"""What only /proc tells of one namespace: open sockets, connections that are tracked, sysctls.

Read only. Source: proc(5), Documentation/networking/proc_net_tcp.rst,
net/netfilter/nf_conntrack_standalone.c (ct_seq_show).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError

_NET = "/proc/thread-self/net/"
_LISTENING, _BOUND = "0A", "07"
_SOCKET_FILES = (("tcp", _LISTENING), ("tcp6", _LISTENING), ("udp", _BOUND), ("udp6", _BOUND))
_FLOW = ("src", "sport", "dst", "dport")


class SocketEntry(NamedTuple):
    """protocol: "tcp" or "udp"; address: "0.0.0.0" or "::" for any."""

    protocol: str
    address: str
    port: int
    inode: int


class Flow(NamedTuple):
    """A connection. original, reply: (source, source port, destination, destination port), ports
    0 where the protocol has none. state: "" where it has none."""

    protocol: str
    original: tuple[str, int, str, int]
    reply: tuple[str, int, str, int]
    state: str
    mark: int


def read_text(namespace: NetNamespace, name: str) -> str | None:
    """A file of /proc/net as the namespace sees it; None when there is no such file.

    Raises KernelError.
    """
    with namespace.entered():
        try:
            with open(_NET + name, encoding="ascii", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KernelError(
                f"cannot read {_NET}{name}: {error.strerror}", errno=error.errno or 0
            ) from error


def listening(namespace: NetNamespace) -> list[SocketEntry]:
    """TCP sockets that listen, UDP sockets that are bound and not connected."""
    found: list[SocketEntry] = []
    for name, state in _SOCKET_FILES:
        text = read_text(namespace, name) or ""
        found.extend(_sockets(name[:3], state, text.splitlines()[1:]))
    return found


def _sockets(protocol: str, state: str, lines: Iterable[str]) -> Iterator[SocketEntry]:
    for line in lines:
        words = line.split()
        if len(words) > 9 and words[3] == state:
            address, _, port = words[1].partition(":")
            yield SocketEntry(protocol, _address(address), int(port, 16), int(words[9]))


def _address(text: str) -> str:
    """Words of 32 bits, each in the machine's byte order."""
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    packed = b"".join(one[::-1] if sys.byteorder == "little" else one for one in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def socket_owners(pids: Iterable[int]) -> dict[int, str]:
    """Inode of each open socket of these processes -> the program's name."""
    found: dict[int, str] = {}
    for pid in pids:
        with suppress(OSError):
            inodes = list(_open_sockets(pid))
            if inodes:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    found |= dict.fromkeys(inodes, file.read().strip())
    return found


def _open_sockets(pid: int) -> Iterator[int]:
    directory = f"/proc/{pid}/fd"
    for name in os.listdir(directory):
        with suppress(OSError):
            target = os.readlink(f"{directory}/{name}")
            if target.startswith("socket:["):
                yield int(target[8:-1])


def flows(lines: Iterable[str]) -> Iterator[Flow]:
    """Of /proc/net/nf_conntrack, or `conntrack -L`, which leaves out the first two words."""
    for line in lines:
        words = line.split()
        if words[:1] and words[0] in ("ipv4", "ipv6"):
            words = words[2:]
        with suppress(ValueError, IndexError):
            yield _flow(words)


def _flow(words: list[str]) -> Flow:
    """Raises ValueError, IndexError for what is no connection."""
    pairs = [one.split("=", 1) for one in words if "=" in one]
    ends: list[dict[str, str]] = [{}, {}]
    for key, value in pairs:
        if key in _FLOW:
            ends[key in ends[0]].setdefault(key, value)
    original, reply = (_end(one) for one in ends)
    mark = next((int(value) for key, value in pairs if key == "mark"), 0)
    state = words[3] if len(words) > 3 and words[3].isupper() and "=" not in words[3] else ""
    return Flow(words[0], original, reply, state, mark)


def _end(end: dict[str, str]) -> tuple[str, int, str, int]:
    if "src" not in end or "dst" not in end:
        raise ValueError(end)
    return (end["src"], int(end.get("sport", 0)), end["dst"], int(end.get("dport", 0)))
