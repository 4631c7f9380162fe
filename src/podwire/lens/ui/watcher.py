"""Keeps the snapshot of now, for as long as somebody looks.

A node is looked at when its bell rings, and all of them every second or so for what rings none
(neighbours, counters, leases that cool). API servers are slower: they are asked beside that, and
what they said last is part of every snapshot. Must not know what is shown of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.bells import KernelBells, follow
from podwire.lens.ui.feed import Feed
from podwire.lens.ui.merging import merged
from podwire.model.errors import PodwireError

SETTLE = 0.04
"""Seconds after a ring: an ADD rings a dozen times."""
PAUSE = 2.0
"""Seconds from the end of one look at the kernel to the next, when no bell rings."""
PAUSE_API = 3.0
"""The same for API servers."""
FIRST = 1.5
"""Seconds that the first picture waits for what API servers say."""
REST = 4
"""A look that took long is followed by a pause this many times as long: most of the machine is not
ours."""


@dataclass(frozen=True, slots=True)
class State:
    """number: counts what was taken. error: why the last look failed, "" when it did not."""

    number: int
    snapshot: Snapshot | None
    error: str = ""


class Watcher:
    """One event loop. `run` is the task that looks; `states` is what a page follows."""

    def __init__(self, feed: Feed, *, pause: float = PAUSE, pause_api: float = PAUSE_API) -> None:
        self.feed = feed
        self.state = State(0, None)
        self._pause, self._pause_api = pause, pause_api
        self._clusters: Sequence[Cluster] = ()
        self._changed = asyncio.Condition()
        self._ring, self._ring_api, self._wanted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._asked = asyncio.Event()
        self._watchers, self._closed = 0, False
        self._bells = KernelBells(self._rang)
        self._rung: set[str] = set()
        self._follows: dict[tuple[str, ...], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until it is closed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repeat(self._look, self._ring, self._pause))
                if self.feed.live:
                    tasks.create_task(self._repeat(self._ask, self._ring_api, self._pause_api))
        finally:
            self._bells.close()
            for task in self._follows.values():
                task.cancel()
            await asyncio.gather(*self._follows.values(), return_exceptions=True)

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
            for one in (self._ring, self._ring_api, self._wanted):
                one.set()
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
            if not self._watchers and not self._closed:
                self._wanted.clear()

    async def _repeat(
        self, work: Callable[[], Awaitable[None]], ring: asyncio.Event, pause: float
    ) -> None:
        """While somebody looks. Once, when nothing can change."""
        while True:
            await self._wanted.wait()
            if self._closed:
                return
            ring.clear()
            begun = time.monotonic()
            await work()
            if not self.feed.live and not self.state.error:
                return
            await _rest(ring, max(pause, REST * (time.monotonic() - begun)))

    async def _look(self) -> None:
        if self.feed.live:
            with suppress(TimeoutError):  # a picture that knows all is better than two
                await asyncio.wait_for(self._asked.wait(), FIRST)
        error, snapshot = "", self.state.snapshot
        try:
            self._bells.hang(await asyncio.to_thread(self.feed.bells))
            snapshot = await asyncio.to_thread(self._taken, self._concerned())
        except PodwireError as failure:
            error = str(failure)
        async with self._changed:
            self.state = State(self.state.number + 1, snapshot, error)
            self._changed.notify_all()

    def _rang(self, node: str) -> None:
        self._rung.add(node)
        self._ring.set()

    def _concerned(self) -> frozenset[str] | None:
        """The nodes to look at; None for everything."""
        rung, self._rung = frozenset(self._rung), set()
        return rung if rung and "" not in rung and self.state.snapshot is not None else None

    def _taken(self, nodes: frozenset[str] | None) -> Snapshot:
        taken, before = self.feed.take(self._clusters, nodes), self.state.snapshot
        return taken if nodes is None or before is None else merged(before, taken)

    async def _ask(self) -> None:
        with suppress(PodwireError):
            self._follow(await asyncio.to_thread(self.feed.watches))
            found = await asyncio.to_thread(self.feed.clusters)
            if found != self._clusters:
                self._clusters = found
                self._rang("")
        self._asked.set()

    def _follow(self, commands: Sequence[tuple[str, ...]]) -> None:
        for one in set(self._follows) - set(commands):
            self._follows.pop(one).cancel()
        for one in commands:
            if one not in self._follows:
                self._follows[one] = asyncio.create_task(follow(one, self._ring_api.set))


async def _rest(ring: asyncio.Event, pause: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ring.wait(), pause)
        await asyncio.sleep(SETTLE)
