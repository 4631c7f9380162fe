"""A call that is killed at any point leaves nothing: the next call finishes or undoes it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from podwire.cni import endpoint, pods
from podwire.cni import node as node_part
from podwire.cni.azure_vnet import AzureVnet
from podwire.ipam.ledger import Ledger
from podwire.kernel.wire import realise, unwire
from podwire.model.cni import Request
from podwire.model.wiring import Wiring

from .node import CONFIG, WIRE_SERVER, Node, Pod, reach

DOOMED, NEXT = "d" * 64, "e" * 64
POD_OBJECTS = 9
NODE_OBJECTS = 10


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_realise(count: int) -> Callable[..., None]:
    """A realise that is killed after its first `count` objects."""

    def work(wiring: Wiring, places: object, told: object) -> None:
        realise(Wiring(wiring.objects[:count]), places, told)
        die()

    return work


def dying_unwire(count: int) -> Callable[..., None]:
    """An unwire that is killed after its first `count` objects: the wiring's last ones."""

    def work(wiring: Wiring, places: object) -> None:
        unwire(Wiring(wiring.objects[len(wiring) - count :]), places)
        die()

    return work


def killed(node: Node, pod: Pod, verb: str, patch: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Run the verb in a child that `patch` kills on its way."""
    request = Request.parse(node.environment(verb, pod), json.dumps(CONFIG).encode())

    def work() -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            patch(monkeypatch)
            plugin = AzureVnet(node.settings)
            plugin.add(request) if verb == "ADD" else plugin.delete(request)

    status = node.fork(work)
    assert os.WIFSIGNALED(status), f"the call was not killed, its status is {status}"


def assert_only(node: Node, pods_left: list[Pod]) -> None:
    """Ledger, links, neighbours, MAC NAT all tell of these pods and of no other."""
    leases = node.ledger().leases()
    assert sorted(one.container_id for one in leases) == sorted(one.id for one in pods_left)
    assert {one.state for one in leases} <= {"attached"}
    links = sorted(one.host_link for one in leases)
    assert sorted(node.azv_links()) == links
    assert sorted((one.ip, one.mac, one.host_link) for one in node.wired()) == sorted(
        (one.address, one.mac, one.host_link) for one in leases
    )
    rules = node.run("nft", "list", "table", "bridge", "azure-vnet")
    assert rules.count("azv") == 2 * len(links)  # the set `loop` names each port twice


def assert_next_call_repairs(node: Node, *others: Pod) -> None:
    pod = node.pod(NEXT)
    answer = node.call("ADD", pod)
    assert answer.status == 0, answer
    assert_only(node, [pod, *others])
    assert answer.document["ips"][0]["address"] == f"10.220.2.{5 + len(others)}/24"
    assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


@pytest.mark.parametrize("count", range(POD_OBJECTS + 1))
def test_add_killed_after_some_objects_of_the_pod(node: Node, count: int) -> None:
    killed(
        node,
        node.pod(DOOMED),
        "ADD",
        lambda patch: patch.setattr(pods, "realise", dying_realise(count)),
    )
    (lease,) = node.ledger().leases()
    assert lease.state == "pending"
    assert_next_call_repairs(node)


@pytest.mark.parametrize("count", range(0, NODE_OBJECTS + 1, 2))
def test_add_killed_after_some_objects_of_the_node(node: Node, count: int) -> None:
    killed(
        node,
        node.pod(DOOMED),
        "ADD",
        lambda patch: patch.setattr(node_part, "realise", dying_realise(count)),
    )
    assert_next_call_repairs(node)


@pytest.mark.parametrize("step", ["allocate", "attach"])
def test_add_killed_around_the_ledger(node: Node, step: str) -> None:
    killed(node, node.pod(DOOMED), "ADD", lambda patch: patch.setattr(Ledger, step, die))
    assert_next_call_repairs(node)


def test_add_killed_before_its_answer_is_ended_by_the_runtimes_del(node: Node) -> None:
    pod = node.pod(DOOMED)
    killed(node, pod, "ADD", lambda patch: patch.setattr(endpoint, "result_of", die))
    assert node.call("DEL", pod).status == 0
    assert_only(node, [])


def test_add_killed_before_its_answer_may_also_be_asked_again(node: Node) -> None:
    pod = node.pod(DOOMED)
    killed(node, pod, "ADD", lambda patch: patch.setattr(endpoint, "result_of", die))
    assert node.call("ADD", pod).document["ips"][0]["address"] == "10.220.2.5/24"
    assert_only(node, [pod])


@pytest.mark.parametrize("count", range(POD_OBJECTS + 1))
def test_del_killed_after_some_objects(node: Node, count: int) -> None:
    pod = node.pod(DOOMED)
    assert node.call("ADD", pod).status == 0
    killed(node, pod, "DEL", lambda patch: patch.setattr(pods, "unwire", dying_unwire(count)))
    (lease,) = node.ledger().leases()
    assert lease.state == "releasing"
    assert_next_call_repairs(node)
    assert node.call("DEL", pod).status == 0


@pytest.mark.parametrize("step", ["begin_release", "free"])
def test_del_killed_around_the_ledger_and_asked_again(node: Node, step: str) -> None:
    pod = node.pod(DOOMED)
    assert node.call("ADD", pod).status == 0
    killed(node, pod, "DEL", lambda patch: patch.setattr(Ledger, step, die))
    assert node.call("DEL", pod).status == 0
    assert_only(node, [])


def test_the_repair_of_a_killed_call_killed_too(node: Node) -> None:
    kill_add = lambda patch: patch.setattr(pods, "realise", dying_realise(6))  # noqa: E731
    kill_repair = lambda patch: patch.setattr(pods, "unwire", dying_unwire(5))  # noqa: E731
    killed(node, node.pod(DOOMED), "ADD", kill_add)
    killed(node, node.pod("c" * 64), "ADD", kill_repair)
    assert_next_call_repairs(node)


def test_a_pod_beside_a_killed_call_is_left_alone(node: Node) -> None:
    pod = node.pod("a" * 64)
    assert node.call("ADD", pod).status == 0
    kill_add = lambda patch: patch.setattr(pods, "realise", dying_realise(6))  # noqa: E731
    killed(node, node.pod(DOOMED), "ADD", kill_add)
    assert_next_call_repairs(node, pod)
    assert node.call("CHECK", pod).status == 0


def test_a_killed_call_and_then_a_lost_ledger(node: Node) -> None:
    kill_add = lambda patch: patch.setattr(pods, "realise", dying_realise(6))  # noqa: E731
    pod = node.pod(DOOMED)
    killed(node, pod, "ADD", kill_add)
    for file in (node.directory / "state").glob("ledger.sqlite*"):
        file.unlink()
    assert node.call("ADD", node.pod(NEXT)).document["ips"][0]["address"] == "10.220.2.6/24"
    assert node.call("DEL", pod).status == 0
    assert_only(node, [node.pods[-1]])
