"""A container's log: from the file that the CRI runtime writes, in the form that Docker sends.

Must not know where the file is in a node. The file is plain text that only grows, until the
kubelet renames it and the runtime begins a new one under the same name.

Source: CRI log format (<RFC 3339 time> stdout|stderr F|P <text>); Docker Engine API 1.40,
ContainerAttach, "Stream format".
"""

from __future__ import annotations

import asyncio
import os
import re
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from podwire.model.errors import InvalidInputError

_BLOCK = 64 << 10
_POLL = 0.1
_ALIVE_EVERY = 5
"""How many polls go by between two questions whether the container still runs."""
_NUMBERS = {"stdout": 1, "stderr": 2}
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class LogLine:
    """time: nanoseconds since the epoch; text: with its newline, unless the line was cut."""

    time: int
    stream: str
    text: bytes


@dataclass(frozen=True, slots=True)
class LogRequest:
    """streams: of stdout and stderr; tail: lines, None for all; since, until: nanoseconds, 0 for
    none; tty: the container's output is one raw stream."""

    streams: frozenset[str] = frozenset(_NUMBERS)
    tail: int | None = None
    since: int = 0
    until: int = 0
    timestamps: bool = False
    follow: bool = False
    tty: bool = False


def parse_request(query: Mapping[str, str], *, tty: bool) -> LogRequest:
    """The query of GET /containers/ID/logs. Raises InvalidInputError."""
    streams = frozenset(name for name in _NUMBERS if _true(query.get(name, "")))
    if not streams:
        raise InvalidInputError("Bad parameters: you must choose at least one stream")
    tail = query.get("tail", "all")
    return LogRequest(
        streams=streams,
        tail=int(tail) if tail.isascii() and tail.isdigit() else None,
        since=parse_moment(query.get("since", "")),
        until=parse_moment(query.get("until", "")),
        timestamps=_true(query.get("timestamps", "")),
        follow=_true(query.get("follow", "")),
        tty=tty,
    )


def _true(text: str) -> bool:
    return text.lower() not in ("", "0", "no", "false", "none")


def parse_moment(text: str) -> int:
    """Seconds since the epoch, perhaps with a fraction, or an RFC 3339 time, in nanoseconds."""
    if not text:
        return 0
    if match := _SECONDS.fullmatch(text):
        return int(match[1]) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
    moment = parse_time(text)
    if moment is None:
        raise InvalidInputError(f"invalid time {text!r}: seconds since the epoch, or RFC 3339")
    return moment


def parse_time(text: str) -> int | None:
    """An RFC 3339 time in nanoseconds since the epoch; None when it is none."""
    if not (match := _TIME.fullmatch(text)):
        return None
    try:
        whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        return None
    return int(whole.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


def parse_line(raw: bytes) -> LogLine | None:
    """One line of the file, without its newline; None when it is not in the CRI's format."""
    parts = raw.split(b" ", 3)
    if len(parts) != 4:
        return None
    moment = parse_time(parts[0].decode("latin-1"))
    stream = parts[1].decode("latin-1")
    if moment is None or stream not in _NUMBERS:
        return None
    whole = parts[2].split(b":")[0] == b"F"
    return LogLine(moment, stream, parts[3] + (b"\n" if whole else b""))


def encode(line: LogLine, request: LogRequest) -> bytes:
    """The line as Docker sends it: in a frame of its own, or raw when there is a terminal."""
    text = line.text
    if request.timestamps:
        seconds, rest = divmod(line.time, 1_000_000_000)
        stamp = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z "
        text = stamp.encode() + text
    if request.tty:
        return text
    return struct.pack(">BxxxI", _NUMBERS[line.stream], len(text)) + text


def wanted(line: LogLine, request: LogRequest) -> bool:
    return (
        line.stream in request.streams
        and line.time >= request.since
        and (not request.until or line.time <= request.until)
    )


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` complete or begun lines of the file begin."""
    end = position = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    newlines = 0
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            newlines += start + at != end - 1
            if newlines == lines:
                return start + at + 1
        position = start
    return 0


class LogFile:
    """A log read from `path` as it grows, across rotation; nothing while it is not there."""

    def __init__(self, path: Path, tail: int | None) -> None:
        self._path = path
        self._rest = b""
        self._file = self._open()
        if self._file is not None and tail is not None:
            self._file.seek(tail_offset(self._file, tail))

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def read(self) -> list[bytes]:
        """The lines that are complete by now, about a block of them; [] at the end."""
        lines: list[bytes] = []
        while not lines and (block := self._block()):
            *lines, self._rest = (self._rest + block).split(b"\n")
        return lines

    def _block(self) -> bytes:
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            return b""
        block = self._file.read(_BLOCK)
        if block or not self._rotated():
            return block
        if block := self._file.read(_BLOCK):  # written before the file lost its name
            return block
        self._file.close()
        self._file, self._rest = self._open(), b""
        return self._file.read(_BLOCK) if self._file else b""

    def _rotated(self) -> bool:
        """Another file has the name, or this one was cut."""
        assert self._file is not None
        mine = os.fstat(self._file.fileno())
        try:
            now = self._path.stat()
        except OSError:
            return False
        same = (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)
        return not same or now.st_size < self._file.tell()


async def stream(
    path: Path, request: LogRequest, running: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """What Docker sends for `request`; with `follow` until the container has ended."""
    log = LogFile(path, request.tail)
    polls, alive = 0, request.follow
    try:
        while True:
            read = log.read()
            lines = [line for raw in read if (line := parse_line(raw))]
            yield b"".join(encode(one, request) for one in lines if wanted(one, request))
            if read:
                await asyncio.sleep(0)
                continue
            if not alive or (request.until and time.time_ns() > request.until):
                return
            if polls % _ALIVE_EVERY == 0:
                alive = await running()
            polls += 1
            if alive:
                await asyncio.sleep(_POLL)
    finally:
        log.close()
