"""The resident agent as a node has it: shims in front of the plugins, a process behind a socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podwire.cni import shims

from .node import URL, WAIT, Node, put_plugins


def socket_of(node: Node) -> Path:
    return node.directory / "run/agent.sock"


def put_shims(node: Node, kind: str = "c", seconds: float = 10.0) -> None:
    """What the node's runtime executes from now on; it becomes the plugin after `seconds`."""
    socket = str(socket_of(node))
    put_plugins(node, mode=node.mode, shim=kind, socket=socket, agent_seconds=seconds)


def start_agent(node: Node) -> subprocess.Popen[bytes]:
    """`python -m podwire.cni.agent` in the node, listening when this returns."""
    before = inode(socket_of(node))
    words = [f"--state-dir={node.settings.state_dir}", f"--log-dir={node.settings.log_dir}"]
    words += [f"--socket={socket_of(node)}", f"--wire-server-url={URL}"]
    command = ["nsenter", f"--net={node.netns.path}", sys.executable, "-m", "podwire.cni.agent"]
    source = str(Path(shims.__file__).parents[2])
    process = subprocess.Popen(
        [*command, *words], env={"PYTHONPATH": source, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    while inode(socket_of(node)) in (0, before):
        assert process.poll() is None, "the agent did not start"
        time.sleep(0.005)
    return process


def end_agent(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
    """Also one that is stopped, or has ended already."""
    process.send_signal(signal.SIGCONT)
    process.send_signal(how)
    process.wait(WAIT)


@contextmanager
def resident(
    node: Node, kind: str = "c", seconds: float = 10.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Shims, and an agent that is gone after the block, as is one that replaced it."""
    put_shims(node, kind, seconds)
    node.agent = start_agent(node)
    try:
        yield node.agent
    finally:
        end_agent(node.agent)
        node.agent = None


def peak(process: subprocess.Popen[bytes]) -> int:
    """The most memory that it ever had, in MiB (proc_pid_status(5), VmHWM)."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) >> 10


def inode(path: Path) -> int:
    """0 when there is nothing."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
