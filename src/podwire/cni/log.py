"""The plugins' log files: Azure CNI's names and rotation. A log never fails a call.

Source: Azure/azure-container-networking v1.1.8, log/logger*.go (5 MiB, 8 files).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from podwire.cni.loglines import Said, json_lines, text_lines
from podwire.cni.settings import Settings

_LIMIT = 5 << 20
_FILES = 8


class Log:
    """Lines at the end of `path`.

    Nothing is opened before the first line. What cannot be written is dropped. form: makes lines
    of messages, see `loglines`; limit: bytes from which on the files are shifted.
    """

    def __init__(
        self,
        path: str,
        *,
        limit: int = _LIMIT,
        form: Callable[[Iterable[Said]], str] = text_lines,
    ) -> None:
        self._path = path
        self._limit = limit
        self._form = form
        self._fd: int | None = None
        self._said: list[Said] | None = None

    @classmethod
    def of(cls, settings: Settings, plugin: str) -> Log:
        """The log of the plugin (azure-vnet, azure-vnet-ipam) as its installer fixed it."""
        form = json_lines if settings.log_format == "json" else text_lines
        return cls(os.path.join(settings.log_dir, f"{plugin}.log"), form=form)

    def write(self, message: str) -> None:
        said = (message, time.time())
        if self._said is None:
            self._append([said])
        else:
            self._said.append(said)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """The lines of the block in one write(2), or in one for each `flush`."""
        self._said = []
        try:
            yield
        finally:
            self.flush()
            self._said = None

    def flush(self) -> None:
        """Before anything that may take long or be the end of this process."""
        if self._said:
            said, self._said = self._said, []
            self._append(said)

    def _append(self, said: list[Said]) -> None:
        try:
            os.write(self._opened(), self._form(said).encode(errors="replace"))
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
        try:
            if os.stat(self._path).st_ino != os.fstat(fd).st_ino:
                return
        except FileNotFoundError:
            return  # shifted, and nobody has written since
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, _FILES))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if os.path.exists(newer):
                os.replace(newer, older)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o664)
