"""Beside the reference plugins: our IPAM under their bridge, their portmap and IPAM with ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from .furnished import furnish, program, wait_for
from .node import CONFIG, NODE_IP, WIRE_SERVER, Node, Pod, build, reach

BRIDGE = {
    "cniVersion": "0.4.0",
    "name": "other",
    "type": "bridge",
    "bridge": "br0",
    "isGateway": False,
    "ipam": {"type": "azure-vnet-ipam"},
}
EXHAUSTED = "Failed to allocate address: No available addresses"


@pytest.fixture
def mixed(node: Node, reference_plugins: Path) -> Node:
    """A node whose plugin directory has both ours and the reference ones."""
    for name in ("bridge", "portmap", "host-local", "static"):
        (node.bin / name).symlink_to(reference_plugins / name)
    return node


@pytest.mark.parametrize("version", ["0.2.0", "0.3.1", "0.4.0", "1.0.0"])
def test_our_ipam_under_the_reference_bridge(mixed: Node, version: str) -> None:
    config = {**BRIDGE, "cniVersion": version}
    pod = mixed.pod("a" * 64)
    answer = mixed.call("ADD", pod, "bridge", config)
    assert answer.status == 0, answer
    assert "10.220.2.5/24" in answer.stdout
    assert "inet 10.220.2.5/24" in pod.run("ip", "addr", "show", "eth0")
    assert "default via 10.220.2.1" in pod.run("ip", "route")
    (lease,) = mixed.ledger().leases()
    assert (lease.state, lease.container_id, lease.host_link) == ("attached", pod.id, "")

    assert mixed.call("DEL", pod, "bridge", config).status == 0
    assert mixed.ledger().leases() == []


def test_the_pool_under_the_reference_bridge_runs_out_and_is_refilled(mixed: Node) -> None:
    mixed.wire_server.addresses = mixed.wire_server.addresses[:2]
    pods = [mixed.pod(letter * 64) for letter in "abc"]
    for pod in pods[:2]:
        assert mixed.call("ADD", pod, "bridge", BRIDGE).status == 0
    refused = mixed.call("ADD", pods[2], "bridge", BRIDGE)
    assert (refused.status, refused.document["code"]) == (1, 101)
    assert refused.document["msg"] == EXHAUSTED
    for pod in (pods[0], pods[2]):  # a runtime ends a failed ADD by a DEL
        assert mixed.call("DEL", pod, "bridge", BRIDGE).status == 0
    assert mixed.call("ADD", pods[2], "bridge", BRIDGE).status == 0


def test_our_ipam_alone(node: Node) -> None:
    pod = node.pod("a" * 64)
    config = {"cniVersion": "0.3.0", "name": "n", "ipam": {"type": "azure-vnet-ipam"}}
    expected = {
        "cniVersion": "0.3.0",
        "ips": [{"version": "4", "address": "10.220.2.5/24", "gateway": "10.220.2.1"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.220.2.1"}],
        "dns": {"nameservers": [WIRE_SERVER]},
    }
    plugin = "azure-vnet-ipam"
    assert node.call("CHECK", pod, plugin, config).document["code"] == 3
    for _ in range(2):
        assert node.call("ADD", pod, plugin, config).document == expected
    assert node.call("CHECK", pod, plugin, config).stdout == ""

    asked = {**config, "ipam": {**config["ipam"], "ipAddress": "10.220.2.5"}}
    taken = node.call("ADD", node.pod("b" * 64), plugin, asked)
    assert taken.document["msg"] == "Failed to allocate address: Address already in use"
    asked["ipam"]["ipAddress"] = "10.220.9.9"
    unknown = node.call("ADD", node.pods[1], plugin, asked)
    assert unknown.document["msg"] == "Failed to allocate address: Address not found"

    for _ in range(2):
        answer = node.call("DEL", pod, plugin, config)
        assert (answer.status, answer.stdout) == (0, "")
    assert node.ledger().leases() == []
    assert "Processing ADD command" in (node.directory / "log/azure-vnet-ipam.log").read_text()


def test_our_ipam_does_not_free_what_azure_vnet_wired(node: Node) -> None:
    pod = node.pod("a" * 64)
    assert node.call("ADD", pod).status == 0
    assert node.call("DEL", pod, "azure-vnet-ipam").status == 0
    assert [one.address for one in node.ledger().leases()] == ["10.220.2.5"]


def test_portmap_after_azure_vnet(mixed: Node) -> None:
    """The next plugin of the conflist, with a host port, as a runtime chains it."""
    pod = mixed.pod("a" * 64)
    result = mixed.call("ADD", pod).document
    ports = {
        "cniVersion": "0.3.0",
        "name": "azure",
        "type": "portmap",
        "snat": True,
        "runtimeConfig": {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        },
        "prevResult": result,
    }
    answer = mixed.call("ADD", pod, "portmap", ports)
    assert answer.status == 0, answer
    assert answer.document["ips"] == result["ips"]
    rules = mixed.run("iptables-save", "-t", "nat")
    assert "--to-destination 10.220.2.5:80" in rules
    assert mixed.call("DEL", pod, "portmap", ports).status == 0


def test_another_ipam_is_executed_and_its_address_wired(mixed: Node) -> None:
    pod = mixed.pod("a" * 64)
    config = host_local(mixed, "10.220.2.100", "10.220.2.101")
    answer = mixed.call("ADD", pod, config=config)
    assert answer.status == 0, answer
    assert answer.document["ips"][0]["address"] == "10.220.2.100/24"
    assert mixed.call("ADD", pod, config=config).document == answer.document
    assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    pod.run("ping", "-c1", "-W3", NODE_IP)

    assert mixed.call("DEL", pod, config=config).status == 0
    assert held(mixed) == []
    assert (mixed.wired(), mixed.azv_links(), mixed.ledger().leases()) == ([], [], [])


def test_a_failed_add_gives_another_ipams_address_back(mixed: Node) -> None:
    pod: Pod = mixed.pod("a" * 64)
    pod.run("ip", "link", "add", "eth0", "type", "bridge")
    config = host_local(mixed, "10.220.2.100", "10.220.2.100")
    answer = mixed.call("ADD", pod, config=config)
    assert answer.status == 1
    assert held(mixed) == []
    assert mixed.ledger().leases() == []

    full = mixed.pod("b" * 64)
    assert mixed.call("ADD", full, config=config).status == 0
    refused = mixed.call("ADD", mixed.pod("c" * 64), config=config)
    assert "no IP addresses available" in refused.document["msg"]
    assert [one.container_id for one in mixed.ledger().leases()] == [full.id]


def test_an_ipam_that_is_not_installed(node: Node) -> None:
    config = {**CONFIG, "ipam": {"type": "azure-cns"}}
    answer = node.call("ADD", node.pod("a" * 64), config=config)
    assert (answer.status, answer.document["code"]) == (1, 105)
    assert "azure-cns" in answer.document["msg"]
    assert str(node.bin) in answer.document["msg"]
    assert node.ledger().leases() == []


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[Node]:
    """With Debian's dhcp plugin, its daemon, and a DHCP server on the fabric."""
    with ExitStack() as stack:
        node = build(tmp_path, stack)
        furnish(node, ("dnsmasq-base", "containernetworking-plugins"), {})
        (node.bin / "dhcp").symlink_to("/usr/lib/cni/dhcp")
        served = ("--interface=fab0", "--bind-interfaces", "--port=0", "--user=root", "--no-ping")
        leases = (f"--dhcp-leasefile={tmp_path}/leases", "--dhcp-range=10.220.2.200,10.220.2.201")
        fabric = replace(node, entry=(*node.entry[:-1], f"--net={node.fabric.path}"))
        stack.enter_context(program(fabric, "dnsmasq", "--no-daemon", *served, *leases))
        daemon = ("/usr/lib/cni/dhcp", "daemon", "-socketpath", f"{tmp_path}/dhcp.sock")
        stack.enter_context(program(node, *daemon))
        wait_for(node, "test", "-S", f"{tmp_path}/dhcp.sock")
        yield node


