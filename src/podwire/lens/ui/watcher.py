"""Keeps the snapshot of now, for as long as somebody looks: taken again when a bell rings, and
from time to time for what rings none (Kubernetes' objects, neighbours, counters).

Must not know what is shown of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from podwire.kernel.bell import Bell
from podwire.kernel.netns import NetNamespace
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.feed import Feed
from podwire.model.errors import KernelError, PodwireError

SETTLE = 0.04
"""Seconds after a ring: an ADD rings a dozen times."""
PAUSE = 1.0
"""Seconds from the end of one look to the next, when no bell rings."""
REST = 2
"""A look that took long is followed by a pause this many times as long: half a processor is the
machine's own, at least."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """number: counts what was taken. error: why the last look failed, "" when it did not."""

    number: int
    snapshot: Snapshot | None
    error: str = ""


class Watcher:
    """One event loop. `run` is the task that looks; `states` is what a page follows."""

    def __init__(self, feed: Feed, *, pause: float = PAUSE) -> None:
        self.feed = feed
        self.state = State(0, None)
        self._pause = pause
        self._changed = asyncio.Condition()
        self._ring, self._wanted = asyncio.Event(), asyncio.Event()
        self._watchers, self._closed = 0, False
        self._bells: dict[int, Bell] = {}

    async def run(self) -> None:
        """Until it is closed. Ends after one look when the feed can not change."""
        try:
            while not self._closed:
                await self._wanted.wait()
                if self._closed:
                    return
                begun = time.monotonic()
                self._ring.clear()
                await self._look()
                if not self.feed.live and self.state.snapshot is not None:
                    return
                await self._rest(time.monotonic() - begun)
        finally:
            for bell in self._bells.values():
                self._silence(bell)
            self._bells.clear()

    async def states(self) -> AsyncIterator[State]:
        """Each state that is new to the caller, the latest first; what it is too slow for is left
        out. Ends when the watcher is closed."""
        seen = 0
        with self._watching():
            while await self._other_than(seen):
                seen = self.state.number
                yield self.state

    async def close(self) -> None:
        async with self._changed:
            self._closed = True
            self._ring.set()
            self._wanted.set()
            self._changed.notify_all()

    async def _other_than(self, seen: int) -> bool:
        """Waits for a state of another number, 0 being none; False once it is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self.state.number != seen)
        return not self._closed

    @contextmanager
    def _watching(self) -> Iterator[None]:
        self._watchers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._wanted.clear()

    async def _look(self) -> None:
        error, snapshot = "", self.state.snapshot
        try:
            await self._hang()
            snapshot = await asyncio.to_thread(self.feed.take)
        except PodwireError as failure:
            error = str(failure)
        async with self._changed:
            self.state = State(self.state.number + 1, snapshot, error)
            self._changed.notify_all()

    async def _rest(self, took: float) -> None:
        pause = max(self._pause, REST * took)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ring.wait(), pause)
            await asyncio.sleep(SETTLE)

    async def _hang(self) -> None:
        """Bells where there are new namespaces; none where they are gone."""
        found: dict[int, NetNamespace] = {}
        for path in await asyncio.to_thread(self.feed.bells):
            with suppress(KernelError):
                namespace = NetNamespace.open(path)
                found[namespace.inode] = namespace
        for inode in set(self._bells) - set(found):
            self._silence(self._bells.pop(inode))
        for inode, namespace in found.items():
            with namespace:
                if inode not in self._bells:
                    self._hang_one(inode, namespace)

    def _hang_one(self, inode: int, namespace: NetNamespace) -> None:
        try:
            bell = Bell(namespace)
        except KernelError as error:
            log.warning("no bell: %s", error)
            return
        self._bells[inode] = bell
        asyncio.get_running_loop().add_reader(bell.fileno(), self._heard, bell)

    def _heard(self, bell: Bell) -> None:
        if bell.rang():
            self._ring.set()

    def _silence(self, bell: Bell) -> None:
        asyncio.get_running_loop().remove_reader(bell.fileno())
        bell.close()
