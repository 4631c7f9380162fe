"""The resident agent behind its shims, in a real node namespace."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from podwire.cni.agent.work import Work
from podwire.kernel.rtnetlink import RtNetlink

from .node import WIRE_SERVER, Node, reach, until
from .resident import resident, socket_of


@pytest.fixture(params=["c", "python"])
def agent(node: Node, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    with resident(node, request.param, seconds=1) as process:
        yield process


def gauges(node: Node) -> dict[str, float]:
    settings = replace(node.settings, cooling_seconds=1000.0)
    with node.netns.entered(), closing(Work(settings)) as work:
        lines = work.exposition().splitlines()
    pairs = (one.split() for one in lines if one.startswith(("podwire_ipam", "podwire_ledger")))
    return {name.removeprefix("podwire_ipam_"): float(value) for name, value in pairs}


def test_the_gauges_tell_what_is_free_cooling_held_and_leaked(node: Node) -> None:
    assert gauges(node) == {}
    first, second, third = (node.pod(letter * 64) for letter in "abc")
    for pod in (first, second, third):
        assert node.call("ADD", pod).status == 0
    assert node.call("DEL", second).status == 0
    third.netns.close()
    until(lambda: len(node.azv_links()) == 1)
    told = gauges(node)
    assert told.pop("podwire_ledger_bytes") > 0
    assert told == {
        "addresses_free": 27,
        "addresses_cooling": 1,
        "addresses_used": 2,
        "addresses_leaked": 1,
        "leases_working": 0,
    }


def all_stopped(pid: int) -> bool:
    """Whether no thread runs any more: proc_pid_stat(5), the state."""
    stats = (one.read_text() for one in Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(one.rpartition(")")[2].split()[0] == "T" for one in stats)


def test_the_agent_answers_and_its_absence_or_hang_fails_no_call(
    node: Node, agent: subprocess.Popen[bytes]
) -> None:
    first, second, third = (node.pod(letter * 64) for letter in "abc")
    assert node.call("ADD", first).status == 0
    assert f"[{agent.pid}]" in node.log
    agent.send_signal(signal.SIGSTOP)
    until(lambda: all_stopped(agent.pid), "a thread of the agent goes on")
    assert node.call("ADD", second).status == 0
    agent.send_signal(signal.SIGCONT)
    agent.kill()
    agent.wait()
    assert node.call("ADD", third).status == 0
    assert len(node.wired()) == 3
    assert all(node.call("DEL", pod).status == 0 for pod in (first, second, third))
    settled(node)


def test_who_only_looks_whether_the_agent_is_there_does_no_harm_before_the_first_pod(
    node: Node, agent: subprocess.Popen[bytes]
) -> None:
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(socket_of(node)))
    pod = node.pod("a" * 64)
    assert node.call("VERSION", pod).status == 0
    assert node.call("ADD", pod).status == 0
    assert f"[{agent.pid}]" in node.log


def test_what_was_deleted_answers_no_more_and_is_not_handed_out_before_its_link_is_gone(
    node: Node, agent: subprocess.Popen[bytes]
) -> None:
    pods = [node.pod(letter * 64) for letter in "abc"]
    address = node.call("ADD", pods[0]).document["ips"][0]["address"].partition("/")[0]
    for _ in range(5):
        assert node.call("DEL", pods[0]).status == 0
        assert node.azv_links() == []
        with RtNetlink(pods[0].netns) as door:
            assert door.link("eth0") is None
        assert address not in [one.ip for one in node.wired()]
        again = node.call("ADD", pods[1]).document["ips"][0]["address"].partition("/")[0]
        assert len(node.azv_links()) == 1, again
        assert node.call("DEL", pods[1]).status == 0
        assert node.call("DEL", pods[1]).status == 0, "twice"
        assert node.call("ADD", pods[0]).status == 0, "the container that was just deleted"
    assert node.call("DEL", pods[0]).status == 0
    settled(node)


def test_the_last_address_is_free_for_the_next_call_at_once(
    node: Node, agent: subprocess.Popen[bytes]
) -> None:
    node.wire_server.addresses = node.wire_server.addresses[:2]
    pods = [node.pod(letter * 64) for letter in "abc"]
    assert [node.call("ADD", one).status for one in pods] == [0, 0, 1]
    for old, new in ((0, 2), (1, 0), (2, 1)):
        assert node.call("DEL", pods[old]).status == 0
        assert node.call("ADD", pods[new]).status == 0


HARMS = (
    "ip link del azure0",
    "ip link set azure0 down",
    "ip link set eth0 nomaster",
    "ip addr del 10.220.2.4/24 dev azure0",
    "ip route del default",
    "nft flush ruleset",
    "nft flush chain bridge azure-vnet to_fabric",
    "nft delete table bridge azure-vnet",
)


def test_what_somebody_does_to_the_node_is_seen_at_the_next_call(
    node: Node, agent: subprocess.Popen[bytes]
) -> None:
    first = node.pod("a" * 64)
    for number, harm in enumerate(("true", "true", *HARMS)):
        node.run(*harm.split())
        pod = node.pod(f"{number:064x}")
        assert node.call("ADD", pod).status == 0, harm
        assert reach(pod.netns, WIRE_SERVER).startswith(b"HTTP/1.0 200"), harm
        assert node.call("CHECK", pod).status == 0, harm
        assert node.call("DEL", pod).status == 0
    assert node.call("DEL", first).status == 0
    settled(node)


def settled(node: Node) -> None:
    """Nothing is left of any pod, soon."""
    for _ in range(200):
        with node.ledger() as ledger:
            if not ledger.leases() and not node.azv_links():
                return
        time.sleep(0.02)
    pytest.fail(f"{node.azv_links()} stay")