def test_dhcp_asks_through_the_pods_link(leased: Node) -> None:
    node, pods = leased, [leased.pod(letter * 64) for letter in "ab"]
    ipam = {"type": "dhcp", "daemonSocketPath": f"{node.directory}/dhcp.sock"}
    config = {**CONFIG, "ipam": ipam}
    addresses = set()
    for pod in pods:
        answer = node.call("ADD", pod, config=config)
        assert answer.status == 0, answer
        assert node.call("ADD", pod, config=config).document == answer.document
        addresses.add(answer.document["ips"][0]["address"])
        assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    assert addresses == {"10.220.2.200/24", "10.220.2.201/24"}
    for pod in pods:
        assert node.call("DEL", pod, config=config).status == 0
    assert (node.wired(), node.azv_links(), node.ledger().leases()) == ([], [], [])

    lost = {**config, "ipam": {**ipam, "daemonSocketPath": "/nowhere"}}
    assert "/nowhere" in node.call("ADD", pods[0], config=lost).document["msg"]
    assert node.azv_links() == []
    assert node.call("DEL", pods[0], config=config).status == 0
    assert node.ledger().leases() == []


def test_dhcp_cannot_ask_in_transparent_mode(mixed: Node) -> None:
    (mixed.bin / "dhcp").symlink_to(mixed.bin / "static")
    config = {**CONFIG, "mode": "transparent", "ipam": {"type": "dhcp"}}
    refused = mixed.call("ADD", mixed.pod("a" * 64), config=config)
    assert (refused.status, refused.document["code"]) == (1, 7)
    assert "set mode to bridge" in refused.document["msg"]
    assert (mixed.azv_links(), mixed.ledger().leases()) == ([], [])


def host_local(node: Node, first: str, last: str) -> dict:
    pool = {"subnet": "10.220.2.0/24", "rangeStart": first, "rangeEnd": last}
    ranges = [[{**pool, "gateway": "10.220.2.1"}]]
    ipam = {"type": "host-local", "dataDir": str(node.directory / "host-local"), "ranges": ranges}
    return json.loads(json.dumps({**CONFIG, "ipam": ipam}))


def held(node: Node) -> list[str]:
    found = (node.directory / "host-local").glob("azure/10.*")
    return sorted(one.name for one in found)
