"""Debian's podman with its CNI backend: `--network azure` is our conflist, unchanged."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .furnished import furnish
from .node import (
    GATEWAY,
    NODE_IP,
    WIRE_SERVER,
    Node,
    build,
    deliver_by_table,
    reach,
    set_mode,
)

PACKAGES = (
    *("podman", "crun", "conmon", "containernetworking-plugins"),
    *("busybox-static", "iptables", "nftables"),
)
# No systemd, no cgroups of its own, no registry.
_CONTAINERS = """
[containers]
cgroups = "disabled"
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{bin}", "/usr/lib/cni"]
network_config_dir = "{conf}"
"""
_STORAGE = """
[storage]
driver = "vfs"
graphroot = "{place}/root"
runroot = "{place}/run"
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Node]:
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    with ExitStack() as stack:
        node = build(tmp_path, stack)
        deliver_by_table(node)
        etc = {
            "containers/containers.conf": _CONTAINERS.format(
                bin=node.bin, conf=node.directory / "conf"
            ),
            "containers/storage.conf": _STORAGE.format(place=tmp_path / "storage"),
            "containers/policy.json": _POLICY,
        }
        furnish(node, PACKAGES, etc, own_pids=True)
        place = tmp_path / "image/bin"
        place.mkdir(parents=True)
        node.run("cp", "/bin/busybox", str(place))
        node.run("sh", "-c", f"tar -C {place.parent} -c . | podman import -q - localhost/busybox")
        yield node


def run(node: Node, name: str, *words: str, options: tuple[str, ...] = ()) -> None:
    """A container on our network."""
    named = ("--name", name, "--network", "azure", "--cap-add", "NET_RAW")
    image = ("localhost/busybox", "/bin/busybox", *words)
    node.run("podman", "run", "-d", *named, *options, *image)


def in_container(node: Node, name: str, *words: str) -> str:
    return node.run("podman", "exec", name, "/bin/busybox", *words)


def networks(node: Node, name: str) -> dict[str, Any]:
    (document,) = json.loads(node.run("podman", "inspect", name))
    return document["NetworkSettings"]["Networks"]["azure"]


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_containers_on_the_vnet(podman: Node, mode: str) -> None:
    node = podman
    set_mode(node, mode)
    for name in ("one", "two"):
        run(node, name, "sleep", "1000")
    assert networks(node, "one")["IPAddress"] == "10.220.2.5"
    assert networks(node, "one")["Gateway"] == GATEWAY
    prefix = networks(node, "one")["IPPrefixLen"]
    assert f"inet 10.220.2.5/{prefix}" in in_container(node, "one", "ip", "addr", "show", "eth0")
    assert networks(node, "one")["MacAddress"] in in_container(node, "one", "ip", "link")
    for address in (GATEWAY, NODE_IP, "10.220.2.6", WIRE_SERVER):
        in_container(node, "one", "ping", "-c1", "-W3", address)
    in_container(node, "two", "ping", "-c1", "-W3", "10.220.2.5")
    assert len(node.azv_links()) == 2

    (lease, _) = node.ledger().leases()
    assert (lease.pod_name, lease.ifname, lease.state) == ("one", "eth0", "attached")
    assert "nameserver 168.63.129.16" in in_container(node, "one", "cat", "/etc/resolv.conf")
    node.run("podman", "rm", "-f", "-t0", "one")
    assert [one.address for one in node.ledger().leases()] == ["10.220.2.6"]
    run(node, "three", "sleep", "1000")
    assert networks(node, "three")["IPAddress"] == "10.220.2.5"
    node.run("podman", "rm", "-f", "-t0", "--all")
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])


def test_a_container_stops_and_starts_again(podman: Node) -> None:
    node = podman
    run(node, "one", "sleep", "1000")
    node.run("podman", "stop", "-t0", "one")
    assert (node.wired(), node.ledger().leases()) == ([], [])
    node.run("podman", "start", "one")
    in_container(node, "one", "ping", "-c1", "-W3", GATEWAY)
    (lease,) = node.ledger().leases()
    assert lease.address == networks(node, "one")["IPAddress"]


@pytest.mark.parametrize("mode", ["bridge", "transparent"])
def test_a_host_port(podman: Node, mode: str) -> None:
    """By portmap, the conflist's second plugin. In bridge mode nobody else makes the node route."""
    node = podman
    set_mode(node, mode)
    if mode == "bridge":
        node.run("sysctl", "-w", "net.ipv4.ip_forward=1")
    serve = ("httpd", "-f", "-p", "80")
    run(node, "web", *serve, options=("-p", "8080:80"))
    assert reach(node.fabric, NODE_IP, 8080).startswith(b"HTTP/1.1 404")
    assert reach(node.netns, NODE_IP, 8080).startswith(b"HTTP/1.1 404")
    node.run("podman", "rm", "-f", "-t0", "web")
    assert "8080" not in node.run("iptables-save", "-t", "nat")


def test_an_asked_address(podman: Node) -> None:
    node = podman
    run(node, "one", "sleep", "1000", options=("--ip", "10.220.2.9"))
    assert networks(node, "one")["IPAddress"] == "10.220.2.9"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(node, "two", "sleep", "1000", options=("--ip", "10.220.2.9"))
    assert "Address already in use" in refused.value.stderr


def test_a_refusal_is_podmans_message(podman: Node) -> None:
    node = podman
    node.wire_server.addresses = node.wire_server.addresses[:1]
    run(node, "one", "sleep", "1000")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(node, "two", "sleep", "1000")
    assert "Failed to allocate address: No available addresses" in refused.value.stderr
    assert [one.pod_name for one in node.ledger().leases()] == ["one"]
