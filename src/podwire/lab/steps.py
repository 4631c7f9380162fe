"""Bringing something about in steps: each one named, timed, observable; independent ones at once.

A step is idempotent: what is already true costs next to nothing. Knows nothing of labs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from podwire.model.errors import PodwireError
from podwire.model.progress import Progress


@dataclass(frozen=True, slots=True)
class Step:
    """needs: names of the steps that must be done before this one starts."""

    name: str
    title: str
    run: Callable[[Progress], Awaitable[None]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What happened. state: started, progress, done or failed; seconds since the step began."""

    step: str
    title: str
    state: str
    text: str = ""
    fraction: float | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {"event": "step", **asdict(self)}


Emit: TypeAlias = Callable[[StepEvent], None]


class StepFailedError(PodwireError):
    """A step failed; the ones that had not started are left undone."""


def known_needs(steps: Sequence[Step]) -> list[Step]:
    """The same steps, for when what they need beyond one another is done already."""
    names = {one.name for one in steps}
    return [replace(one, needs=tuple(need for need in one.needs if need in names)) for one in steps]


async def carry_out(steps: Sequence[Step], emit: Emit) -> None:
    """Run every step as soon as what it needs is done.

    Raises StepFailedError for the first step that fails; the others are cancelled.
    """
    done = {step.name: asyncio.Event() for step in steps}
    unknown = {need for step in steps for need in step.needs} - done.keys()
    if unknown:
        raise ValueError(f"steps need unknown steps: {', '.join(sorted(unknown))}")
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(_run(step, done, emit), name=step.name)
    except BaseExceptionGroup as group:
        failures = group.subgroup(PodwireError)
        if failures is None:
            raise
        raise _first(failures) from None


def _first(group: BaseExceptionGroup[PodwireError]) -> PodwireError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def one_step(emit: Emit, name: str, title: str) -> AsyncIterator[None]:
    """Tell of the block as of a step. Raises what the block raises, after having told so."""
    begun = time.monotonic()
    emit(StepEvent(name, title, "started"))
    try:
        yield
    except (PodwireError, OSError) as error:
        emit(StepEvent(name, title, "failed", str(error), None, _since(begun)))
        raise
    emit(StepEvent(name, title, "done", "", None, _since(begun)))


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)


async def _run(step: Step, done: dict[str, asyncio.Event], emit: Emit) -> None:
    for need in step.needs:
        await done[need].wait()
    begun = time.monotonic()

    def tell(state: str, text: str = "", fraction: float | None = None) -> None:
        emit(StepEvent(step.name, step.title, state, text, fraction, _since(begun)))

    tell("started")
    try:
        await step.run(lambda text, fraction: tell("progress", text, fraction))
    except (PodwireError, OSError) as error:
        tell("failed", str(error))
        raise StepFailedError(f"{step.title}: {error}") from error
    tell("done")
    done[step.name].set()
