"""An operator installs another version under a running agent: no call fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from podwire.cni import install as installer
from podwire.cni.settings import COOLING_SECONDS
from podwire.model.cni_error import TRY_AGAIN

from .node import Answer, Node, Pod, finish, put_plugins


def put(node: Node) -> None:
    socket = str(node.directory / "run/agent.sock")
    put_plugins(node, shim="auto", socket=socket, cooling_seconds=COOLING_SECONDS)


@contextmanager
def agent(node: Node) -> Iterator[subprocess.Popen[bytes]]:
    """As it was installed, ready."""
    metrics = node.directory / f"metrics{time.monotonic_ns()}"
    command = [str(node.directory / "lib/podwire-agent"), f"--metrics-socket={metrics}"]
    process = subprocess.Popen(["nsenter", f"--net={node.netns.path}", *command])
    try:
        for _ in range(2000):
            if metrics.exists() or process.poll() is not None:
                break
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def attached(node: Node, pod: Pod, answer: Answer) -> bool:
    """At once, or repeated as a runtime does, where the machine is busier than calls wait for."""
    if answer.status and answer.document["code"] == TRY_AGAIN:
        answer = node.call("ADD", pod)
    return answer.status == 0


def test_no_call_fails(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    pods = [node.pod(f"{number:x}" * 64) for number in range(1, 12)]
    put(node)
    with ExitStack() as stack:
        first = stack.enter_context(agent(node))
        assert node.call("ADD", pods[0]).status == 0
        calls = [node.start("ADD", pod) for pod in pods[1:5]]
        sources = [*installer._sources(), ("podwire/new.py", b"")]
        monkeypatch.setattr(installer, "_sources", lambda: sources)
        put(node)
        first.terminate()
        calls += [node.start("ADD", pod) for pod in pods[5:8]]
        second = stack.enter_context(agent(node))
        calls += [node.start("ADD", pod) for pod in pods[8:10]]
        answers = [finish(one) for one in calls]
        assert first.wait(20) == 0
        for pod, answer in zip(pods[1:10], answers, strict=True):
            assert attached(node, pod, answer), answer
        assert node.call("ADD", pods[10]).status == 0
    assert {f"[{first.pid}]" in node.log, f"[{second.pid}]" in node.log} == {True}
    assert len({one.ip for one in node.wired()}) == len(pods)
    libraries = [one for one in (node.directory / "lib").glob("podwire-*") if one.is_dir()]
    assert len(libraries) == 2
    for pod in pods:
        assert node.call("DEL", pod).status == 0
    assert node.azv_links() == []
