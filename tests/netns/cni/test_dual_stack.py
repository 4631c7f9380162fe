"""A NIC with both families: both addresses in the pod, in both modes, and who reaches whom."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podwire.cni.migrate import migrate, uninstall
from podwire.ipam.source import parse_interfaces

from . import dual
from .dual import ELSEWHERE, NODE6, PREFIX, exchange, ping6
from .node import CONFIG, NIC_MAC, NODE_IP, URL, WIRE_SERVER, Node, Pod, inside, reach
from .operator import found, ipam, mended

MODES = ("bridge", "transparent")
FIRST, SECOND = f"{PREFIX}5", f"{PREFIX}6"
# A plain router asks for pods: transparent mode answers for them in neither family.
FABRICS = [("bridge", dual.azure), ("bridge", dual.plain), ("transparent", dual.azure)]
NODE_LINK_LOCAL = "fe80::20d:3aff:fe8a:50da"
OTHER = {"bridge": "transparent", "transparent": "bridge"}


def config(mode: str, **other: Any) -> dict[str, Any]:
    return {**CONFIG, "mode": mode, **other}


def added(node: Node, mode: str, letter: str, **other: Any) -> Pod:
    pod = node.pod(letter * 64)
    pod.name = f"pod-{letter}"
    pod.run("ip", "link", "set", "lo", "up")  # as the runtime's loopback plugin does
    answer = node.call("ADD", pod, config=config(mode, **other))
    assert answer.status == 0, answer
    return pod


def hear_wire_server(node: Node) -> None:
    with node.ledger() as ledger:
        ledger.merge(parse_interfaces(node.wire_server.document()), f"wire server {URL}")


def everybody_reaches_everybody(node: Node, first: Pod, second: Pod) -> None:
    for source, target, address in (
        (first.netns, second.netns, SECOND),
        (first.netns, first.netns, FIRST),
        (first.netns, node.netns, NODE6),
        (first.netns, node.fabric, ELSEWHERE),
        (node.netns, second.netns, SECOND),
        (node.fabric, second.netns, SECOND),
        (node.netns, node.fabric, ELSEWHERE),
    ):
        ping6(source, address)
        exchange(source, target, address)
    assert exchange(first.netns, second.netns, SECOND) == FIRST
    assert exchange(first.netns, node.fabric, ELSEWHERE) == FIRST
    assert reach(first.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"


@pytest.mark.parametrize(("mode", "fabric"), FABRICS)
def test_who_reaches_whom(node: Node, mode: str, fabric: Callable[[Node], Node]) -> None:
    fabric(node)
    first, second = added(node, mode, "a"), added(node, mode, "b")
    everybody_reaches_everybody(node, first, second)
    for pod in (first, second):
        assert node.call("CHECK", pod, config=config(mode)).status == 0
        assert node.call("DEL", pod, config=config(mode)).status == 0
    assert (node.azv_links(), node.ledger().leases(), node.wired()) == ([], [], [])
    for shown in ("route", "neigh", "neigh show proxy"):
        assert FIRST not in node.run("ip", "-6", *shown.split()), shown
    if mode == "bridge":
        assert FIRST not in node.run("nft", "list", "ruleset")


@pytest.mark.parametrize("mode", MODES)
def test_what_is_in_the_pod_and_in_the_answer(node: Node, mode: str) -> None:
    dual.azure(node)
    pod = added(node, mode, "a")
    shown = pod.run("ip", "-6", "addr", "show", "eth0", "scope", "global")
    assert f"inet6 {FIRST}/64 scope global nodad noprefixroute" in shown
    assert f"default via {dual.AZURE_GATEWAY} dev eth0" in pod.run("ip", "-6", "route")
    assert "10.220.2.5/24" in pod.run("ip", "-4", "addr", "show", "eth0")
    next_hop = pod.run("ip", "-6", "neigh", "show", dual.AZURE_GATEWAY)
    assert (NIC_MAC if mode == "bridge" else "aa:aa:aa:aa:aa:aa") in next_hop
    assert "PERMANENT" in next_hop

    again = node.call("ADD", pod, config=config(mode)).document
    assert [(one["version"], one["address"]) for one in again["ips"]] == [
        ("4", "10.220.2.5/24"),
        ("6", f"{FIRST}/64"),
    ]
    assert [one["dst"] for one in again["routes"]] == ["0.0.0.0/0", "::/0"]
    (lease,) = node.ledger().leases()
    assert (lease.cidr6, lease.subnet6) == (f"{FIRST}/64", dual.SUBNET6)
    old = node.call("ADD", pod, config=config(mode, cniVersion="0.2.0")).document
    assert (old["ip4"]["ip"], old["ip6"]["ip"]) == ("10.220.2.5/24", f"{FIRST}/64")


def test_on_the_wire_there_is_no_mac_of_a_pod(node: Node) -> None:
    dual.plain(node)
    first, second = added(node, "bridge", "a"), added(node, "bridge", "b")
    (router,) = re.findall("link/ether ([0-9a-f:]+)", inside(node.fabric, ["ip", "link"]))
    everyone = "ff02::1"
    with dual.wire(node) as wire:
        # From the pods' own subnet, and first: redirects have a limit by destination.
        ping6(node.fabric, SECOND, sender=dual.ROUTER6)
        everybody_reaches_everybody(node, first, second)
        ping6(first.netns, everyone, sender="eth0")
        wire.ask(FIRST, router, dual.PLAIN_GATEWAY)
        ping6(node.fabric, everyone, sender="fab0")
        frames = wire.frames()
    from_node = [one for one in frames if one.src != router]
    assert {one.src for one in from_node} == {NIC_MAC}
    assert {mac for one in from_node for mac in one.told} == {NIC_MAC}
    assert [one.icmp for one in from_node].count(dual.ADVERTISEMENT) >= 3
    assert {one.source for one in from_node} <= {NODE_LINK_LOCAL, NODE6, FIRST, SECOND, "::"}
    assert not [one for one in from_node if everyone == one.target]


def test_nothing_of_the_wire_is_bridged_to_pods(node: Node) -> None:
    """They would hear whoever calls himself a router there."""
    dual.plain(node)
    pod = added(node, "bridge", "a")
    ping6(node.fabric, "ff02::1", sender="fab0")  # the node's answer
    heard = dict(one.split() for one in pod.run("cat", "/proc/net/snmp6").splitlines())
    assert heard["Icmp6InEchos"] == "0"


def test_the_node_answers_for_its_pods_at_once(node: Node) -> None:
    """The kernel delays a proxy's answers at random, unless the question was for it alone."""
    dual.plain(node)
    added(node, "bridge", "a")
    node.run("sysctl", "-qw", "net.ipv6.neigh.azure0.proxy_delay=1000000")
    ping6(node.fabric, FIRST)


