"""Who reaches whom: pods, nodes, services from every node, hairpin, the API, DNS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.harness import LabHarness, run, wait_for

TOOLS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: tools}
spec:
  selector: {matchLabels: {run: tools}}
  template:
    metadata: {labels: {run: tools}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: tools
        image: podwire/tools
        imagePullPolicy: IfNotPresent
"""
CURL = ("curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}")


@pytest.fixture(scope="module")
def tools(lab: LabHarness) -> list[dict[str, Any]]:
    lab.apply(TOOLS)
    lab.rolled_out("daemonset/tools")
    lab.rolled_out("deployment/nginx")
    return lab.pods("run=tools")


@pytest.fixture(scope="module")
def vip(lab: LabHarness, tools: list[dict[str, Any]]) -> str:
    return lab.get("svc", "nginx")["spec"]["clusterIP"]


def name(pod: dict[str, Any]) -> str:
    return pod["metadata"]["name"]


def address(pod: dict[str, Any]) -> str:
    return pod["status"]["podIP"]


def test_every_pod_reaches_every_nodes_pod(lab: LabHarness, tools: list[dict[str, Any]]) -> None:
    webs = lab.pods("run=nginx")
    for pod in tools:
        for web in webs:
            assert lab.in_pod(name(pod), *CURL, f"http://{address(web)}/") == "200"
        for other in tools:
            lab.in_pod(name(pod), "ping", "-c", "1", "-W", "2", address(other))


def test_a_pod_sees_the_client_as_it_is(lab: LabHarness, tools: list[dict[str, Any]]) -> None:
    web = lab.pods("run=nginx")[2]
    lab.in_pod(name(tools[0]), *CURL, f"http://{address(web)}/from-afar")
    wait_for(
        "the access log names the pod's own address",
        lambda: address(tools[0]) in lab.kubectl("logs", name(web), "--tail=20"),
        10,
    )


def test_the_service_answers_from_every_node_and_pod(
    lab: LabHarness, tools: list[dict[str, Any]], vip: str
) -> None:
    for node in lab.nodes():
        for _ in range(6):
            assert (
                lab.on_node(node, " ".join([*CURL[:-1], "'%{http_code}'", f"http://{vip}/"]))
                == "200"
            )
    for pod in tools:
        for _ in range(6):
            assert lab.in_pod(name(pod), *CURL, f"http://{vip}/") == "200"


def test_a_pod_reaches_itself_through_its_service(
    lab: LabHarness, tools: list[dict[str, Any]]
) -> None:
    pod = tools[0]
    lab.apply(f"""
apiVersion: v1
kind: Service
metadata: {{name: self}}
spec:
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Endpoints
metadata: {{name: self}}
subsets:
- addresses: [{{ip: {address(pod)}}}]
  ports: [{{port: 8080}}]
""")
    script = (
        "printf 'HTTP/1.0 200 OK\\r\\n\\r\\nmyself' | nc -l -p 8080 -q 1 >/dev/null & "
        "sleep 0.3; curl -sS -m 5 http://self.default/"
    )
    wait_for(
        "the hairpin answers",
        lambda: "myself" in lab.in_pod(name(pod), "/bin/sh", "-c", script),
        30,
    )
    lab.kubectl("delete", "service", "self")


def test_pods_reach_the_api_server(lab: LabHarness, tools: list[dict[str, Any]]) -> None:
    for pod in tools:
        out = lab.in_pod(name(pod), "curl", "-sk", "-m", "5", "https://kubernetes.default/version")
        assert "gitVersion" in out


def test_names_resolve_in_pods(lab: LabHarness, tools: list[dict[str, Any]], vip: str) -> None:
    for pod in tools:
        dig = ("dig", "+short", "+time=2", "+tries=1")
        assert lab.in_pod(name(pod), *dig, "nginx.default.svc.cluster.local").strip() == vip
        assert (
            lab.in_pod(name(pod), *dig, "kubernetes.default.svc.cluster.local").strip()
            == "10.200.0.1"
        )
        assert lab.in_pod(name(pod), "curl", "-sS", "-m", "5", "http://nginx/").count("nginx")
        missing = lab.in_pod(name(pod), "dig", "nothere.default.svc.cluster.local")
        assert "NXDOMAIN" in missing


def test_pods_resolve_node_names(lab: LabHarness, tools: list[dict[str, Any]]) -> None:
    node = lab.nodes()[1]
    assert lab.in_pod(name(tools[0]), "dig", "+short", node).strip() == "10.220.2.35"


def test_a_node_reaches_pods_here_and_there(lab: LabHarness, tools: list[dict[str, Any]]) -> None:
    for node in lab.nodes():
        for pod in tools:
            lab.on_node(node, f"ping -c 1 -W 2 {address(pod)}")


def test_a_pod_reaches_its_own_and_another_node(
    lab: LabHarness, tools: list[dict[str, Any]]
) -> None:
    for target in ("10.220.2.4", "10.220.2.35", "10.220.2.66"):
        lab.in_pod(name(tools[0]), "ping", "-c", "1", "-W", "2", target)


def test_the_wire_server_and_imds_answer_the_node(lab: LabHarness) -> None:
    node = lab.nodes()[0]
    path = "machine/plugins?comp=nmagent&type=getinterfaceinfov1"
    xml = lab.on_node(node, f"curl -sS -m 5 'http://168.63.129.16/{path}'")
    assert xml.count("<IPAddress ") == 31
    imds = "http://169.254.169.254/metadata/instance?api-version=2021-02-01"
    assert node in lab.on_node(node, f"curl -sS -m 5 -H Metadata:true '{imds}'")


def test_the_machine_has_the_api_on_loopback_and_nothing_else(lab: LabHarness) -> None:
    """The VNet is the lab's own: the daemon listens on the machine's loopback only."""
    api = lab.status()["clusters"][0]["api"]
    port = api.rpartition(":")[2]
    assert api.startswith("https://127.0.0.1:")
    listening = [line.split()[3] for line in run("ss", "-Htln").splitlines()]
    assert f"127.0.0.1:{port}" in listening
    ours = machine.processes("podwire.arm.daemon")
    assert ours
    for line in run("ss", "-Htlnp").splitlines():
        if any(f"pid={one.split()[0]}," in line for one in ours):
            assert line.split()[3].startswith("127.0.0.1:"), line
