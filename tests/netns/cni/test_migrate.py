"""A live node moved from one mode to the other and back, with connections across the move."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from podwire.cni import card
from podwire.cni import migrate as module
from podwire.cni.migrate import migrate, uninstall
from podwire.ipam.ledger import Ledger
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
    put_plugins,
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
def connection(source: NetNamespace, target: NetNamespace, address: str) -> Iterator[socket.socket]:
    """An established TCP connection to an echo server at `address` in `target`."""
    with target.entered():
        server = socket.create_server((address, 0))

    def echo() -> None:
        peer, _ = server.accept()
        with peer:
            while data := peer.recv(100):
                peer.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    with source.entered():
        plug = socket.create_connection(server.getsockname(), timeout=20)
    with server, plug:
        yield plug
    thread.join()


class Talk:
    """Words go over a connection and come back, all the time; one that does not ends it."""

    def __init__(self, plug: socket.socket) -> None:
        self._plug, self._said, self._failed, self._over = plug, 0, "", False
        self._thread = threading.Thread(target=self._talk)

    def __enter__(self) -> Talk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()

    def _talk(self) -> None:
        answers = self._plug.makefile("rb")
        while not self._over and not self._failed:
            word = b"%08d" % self._said
            try:
                self._plug.sendall(word)
                self._failed = "" if answers.read(8) == word else "another word came back"
            except OSError as error:
                self._failed = repr(error)
            self._said += 1

    def goes_on(self) -> None:
        """Two more words: the first may have been under way already."""
        wanted = self._said + 2
        while self._said < wanted:
            assert not self._failed, f"word {self._said}: {self._failed}"
            time.sleep(0.01)


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
    fabric = (live.fabric, GATEWAY)
    with connection(live.netns, *fabric) as of_node, connection(pods[0].netns, *fabric) as of_pod:
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


def test_the_nodes_connections_go_on_from_the_first_pod_to_the_end_of_the_plugins(
    live: Node,
) -> None:
    """One that the node opened and one opened to it, with traffic both ways all the time."""
    with ExitStack() as stack:
        ends = ((live.netns, live.fabric, GATEWAY), (live.fabric, live.netns, NODE_IP))
        plugs = [stack.enter_context(connection(*one)) for one in ends]
        talks = [stack.enter_context(Talk(one)) for one in plugs]
        stages = (
            lambda: wired(live, "bridge"),
            lambda: move(live, "transparent"),
            lambda: move(live, "bridge"),
            lambda: leave(live, force=True),
        )
        for stage in stages:
            stage()
            for talk in talks:
                talk.goes_on()


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


def leave(node: Node, **given: bool) -> None:
    with node.netns.entered():
        uninstall(node.settings, **directories(node), **given)


def directories(node: Node) -> dict[str, str]:
    return {
        "bin_dir": str(node.bin),
        "conf_dir": str(node.directory / "conf"),
        "lib_dir": str(node.directory / "lib"),
    }


def killed_at(node: Node, step: int, end: Callable[[], object]) -> bool:
    """Kill `end` before its step number `step`, of kernel or journal; False: it had fewer."""

    def work() -> None:
        left = [step]

        def counted(real: Any) -> Any:
            def call(*given: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)

            return call

        steps = [(place, name) for place in (module, card) for name in ("realise", "unwire")]
        steps += [(Ledger, "rebridge"), (Ledger, "remember")]
        steps += [(module.install, "write_whole"), (module.install, "remove")]
        for place, name in steps:
            setattr(place, name, counted(getattr(place, name)))
        end()

    status = node.fork(work)
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_killed_before_each_step_and_finished_or_undone(
    live: Node, mode: str, finish: bool
) -> None:
    pods = wired(live, mode)
    step, refusals = 0, 0
    work = partial(migrate, OTHER[mode], live.settings, conflist(live))
    while killed_at(live, step, work):
        new = live.pod(f"{step + 100:064x}")
        answer = live.call("ADD", new, config=config(mode))
        if answer.status:
            assert answer.document["code"] == 11
            assert "podwire cni migrate" in answer.document["msg"]
            refusals += 1
        assert live.call("DEL", new, config=config(mode)).status == 0
        end = OTHER[mode] if finish else mode
        move(live, end)
        assert_all_well(live, end, pods)
        if finish:
            move(live, mode)
        step += 1
    assert refusals > 8
    assert_all_well(live, OTHER[mode], pods)


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_an_uninstallation_killed_before_each_step_is_finished_by_the_next(
    live: Node, mode: str
) -> None:
    before = card_state(live)
    step = 0
    wired(live, mode, 1)
    while killed_at(live, step, partial(leave, live, force=True)):
        leave(live, force=True)
        assert card_state(live) == before, f"killed before step {step}"
        assert (live.azv_links(), live.ledger().leases()) == ([], [])
        assert list(live.bin.glob("azure-vnet*")) == list(conflist(live).parent.iterdir()) == []
        put_plugins(live)
        wired(live, mode, 1)
        step += 1
    assert step >= (6 if mode == "bridge" else 2)
    assert card_state(live) == before


def card_state(node: Node) -> list[str]:
    routes = node.run("ip", "route").replace(" proto static", "").splitlines()
    addresses = node.run("ip", "-br", "-4", "addr").splitlines()
    return sorted(" ".join(one.split()) for one in routes + addresses)


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_uninstall_refuses_then_leaves_the_card_as_it_was(live: Node, mode: str) -> None:
    before = card_state(live)
    wired(live, mode)
    with pytest.raises(InvalidInputError, match="default/pod-0"):
        leave(live)
    assert conflist(live).exists()
    leave(live, force=True)
    assert card_state(live) == before
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
