"""Transparent mode as a runtime sees it, and a configuration that contradicts the node."""

from __future__ import annotations

from typing import Any

import pytest

from .node import CONFIG, NIC_MAC, NODE_IP, WIRE_SERVER, Node, inside, reach

ROUTED: dict[str, Any] = {**CONFIG, "mode": "transparent"}
LINK = "azvde46f835af8"


@pytest.fixture
def routed(node: Node) -> Node:
    """A node whose fabric delivers frames for pods to the NIC's MAC, as Azure's does."""
    for last in range(5, 35):
        neighbour = (f"10.220.2.{last}", "lladdr", NIC_MAC, "nud", "permanent", "dev", "fab0")
        inside(node.fabric, ["ip", "neigh", "replace", *neighbour])
    return node


def added(node: Node, letter: str, name: str = "") -> Any:
    pod = node.pod(letter * 64)
    pod.name = name or f"pod-{letter}"
    answer = node.call("ADD", pod, config=ROUTED)
    assert answer.status == 0, answer
    return pod


def test_the_card_stays_and_the_pod_is_routed(routed: Node) -> None:
    before = routed.run("ip", "route")
    pod = added(routed, "a", "nginx-7cf567cc7-bgc82")
    assert f"{NODE_IP}/24" in routed.run("ip", "-4", "addr", "show", "eth0")
    assert set(before.splitlines()) < set(routed.run("ip", "route").splitlines())
    assert f"10.220.2.5 dev {LINK}" in routed.run("ip", "route")
    assert "azure0" not in routed.run("ip", "link")
    assert "aa:aa:aa:aa:aa:aa" in routed.run("ip", "link", "show", LINK)
    routes = [" ".join(line.split()) for line in pod.run("ip", "route").splitlines()]
    assert routes == [
        "default via 169.254.1.1 dev eth0 proto static",
        "169.254.1.1 dev eth0 proto static scope link",
    ]
    assert "inet 10.220.2.5/24" in pod.run("ip", "addr", "show", "eth0")
    assert "PERMANENT" in pod.run("ip", "neigh", "show", "169.254.1.1")
    assert routed.run("cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"


def test_pods_reach_the_fabric_the_node_and_each_other_and_nobody_asks_for_them(
    routed: Node,
) -> None:
    first, second = added(routed, "a"), added(routed, "b")
    assert reach(first.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    for source, target in ((first, NODE_IP), (first, "10.220.2.6"), (second, "10.220.2.5")):
        source.run("ping", "-c1", "-W3", target)
    routed.run("ping", "-c1", "-W3", "10.220.2.6")
    for pod in (first, second):
        states = {line.split()[-1] for line in pod.run("ip", "neigh").splitlines()}
        assert states == {"PERMANENT"}


def test_the_mtu_is_the_cards_on_both_ends(routed: Node) -> None:
    routed.run("ip", "link", "set", "eth0", "mtu", "1400")
    pod = added(routed, "a", "nginx-7cf567cc7-bgc82")
    assert "mtu 1400" in routed.run("ip", "link", "show", LINK)
    assert "mtu 1400" in pod.run("ip", "link", "show", "eth0")


def test_again_check_and_del(routed: Node) -> None:
    pod = added(routed, "a")
    links = routed.run("ip", "-o", "link")
    assert routed.call("ADD", pod, config=ROUTED).status == 0
    assert routed.run("ip", "-o", "link") == links
    assert routed.call("CHECK", pod, config=ROUTED).status == 0
    for _ in range(2):
        answer = routed.call("DEL", pod, config=ROUTED)
        assert (answer.status, answer.stdout) == (0, "")
    assert (routed.wired(), routed.azv_links(), routed.ledger().leases()) == ([], [], [])
    assert "10.220.2.5" not in routed.run("ip", "route")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("ip route del 10.220.2.5/32", "route host 10.220.2.5/32"),
        ("ip neigh del 10.220.2.5 dev {link}", "neighbour host"),
        ("ip link set {link} address 02:00:00:00:00:01", "mac is"),
        ("ip link set {link} mtu 1300", "mtu is"),
        ("pod ip route del default", "route pod 0.0.0.0/0 eth0 is missing"),
        ("pod ip neigh del 169.254.1.1 dev eth0", "neighbour pod eth0 169.254.1.1 is missing"),
        ("pod ip route add 10.220.2.0/24 dev eth0", "prefix_route is True"),
        ("sysctl -w net.ipv4.ip_forward=0", "ip_forward"),
    ],
)
def test_check_names_what_was_changed_and_add_repairs_it(
    routed: Node, harm: str, said: str
) -> None:
    pod = added(routed, "a")
    (link,) = routed.azv_links()
    words = harm.format(link=link).split()
    pod.run(*words[1:]) if words[0] == "pod" else routed.run(*words)
    answer = routed.call("CHECK", pod, config=ROUTED)
    assert (answer.status, answer.document["code"]) == (1, 104), answer
    assert said in answer.document["msg"]
    assert routed.call("ADD", pod, config=ROUTED).status == 0
    assert routed.call("CHECK", pod, config=ROUTED).status == 0


