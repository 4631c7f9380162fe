"""Steps run as soon as they can, at once when independent, and stop when one fails."""

from __future__ import annotations

import asyncio

import pytest

from podwire.lab.steps import Step, StepEvent, StepFailedError, carry_out
from podwire.model.errors import UnavailableError


def run(steps: list[Step]) -> list[StepEvent]:
    events: list[StepEvent] = []
    asyncio.run(carry_out(steps, events.append))
    return events


def test_a_step_waits_for_what_it_needs_whatever_the_order_of_the_list() -> None:
    ran: list[str] = []

    def step(name: str, *needs: str) -> Step:
        async def go(_: object) -> None:
            ran.append(name)

        return Step(name, name, go, needs)

    run([step("c", "b"), step("b", "a"), step("a")])
    assert ran == ["a", "b", "c"]


def test_independent_steps_run_at_once() -> None:
    meeting = asyncio.Barrier(2)

    async def meet(_: object) -> None:
        async with asyncio.timeout(5):
            await meeting.wait()

    states = [one.state for one in run([Step("a", "a", meet), Step("b", "b", meet)])]
    assert states == ["started", "started", "done", "done"]


def test_a_failure_is_named_and_the_rest_is_not_begun() -> None:
    events: list[StepEvent] = []

    async def fail(_: object) -> None:
        raise UnavailableError("nothing answers")

    async def never(_: object) -> None:
        raise AssertionError("it must not run")

    steps = [Step("a", "Ask", fail), Step("b", "Use", never, ("a",))]
    with pytest.raises(StepFailedError, match="Ask: nothing answers"):
        asyncio.run(carry_out(steps, events.append))
    assert [(one.step, one.state) for one in events] == [("a", "started"), ("a", "failed")]


def test_progress_is_told_with_its_fraction() -> None:
    async def go(progress: object) -> None:
        assert callable(progress)
        progress("half", 0.5)

    told = [one for one in run([Step("a", "a", go)]) if one.state == "progress"]
    assert [(one.text, one.fraction) for one in told] == [("half", 0.5)]


def test_a_step_that_needs_an_unknown_one_is_a_bug() -> None:
    async def go(_: object) -> None: ...

    with pytest.raises(ValueError, match="nowhere"):
        run([Step("a", "a", go, ("nowhere",))])
