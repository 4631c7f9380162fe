"""A lock between processes that the kernel frees when its holder dies, with a bounded wait."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from podwire.model.cni_error import IO_FAILURE, TRY_AGAIN, CniError

_POLL = 0.005


@contextmanager
def locked(path: str, *, wait: float, inherited: bool = False) -> Iterator[None]:
    """Holds the lock file `path` (made when absent, never removed) inside the block.

    inherited: a program that is started inside the block holds the lock too. When this process is
    killed the program goes on; nobody may start the same work before it has ended.
    Raises CniError 11 with the holder's pid, and since when, after `wait` seconds.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CniError(IO_FAILURE, f"cannot open the lock {path}: {error.strerror}") from error
    try:
        _take(fd, path, time.monotonic() + wait)
        os.set_inheritable(fd, inherited)
        with suppress(OSError):  # for people alone: a full disk has room for a lock
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {time.time():.0f}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _take(fd: int, path: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise CniError(
                    TRY_AGAIN, f"timed out locking store: {path}", f"held by {_holder(fd)}"
                ) from None
            time.sleep(_POLL)
        else:
            return


def _holder(fd: int) -> str:
    words = os.pread(fd, 64, 0).decode(errors="replace").split()
    if len(words) != 2 or not words[1].isdigit():
        return "a process that has just taken it"
    return f"process {words[0]} since {time.strftime('%H:%M:%S', time.localtime(int(words[1])))}"
