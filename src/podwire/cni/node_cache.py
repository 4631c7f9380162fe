"""The node as it was last seen to be wired, believed as long as the kernel tells of no change.

Must not know how a node is looked at or wired.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from typing import Generic, TypeVar

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.watch import Watch
from podwire.model.errors import KernelError

BELIEVED_SECONDS = 10.0
"""The kernel tells of no sysctl but ip_forward."""
N = TypeVar("N")


class NodeCache(Generic[N]):
    """Of one process and namespace; for any thread. Where the kernel tells nothing, it is empty."""

    def __init__(self, host: NetNamespace) -> None:
        self._lock = allocate_lock()
        self._host = host
        self._known: dict[str, tuple[N, float]] = {}
        self._links: dict[str, frozenset[int]] = {}
        self._changes = 0
        try:
            self._watch: Watch | None = Watch(host)
        except KernelError:
            self._watch = None

    def state(self) -> int:
        """Another number when something changed; to be taken before the node is looked at."""
        with self._lock:
            if self._has_changed():
                self._known.clear()
                self._changes += 1
            return self._changes

    def get(self, key: str) -> N | None:
        """The node that was `put`; None when it must be looked at. As of the last `state`."""
        node, at = self._known.get(key, (None, 0.0))
        return node if time.monotonic() - at < BELIEVED_SECONDS else None

    def put(self, key: str, node: N, names: tuple[str, ...], state: int) -> None:
        """The node was found, or made, as it is to be. names: its links.

        A link that was not watched until now is from now on: the next look at the node is kept.
        """
        if self._watch is None:
            return
        with RtNetlink(self._host) as door:
            links = frozenset(one.ifindex for one in map(door.link, names) if one)
        with self._lock:
            if self._links.get(key) != links:
                self._links[key] = links
                self._watch.follow(frozenset[int]().union(*self._links.values()))
            elif state == self._changes:
                self._known[key] = (node, time.monotonic())

    def _has_changed(self) -> bool:
        try:
            return self._watch is None or self._watch.changed()
        except KernelError:
            return True

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