def test_the_node_asks_for_its_gateway_from_the_first_moment(node: Node) -> None:
    dual.azure(node)
    added(node, "bridge", "a")
    shown = node.run("ip", "-6", "addr", "show", "azure0")
    assert NODE_LINK_LOCAL in shown
    assert "tentative" not in shown


def test_a_bridge_that_forgot_where_a_pod_is_tells_the_wire_nothing(node: Node) -> None:
    dual.azure(node)
    added(node, "bridge", "a")
    (port,) = node.azv_links()
    with dual.wire(node) as wire:
        node.run("ip", "link", "set", "azure0", "type", "bridge", "fdb_flush")
        node.run("bridge", "link", "set", "dev", port, "learning", "off")
        ping6(node.netns, FIRST)
        assert not [one for one in wire.frames() if FIRST in (one.source, one.target)]


@pytest.mark.parametrize("mode", MODES)
def test_a_nic_without_ipv6_has_not_one_object_of_it(node: Node, mode: str) -> None:
    """But those that keep IPv6's router advertisements away, which were there before."""
    pod = added(node, mode, "a")
    for place in (node, pod):
        assert "global" not in place.run("ip", "-6", "addr")
        assert "default" not in place.run("ip", "-6", "route")
        assert "PERMANENT" not in place.run("ip", "-6", "neigh")
        assert place.run("ip", "-6", "neigh", "show", "proxy") == ""
    assert node.run("cat", "/proc/sys/net/ipv6/conf/all/forwarding") == "0\n"
    assert "ip6" not in node.run("nft", "list", "ruleset")
    assert "icmpv6" not in node.run("nft", "list", "ruleset")
    lines = [one for one in node.log.splitlines() if "net.ipv6" in one]
    assert all("accept_ra=0" in one for one in lines), lines


def test_a_nic_that_gains_ipv6_gives_it_to_the_pods_that_come_then(node: Node) -> None:
    """Also when nothing has set it up on the node: the NIC's is known from the wire server."""
    old = added(node, "bridge", "a")
    dual.azure(node)
    node.run("ip", "-6", "route", "del", "default")
    node.run("ip", "addr", "del", f"{NODE6}/128", "dev", "eth0")
    hear_wire_server(node)
    new = added(node, "bridge", "b")
    for pod in (old, new):
        assert node.call("CHECK", pod, config=config("bridge")).status == 0
    assert "global" not in old.run("ip", "-6", "addr")
    assert f"inet6 {NODE6}/128" in node.run("ip", "-6", "addr", "show", "azure0")
    ping6(new.netns, ELSEWHERE)


