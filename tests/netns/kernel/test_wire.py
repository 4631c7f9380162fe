"""realise, unwire, observe: idempotent, repairing, and leaving nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model import bridge_mode
from podwire.model.errors import KernelError
from podwire.model.wiring import (
    Address,
    Bridge,
    BridgePort,
    Difference,
    Element,
    KernelObject,
    Neighbour,
    Route,
    Sysctl,
    Table,
    Veth,
    Wiring,
    diff,
)
from tests.netns.kernel.conftest import BRIDGE, Lab, Node, Pod, pings, run, state_of


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.nodes["node1"]


@pytest.fixture
def places() -> Iterator[dict[str, NetNamespace]]:
    with NetNamespace.create() as one, NetNamespace.create() as other:
        yield {"a": one, "b": other}


def lacking(wiring: Wiring, places: dict[str, NetNamespace]) -> tuple[Difference, ...]:
    return diff(wiring, wire.observe(wiring, places))


def test_node_and_pod_are_as_wanted(node: Node) -> None:
    pod = node.add_pod()
    assert lacking(node.wiring, node.places) == ()
    assert lacking(pod.wiring, pod.places) == ()


def test_realising_again_changes_nothing(node: Node) -> None:
    pod = node.add_pod()
    before = state_of(node.namespace), state_of(pod.namespace)
    node.realise()
    pod.realise()
    assert (state_of(node.namespace), state_of(pod.namespace)) == before


def test_second_realisation_starts_no_process(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = node.new_pod()
    monkeypatch.setenv("PATH", "/nonexistent")
    node.realise()
    pod.realise()


def test_observe_fills_in_the_macs(node: Node) -> None:
    pod = node.add_pod()
    seen = wire.observe(pod.wiring, pod.places).objects[0]
    with RtNetlink(node.namespace) as door:
        port = door.link(pod.host_veth)
    assert isinstance(seen, Veth)
    assert port is not None
    assert (seen.mac, seen.peer_mac) == (port.mac, pod.network.mac)


class Vanishing(dict[str, NetNamespace]):
    """Places where a link is deleted just before its second object is looked at."""

    link, asked = "", 0

    def __contains__(self, place: object) -> bool:
        self.asked += 1
        if self.asked == 4:  # the first object asks thrice, and its index is known from then on
            run(self["a"], "ip", "link", "delete", self.link)
        return super().__contains__(place)


@pytest.mark.parametrize(
    "second",
    [
        Address("a", "veth1", "10.1.0.2/24"),
        Route("a", "10.2.0.0/16", "veth1"),
        Neighbour("a", "veth1", "10.1.0.9", "02:00:00:00:00:09"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_goes_away_while_it_is_looked_at_is_not_there(
    places: dict[str, NetNamespace], second: KernelObject
) -> None:
    first = Address("a", "veth1", "10.1.0.1/24")
    wire.realise(Wiring.of([Veth("a", "veth1", "b", "veth2"), first, second]), places)
    vanishing = Vanishing(places)
    vanishing.link = "veth1"
    assert wire.observe(Wiring.of([first, second]), vanishing).objects == (first,)


def test_unwire_leaves_nothing(node: Node) -> None:
    before = state_of(node.namespace)
    pod = node.new_pod()
    inside = state_of(pod.namespace)
    pod.realise()
    assert state_of(node.namespace) != before
    pod.unwire()
    assert state_of(node.namespace) == before
    assert state_of(pod.namespace) == inside
    pod.unwire()


def test_unwired_node_has_neither_bridge_nor_table(node: Node) -> None:
    wire.unwire(node.wiring, node.places)
    assert "azure" not in state_of(node.namespace)
    wire.unwire(node.wiring, node.places)


@pytest.mark.parametrize("made", range(10))
def test_half_a_pod_is_unwired_and_finished(node: Node, made: int) -> None:
    """Killed after any object: undone by DEL, or finished by the next ADD."""
    pod = node.new_pod()
    before = state_of(node.namespace)
    half = Wiring(pod.wiring.objects[:made])
    wire.realise(half, pod.places)
    pod.unwire()
    assert state_of(node.namespace) == before
    wire.realise(half, pod.places)
    pod.realise()
    assert lacking(pod.wiring, pod.places) == ()
    assert pings(pod.namespace, node.ip)


Harm = Callable[[Node, Pod], None]


def _in_host(*argv: str) -> Harm:
    def harm(node: Node, pod: Pod) -> None:
        names = {"PORT": pod.host_veth, "POD_IP": pod.ip, "NODE_CIDR": f"{node.ip}/24"}
        run(node.namespace, *(_named(one, names) for one in argv))

    return harm


def _in_pod(*argv: str) -> Harm:
    def harm(node: Node, pod: Pod) -> None:
        run(pod.namespace, *(_named(one, {"POD_CIDR": f"{pod.ip}/24"}) for one in argv))

    return harm


def _named(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def _without_a_rule(node: Node, pod: Pod) -> None:
    listed = run(node.namespace, "nft", "-a", "list", "chain", "bridge", "azure-vnet", "to_fabric")
    handle = next(line.split()[-1] for line in listed.splitlines() if "arp saddr" in line)
    run(
        node.namespace,
        *("nft", "delete", "rule", "bridge", "azure-vnet", "to_fabric", "handle", handle),
    )


HARMS: dict[str, tuple[type, tuple[str, ...], Harm]] = {
    "veth deleted": (Veth, (), _in_host("ip", "link", "del", "PORT")),
    "port down": (Veth, (), _in_host("ip", "link", "set", "PORT", "down")),
    "pod's link down": (Veth, (), _in_pod("ip", "link", "set", "eth0", "down")),
    "pod's MAC": (
        Veth,
        ("peer_mac",),
        _in_pod("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77"),
    ),
    "port's MTU": (Veth, ("mtu",), _in_host("ip", "link", "set", "PORT", "mtu", "1280")),
    "port out of bridge": (BridgePort, (), _in_host("ip", "link", "set", "PORT", "nomaster")),
    "hairpin off": (
        BridgePort,
        ("hairpin",),
        _in_host("ip", "link", "set", "PORT", "type", "bridge_slave", "hairpin", "off"),
    ),
    "neighbour deleted": (Neighbour, (), _in_host("ip", "neigh", "del", "POD_IP", "dev", BRIDGE)),
    "neighbour's MAC": (
        Neighbour,
        ("mac",),
        _in_host(
            *("ip", "neigh", "replace", "POD_IP", "lladdr", "02:00:00:00:00:77"),
            *("dev", BRIDGE, "nud", "permanent"),
        ),
    ),
    "element deleted": (
        Element,
        (),
        _in_host("nft", "delete", "element", "bridge", "azure-vnet", "pod_mac", "{ POD_IP }"),
    ),
    "element's MAC": (
        Element,
        ("value",),
        _in_host(
            "nft",
            "delete element bridge azure-vnet pod_mac { POD_IP }; "
            "add element bridge azure-vnet pod_mac { POD_IP : 02:00:00:00:00:77 }",
        ),
    ),
    "pod's address": (Address, (), _in_pod("ip", "addr", "del", "POD_CIDR", "dev", "eth0")),
    "pod's route": (Route, (), _in_pod("ip", "route", "del", "default")),
    "pod's gateway": (
        Route,
        ("via",),
        _in_pod("ip", "route", "replace", "default", "via", "10.220.2.2", "proto", "static"),
    ),
    "sysctl": (
        Sysctl,
        ("value",),
        _in_host("sysctl", "-qw", f"net/ipv6/conf/{BRIDGE}/accept_ra=2"),
    ),
    "bridge deleted": (Bridge, (), _in_host("ip", "link", "del", BRIDGE)),
    "bridge's MAC": (
        Bridge,
        ("mac",),
        _in_host("ip", "link", "set", BRIDGE, "address", "02:00:00:00:00:77"),
    ),
    "NIC out of bridge": (BridgePort, (), _in_host("ip", "link", "set", "eth0", "nomaster")),
    "table deleted": (Table, (), _in_host("nft", "delete", "table", "bridge", "azure-vnet")),
    "rule deleted": (Table, ("rules",), _without_a_rule),
    "rule added": (
        Table,
        ("rules",),
        _in_host("nft", "insert", "rule", "bridge", "azure-vnet", "postrouting", "drop"),
    ),
    "node's address": (Address, (), _in_host("ip", "addr", "del", "NODE_CIDR", "dev", BRIDGE)),
    "address back on the NIC": (
        Address,
        ("absent",),
        _in_host("ip", "addr", "add", "NODE_CIDR", "dev", "eth0"),
    ),
    "node's default route": (Route, (), _in_host("ip", "route", "del", "default")),
    "platform route back": (
        Route,
        ("absent",),
        _in_host("ip", "route", "add", "168.63.129.16", "dev", "eth0"),
    ),
}


@pytest.mark.parametrize("name", HARMS)
def test_each_harm_is_named_and_repaired(lab: Lab, node: Node, name: str) -> None:
    kind, fields, harm = HARMS[name]
    pod, other = node.add_pod(), node.add_pod()
    harm(node, pod)
    found = (*lacking(node.wiring, node.places), *lacking(pod.wiring, pod.places))
    assert (kind, fields) in [(type(one.wanted), one.fields) for one in found]
    for _ in range(2):
        node.realise()
        pod.realise()
        other.realise()
        assert lacking(node.wiring, node.places) == ()
        assert lacking(pod.wiring, pod.places) == ()
    assert pings(pod.namespace, other.ip)
    assert pings(pod.namespace, node.ip)
    assert pings(lab.fabric, pod.ip)
    assert pings(node.namespace, "10.220.2.1")


def test_reloaded_table_keeps_the_pods(node: Node) -> None:
    """A changed table (a second address on the NIC) does not cut off the pods of the old one."""
    pod, other = node.add_pod(), node.add_pod()
    changed = bridge_mode.node_wiring(node.uplink, BRIDGE, ("169.254.20.10", "169.254.20.11"))
    assert changed != node.wiring
    wire.realise(changed, node.places)
    assert lacking(changed, node.places) == ()
    assert [one.fields for one in lacking(node.wiring, node.places)] == [("rules",)]
    for one in (pod, other):
        assert lacking(one.wiring, one.places) == ()


def test_veth_of_an_earlier_pod_is_made_anew(node: Node) -> None:
    """The name is there, its peer is in a namespace that is not this pod's."""
    pod = node.new_pod()
    with NetNamespace.create() as earlier:
        wire.realise(pod.wiring, {**pod.places, "pod": earlier})
        pod.realise()
        assert lacking(pod.wiring, pod.places) == ()
        with RtNetlink(earlier) as door:
            assert door.link("eth0") is None


