"""A kubenet cluster of a lab that runs, as a reader of the walkthrough's first chapter sees it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from tests.e2e.harness import LabHarness, wait_for

_CURL = ("curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}")


def check_nodes(lab: LabHarness, pod_cidr: str) -> None:
    """Each node has a /24 of `pod_cidr` of its own, a bridge for it, and the routes of DHCP."""
    nodes = {one["metadata"]["name"]: one for one in lab.get("nodes")["items"]}
    ranges = [one["spec"]["podCIDR"] for one in nodes.values()]
    assert len(set(ranges)) == len(nodes)
    for name, node in nodes.items():
        own = ip_network(node["spec"]["podCIDR"])
        assert own.prefixlen == 24
        assert own.subnet_of(ip_network(pod_cidr))
        assert "taints" not in node["spec"]
        wait_for(f"a route to {name}", lambda name=name: _routed(lab, name), 60)
        routes = {tuple(line.split())[::7] for line in lab.on_node(name, "route -n").splitlines()}
        assert {("168.63.129.16", "eth0"), ("169.254.169.254", "eth0")} <= routes
        if _pods_on(lab, name):
            assert (str(own.network_address), "cbr0") in routes
            wait_for("cbr0 is promiscuous", lambda name=name: _promiscuous(lab, name))


def check_pods(lab: LabHarness, selector: str) -> None:
    """Pods (with curl) have addresses of their nodes' ranges and reach each other's port 80 as
    themselves, from node to node."""
    pods = [one for one in lab.pods(selector) if "podIP" in one["status"]]
    ranges = {one["metadata"]["name"]: one["spec"]["podCIDR"] for one in lab.get("nodes")["items"]}
    for pod in pods:
        own = ip_network(ranges[pod["spec"]["nodeName"]])
        assert ip_address(pod["status"]["podIP"]) in own
    for pod in pods:
        for other in pods:
            url = f"http://{other['status']['podIP']}/"
            assert lab.in_pod(pod["metadata"]["name"], *_CURL, url) == "200", (pod, other)


def _routed(lab: LabHarness, name: str) -> bool:
    conditions = lab.get("node", name)["status"]["conditions"]
    found = [one["status"] for one in conditions if one["type"] == "NetworkUnavailable"]
    return found == ["False"]


def _promiscuous(lab: LabHarness, name: str) -> bool:
    return "PROMISC" in lab.on_node(name, "ip link show cbr0")


def _pods_on(lab: LabHarness, name: str) -> bool:
    items = lab.get("pods", "-A", "--field-selector", f"spec.nodeName={name}")["items"]
    return any(not one["spec"].get("hostNetwork") for one in items)
