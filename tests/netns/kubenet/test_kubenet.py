"""What the walkthrough's first chapter shows of a kubenet node, and that it stays so."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from podwire.cluster.kubenet_routes import RouteController
from podwire.model.route_table import NextHop, Route

from .conftest import NIC, NODE, Cluster

HOP = NextHop.VIRTUAL_APPLIANCE
SNAT = (
    "-A POSTROUTING ! -d 10.100.0.0/16 -m addrtype ! --dst-type LOCAL -m comment --comment "
    '"kubenet: SNAT for outbound traffic from cluster" -j MASQUERADE'
)


def until(holds: Callable[[], Any], what: str, seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.2)
    return value


def pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"}
    container |= spec
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"run": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> dict[str, str]:
    """Addresses by name."""
    port = [{"containerPort": 80, "hostPort": 8080}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"run": "web"}, "ports": [{"port": 80}]},
    }
    for one in (pod("web", "nginx", ports=port), pod("tools", "podwire/tools"), service):
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(one))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/tools", "--timeout=50s")
    return {one["metadata"]["name"]: one["status"]["podIP"] for one in cluster.get("pods")["items"]}


def test_pods_have_addresses_of_the_nodes_range_and_host_local_knows(
    cluster: Cluster, pods: dict[str, str]
) -> None:
    node = cluster.get("node", NODE)
    assert node["spec"]["podCIDR"] == "10.100.0.0/24"
    assert "taints" not in node["spec"]
    assert sorted(pods.values()) == ["10.100.0.2", "10.100.0.3"]
    held = cluster.on_node("ls /var/lib/cni/networks/kubenet").split()
    assert set(pods.values()) <= set(held)


def test_the_node_looks_as_in_the_walkthrough(cluster: Cluster, pods: dict[str, str]) -> None:
    bridge = cluster.on_node("ip addr show cbr0")
    assert "inet 10.100.0.1/24" in bridge
    until(lambda: "PROMISC" in cluster.on_node("ip link show cbr0"), "promiscuity")
    ports = cluster.on_node("brctl show cbr0").splitlines()[1:]
    names = [line.split()[-1] for line in ports]
    assert len(names) == 2
    assert all(re.fullmatch(r"veth[0-9a-f]{8}", one) for one in names)
    rows = {tuple(line.split()[i] for i in (0, 1, 2, 7)) for line in _route_n(cluster)}
    assert rows == {
        ("0.0.0.0", "10.220.1.1", "0.0.0.0", "eth0"),
        ("10.220.1.0", "0.0.0.0", "255.255.255.0", "eth0"),
        ("10.100.0.0", "0.0.0.0", "255.255.255.0", "cbr0"),
        ("168.63.129.16", "10.220.1.1", "255.255.255.255", "eth0"),
        ("169.254.169.254", "10.220.1.1", "255.255.255.255", "eth0"),
    }


def _route_n(cluster: Cluster) -> list[str]:
    return cluster.on_node("route -n").splitlines()[2:]


def test_a_pod_is_reached_through_its_service_its_host_port_and_by_itself(
    cluster: Cluster, pods: dict[str, str]
) -> None:
    vip = cluster.get("svc", "web")["spec"]["clusterIP"]
    curl = ("curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}")
    until(lambda: _answers(cluster, "tools", *curl, f"http://{vip}/"), "the service")
    for name in ("web", "tools"):
        for _ in range(5):
            assert _answers(cluster, name, *curl, f"http://{vip}/"), name
    assert _answers(cluster, "tools", *curl, f"http://{NIC.primary}:8080/")
    assert "html" in cluster.on_node(f"curl -sS -m 5 http://{vip}/")
    assert "html" in cluster.on_node(f"curl -sS -m 5 http://{pods['web']}/")


def _answers(cluster: Cluster, name: str, *command: str) -> bool:
    return cluster.kubectl("exec", name, "--", *command) == "200"


def test_a_pod_beyond_the_node_is_seen_as_the_node(cluster: Cluster, pods: dict[str, str]) -> None:
    """The VNet drops what comes from a pod's own address: this NIC forwards nothing."""
    version = ("curl", "-sk", "-m", "5", "https://172.31.0.4/version")
    assert "gitVersion" in cluster.kubectl("exec", "tools", "--", *version)


