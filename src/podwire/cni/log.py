"""The plugins' log files: Azure CNI's names, line form and rotation. A log never fails a call.

Source: Azure/azure-container-networking v1.1.8, log/logger*.go (line form, 5 MiB, 8 files).
"""

from __future__ import annotations

import fcntl
import os
import time

_LIMIT = 5 << 20
_FILES = 8


class Log:
    """Lines `YYYY/MM/DD HH:MM:SS [pid] message` at the end of `path`, one write(2) each.

    Nothing is opened before the first line. What cannot be written is dropped.
    """

    def __init__(self, path: str, *, limit: int = _LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._fd: int | None = None

    def write(self, message: str) -> None:
        stamp = time.strftime("%Y/%m/%d %H:%M:%S")
        line = f"{stamp} [{os.getpid()}] {_one_line(message)}\n"
        try:
            os.write(self._opened(), line.encode(errors="replace"))
        except OSError:
            return

    def __del__(self) -> None:
        """In a process that outlives the call."""
        if self._fd is not None:
            os.close(self._fd)

    def _opened(self) -> int:
        if self._fd is None:
            self._fd = _append(self._path)
            if os.fstat(self._fd).st_size >= self._limit:
                self._rotate(self._fd)
                os.close(self._fd)
                self._fd = None  # for when the path cannot be opened again
                self._fd = _append(self._path)
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


def _append(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o664)


def _one_line(message: str) -> str:
    """Without control characters: what a caller sends must not forge lines."""
    if message.isprintable():
        return message
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in message)
