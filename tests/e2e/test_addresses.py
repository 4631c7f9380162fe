"""Addresses: none leaks under churn; a full node says so and recovers by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import PODWIRE, LabHarness, wait_for

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{run: {name}}}}}
  template:
    metadata: {{labels: {{run: {name}}}}}
    spec:
      {where}
      terminationGracePeriodSeconds: 0
      containers:
      - name: pause
        image: mcr.microsoft.com/oss/kubernetes/pause:1.3.1
        imagePullPolicy: IfNotPresent
"""
HOLDER = """
apiVersion: v1
kind: Pod
metadata: {{name: holder}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: pause
    image: mcr.microsoft.com/oss/kubernetes/pause:1.3.1
    imagePullPolicy: IfNotPresent
"""


def ready(lab: LabHarness, deployment: str) -> int:
    return lab.get("deployment", deployment)["status"].get("readyReplicas", 0)


def gone(lab: LabHarness, name: str) -> bool:
    return not lab.get("pods", "-l", f"run={name}")["items"]


def pod_addresses(lab: LabHarness) -> dict[str, set[str]]:
    """Node -> addresses of its pods that are not on the host's network, says the API."""
    found: dict[str, set[str]] = {node: set() for node in lab.nodes()}
    for pod in lab.get("pods", "-A")["items"]:
        spec, status = pod["spec"], pod["status"]
        if not spec.get("hostNetwork") and status.get("podIP"):
            found[spec["nodeName"]].add(status["podIP"])
    return found


def kernel_addresses(lab: LabHarness, node: str) -> set[str]:
    """The pods that the kernel knows: permanent neighbours on azure0."""
    out = lab.on_node(node, "ip -j neigh show dev azure0 nud permanent")
    return {one["dst"] for one in json.loads(out or "[]")}


def nft_addresses(lab: LabHarness, node: str) -> set[str]:
    """The pods in the bridge table's MAC map."""
    out = json.loads(lab.on_node(node, "nft -j list map bridge azure-vnet pod_mac"))
    maps = [one["map"] for one in out["nftables"] if "map" in one]
    return {element[0] for one in maps for element in one.get("elem", [])}


def assert_all_agree(lab: LabHarness) -> None:
    """Ledger, kernel (neighbours, links, nft map) and API name the same pods, node by node; and
    `ipam check`, which asks the runtime too, finds nothing."""
    wanted = pod_addresses(lab)
    for node in lab.status()["nodes"]:
        name = node["name"]
        ledger = {one["address"] for one in node["addresses"]["holders"]}
        links = int(lab.on_node(name, "ls /sys/class/net | grep -c '^azv' || true"))
        assert ledger == wanted[name]
        assert kernel_addresses(lab, name) == wanted[name]
        assert nft_addresses(lab, name) == wanted[name]
        assert links == len(wanted[name])
        assert "nothing found: ledger, kernel and runtime" in lab.podwire(
            "ipam", "check", "--node", name
        )


def test_a_leak_on_a_node_is_named_and_ended(lab: LabHarness) -> None:
    lab.rolled_out("deployment/nginx")
    wait_for("ledger, kernel and API agree", lambda: assert_all_agree(lab) or True)
    node = lab.nodes()[0]
    lab.on_node(
        node, f"ip netns add leak && {PODWIRE} cni add --netns leak --pod default/leaky && "
        "ip netns del leak"
    )  # fmt: skip
    found = wait_for("the leak", lambda: _findings(lab, node))
    assert [(one["kind"], one["pod"], one["gc"]) for one in found] == [
        ("gone", "default/leaky", "free")
    ]
    address = found[0]["address"]
    assert f"freed {address}: its pod's link" in lab.podwire("ipam", "gc", "--node", node)
    shown = json.loads(lab.podwire("ipam", "show", "--node", node, "-o", "json"))["addresses"]
    states = {one["address"]: one["state"] for one in shown}
    assert states.pop(address) == "cooling"
    held = {one for one, state in states.items() if state == "attached"}
    assert held == pod_addresses(lab)[node]
    assert_all_agree(lab)