def test_a_pod_made_again_under_its_name_outlives_the_old_ones_del(routed: Node) -> None:
    old, new = added(routed, "a", "web-0"), added(routed, "b", "web-0")
    assert reach(old.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    assert len(routed.azv_links()) == 2
    assert routed.call("DEL", old, config=ROUTED).status == 0
    assert routed.call("CHECK", new, config=ROUTED).status == 0
    assert reach(new.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    assert routed.call("DEL", old, config=ROUTED).status == 0
    assert routed.call("CHECK", new, config=ROUTED).status == 0
    # its link keeps its name though the other one is free now, also when it is repaired
    routed.run("ip", "route", "del", "10.220.2.6/32")
    assert routed.call("ADD", new, config=ROUTED).status == 0
    assert len(routed.azv_links()) == 1


def test_without_a_pods_name(routed: Node) -> None:
    pod = routed.pod("a" * 64)
    answer = routed.call("ADD", pod, config=ROUTED, CNI_ARGS="IgnoreUnknown=1")
    assert answer.status == 0, answer
    assert reach(pod.netns, WIRE_SERVER) == b"HTTP/1.0 200 OK"
    assert routed.call("DEL", pod, config=ROUTED, CNI_ARGS="").status == 0
    assert routed.azv_links() == []


def test_a_lost_ledger_is_rebuilt_from_routed_pods(routed: Node) -> None:
    pods = [added(routed, letter) for letter in "ab"]
    for file in (routed.directory / "state").glob("ledger.sqlite*"):
        file.unlink()
    assert routed.call("CHECK", added(routed, "c"), config=ROUTED).status == 0
    assert [one.address for one in routed.ledger().leases()] == [
        f"10.220.2.{last}" for last in (5, 6, 7)
    ]
    assert routed.call("ADD", pods[0], config=ROUTED).status == 0
    assert routed.call("CHECK", pods[0], config=ROUTED).status == 0
    for pod in routed.pods:
        assert routed.call("DEL", pod, config=ROUTED).status == 0
    assert (routed.azv_links(), routed.ledger().leases()) == ([], [])


@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize(
    ("wired", "wanted"), [("bridge", "transparent"), ("transparent", "bridge")]
)
def test_a_configuration_that_contradicts_the_node(
    routed: Node, wired: str, wanted: str, forget: bool
) -> None:
    first = routed.pod("a" * 64)
    assert routed.call("ADD", first, config={**CONFIG, "mode": wired}).status == 0
    if forget:
        for file in (routed.directory / "state").glob("ledger.sqlite*"):
            file.unlink()
    for verb, pod in (("ADD", routed.pod("b" * 64)), ("ADD", first)):
        answer = routed.call(verb, pod, config={**CONFIG, "mode": wanted})
        assert (answer.status, answer.document["code"]) == (1, 11), answer
        assert f"podwire cni migrate --to {wanted}" in answer.document["msg"]
    assert len(routed.azv_links()) == len(routed.ledger().leases()) == 1
    assert routed.call("DEL", first, config={**CONFIG, "mode": wanted}).status == 0
    assert routed.azv_links() == []


def test_the_log_tells_it_in_azures_words(routed: Node) -> None:
    pod = added(routed, "a", "nginx-7cf567cc7-bgc82")
    lines = [
        "Transparent client",
        f"[net] Creating veth pair {LINK} {LINK}2.",
        "[net] Adding route for the ip 10.220.2.5/32",
        f"[net] Setting link {LINK}2 netns {pod.netns.path}.",
        "[net] Adding IP address 10.220.2.5/24 to link eth0.",
    ]
    places = [routed.log.index(one) for one in lines]
    assert places == sorted(places)
    assert "Connecting interface" not in routed.log
