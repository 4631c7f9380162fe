"""What goes into a bundle, and how it is read: the ends of files, and what programs print."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from podwire.model.errors import ProcessError

MOST = 1 << 20
"""Bytes of one file: its end, which tells of what was last."""
_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Text:
    """cut: bytes before it that were left out."""

    text: str
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """name: path in the bundle; origin: the file, or the command. read: OSError and PodwireError
    of it are told in the manifest."""

    name: str
    origin: str
    read: Callable[[], Text]


def tail(path: Path, name: str, most: int = MOST) -> Item:
    """The last whole lines of a file, `most` bytes at most."""
    return Item(name, str(path), lambda: _tail(path, most))


def _tail(path: Path, most: int) -> Text:
    # A node's own programs write there: a link would lead out of the allow-list, a fifo nowhere.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        size = state.st_size
        cut = max(0, size - most)
        file.seek(cut)
        read = file.read(most)
    if cut:
        begin = read.find(b"\n") + 1
        read, cut = read[begin:], cut + begin
    return Text(read.decode(errors="replace"), cut)


def output(argv: Sequence[str], name: str, *, env: Mapping[str, str] | None = None) -> Item:
    """What a program says, of both its outputs, and with which status it ended when not with 0."""
    return Item(name, "$ " + " ".join(argv), lambda: _output(argv, env))


def _output(argv: Sequence[str], env: Mapping[str, str] | None) -> Text:
    """Raises ProcessError."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT,
            check=False,
            env=env,
        )
    except OSError as error:
        raise ProcessError(f"cannot run {argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"{argv[0]} did not end within {_TIMEOUT} s") from error
    said = done.stdout[-MOST:].decode(errors="replace")
    ended = f"(ended with status {done.returncode})\n" if done.returncode else ""
    return Text(said + ended, max(0, len(done.stdout) - MOST))
