"""What takes a while: begun by a request, told about at its own URL, gone on with after a restart.

An operation is a row first and a task second. Its action is idempotent: a restarted daemon runs it
again from its row. One at a time on a resource and what belongs to it. Must not know what the
actions do, nor HTTP. Source: Azure Resource Manager, "Track asynchronous Azure operations".
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from podwire.arm.errors import ArmError, as_arm_error
from podwire.arm.store import FAILED, RUNNING, SUCCEEDED, ArmStore, Body, OperationRow
from podwire.model.errors import PodwireError

Action: TypeAlias = Callable[[OperationRow], Awaitable[Body | None]]
"""Brings it about; returns the answer's properties, or None. Raises PodwireError when it cannot."""
Settle: TypeAlias = Callable[[OperationRow, ArmError | None], None]
"""Writes what the resource is now, in the transaction that ends the operation."""


@dataclass(frozen=True, slots=True)
class Deed:
    """How an operation is brought about and settled. again: whether a restarted daemon may do it
    a second time; what may not be is failed by the restart."""

    act: Action
    settle: Settle
    again: bool = True


_INTERRUPTED = ArmError(
    409, "OperationPreempted", "The operation was interrupted: the lab's daemon started again."
)
_KEEP = datetime.timedelta(hours=24)
_log = logging.getLogger("podwire.arm")


class Operations:
    """deeds: by the name of the action."""

    def __init__(self, store: ArmStore, deeds: Mapping[str, Deed]) -> None:
        self._store = store
        self._deeds = deeds
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def busy(self, resource: str) -> OperationRow | None:
        """The operation under way on this resource, on what it is part of, or on a part of it."""
        key = resource.lower()
        for row in self._store.running():
            if key == row.resource or _within(key, row.resource) or _within(row.resource, key):
                return row
        return None

    def on(self, resource: str) -> OperationRow | None:
        """The operation under way on exactly this resource."""
        key = resource.lower()
        return next((row for row in self._store.running() if row.resource == key), None)

    async def wait_below(self, resource: str) -> None:
        """Until nothing is under way any more on what belongs to the resource."""
        key = resource.lower()
        below = [row.id for row in self._store.running() if _within(row.resource, key)]
        tasks = {self._tasks[one] for one in below if one in self._tasks}
        if tasks:
            await asyncio.wait(tasks)

    def begin(self, resource: str, action: str, given: Body | None = None) -> OperationRow:
        """Note it and start it. The caller has seen that nothing else is `busy` there."""
        row = OperationRow(
            str(uuid.uuid4()), resource.lower(), action, given or {}, RUNNING, rfc3339()
        )
        self._store.put_operation(row)
        self._start(row)
        return row

    def resume(self) -> None:
        """Go on with what a daemon that has ended left; forget what ended a day ago."""
        self._store.forget_operations(rfc3339(-_KEEP))
        for row in self._store.running():
            if self._deeds[row.action].again:
                self._start(row)
            else:
                self._end(row, _INTERRUPTED)

    async def wait(self, row: OperationRow, seconds: float) -> None:
        """Until it has ended, or so many seconds are over."""
        if task := self._tasks.get(row.id):
            await asyncio.wait({task}, timeout=seconds)

    async def close(self) -> None:
        """Stop working. The rows stay as they are, for `resume`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, row: OperationRow) -> None:
        task = asyncio.create_task(self._run(row), name=f"{row.action} {row.resource}")
        self._tasks[row.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(row.id, None))

    async def _run(self, row: OperationRow) -> None:
        deed = self._deeds[row.action]
        answer, error = None, None
        try:
            answer = await deed.act(row)
        except (PodwireError, OSError) as trouble:
            _log.warning("%s %s: %s", row.action, row.resource, trouble)
            error = _as_error(trouble)
        except Exception as trouble:  # noqa: BLE001 - the process boundary
            _log.exception("%s %s", row.action, row.resource)
            error = ArmError(409, "InternalOperationError", f"{type(trouble).__name__}: {trouble}")
        self._end(row, error, answer)

    def _end(self, row: OperationRow, error: ArmError | None, answer: Body | None = None) -> None:
        outcome = error.body() if error else {"properties": answer} if answer else {}
        with self._store.transaction():
            self._deeds[row.action].settle(row, error)
            self._store.finish(row, FAILED if error else SUCCEEDED, rfc3339(), outcome)


def _as_error(trouble: PodwireError | OSError) -> ArmError:
    if isinstance(trouble, PodwireError):
        return as_arm_error(trouble)
    return ArmError(409, "OperationNotAllowed", str(trouble))


def _within(key: str, other: str) -> bool:
    return key.startswith(other + "/")


def rfc3339(later: datetime.timedelta | None = None) -> str:
    """Now (or so much later), in UTC, to the microsecond."""
    when = datetime.datetime.now(datetime.UTC) + (later or datetime.timedelta())
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
