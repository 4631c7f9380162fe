"""A live node moved from one mode to the other and back, with connections across the move."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from podwire.cni import migrate as module
from podwire.cni.migrate import migrate, uninstall
from podwire.kernel.netns import NetNamespace
from podwire.model.errors import InvalidInputError

from .node import (
    CONFIG,
    GATEWAY,
    NODE_IP,
    WIRE_SERVER,
    Node,
    Pod,
    deliver_by_table,
    reach,
    set_mode,
)

OTHER = {"bridge": "transparent", "transparent": "bridge"}
PLATFORM = {f"{one} via {GATEWAY} dev eth0" for one in (WIRE_SERVER, "169.254.169.254")}


@pytest.fixture
def live(node: Node) -> Node:
    """With Azure's host routes and fabric."""
    deliver_by_table(node)
    for one in PLATFORM:
        node.run("ip", "route", "add", *one.split())
    return node


def conflist(node: Node) -> Path:
    return node.directory / "conf/10-azure.conflist"


def wired(node: Node, mode: str, count: int = 2) -> list[Pod]:
    """Pods in `mode`, which the conflist says too."""
    set_mode(node, mode)
    pods = []
    for number in range(count):
        pod = node.pod(f"{number:064x}")
        pod.name = f"pod-{number}"
        assert node.call("ADD", pod, config=config(mode)).status == 0
        pods.append(pod)
    return pods


def config(mode: str) -> dict[str, Any]:
    return {**CONFIG, "mode": mode}


def move(node: Node, to: str, **given: bool) -> module.Moved:
    with node.netns.entered():
        return migrate(to, node.settings, conflist(node), **given)


@contextmanager
def connection(source: NetNamespace, node: Node) -> Iterator[socket.socket]:
    """An established TCP connection to an echo server in the fabric."""
    with node.fabric.entered():
        server = socket.create_server((GATEWAY, 0))

    def echo() -> None:
        peer, _ = server.accept()
        with peer:
            while data := peer.recv(100):
                peer.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    with source.entered():
        plug = socket.create_connection(server.getsockname(), timeout=10)
    with server, plug:
        yield plug
    thread.join()


def assert_echo(plug: socket.socket, text: bytes) -> None:
    plug.sendall(text)
    assert plug.recv(100) == text


def assert_all_well(node: Node, mode: str, pods: list[Pod]) -> None:
    assert json.loads(conflist(node).read_text())["plugins"][0]["mode"] == mode
    for pod in pods:
        answer = node.call("CHECK", pod, config=config(mode))
        assert answer.status == 0, answer
        assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    pods[0].run("ping", "-c1", "-W3", "10.220.2.6")
    pods[0].run("ping", "-c1", "-W3", NODE_IP)
    assert reach(node.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    routes = {" ".join(one.split()[:5]) for one in node.run("ip", "route").splitlines()}
    if mode == "transparent":
        assert PLATFORM | {f"default via {GATEWAY} dev eth0"} <= routes
        assert "azure0" not in node.run("ip", "link")
        assert "azure-vnet" not in node.run("nft", "list", "ruleset")
    else:
        assert f"default via {GATEWAY} dev azure0" in routes
        assert not any("eth0" in one or "azv" in one for one in routes)


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_there_and_back_with_connections_of_node_and_pod(live: Node, mode: str) -> None:
    pods = wired(live, mode)
    with connection(live.netns, live) as of_node, connection(pods[0].netns, live) as of_pod:
        for at, to in enumerate((OTHER[mode], mode, OTHER[mode])):
            assert move(live, to).pods == 2
            assert_echo(of_node, b"node %d" % at)
            assert_echo(of_pod, b"pod %d" % at)
            assert_all_well(live, to, pods)
    new = live.pod("e" * 64)
    assert live.call("ADD", new, config=config(OTHER[mode])).status == 0
    for pod in (*pods, new):
        assert live.call("DEL", pod, config=config(OTHER[mode])).status == 0
    assert (live.wired(), live.azv_links(), live.ledger().leases()) == ([], [], [])


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_a_dry_run_changes_nothing_and_a_second_run_has_nothing_to_do(
    live: Node, mode: str
) -> None:
    pods = wired(live, mode)
    before = live.run("ip", "addr"), live.run("ip", "route"), live.run("nft", "list", "ruleset")
    told = move(live, OTHER[mode], dry_run=True).changes
    after = live.run("ip", "addr"), live.run("ip", "route"), live.run("nft", "list", "ruleset")
    assert before == after
    assert any(one[0] == "-" for one in told)
    assert any(one[0] == "+" for one in told)
    assert_all_well(live, mode, pods)
    assert move(live, OTHER[mode]).changes == told
    assert move(live, OTHER[mode]).changes == ()


def killed_at(node: Node, to: str, step: int) -> bool:
    """Kill a migration before its kernel step number `step`; False: it had fewer."""

    def work() -> None:
        left = [step]

        def counted(real: Any) -> Any:
            def call(*given: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given)

            return call

        for name in ("realise", "unwire"):
            setattr(module, name, counted(getattr(module, name)))
        ledger = module.Ledger
        ledger.rebridge = counted(ledger.rebridge)  # type: ignore[method-assign]
        migrate(to, node.settings, conflist(node))

    status = node.fork(work)
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_killed_before_each_step_and_finished_or_undone(
    live: Node, mode: str, finish: bool
) -> None:
    pods = wired(live, mode)
    step = 0
    while killed_at(live, OTHER[mode], step):
        refused = live.call("ADD", live.pod(f"{step + 100:064x}"), config=config(mode))
        assert refused.document["code"] == 11
        assert "podwire cni migrate" in refused.document["msg"]
        end = OTHER[mode] if finish else mode
        move(live, end)
        assert_all_well(live, end, pods)
        if finish:
            move(live, mode)
        step += 1
    assert step > 5
    assert_all_well(live, OTHER[mode], pods)


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_uninstall_refuses_then_leaves_the_card_as_it_was(live: Node, mode: str) -> None:
    before = sorted(live.run("ip", "route").splitlines())
    wired(live, mode)
    places = {
        "bin_dir": str(live.bin),
        "conf_dir": str(live.directory / "conf"),
        "lib_dir": str(live.directory / "lib"),
    }
    with live.netns.entered():
        with pytest.raises(InvalidInputError, match="default/pod-0"):
            uninstall(live.settings, **places)
        assert conflist(live).exists()
        uninstall(live.settings, **places, force=True)
    after = [one.replace(" proto static", "") for one in live.run("ip", "route").splitlines()]
    assert sorted(" ".join(one.split()) for one in after) == sorted(
        " ".join(one.split()) for one in before
    )
    assert (live.azv_links(), live.ledger().leases()) == ([], [])
    assert "azure0" not in live.run("ip", "link")
    assert not conflist(live).exists()
    assert list(live.bin.glob("azure-vnet*")) == []
    assert reach(live.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


def test_a_pod_that_cannot_be_entered_stops_it_before_anything(live: Node) -> None:
    (pod,) = wired(live, "bridge", 1)
    with sqlite3.connect(live.directory / "state/ledger.sqlite") as db:
        db.execute("UPDATE lease SET netns = '/nowhere'")
    with pytest.raises(InvalidInputError, match="default/pod-0"):
        move(live, "transparent")
    assert live.call("CHECK", pod, config=config("bridge")).status == 0
