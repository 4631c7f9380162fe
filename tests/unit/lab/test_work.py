"""One work at a time for each subject, watched by whoever wants to; work that is done once."""

from __future__ import annotations

import asyncio

import pytest

from podwire.lab.once import Once
from podwire.lab.steps import Emit, StepEvent
from podwire.lab.work import BusyError, Work, Works
from podwire.model.errors import PodwireError
from podwire.model.progress import silent

EVENT = StepEvent("a", "A", "done")


async def say_it(emit: Emit) -> None:
    emit(EVENT)


def test_who_comes_late_hears_all_of_it() -> None:
    async def act() -> None:
        go = asyncio.Event()

        async def slow(emit: Emit) -> None:
            emit(EVENT)
            await go.wait()
            emit(EVENT)

        works, heard = Works(), list[StepEvent]()
        work = works.begin("x", "creating", slow)
        await asyncio.sleep(0.01)
        late = asyncio.create_task(work.follow(heard.append))
        await asyncio.sleep(0)
        go.set()
        await late
        assert heard == [EVENT, EVENT]

    asyncio.run(act())


def test_a_second_work_on_the_same_thing_is_refused_while_the_first_goes_on() -> None:
    async def act() -> None:
        works = Works()
        first = works.begin("x", "creating", lambda _: asyncio.sleep(10))
        with pytest.raises(BusyError, match="x: creating is under way"):
            works.begin("x", "deleting", say_it)
        await works.begin("y", "creating", say_it).follow(lambda _: None)
        await first.cancel()
        await works.begin("x", "deleting", say_it).follow(lambda _: None)

    asyncio.run(act())


def test_listeners_are_told_whose_event_it_is() -> None:
    async def act() -> None:
        works, heard = Works(), list[tuple[str, str, StepEvent]]()

        def hear(work: Work, event: StepEvent) -> None:
            heard.append((work.subject, work.title, event))

        works.listeners.add(hear)
        await works.begin("x", "creating", say_it).follow(lambda _: None)
        assert heard == [("x", "creating", EVENT)]

    asyncio.run(act())


def test_what_a_work_raises_its_followers_get_and_a_cancelled_one_is_named() -> None:
    async def act() -> None:
        async def fail(_: Emit) -> None:
            raise PodwireError("no")

        works = Works()
        with pytest.raises(PodwireError, match="no"):
            await works.begin("x", "creating", fail).follow(lambda _: None)
        work = works.begin("x", "creating", lambda _: asyncio.sleep(10))
        follower = asyncio.create_task(work.follow(lambda _: None))
        await asyncio.sleep(0.01)
        await works.cancel_all()
        with pytest.raises(PodwireError, match="taken down"):
            await follower

    asyncio.run(act())


def test_once_is_once_for_all_and_again_after_a_failure() -> None:
    async def act() -> None:
        calls = 0

        async def work(_: object) -> None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.01)
            if calls == 1:
                raise PodwireError("first")

        once = Once(work)
        with pytest.raises(PodwireError):
            await once(silent)
        assert not once.done
        await asyncio.gather(*(once(silent) for _ in range(5)))
        assert (calls, once.done) == (2, True)

    asyncio.run(act())
