"""What kube-proxy needs of bridge mode: its iptables rules apply to bridged pods (br_netfilter)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from podwire.kernel import sysctl
from podwire.kernel.netns import NetNamespace
from tests.netns.kernel.conftest import Lab, Node, Pod, run

VIP = "10.200.0.9"


@contextmanager
def web_server(pod: Pod) -> Iterator[list[str]]:
    """Answers on port 80 of the pod with its address; the list fills with who asked."""
    seen: list[str] = []
    listener = pod.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("0.0.0.0", 80))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            seen.append(address[0])
            with connection:
                connection.sendall(pod.ip.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(namespace: NetNamespace) -> str:
    """Who answers at the service's address."""
    with namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        one.connect((VIP, 80))
        return one.recv(100).decode()


def serve_by(node: Node, backend: str) -> None:
    """As kube-proxy does: DNAT for all, masquerade for the hairpin alone."""
    run(node.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    to_backend = ("-d", VIP, "-p", "tcp", "--dport", "80", "-j", "DNAT")
    for chain in ("PREROUTING", "OUTPUT"):
        rule = ("iptables", "-t", "nat", "-A", chain, *to_backend, "--to-destination", backend)
        run(node.namespace, *rule)
    hairpin = ("-s", backend, "-d", backend, "-j", "MASQUERADE", "--random-fully")
    run(node.namespace, "iptables", "-t", "nat", "-A", "POSTROUTING", *hairpin)


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.nodes["node1"]


def test_bridged_frames_pass_iptables_by_default(node: Node) -> None:
    assert sysctl.read(node.namespace, "net/bridge/bridge-nf-call-iptables") == "1"


def test_service_with_a_pod_on_another_node(lab: Lab, node: Node) -> None:
    pod, backend = node.add_pod(), lab.nodes["node2"].add_pod()
    serve_by(node, backend.ip)
    with web_server(backend) as clients:
        assert ask(pod.namespace) == backend.ip
        assert ask(node.namespace) == backend.ip
    assert clients == [pod.ip, node.ip]


def test_service_with_a_pod_on_this_node(node: Node) -> None:
    pod, backend = node.add_pod(), node.add_pod()
    serve_by(node, backend.ip)
    with web_server(backend) as clients:
        assert ask(pod.namespace) == backend.ip
        assert ask(node.namespace) == backend.ip
    assert clients == [pod.ip, node.ip]


def test_pod_reaches_itself_by_its_service(node: Node) -> None:
    pod = node.add_pod()
    serve_by(node, pod.ip)
    with web_server(pod) as clients:
        assert ask(pod.namespace) == pod.ip
    assert clients == [node.ip]


def test_node_ports_as_a_router_for_the_fabric(lab: Lab, node: Node) -> None:
    """A load balancer's frame for this node, answered by a pod of another: out where it came in."""
    backend = lab.nodes["node2"].add_pod()
    serve_by(node, backend.ip)
    masquerade = ("-d", backend.ip, "-j", "MASQUERADE")
    run(node.namespace, "iptables", "-t", "nat", "-A", "POSTROUTING", *masquerade)
    run(lab.fabric, "ip", "route", "add", f"{VIP}/32", "via", node.ip, "dev", "nic-node1", "onlink")
    with web_server(backend) as clients:
        assert ask(lab.fabric) == backend.ip
    assert clients == [node.ip]
