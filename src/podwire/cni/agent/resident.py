"""What the agent's calls work with, kept between them: sockets, the ledger, the node as last seen.

Each worker thread has its own sockets into the node's namespace; all share one open ledger.
Must not know what a call does.
"""

from __future__ import annotations

from _thread import _local
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from podwire.cni.node_cache import NodeCache
from podwire.cni.settings import Settings
from podwire.cni.workbench import Survivors, Workbench
from podwire.ipam.ledger import Ledger
from podwire.kernel.netns import NetNamespace
from podwire.kernel.wire.session import forget_indices
from podwire.model.errors import PodwireError


class Resident(Workbench):
    """Of a process that stays in one network namespace."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._namespace = NetNamespace.current()
        self._cache = self.nodes = NodeCache(self._namespace)
        self._mine = _local()
        self.later = self._leave_for_later
        self._ledger = Ledger.open(
            settings.state_dir,
            survivors=lambda: self._mine.survivors(),
            wait=settings.lock_wait,
        )

    def host(self) -> AbstractContextManager[NetNamespace]:
        if not hasattr(self._mine, "host"):
            self._mine.host = NetNamespace.current()
            self._mine.host.kept = {}
            self._mine.state = -1
        state = self._cache.state()
        if state != self._mine.state:
            forget_indices(self._mine.host)
            self._mine.state = state
        return nullcontext(self._mine.host)

    def ledger(self, survivors: Survivors) -> AbstractContextManager[Ledger]:
        self._mine.survivors = survivors
        return nullcontext(self._ledger)

    def _leave_for_later(self, work: Callable[[], None]) -> None:
        self._mine.unfinished = [*getattr(self._mine, "unfinished", ()), work]

    def finished(self) -> bool:
        """Do what `later` took. Whether the thread owns nothing in the ledger any more."""
        left = getattr(self._mine, "unfinished", ())
        self._mine.unfinished = ()
        for work in left:
            work()
        if not hasattr(self._mine, "survivors"):
            return True  # it never asked for the ledger, which must not be made for the question
        try:
            return not self._ledger.owns_any()
        except PodwireError:
            return False

    def leave(self) -> None:
        """The calling thread is about to end."""
        if hasattr(self._mine, "host"):
            self._mine.host.close()
            del self._mine.host

    def close(self) -> None:
        self.leave()
        self._cache.close()
        self._ledger.close()
        self._namespace.close()
