"""Running the real programs: start one inside a node's namespaces and cgroups, keep it running.

Must not know what the programs are. A child never outlives the process that supervises it:
`setpriv --pdeathsig` chains every program to its parent, so that a kill -9 of the daemon ends all.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from podwire.model.errors import ProcessError

_RESTART_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)
_STABLE_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """One long-running program.

    name: unique in the lab, as in "kubelet" of a node or "etcd"; node: "" for the control plane.
    namespaces: host pid whose namespaces it joins, as `nsenter -t PID -a` does; None for none.
    netns: path of a network namespace to join instead, as in /proc/PID/fd/N; None for none.
    cgroups: directories whose cgroup.procs it is written to before it starts.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    node: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    namespaces: int | None = None
    netns: str | None = None
    cgroups: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.node}/{self.name}" if self.node else self.name


@dataclass(slots=True)
class Running:
    """What the supervisor knows of a program now. pid: host pid of the program, None while down."""

    program: Program
    pid: int | None = None
    restarts: int = 0
    last_exit: str = ""
    started: float = 0.0


def command_line(program: Program) -> list[str]:
    """The argv that joins cgroups and namespaces, ties the life to ours, then runs the program."""
    tied = ["setpriv", "--pdeathsig", "KILL", "--"]
    argv = [*tied, *_enter(program), *tied, *program.argv]
    return ["/bin/sh", "-c", _join_cgroups(program.cgroups) + 'exec "$@"', "sh", *argv]


def _enter(program: Program) -> list[str]:
    """nsenter forks for a pid namespace, which is why the program behind it is tied once more."""
    if program.namespaces is not None:
        return ["nsenter", "-t", str(program.namespaces), "-a", "--"]
    return ["nsenter", f"--net={program.netns}", "--"] if program.netns else []


def _join_cgroups(cgroups: Sequence[Path]) -> str:
    return "".join(f"echo 0 > {shlex.quote(str(one / 'cgroup.procs'))} && " for one in cgroups)


class Supervisor:
    """Starts programs, restarts those that die, and ends them. One event loop, its main thread."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, program: Program) -> Running:
        """Start `program` and keep it running until `stop`.

        Raises ProcessError when its executable cannot be started at all.
        """
        if program.label in self.running:
            raise ProcessError(f"{program.label} is already supervised; stop it first")
        state = Running(program)
        self.running[program.label] = state
        try:
            process = await self._spawn(state)
        except ProcessError:
            del self.running[program.label]
            raise
        self._tasks[program.label] = asyncio.create_task(self._keep(state, process))
        return state

    async def stop(self, label: str, *, grace: float = 2.0) -> None:
        """End the program: SIGTERM, then SIGKILL after `grace` seconds. Unknown: nothing."""
        task = self._tasks.pop(label, None)
        state = self.running.pop(label, None)
        if task is None or state is None:
            return
        pid = state.pid
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if pid is not None:
            await _end(pid, grace)

    async def stop_all(self, *, grace: float = 2.0) -> None:
        await asyncio.gather(*(self.stop(label, grace=grace) for label in list(self.running)))

    async def _spawn(self, state: Running) -> asyncio.subprocess.Process:
        program = state.program
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command_line(program),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **program.env},
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"cannot start {program.label}: {error}") from error
        state.pid, state.started = process.pid, time.monotonic()
        return process

    async def _keep(self, state: Running, process: asyncio.subprocess.Process) -> None:
        failures = 0
        while True:
            code = await process.wait()
            state.pid = None
            state.last_exit = f"signal {-code}" if code < 0 else f"exit {code}"
            failures = 0 if time.monotonic() - state.started > _STABLE_AFTER else failures + 1
            await asyncio.sleep(_RESTART_DELAYS[min(failures, len(_RESTART_DELAYS) - 1)])
            state.restarts += 1
            process = await self._spawn(state)


async def _end(pid: int, grace: float) -> None:
    """End a process group that was started with a session of its own.

    Of a program in a node the signals go to the program, and nsenter before it follows: signalled
    itself, nsenter would die at once, take the program along unasked (it is tied), and leave it to
    be reaped by whoever adopts orphans, for which the node's end then waits.
    """
    inside = _behind_nsenter(pid)
    with suppress(ProcessLookupError):
        _signal(pid, inside, signal.SIGTERM)
        for _ in range(int(grace / 0.02)):
            await asyncio.sleep(0.02)
            os.killpg(pid, 0)
        _signal(pid, inside, signal.SIGKILL)
        for _ in range(20 if inside else 0):
            await asyncio.sleep(0.01)
            os.killpg(pid, 0)
        os.killpg(pid, signal.SIGKILL)


def _behind_nsenter(pid: int) -> list[int]:
    """The program for which nsenter `pid` waits; nothing when `pid` is the program itself."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != "nsenter":
            return []
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _signal(group: int, inside: Sequence[int], number: signal.Signals) -> None:
    if not inside:
        os.killpg(group, number)
    for one in inside:
        os.kill(one, number)


def log_tail(program: Program, lines: int = 15) -> str:
    """The last lines of the program's log, for an error message."""
    try:
        with program.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 16384))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
