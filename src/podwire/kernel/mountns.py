"""Looking at files as a process in another mount namespace sees them.

A path through /proc/PID/root is not enough for a library that resolves symlinks itself: sqlite
takes that link for "/". Source: setns(2), unshare(2) (CLONE_FS).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from podwire.kernel.netns import call_libc
from podwire.model.errors import KernelError

T = TypeVar("T")
_CLONE_FS = 0x00000200
_CLONE_NEWNS = 0x00020000


def inside(pid: int, work: Callable[[], T]) -> T:
    """The result of `work`, done by a thread whose root and mounts are those of process `pid`.

    Whatever `work` raises is raised here. Raises KernelError when there is no such process.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def go() -> None:
        try:
            call_libc("unshare", _CLONE_FS)
            call_libc("setns", door, _CLONE_NEWNS)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failures.append(error)

    door = _open(pid)
    try:
        thread = threading.Thread(target=go)
        thread.start()
        thread.join()
    finally:
        os.close(door)
    if failures:
        raise failures[0]
    return results[0]


def _open(pid: int) -> int:
    try:
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(
            f"cannot open the mount namespace of process {pid}: {error.strerror}",
            errno=error.errno or 0,
        ) from error
