"""Commands on a node: exit status, signals and the terminal are as if nothing stood between."""

from __future__ import annotations

import asyncio
import os
import pty
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from podwire.cluster.node import Node

from .conftest import NAME, booted, output, until
from .machine import in_pid_namespace

PATIENT = """
import os, signal
signal.signal(signal.SIGINT, lambda *_: os._exit(4))
signal.signal(signal.SIGCONT, lambda *_: os.write(1, b"resum" + b"ed\\n"))
print("go" + "ing", flush=True)
while True:
    signal.pause()
"""
"""No shell: one that is stopped while it starts a command (vfork) does not stop."""


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_exit_status(node: Node, run, status: int) -> None:
    async def work() -> int:
        async with booted(node):
            return (await output(node, "sh", "-c", f"exit {status}"))[0]

    assert run(work()) == status


def test_a_command_that_a_signal_ends(node: Node, run) -> None:
    async def work() -> int:
        async with booted(node):
            return (await output(node, "sh", "-c", "kill -TERM $$"))[0]

    assert run(work()) == -signal.SIGTERM


def test_it_runs_as_root_in_roots_home_on_the_node_in_its_cgroups(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            script = (
                "id -un; pwd; hostname; echo $HOME; cat /proc/self/cgroup | cut -d: -f3 | sort -u"
            )
            _, said = await output(node, "sh", "-c", script)
            assert said.split()[:4] == ["root", "/root", NAME, "/root"]
            assert not any(".." in one for one in said.split()[4:])

    run(work())


def test_standard_files_pass_through(node: Node, run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("some text\n")

    async def work() -> tuple[int, str]:
        async with booted(node):
            return await output(node, "tr", "a-z", "A-Z", stdin=tmp_path / "in")

    assert run(work()) == (0, "SOME TEXT\n")


def test_a_signal_to_what_stands_before_ends_the_command(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            assert node.pid is not None
            space = os.readlink(f"/proc/{node.pid}/ns/pid")
            process = await asyncio.create_subprocess_exec(*node.enter(["sleep", "1000"]))

            def runs() -> bool:
                names = [Path(f"/proc/{one}/comm").read_text() for one in in_pid_namespace(space)]
                return "sleep\n" in names  # what ties it to its parent comes before

            await until(runs, "the command runs")
            process.terminate()
            await process.wait()
            await until(lambda: in_pid_namespace(space) == [node.pid], "the command ends")

    run(work())


def _on_a_terminal(argv: Sequence[str], *dialogue: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """Run with a controlling terminal; of each pair, type the second once the first was said."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], list(argv))
    said, answered, turns = b"", 0, list(dialogue)
    while True:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if turns and turns[0][0] in said[answered:]:
            answered = len(said)
            os.write(terminal, turns.pop(0)[1])
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_the_terminal_is_the_commands_and_ctrl_c_reaches_it(node: Node, run) -> None:
    script = "trap 'echo caught; exit 3' INT; tty; echo ready; while :; do sleep 0.05; done"

    async def work() -> tuple[int, bytes]:
        async with booted(node):
            argv = node.enter(["sh", "-c", script])
            return await asyncio.to_thread(_on_a_terminal, argv, (b"ready", b"\x03"))

    status, said = run(work())
    assert status == 3
    assert b"/dev/pts/" in said
    assert b"caught" in said


def test_a_command_can_be_suspended_and_taken_up_again(node: Node, run) -> None:
    """As a job of a shell: ^Z stops it, fg goes on with it, ^C is its own to answer."""

    async def work() -> tuple[int, bytes]:
        async with booted(node):
            line = shlex.join(node.enter(["/usr/bin/python3", "-c", PATIENT]))
            shell = ["bash", "--norc", "-ic", f"{line}; fg; exit $?"]
            turns = ((b"going", b"\x1a"), (b"resumed", b"\x03"))
            return await asyncio.to_thread(_on_a_terminal, shell, *turns)

    status, said = run(work())
    assert status == 4, said


def test_the_shells_prompt_names_the_node(node: Node, run) -> None:
    async def work() -> tuple[int, bytes]:
        async with booted(node):
            argv = node.enter(["/bin/bash", "-l"])
            turn = (b"# ", b"echo $PATH; exit 5\n")
            return await asyncio.to_thread(_on_a_terminal, argv, turn)

    status, said = run(work())
    assert status == 5
    assert f"root@{NAME}:".encode() in said
    assert b":/opt/cni/bin" in said
