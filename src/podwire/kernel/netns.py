"""Network namespaces: open, make, enter, and open sockets inside them.

A namespace is held by a file descriptor alone, so that it needs no name, no mount and no process.
Must not know what is inside. Source: namespaces(7), setns(2), unshare(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import threading
from _thread import _local
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from podwire.model.errors import KernelError

CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_NS_GET_NSTYPE = 0xB703


class NetNamespace:
    """One network namespace, alive at least until `close`. A context manager that closes it."""

    def __init__(self, fd: int, name: str) -> None:
        """fd: an open namespace file, owned from now on; name: what messages call it."""
        self.fd = fd
        self.name = name
        self.kept: dict[str, Any] | None = None
        """What lives as long as this object, as sockets into the namespace. None: nothing."""

    @classmethod
    def open(cls, path: str | Path | int) -> NetNamespace:
        """The namespace at `path`, or of the process when it is a pid. Raises KernelError.

        Whatever the path is, it neither waits nor changes anything.
        """
        name = f"/proc/{path}/ns/net" if isinstance(path, int) else str(path)
        try:
            fd = _open_plain(name)
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None) or 0
            said = os.strerror(number) if number else str(error)
            raise KernelError(
                f"cannot open network namespace {name}: {said}", errno=number
            ) from error
        if not _is_net(fd):
            os.close(fd)
            raise KernelError(
                f"{name} is no network namespace; give one as /run/netns/NAME or /proc/PID/ns/net",
                errno=errno.EINVAL,
            )
        return cls(fd, name)

    @classmethod
    def current(cls) -> NetNamespace:
        """The namespace of the calling thread."""
        here = cls.open(_OWN)
        _thread_is.inside = here
        return here

    @classmethod
    def create(cls) -> NetNamespace:
        """A new, empty one (its loopback is down). Raises KernelError."""
        made: list[NetNamespace | KernelError] = []

        def leave() -> None:
            try:
                call_libc("unshare", CLONE_NEWNET)
                made.append(cls.current())
            except KernelError as error:
                made.append(error)

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        if isinstance(made[0], KernelError):
            raise made[0]
        made[0].name = f"net:[{os.fstat(made[0].fd).st_ino}]"
        return made[0]

    @property
    def path(self) -> str:
        """A path that other programs can open as long as this process holds the namespace."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @property
    def inode(self) -> int:
        """The namespace's identity, as in net:[INODE]."""
        return os.fstat(self.fd).st_ino

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in this namespace inside the block, and back after it."""
        here: NetNamespace | None = getattr(_thread_is, "inside", None)
        known = here is not None and here.fd >= 0
        if known and here is self:
            yield
            return
        before = here.fd if here is not None and known else _open_own()
        try:
            call_libc("setns", self.fd, CLONE_NEWNET)
            _thread_is.inside = self
            try:
                yield
            finally:
                call_libc("setns", before, CLONE_NEWNET)
                _thread_is.inside = here
        finally:
            if not known:
                os.close(before)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives in this namespace; usable from any thread."""
        with self.entered():
            return socket.socket(family, kind, protocol)

    def close(self) -> None:
        for one in (self.kept or {}).values():
            one.close()
        self.kept = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> NetNamespace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"NetNamespace({self.name}, fd {self.fd})"


def _open_own() -> int:
    try:
        return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(f"cannot open {_OWN}: {error.strerror}") from error


def _open_plain(path: str) -> int:
    """Open what may be a namespace: a plain file. To open a FIFO would wait, a device may act."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _is_net(fd: int) -> bool:
    """Source: ioctl_ns(2)."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False


def call_libc(name: str, *numbers: int) -> None:
    """Call a C library function of numbers that returns 0 or -1 (Python 3.11 has no setns)."""
    import ctypes  # late: a process that enters no namespace need not pay for it

    if "library" not in _loaded:
        _loaded["library"] = ctypes.CDLL(None, use_errno=True)
    if getattr(_loaded["library"], name)(*numbers) != 0:
        number = ctypes.get_errno()
        raise KernelError(f"{name} refused: {os.strerror(number)}", errno=number)


_thread_is = _local()
"""`.inside`: the namespace that this thread is in, where a NetNamespace put or found it."""
_loaded: dict[str, Any] = {}
