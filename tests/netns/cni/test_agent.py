"""The resident agent behind its shims, in a real node namespace."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podwire.cni import shims
from podwire.cni.install import install

from .node import URL, Node


@pytest.fixture(params=["c", "python"])
def agent(node: Node, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    socket = node.directory / "run/agent.sock"
    install(
        Path("/"),
        bin_dir=str(node.bin),
        conf_dir=str(node.directory / "conf"),
        lib_dir=str(node.directory / "lib"),
        state_dir=node.settings.state_dir,
        log_dir=node.settings.log_dir,
        wire_server_url=URL,
        shim=request.param,
        socket=str(socket),
        agent_seconds=1,
    )
    words = [f"--state-dir={node.settings.state_dir}", f"--log-dir={node.settings.log_dir}"]
    words += [f"--socket={socket}", f"--wire-server-url={URL}"]
    command = ["nsenter", f"--net={node.netns.path}", sys.executable, "-m", "podwire.cni.agent"]
    source = str(Path(shims.__file__).parents[2])
    process = subprocess.Popen(
        [*command, *words], env={"PYTHONPATH": source, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    for _ in range(500):
        if socket.exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    yield process
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()


def test_the_agent_answers_and_its_absence_or_hang_fails_no_call(
    node: Node, agent: subprocess.Popen[bytes]
) -> None:
    first, second, third = (node.pod(letter * 64) for letter in "abc")
    assert node.call("ADD", first).status == 0
    assert f"[{agent.pid}]" in node.log
    agent.send_signal(signal.SIGSTOP)
    assert node.call("ADD", second).status == 0
    agent.send_signal(signal.SIGCONT)
    agent.kill()
    agent.wait()
    assert node.call("ADD", third).status == 0
    assert len(node.wired()) == 3
    assert all(node.call("DEL", pod).status == 0 for pod in (first, second, third))
    with node.ledger() as ledger:
        assert ledger.leases() == []
    assert node.azv_links() == []
