"""What a lab is doing: one work at a time for each subject, which others may watch and wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from podwire.lab.steps import Emit, StepEvent
from podwire.model.errors import PodwireError

Run: TypeAlias = Callable[[Emit], Awaitable[None]]


class BusyError(PodwireError):
    """Something else is being done with the same thing now."""


class Work:
    """subject: the key of what it is done with; title: as in "create", for people."""

    def __init__(self, subject: str, title: str, run: Run, tell: Emit) -> None:
        self.subject, self.title = subject, title
        self.history: list[StepEvent] = []
        self._listeners: set[Emit] = {tell}
        self.task = asyncio.create_task(self._carry_out(run), name=f"{title} {subject}")

    @property
    def under_way(self) -> bool:
        return not self.task.done()

    @property
    def failure(self) -> str:
        """What the step that failed said; "" when none has."""
        return next((one.text for one in self.history if one.state == "failed"), "")

    async def _carry_out(self, run: Run) -> None:
        await asyncio.sleep(0)  # whoever began it listens now
        await run(self._tell)

    def _tell(self, event: StepEvent) -> None:
        self.history.append(event)
        for listener in list(self._listeners):
            listener(event)

    async def follow(self, emit: Emit) -> None:
        """Tell `emit` what has happened and happens; return when it is done.

        Raises what the work raised. Whoever follows may go away: the work goes on.
        """
        for event in self.history:
            emit(event)
        self._listeners.add(emit)
        try:
            await asyncio.shield(self.task)
        except asyncio.CancelledError as error:
            if not self.task.cancelled():
                raise
            raise PodwireError("the lab was taken down meanwhile") from error
        finally:
            self._listeners.discard(emit)

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Works:
    """By subject, the latest work. listeners: are told of every event, with its work."""

    def __init__(self) -> None:
        self._works: dict[str, Work] = {}
        self.listeners: set[Callable[[Work, StepEvent], None]] = set()

    def begin(self, subject: str, title: str, run: Run) -> Work:
        """Raises BusyError when the subject's latest work is not done."""
        self.refuse_busy(subject)
        work = Work(subject, title, run, lambda event: self._tell(self._works[subject], event))
        self._works[subject] = work
        return work

    def refuse_busy(self, subject: str) -> None:
        """Raises BusyError when the subject's latest work is not done."""
        if (old := self.current(subject)) is not None:
            raise BusyError(f"{subject}: {old.title} is under way; wait until that is done")

    def current(self, subject: str) -> Work | None:
        """What is under way with it."""
        work = self._works.get(subject)
        return work if work is not None and work.under_way else None

    def latest(self, subject: str) -> Work | None:
        return self._works.get(subject)

    def forget(self, subject: str) -> None:
        self._works.pop(subject, None)

    async def cancel_all(self) -> None:
        await asyncio.gather(*(one.cancel() for one in self._works.values()))

    def _tell(self, work: Work, event: StepEvent) -> None:
        for listener in list(self.listeners):
            listener(work, event)