def _rules(cluster: Cluster) -> tuple[bool, list[str]]:
    """Whether the SNAT rule is there once and OUTPUT leads to KUBE-DEDUP once; its rules."""
    nat = cluster.on_node("iptables -t nat -S POSTROUTING").splitlines()
    table = cluster.on_node("ebtables -t filter -L").splitlines()
    found = [line for line in table if line.startswith("-p IPv4")]
    return nat.count(SNAT) == 1 and table.count("-j KUBE-DEDUP") == 1, found


def test_what_is_flushed_comes_back_and_is_not_written_twice(
    cluster: Cluster, pods: dict[str, str]
) -> None:
    mac = cluster.on_node("cat /sys/class/net/cbr0/address").strip()
    match = f"-p IPv4 -s {mac} -o veth+ --ip-src"
    whole = (True, [f"{match} 10.100.0.1 -j ACCEPT", f"{match} 10.100.0.0/24 -j DROP"])
    until(lambda: _rules(cluster) == whole, "the rules")
    chain = "nft -a list chain bridge filter KUBE-DEDUP | grep veth | grep -o 'handle [0-9]*$'"
    for harm in (
        "ebtables -t filter -F; ebtables -t filter -X; iptables -t nat -F POSTROUTING",
        "ip link set cbr0 promisc off; ebtables -t filter -F OUTPUT",
    ):
        before = cluster.on_node(chain)
        cluster.on_node(harm)
        until(lambda: _rules(cluster) == whole, f"all is back after: {harm}")
    assert cluster.on_node(chain) == before, "what is right is not written again"
    until(lambda: "PROMISC" in cluster.on_node("ip link show cbr0"), "promiscuity")
    assert cluster.on_node("cat /sys/class/net/cbr0/address").strip() == mac
    assert cluster.supervisor.running[f"{NODE}/kubenet-keeper"].restarts == 0


def test_a_pods_end_frees_its_address(cluster: Cluster, pods: dict[str, str]) -> None:
    cluster.kubectl("delete", "pod", "tools", "--wait=false")
    held = "ls /var/lib/cni/networks/kubenet"
    until(lambda: pods["tools"] not in cluster.on_node(held).split(), "host-local's file is gone")


def test_each_node_has_a_route_and_says_so(cluster: Cluster) -> None:
    given: list[tuple[Route, ...]] = []

    async def apply(routes: tuple[Route, ...]) -> None:
        given.append(routes)

    second = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "second"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.220.1.5"}]},
    }
    controller = RouteController(cluster.admin, apply)
    cluster.run(controller.once())
    assert given == [(Route(NODE, "10.100.0.0/24", HOP, NIC.primary),)]
    condition = next(
        one
        for one in cluster.get("node", NODE)["status"]["conditions"]
        if one["type"] == "NetworkUnavailable"
    )
    assert (condition["status"], condition["reason"]) == ("False", "RouteCreated")

    cluster.run(cluster.admin.post("/api/v1/nodes", second))

    def routed(count: int) -> bool:
        cluster.run(controller.once())
        return len(given[-1]) == count

    until(lambda: routed(2), "the second node's range")
    assert given[-1][1] == Route("second", "10.100.1.0/24", HOP, "10.220.1.5")
    cluster.run(cluster.admin.delete("/api/v1/nodes/second"))
    until(lambda: routed(1), "the second node's end")
    assert given[-1] == given[0]
    count = len(given)
    cluster.run(controller.once())
    assert len(given) == count, "what is so already is not applied again"