def _findings(lab: LabHarness, node: str) -> list[dict[str, Any]]:
    command = f"{PODWIRE} ipam check -o json || test $? = 1"
    return list(json.loads(lab.on_node(node, command))["findings"])


def test_churn_of_sixty_pods_leaks_nothing(lab: LabHarness) -> None:
    lab.rolled_out("deployment/nginx")
    lab.apply(DEPLOYMENT.format(name="churn", replicas=60, where=""))
    for _ in range(5):
        wait_for("60 pods ready", lambda: ready(lab, "churn") == 60, 240)
        lab.kubectl("scale", "deployment/churn", "--replicas=0")
        wait_for("no pod left", lambda: gone(lab, "churn"), 240)
        lab.kubectl("scale", "deployment/churn", "--replicas=60")
    wait_for("60 pods ready", lambda: ready(lab, "churn") == 60, 240)
    assert_all_agree(lab)
    lab.kubectl("delete", "deployment", "churn")
    wait_for("no pod left", lambda: gone(lab, "churn"), 240)
    wait_for("ledger, kernel and API agree", lambda: assert_all_agree(lab) or True)


@pytest.fixture
def full_node(lab: LabHarness) -> Iterator[str]:
    """A node that holds as many pods as its limit allows: one by name, the rest of a Deployment."""
    node = lab.nodes()[2]
    lab.apply(HOLDER.format(node=node))
    where = f"nodeSelector: {{kubernetes.io/hostname: {node}}}"
    lab.apply(DEPLOYMENT.format(name="full", replicas=31, where=where))
    yield node
    lab.kubectl("delete", "deployment/full", "pod/holder", "--ignore-not-found")
    wait_for("no pod left", lambda: gone(lab, "full"), 240)


def events_of(lab: LabHarness, name: str) -> str:
    items = lab.get("events")["items"]
    mine = [one for one in items if one["involvedObject"]["name"].startswith(name)]
    return "\n".join(one["message"] for one in mine)


def test_max_pods_is_the_schedulers_limit_first_and_the_nics_after(
    lab: LabHarness, full_node: str
) -> None:
    node = lab.get("node", full_node)
    assert node["status"]["capacity"]["pods"] == "30"
    wait_for(
        "the scheduler's reason",
        lambda: "Too many pods" in events_of(lab, "full-"),
        120,
    )
    _raise_limit(lab, full_node, 40)
    lab.kubectl("scale", "deployment/full", "--replicas=36")
    wait_for(
        "azure-vnet's words in the pod's events",
        lambda: "No available addresses" in events_of(lab, "full-"),
        120,
    )
    wait_for("all addresses held by ready pods", lambda: _ready_on(lab, full_node) == 30, 60)
    used = {one["name"]: one["addresses"]["used"] for one in lab.status()["nodes"]}
    assert used[full_node] == 30
    ran = ready(lab, "full")
    lab.kubectl("delete", "pod", "holder")
    wait_for("a waiting pod takes the freed address", lambda: ready(lab, "full") == ran + 1, 180)


def _ready_on(lab: LabHarness, node: str) -> int:
    """Ready pods that have an address of their own."""
    items = lab.get("pods", "-A", f"--field-selector=spec.nodeName={node}")["items"]
    return sum(
        any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        for conditions in (
            pod["status"].get("conditions", ())
            for pod in items
            if not pod["spec"].get("hostNetwork")
        )
    )


def _raise_limit(lab: LabHarness, node: str, pods: int) -> None:
    """As an operator would on the node: edit the kubelet's configuration, end the kubelet."""
    lab.on_node(
        node,
        f'sed -i \'s/maxPods: 30/maxPods: {pods}/; s/"maxPods": 30/"maxPods": {pods}/\' '
        "$(tr '\\0' '\\n' < /proc/$(pgrep -xo kubelet)/cmdline | sed -n 's/^--config=//p') && "
        "kill $(pgrep -xo kubelet)",
    )
    wait_for(
        "the node's new limit",
        lambda: lab.get("node", node)["status"]["capacity"]["pods"] == str(pods),
        90,
    )
