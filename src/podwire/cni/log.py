"""The plugins' log files: Azure CNI's names, line form and rotation. A log never fails a call.

Source: Azure/azure-container-networking v1.1.8, log/logger*.go (line form, 5 MiB, 8 files).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LIMIT = 5 << 20
_FILES = 8


class Log:
    """Lines `YYYY/MM/DD HH:MM:SS [pid] message` at the end of `path`.

    Nothing is opened before the first line. What cannot be written is dropped.
    """

    def __init__(self, path: str, *, limit: int = _LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._fd: int | None = None
        self._lines: list[str] | None = None

    def write(self, message: str) -> None:
        line = f"{_stamp()} [{os.getpid()}] {_one_line(message)}\n"
        if self._lines is None:
            self._append(line)
        else:
            self._lines.append(line)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """The lines of the block in one write(2), or in one for each `flush`."""
        self._lines = []
        try:
            yield
        finally:
            self.flush()
            self._lines = None

    def flush(self) -> None:
        """Before anything that may take long or be the end of this process."""
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self._append(text)

    def _append(self, text: str) -> None:
        try:
            os.write(self._opened(), text.encode(errors="replace"))
        except OSError:
            return

    def __del__(self) -> None:
        """In a process that outlives the call."""
        if self._fd is not None:
            os.close(self._fd)

    def _opened(self) -> int:
        if self._fd is None:
            self._fd = _open(self._path)
            if os.fstat(self._fd).st_size >= self._limit:
                self._rotate(self._fd)
                os.close(self._fd)
                self._fd = None  # for when the path cannot be opened again
                self._fd = _open(self._path)
        return self._fd

    def _rotate(self, fd: int) -> None:
        """Shift the files by one, unless another process is at it or has just done it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if os.stat(self._path).st_ino != os.fstat(fd).st_ino:
            return
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, _FILES))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if os.path.exists(newer):
                os.replace(newer, older)


def _stamp() -> str:
    now = int(time.time())
    if _last[0] != now:
        _last[:] = [now, time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(now))]
    return str(_last[1])


_last: list[int | str] = [0, ""]


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o664)


def _one_line(message: str) -> str:
    """Without control characters: what a caller sends must not forge lines."""
    if message.isprintable():
        return message
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in message)