@pytest.mark.parametrize("mode", MODES)
def test_a_nic_that_loses_ipv6_leaves_it_to_the_pods_that_have_it(node: Node, mode: str) -> None:
    dual.azure(node)
    old = added(node, mode, "a")
    node.wire_server.primary6 = ""
    hear_wire_server(node)
    new = added(node, mode, "b")
    assert "global" not in new.run("ip", "-6", "addr")
    for pod in (old, new):
        assert node.call("CHECK", pod, config=config(mode)).status == 0
    ping6(old.netns, ELSEWHERE)
    assert node.call("DEL", old, config=config(mode)).status == 0
    added(node, mode, "c")
    assert node.call("CHECK", new, config=config(mode)).status == 0


@pytest.mark.parametrize("mode", MODES)
def test_exhaustion_of_ipv6_alone(node: Node, mode: str) -> None:
    dual.azure(node, count=1)
    first = added(node, mode, "a")
    refused = node.call("ADD", node.pod("b" * 64), config=config(mode))
    assert (refused.status, refused.document["code"]) == (1, 101)
    assert "IPv6" in refused.document["msg"]
    assert dual.SUBNET6 in refused.document["details"]
    assert len(node.ledger().leases()) == len(node.azv_links()) == 1
    assert node.call("DEL", first, config=config(mode)).status == 0
    assert node.call("ADD", node.pods[1], config=config(mode)).status == 0


def test_a_runtime_that_switched_ipv6_off_in_the_pod(node: Node) -> None:
    dual.azure(node)
    pod = node.pod("a" * 64)
    pod.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    assert node.call("ADD", pod, config=config("bridge")).status == 0
    ping6(pod.netns, ELSEWHERE)


@pytest.mark.parametrize("mode", MODES)
def test_check_compares_with_the_previous_result(node: Node, mode: str) -> None:
    dual.azure(node)
    pod = added(node, mode, "a")
    told = node.call("ADD", pod, config=config(mode)).document
    assert node.call("CHECK", pod, config=config(mode, prevResult=told)).status == 0
    told["ips"][1]["address"] = f"{SECOND}/64"
    said = node.call("CHECK", pod, config=config(mode, prevResult=told))
    assert said.document["code"] == 104
    assert f"prevResult has 10.220.2.5/24, {SECOND}/64" in said.document["msg"]


@pytest.mark.parametrize("mode", MODES)
def test_a_lost_ledger_is_rebuilt_with_both_addresses(node: Node, mode: str) -> None:
    dual.azure(node)
    pods = [added(node, mode, letter) for letter in "ab"]
    for file in (node.directory / "state").glob("ledger.sqlite*"):
        file.unlink()
    pods.append(added(node, mode, "c"))
    assert [(one.address, one.address6) for one in node.ledger().leases()] == [
        (f"10.220.2.{last}", f"{PREFIX}{last}") for last in (5, 6, 7)
    ]
    for pod in pods[:2]:
        assert node.call("ADD", pod, config=config(mode)).status == 0
    everybody_reaches_everybody(node, *pods[:2])
    for pod in pods:
        assert node.call("DEL", pod, config=config(mode)).status == 0
    assert node.ledger().leases() == []


def test_the_way_of_the_nics_own_addresses(node: Node) -> None:
    dual.plain(node)
    before = node.run("ip", "-6", "route", "show", "default").split()[:3]
    old = added(node, "bridge", "a")
    assert "global" not in node.run("ip", "-6", "addr", "show", "eth0")
    assert f"inet6 {NODE6}/64 scope global" in node.run("ip", "-6", "addr", "show", "azure0")
    route = node.run("ip", "-6", "route", "show", "default")
    assert route.split()[:3] == before
    assert "dev azure0" in route
    node.run("ip", "link", "del", "azure0")  # takes all of them along
    pod = added(node, "bridge", "b")
    assert f"inet6 {NODE6}/64 scope global" in node.run("ip", "-6", "addr", "show", "azure0")
    for one in (old, pod):
        assert node.call("CHECK", one, config=config("bridge")).status == 0
        ping6(one.netns, ELSEWHERE)
    ping6(node.netns, ELSEWHERE)