def test_foreign_links_are_neither_taken_nor_deleted(node: Node) -> None:
    pod = node.new_pod()
    run(pod.namespace, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    with pytest.raises(KernelError, match="another link eth0 in pod"):
        pod.realise()
    pod.unwire()
    with RtNetlink(pod.namespace) as door:
        assert door.link("eth0") is not None


def test_link_of_another_kind_is_refused(places: dict[str, NetNamespace]) -> None:
    run(places["a"], "ip", "link", "add", "x", "type", "veth", "peer", "name", "y")
    wanted = Wiring.of([Bridge("a", "x", "02:00:00:00:00:01")])
    with pytest.raises(KernelError, match="cannot make bridge a x: x is there and is no bridge"):
        wire.realise(wanted, places)
    wire.unwire(wanted, places)
    with RtNetlink(places["a"]) as door:
        assert door.link("x") is not None


def test_veth_inside_one_place(places: dict[str, NetNamespace]) -> None:
    wanted = Wiring.of([Veth("a", "x", "a", "y")])
    for _ in range(2):
        wire.realise(wanted, places)
        assert lacking(wanted, places) == ()
    wire.unwire(wanted, places)
    with RtNetlink(places["a"]) as door:
        assert [one.name for one in door.links()] == ["lo"]


def test_veth_is_removed_by_its_peer_when_only_that_place_is_left(
    places: dict[str, NetNamespace],
) -> None:
    wanted = Wiring.of([Veth("a", "x", "b", "y")])
    wire.realise(wanted, places)
    wire.unwire(wanted, {"b": places["b"]})
    with RtNetlink(places["a"]) as door:
        assert [one.name for one in door.links()] == ["lo"]


def test_error_names_object_place_and_reason(places: dict[str, NetNamespace]) -> None:
    wanted = Wiring.of([Address("a", "nic0", "10.0.0.1/24")])
    with pytest.raises(KernelError) as caught:
        wire.realise(wanted, places)
    assert str(caught.value) == ("cannot make address a nic0 10.0.0.1/24: there is no link nic0")
    route = Wiring.of([Veth("a", "x", "b", "y"), Route("a", "10.9.0.0/16", "x", via="10.1.1.1")])
    with pytest.raises(KernelError, match=r"route a 10\.9\.0\.0/16 x: Network is unreachable"):
        wire.realise(route, places)


def test_unknown_place_is_an_error_to_make_and_nothing_to_unwire(
    places: dict[str, NetNamespace],
) -> None:
    wanted = Wiring.of([Veth("moon", "x", "mars", "y"), Address("moon", "x", "10.0.0.1/24")])
    with pytest.raises(KernelError, match="place moon"):
        wire.realise(wanted, places)
    wire.unwire(wanted, places)
    assert wire.observe(wanted, places) == Wiring()


def test_unwire_goes_on_after_failures_and_names_them_all(
    places: dict[str, NetNamespace],
) -> None:
    made = Wiring.of([Bridge("a", "br", "02:00:00:00:00:01")])
    wire.realise(made, places)
    bad: list[KernelObject] = [
        Element("a", "bridge", "t", "a name that is longer than any set's can be" * 8, "10.0.0.1"),
        Neighbour("a", "lo", "10.0.0.300", "02:00:00:00:00:01"),
    ]
    wanted = Wiring.of([*made, *bad])
    with pytest.raises(KernelError) as caught:
        wire.unwire(wanted, places)
    assert "neighbour a lo 10.0.0.300: 10.0.0.300 is no IP address; element a" in str(caught.value)
    with RtNetlink(places["a"]) as door:
        assert door.link("br") is None


def test_ipv6_objects(places: dict[str, NetNamespace]) -> None:
    wanted = Wiring.of(
        [
            Veth("a", "x", "b", "y"),
            Address("a", "x", "fd00::1/64"),
            Route("a", "fd01::/64", "x", via="fd00::2"),
            Neighbour("a", "x", "fd00::2", "02:00:00:00:00:02"),
        ]
    )
    for _ in range(2):
        wire.realise(wanted, places)
        assert lacking(wanted, places) == ()
    wire.unwire(wanted, places)


def test_on_link_gateway(places: dict[str, NetNamespace]) -> None:
    wanted = Wiring.of(
        [
            Veth("a", "x", "b", "y"),
            Address("a", "x", "10.0.0.5/32"),
            Route("a", bridge_mode.DEFAULT_ROUTE, "x", via="169.254.1.1", onlink=True),
            Route("a", "10.9.0.0/16", "x"),
        ]
    )
    for _ in range(2):
        wire.realise(wanted, places)
        assert lacking(wanted, places) == ()
    assert "default via 169.254.1.1 dev x proto static onlink" in run(places["a"], "ip", "route")
