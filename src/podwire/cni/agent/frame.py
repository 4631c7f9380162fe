"""The wire format between the shim and the agent: one call, one connection, one frame each way.

A call: its length (4 bytes, big endian), then NUL-terminated strings: MAGIC, the plugin's name,
CNI_NAME=value for each variable that is set, an empty one; then stdin to the frame's end.
An answer: its length, the exit status (1 byte), what goes to stdout.
Must not know what a plugin does. `shim/azure-vnet.c` and `cni/shim.py` write the other side.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

MAGIC = b"PODWIRE1"
LIMIT = 1 << 20
"""Bytes of a call."""
VARIABLES = (
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_ARGS",
    "CNI_PATH",
)
_AT_ONCE = 1 << 16
_LENGTH = struct.Struct("!I")
_ANSWER = struct.Struct("!IB")


class Call(NamedTuple):
    """What a runtime started the shim with. waiting: whether the shim still waits."""

    plugin: str
    env: dict[str, str]
    stdin: bytes
    waiting: Callable[[], bool] = lambda: True


class BadFrameError(Exception):
    """The other side does not speak this format, or not in time; it gets no answer."""


def read_call(peer: socket.socket, *, seconds: float) -> Call:
    """Raises BadFrameError, also when the whole call is not there after `seconds`."""
    deadline = time.monotonic() + seconds
    head = _some(peer, _AT_ONCE, deadline)  # all of most calls
    if len(head) < _LENGTH.size:
        head += _read(peer, _LENGTH.size - len(head), deadline)
    (size,) = _LENGTH.unpack_from(head)
    if size > LIMIT:
        raise BadFrameError(f"a call of {size} bytes; the limit is {LIMIT}")
    frame = head[_LENGTH.size :]
    if len(frame) < size:
        frame += _read(peer, size - len(frame), deadline)
    return parse_call(frame[:size])._replace(waiting=lambda: _is_open(peer))


def parse_call(frame: bytes) -> Call:
    """A call's frame without its length. Raises BadFrameError."""
    head, found, stdin = frame.partition(b"\0\0")
    words = head.split(b"\0")
    if not found or words[0] != MAGIC or len(words) < 2:
        raise BadFrameError("not a call of this version")
    env = {}
    for word in words[2:]:
        name, equals, value = word.decode(errors="surrogateescape").partition("=")
        if not equals or name not in VARIABLES:
            raise BadFrameError(f"unknown variable {name!r}")
        env[name] = value
    return Call(words[1].decode(errors="replace"), env, stdin)


def call_frame(call: Call) -> bytes:
    """As the shims write it."""
    words = [MAGIC.decode(), call.plugin, *(f"{name}={call.env[name]}" for name in call.env)]
    body = "\0".join(words).encode(errors="surrogateescape") + b"\0\0" + call.stdin
    return _LENGTH.pack(len(body)) + body


def answer_frame(status: int, stdout: bytes) -> bytes:
    return _ANSWER.pack(1 + len(stdout), status) + stdout


def read_answer(peer: socket.socket, *, seconds: float) -> tuple[int, bytes]:
    """(exit status, stdout). Raises BadFrameError."""
    deadline = time.monotonic() + seconds
    size, status = _ANSWER.unpack(_read(peer, _ANSWER.size, deadline))
    return status, _read(peer, size - 1, deadline)


def _is_open(peer: socket.socket) -> bool:
    poll = select.poll()
    poll.register(peer, 0)  # POLLHUP alone: a peer that only ended its sending still waits
    return not poll.poll(0)


def _read(peer: socket.socket, size: int, deadline: float) -> bytes:
    parts, missing = [], size
    while missing:
        part = _some(peer, min(missing, _AT_ONCE), deadline)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _some(peer: socket.socket, most: int, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise BadFrameError("too slow")
    peer.settimeout(left)
    try:
        part = peer.recv(most)
    except OSError as error:
        raise BadFrameError(str(error)) from error
    if not part:
        raise BadFrameError("ended before its length")
    return part