@pytest.mark.parametrize("mode", MODES)
def test_a_route_from_an_advertisement_outlives_forwarding(node: Node, mode: str) -> None:
    dual.azure(node)
    node.run("ip", "-6", "route", "del", "default")
    with dual.wire(node) as wire:
        wire.advertise(dual.AZURE_MAC, dual.AZURE_GATEWAY)
    assert "proto ra" in node.run("ip", "-6", "route", "show", "default")
    pod = added(node, mode, "a")
    ping6(pod.netns, ELSEWHERE)
    ping6(node.netns, ELSEWHERE)


@pytest.mark.parametrize("mode", MODES)
def test_there_and_back(node: Node, mode: str) -> None:
    dual.azure(node)
    conflist = Path(node.directory / "conf/10-azure.conflist")
    document = json.loads(conflist.read_text())
    document["plugins"][0]["mode"] = mode
    conflist.write_text(json.dumps(document))
    first, second = added(node, mode, "a"), added(node, mode, "b")
    for to in (OTHER[mode], mode):
        with node.netns.entered():
            assert migrate(to, node.settings, conflist).pods == 2
        everybody_reaches_everybody(node, first, second)
        for pod in (first, second):
            assert node.call("CHECK", pod, config=config(to)).status == 0
        card = "azure0" if to == "bridge" else "eth0"
        assert f"inet6 {NODE6}/128" in node.run("ip", "-6", "addr", "show", card)
        route = node.run("ip", "-6", "route", "show", "default").splitlines()
        assert [one.split()[2:5] for one in route] == [[dual.AZURE_GATEWAY, "dev", card]]
    for pod in (first, second):
        assert node.call("DEL", pod, config=config(mode)).status == 0
    assert (node.azv_links(), node.ledger().leases()) == ([], [])


def test_uninstall_gives_the_nic_its_ipv6_back(node: Node) -> None:
    dual.plain(node)
    before = node.run("ip", "-6", "route", "show", "default").split()[:5]
    added(node, "bridge", "a")
    places = {f"{one}_dir": str(node.directory / one) for one in ("bin", "conf", "lib")}
    with node.netns.entered():
        uninstall(node.settings, **places, force=True)
    assert f"inet6 {NODE6}/64" in node.run("ip", "-6", "addr", "show", "eth0")
    assert node.run("ip", "-6", "route", "show", "default").split()[:5] == before
    assert "azure0" not in node.run("ip", "link")
    ping6(node.netns, ELSEWHERE)


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
def test_our_ipam_gives_both_to_the_reference_plugins(
    node: Node, reference_plugins: Path, plugin: str
) -> None:
    (node.bin / plugin).symlink_to(reference_plugins / plugin)
    dual.azure(node)
    reference = {
        "cniVersion": "0.4.0",
        "name": "other",
        "type": plugin,
        "ipam": {"type": "azure-vnet-ipam"},
    }
    pod = node.pod("a" * 64)
    answer = node.call("ADD", pod, plugin, reference)
    assert answer.status == 0, answer
    shown = pod.run("ip", "addr", "show", "eth0")
    assert "inet 10.220.2.5/24" in shown
    assert f"inet6 {FIRST}/64" in shown
    assert NODE_IP in node.run("ip", "addr", "show", "eth0")
    assert node.call("DEL", pod, plugin, reference).status == 0
    assert node.ledger().leases() == []


@pytest.mark.parametrize("mode", MODES)
def test_the_operators_view(node: Node, mode: str) -> None:
    dual.azure(node)
    first, second = added(node, mode, "a"), added(node, mode, "b")
    assert found(node) == []
    shown = json.loads(ipam(node, "show", "-o", "json").stdout)["addresses"]
    held = {one["address"]: one["pod_name"] for one in shown if one["state"] == "attached"}
    assert held == {
        "10.220.2.5": first.name,
        FIRST: first.name,
        "10.220.2.6": second.name,
        SECOND: second.name,
    }
    with sqlite3.connect(node.directory / "state/ledger.sqlite") as db:
        db.execute("DELETE FROM lease WHERE container_id = ?", (first.id,))
    assert mended(node) == [("adopt", "10.220.2.5")]
    assert {one.address6 for one in node.ledger().leases()} == {FIRST, SECOND}
    assert found(node) == []
    ipam(node, "release", "--force", SECOND)
    assert SECOND not in node.run("ip", "-6", "route")
    assert [one.cidr6 for one in node.ledger().leases()] == [f"{FIRST}/64"]
