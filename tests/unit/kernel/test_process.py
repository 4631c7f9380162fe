"""The supervisor: real processes, started, restarted, ended."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from podwire.kernel.process import Program, Supervisor, command_line, log_tail


def program(tmp_path: Path, script: str, name: str = "p") -> Program:
    return Program(name, ("/bin/sh", "-c", script), tmp_path / f"{name}.log")


async def _until(check: object, timeout: float = 5.0) -> None:
    assert callable(check)
    async with asyncio.timeout(timeout):
        while not check():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)


def test_what_dies_is_started_again_and_counted(tmp_path: Path) -> None:
    async def go() -> None:
        supervisor = Supervisor()
        running = await supervisor.start(program(tmp_path, "echo born; exec sleep 60"))
        first = running.pid
        assert first is not None
        await _until(lambda: "born" in log_tail(running.program))
        os.kill(first, signal.SIGKILL)
        await _until(lambda: running.restarts == 1 and running.pid not in (None, first))
        assert running.last_exit == "signal 9"
        await supervisor.stop_all()
        assert supervisor.running == {}

    asyncio.run(go())


def test_stop_ends_also_what_ignores_sigterm(tmp_path: Path) -> None:
    async def go() -> None:
        supervisor = Supervisor()
        script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
        running = await supervisor.start(program(tmp_path, script))
        pid = running.pid
        assert pid is not None
        await _until(lambda: "ready" in log_tail(running.program))
        await supervisor.stop("p", grace=0.2)
        await _until(lambda: not Path(f"/proc/{pid}").exists())

    asyncio.run(go())


def test_stop_of_the_unknown_is_nothing() -> None:
    asyncio.run(Supervisor().stop("nobody"))


def test_namespaces_are_entered_between_two_ties(tmp_path: Path) -> None:
    made = Program("p", ("prog",), tmp_path / "l", namespaces=42, cgroups=(Path("/c g"),))
    line = command_line(made)
    assert line[2].startswith("echo 0 > '/c g/cgroup.procs' && ")
    rest = line[4:]
    assert rest == [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("nsenter", "-t", "42", "-a", "--"),
        *("setpriv", "--pdeathsig", "KILL", "--", "prog"),
    ]


def test_a_label_names_the_node() -> None:
    assert Program("kubelet", (), Path("l"), node="n").label == "n/kubelet"


def test_a_log_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert "no log" in log_tail(program(tmp_path, "true"))


@pytest.mark.parametrize("lines", [1, 3])
def test_the_tail_of_a_log(tmp_path: Path, lines: int) -> None:
    one = program(tmp_path, "true")
    one.log.write_text("a\nb\nc\nd\n")
    assert log_tail(one, lines) == "\n".join("abcd"[-lines:])
