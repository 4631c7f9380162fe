"""Deleting a link beside the caller, who waits only until nobody sees it any more.

The kernel takes a link off its lists first, with a veth's other end, and then waits up to 30 ms for
its own readers (RCU): there is nothing that the caller could still lose or miss by then.
Source: net/core/dev.c, unregister_netdevice_many and netdev_run_todo.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.wire.session import unless_missing
from podwire.model.errors import KernelError

_PAUSE = 0.0003


class Deletion:
    """Of one link, from now on."""

    def __init__(self, namespace: NetNamespace, index: int) -> None:
        self._index = index
        self._error: KernelError | None = None
        self._running = allocate_lock()
        self._running.acquire()
        start_new_thread(self._delete, (os.dup(namespace.fd), namespace.name))

    def _delete(self, fd: int, name: str) -> None:
        """With sockets of its own: the caller's are one thread's."""
        try:
            with NetNamespace(fd, name) as namespace, RtNetlink(namespace) as door:
                unless_missing(lambda: door.delete_link(self._index))
        except KernelError as error:
            self._error = error
        finally:
            self._running.release()

    def await_unlisted(self, door: RtNetlink, name: str) -> None:
        """Raises KernelError when the link stays."""
        while (link := door.link(name)) is not None and link.ifindex == self._index:
            if self._running.acquire(timeout=_PAUSE):
                self._running.release()
                self._raise()
                return

    def finish(self) -> None:
        """Wait until the kernel is done with it. Raises KernelError when the link stays."""
        with self._running:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
