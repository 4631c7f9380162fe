"""The lab's agents: pods get their network from them, and also when they are dead or hang."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.harness import LabHarness, wait_for

AGENT = "/opt/cni/lib/podwire-agent"
FIND = "pgrep -f '^/usr/bin/python3 -IS /opt/cni/lib/podwire-agent'"
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: pause
    image: mcr.microsoft.com/oss/kubernetes/pause:1.3.1
    imagePullPolicy: IfNotPresent
"""
Start = Callable[[str], str]


@pytest.fixture(scope="module")
def node(lab: LabHarness) -> str:
    return lab.nodes()[1]


@pytest.fixture
def start(lab: LabHarness, node: str) -> Iterator[Start]:
    """Starts a pod on the node, by name; gives the pid, as the node sees it, of who wired it."""
    started: list[str] = []

    def one(name: str) -> str:
        started.append(name)
        lab.apply(POD.format(name=name, node=node))
        wait_for(f"{name} runs", lambda: runs(lab, name))
        log = lab.on_node(node, "cat /var/log/azure-vnet.log")
        done = re.findall(rf"\[(\d+)\] \[cni-net\] ADD .*err:<nil>\. Pod:default/{name} ", log)
        assert len(done) == 1, log
        return done[0]

    yield one
    lab.kubectl("delete", "pod", *started, "--ignore-not-found")


def runs(lab: LabHarness, name: str) -> bool:
    status = lab.get("pod", name)["status"]
    return status["phase"] == "Running" and bool(status["podIP"])


def agent(lab: LabHarness, node: str) -> str:
    """Its pid on the node; "" for none."""
    return lab.on_node(node, f"{FIND} || true").strip()


def metrics(lab: LabHarness, node: str) -> str:
    socket = "/run/podwire-cni/metrics.sock"
    return lab.on_node(node, f"curl -sS --unix-socket {socket} http://agent/metrics")


def counted(lab: LabHarness, node: str, verb: str) -> int:
    found = re.search(rf'podwire_cni_calls_total{{verb="{verb}"}} (\d+)', metrics(lab, node))
    return int(found.group(1)) if found else 0


@contextmanager
def broken(lab: LabHarness, node: str, breaking: str, mending: str) -> Iterator[None]:
    lab.on_node(node, breaking)
    try:
        yield
    finally:
        lab.on_node(node, mending)


def test_containerd_is_served_by_the_agent(lab: LabHarness, node: str, start: Start) -> None:
    before = counted(lab, node, "ADD"), counted(lab, node, "DEL")
    assert start("served") == agent(lab, node)
    lab.kubectl("delete", "pod", "served")
    wait_for("DEL", lambda: counted(lab, node, "DEL") > before[1])
    assert counted(lab, node, "ADD") == before[0] + 1


def test_an_operator_checks_a_pod_of_the_kubelet_on_its_node(
    lab: LabHarness, node: str, start: Start
) -> None:
    start("checked")
    address = lab.get("pod", "checked")["status"]["podIP"]
    find = "crictl pods -q --no-trunc --name checked"
    check = f"podwire cni check --container-id $({find}) --plugin azure-vnet"
    assert lab.on_node(node, f"{check} 2>&1") == ""
    lab.on_node(node, f"ip neigh del {address} dev azure0")
    said = lab.on_node(node, f"{check} 2>&1 || true")
    assert f"neighbour host azure0 {address} is missing" in said
    assert "ready" in lab.on_node(node, "podwire cni status --plugin azure-vnet")


def test_status_shows_each_nodes_agent(lab: LabHarness) -> None:
    names = {one["name"] for one in lab.status()["components"]}
    assert {f"{node}/podwire-agent" for node in lab.nodes()} <= names


def test_pods_start_while_the_agent_is_dead_and_it_comes_back(
    lab: LabHarness, node: str, start: Start
) -> None:
    killed = agent(lab, node)
    away = f"mv {AGENT} {AGENT}.away"
    with broken(lab, node, f"{away} && kill -KILL {killed}", f"mv {AGENT}.away {AGENT}"):
        assert start("alone") != killed
        assert agent(lab, node) == ""
    again = wait_for("the supervisor starts it again", lambda: agent(lab, node))
    wait_for("it listens", lambda: metrics(lab, node))
    assert start("served-again") == again


def test_pods_start_while_the_agent_hangs(lab: LabHarness, node: str, start: Start) -> None:
    hanging = wait_for("the agent", lambda: agent(lab, node))
    with broken(lab, node, f"kill -STOP {hanging}", f"kill -CONT {hanging}"):
        assert start("not-waiting") != hanging
    assert start("served-anew") == hanging
