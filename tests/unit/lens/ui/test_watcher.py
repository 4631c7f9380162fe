"""The watcher: it looks while somebody looks, and nobody waits for who is slow."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from podwire.lens.kube_values import Cluster
from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.bells import follow
from podwire.lens.ui.feed import Feed, of_file
from podwire.lens.ui.watcher import State, Watcher
from podwire.model.errors import UnavailableError

EMPTY = Snapshot(1.0, 0.0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


class Source:
    """Counts what it is asked; fails when told to."""

    def __init__(self) -> None:
        self.taken = 0
        self.fails = False
        self.clusters: tuple[Cluster, ...] = ()
        self.seen: list[Sequence[Cluster]] = []

    def take(self, clusters: Sequence[Cluster], nodes: Collection[str] | None) -> Snapshot:
        self.taken += 1
        self.seen.append(clusters)
        if self.fails:
            raise UnavailableError("the lab is gone")
        return replace(EMPTY, taken=float(self.taken))

    def feed(self) -> Feed:
        return Feed(self.take, live=True, clusters=lambda: self.clusters)


async def first(watcher: Watcher, wanted: Callable[[State], bool]) -> State:
    async for state in watcher.states():
        if wanted(state):
            return state
    raise AssertionError("it ended")


async def passed(watcher: Watcher, number: int) -> None:
    await first(watcher, lambda state: state.number >= number)


def test_nobody_looks_nothing_is_taken() -> None:
    async def work() -> None:
        source = Source()
        watcher = Watcher(source.feed(), pause=0.01)
        running = asyncio.create_task(watcher.run())
        await asyncio.sleep(0.1)
        assert source.taken == 0
        state = await first(watcher, lambda one: one.number == 3)
        assert state.snapshot is not None
        before = -1
        while before != source.taken:  # for ever, if it went on
            before = source.taken
            await asyncio.sleep(0.3)
        await watcher.close()
        await running

    run(work)


def test_a_look_that_fails_is_told_and_the_last_snapshot_stays() -> None:
    async def work() -> None:
        source = Source()
        watcher = Watcher(source.feed(), pause=0.01)
        running = asyncio.create_task(watcher.run())
        await first(watcher, lambda one: one.snapshot is not None)
        source.fails = True
        state = await first(watcher, lambda one: bool(one.error))
        assert state.error == "the lab is gone"
        assert state.snapshot is not None
        source.fails = False
        assert not (await first(watcher, lambda one: not one.error)).error
        await watcher.close()
        await running

    run(work)


def test_who_is_slow_gets_the_latest() -> None:
    async def work() -> None:
        watcher = Watcher(Source().feed(), pause=0.01)
        running = asyncio.create_task(watcher.run())
        numbers = []
        async for state in watcher.states():
            numbers.append(state.number)
            if len(numbers) == 3:
                break
            await passed(watcher, 5 * len(numbers))
        assert numbers == sorted(numbers)
        assert numbers[-1] >= 10
        await watcher.close()
        await running

    run(work)


def test_what_the_api_server_says_is_in_the_next_snapshot() -> None:
    async def work() -> None:
        source = Source()
        watcher = Watcher(source.feed(), pause=5, pause_api=0.01)
        running = asyncio.create_task(watcher.run())
        looking = asyncio.create_task(
            first(watcher, lambda _: bool(source.seen and source.seen[-1]))
        )
        await asyncio.sleep(0.1)
        source.clusters = (Cluster("one"),)
        await looking
        assert [one.name for one in source.seen[-1]] == ["one"]
        await watcher.close()
        await running

    run(work)


def test_a_file_is_read_once_and_closing_ends_those_who_wait() -> None:
    async def work() -> None:
        watcher = Watcher(of_file(EMPTY), pause=0.01)
        running = asyncio.create_task(watcher.run())
        states = watcher.states()
        assert (await anext(states)).snapshot == EMPTY
        await running
        waiting = asyncio.create_task(anext(states, None))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await watcher.close()
        assert await waiting is None

    run(work)


def test_a_command_that_prints_rings_and_goes_when_nobody_follows() -> None:
    async def work() -> None:
        rang = asyncio.Event()
        said = "import sys,time; print('x', flush=True); time.sleep(60)"
        task = asyncio.create_task(follow((sys.executable, "-c", said), rang.set))
        await rang.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    run(work)
