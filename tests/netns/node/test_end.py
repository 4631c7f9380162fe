"""However a node ends, nothing of it is left, and it can be booted again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.node import Node
from podwire.kernel.process import Supervisor
from podwire.model.layout import LabLayout

from .conftest import NAME, booted, output, until
from .machine import alive, in_pid_namespace, parent

OWNER = """
import asyncio, sys
from pathlib import Path
from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.node import Node
from podwire.kernel.process import Supervisor
from podwire.model.layout import CACHE, LabLayout

async def main(name, base):
    layout = LabLayout(name, base / "state", base / "run", base / "log", CACHE)
    node = Node("n0", layout, LabCgroups.create(layout))
    await node.boot()
    await Supervisor().start(node.program("sleeper", ["sleep", "1000"]))
    await asyncio.sleep(0.3)
    print(node.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


def _pid_namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


async def _with_processes(node: Node) -> str:
    """Let the node run an orphan besides its own; its pid namespace."""
    await output(node, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
    assert node.pid is not None
    space = _pid_namespace(node.pid)
    assert len(in_pid_namespace(space)) == 2
    return space


def test_shutdown_ends_every_process_and_is_idempotent(node: Node, run) -> None:
    async def work() -> None:
        await node.shutdown()
        async with booted(node):
            space = await _with_processes(node)
            await node.shutdown()
            assert in_pid_namespace(space) == []
            assert node.pid is None
            await node.shutdown()

    run(work())
    assert not node.layout.node_state(NAME).exists()


def test_a_suspended_command_does_not_hold_the_end_up(node: Node, run) -> None:
    """Stopped, nsenter does not reap the command, and the kernel waits for just that."""

    async def work() -> None:
        async with booted(node):
            assert node.pid is not None
            space = _pid_namespace(node.pid)
            process = await asyncio.create_subprocess_exec(*node.enter(["sleep", "1000"]))
            await until(lambda: len(in_pid_namespace(space)) == 2, "the command runs")
            process.send_signal(signal.SIGSTOP)
            await asyncio.wait_for(node.shutdown(), 60)
            assert in_pid_namespace(space) == []
            assert await process.wait() == -signal.SIGKILL

    run(work())


def test_the_disk_stays_over_a_reboot_and_goes_with_the_node(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            await output(node, "sh", "-c", "echo kept > /var/lib/kubelet/x; echo gone > /etc/x")
            await node.shutdown()
            await node.boot()
            assert await output(node, "cat", "/var/lib/kubelet/x") == (0, "kept\n")
            assert (await output(node, "test", "-e", "/etc/x"))[0] == 1

    run(work())
    assert not node.layout.node_state(NAME).exists()


def test_kill_9_of_the_unshare_before_it_ends_the_node_and_a_second_boot_works(
    node: Node, run
) -> None:
    async def work() -> None:
        async with booted(node):
            space = await _with_processes(node)
            assert node.pid is not None
            wrapper, name = parent(node.pid)
            assert name == "unshare"
            os.kill(wrapper, signal.SIGKILL)
            await asyncio.wait_for(node.wait_dead(), 10)
            assert in_pid_namespace(space) == []
            assert node.pid is None
            await node.boot()
            assert await output(node, "hostname") == (0, f"{NAME}\n")

    run(work())


def test_wait_dead_returns_when_pid_1_is_killed(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            waiting = asyncio.create_task(node.wait_dead())
            await asyncio.sleep(0.2)
            assert not waiting.done()
            assert node.pid is not None
            os.kill(node.pid, signal.SIGKILL)
            await asyncio.wait_for(waiting, 10)

    run(work())


def test_signals_from_inside_do_not_end_it(node: Node, run) -> None:
    async def work() -> None:
        async with booted(node):
            await output(node, "sh", "-c", "kill -TERM 1; kill -INT 1; kill -KILL 1; kill -HUP 1")
            assert await output(node, "hostname") == (0, f"{NAME}\n")

    run(work())


def test_kill_9_of_the_process_that_booted_it_ends_everything(layout: LabLayout, run) -> None:
    base = layout.run_root.parent
    argv = [sys.executable, "-c", OWNER, layout.name, str(base)]
    owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        space = _pid_namespace(pid)
        assert len(in_pid_namespace(space)) == 2
    finally:
        owner.kill()
        owner.wait()
        if owner.stdout is not None:
            owner.stdout.close()
    run(until(lambda: in_pid_namespace(space) == [], "the node's processes end"))
    found = LabCgroups.find(layout)  # another session: it knows the layout alone
    assert found is not None
    assert any(root.exists() for root in found.roots)
    run(until(lambda: found.pids() == set(), "the cgroups are empty"))
    found.remove()
    assert not any(root.exists() for root in found.roots)
    assert LabCgroups.find(layout) is None


def test_a_lab_is_killed_by_its_cgroups_alone(node: Node, run) -> None:
    """What `down` has when the daemon is gone and something it started is not."""

    async def work() -> None:
        async with booted(node):
            pid = node.pid
            assert pid is not None
            (freezer,) = [one for one in node.cgroups.roots if "freezer" in str(one)] or [None]
            if freezer is not None:
                (freezer / NAME / "freezer.state").write_text("FROZEN")
            await asyncio.to_thread(node.cgroups.kill)
            await until(lambda: not alive(pid), "PID 1 ends")
            assert node.cgroups.pids() == set()

    run(work())


def test_a_program_of_the_node_is_asked_to_end_before_it_is_killed(node: Node, run) -> None:
    script = "trap 'echo asked > /var/log/asked; exit 0' TERM; while :; do sleep 0.05; done"

    async def work() -> None:
        supervisor = Supervisor()
        async with booted(node):
            await supervisor.start(node.program("trapper", ["sh", "-c", script]))
            await asyncio.sleep(0.3)
            await supervisor.stop(f"{NAME}/trapper", grace=2)

    run(work())
    assert (node.layout.logs / NAME / "asked").read_text() == "asked\n"
