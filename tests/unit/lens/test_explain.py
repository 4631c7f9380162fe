"""explain: a healthy network is all right for every pair; every planted fault is named."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest

from podwire.lens import names
from podwire.lens.explain import Explanation, explain
from podwire.lens.explain.faults import FAULTS
from podwire.lens.snapshot import IptablesChain, KeptResult, Snapshot, Space
from podwire.model.errors import InvalidInputError
from tests.unit.lens import build
from tests.unit.lens.faults import CASES, Case
from tests.unit.lens.saved import NAMES, saved

PLACEHOLDER = re.compile(r"\b(GATEWAY|MAC|ADDRESS|NODE|POD|LINK)\b")
MODES = ("bridge", "transparent", "kubenet")
SOURCES = ("web-1", "client-1", "web-2", "client-2", "n1", "n2")
TARGETS = (
    *(("web-1:80", "tcp"), ("web-2:80", "tcp"), ("client-2", "tcp"), ("web-1", "icmp")),
    *(("svc/web", "tcp"), ("svc/kube-dns", "udp"), ("svc/kubernetes", "tcp")),
    *(("n1:22", "tcp"), ("n2:10250", "tcp"), ("n1:30080", "tcp"), ("n2:30080", "tcp")),
    *((f"{build.FRONTEND_IP}:80", "tcp"), ("8.8.8.8:443", "tcp"), ("168.63.129.16:53", "udp")),
)


def ask(
    seen: Snapshot, source: str, target: str, protocol: str = "tcp", size: int = 0
) -> Explanation:
    return explain(
        seen,
        names.source(seen, source),
        names.target(seen, target, protocol),
        protocol=protocol,
        size=size,
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", SOURCES)
def test_a_healthy_network_has_no_culprit(mode: str, source: str) -> None:
    seen = build.lab(mode)
    for target, protocol in TARGETS:
        told = ask(seen, source, target, protocol)
        assert (target, told.verdict, told.culprit) == (target, "delivered", None)
        assert (target, told.warnings) == (target, ())
        assert told.mtu == 1500 or told.mtu == 65536 or not told.mtu


@pytest.mark.parametrize("name", NAMES)
def test_a_real_lab_has_no_culprit(name: str) -> None:
    seen = saved(name)
    pods = [pod for pod in seen.clusters[0].pods if pod.phase == "Running"]
    sources = [*(pod.key for pod in pods if pod.space), *(node.name for node in seen.nodes)]
    targets = [*((pod.key, "tcp") for pod in pods), *((pod.key, "icmp") for pod in pods)]
    targets += [(f"{node.name}:10250", "tcp") for node in seen.nodes]
    for service in seen.clusters[0].services:
        for port in service.ports:
            targets.append((f"svc/{service.key}:{port.port}", port.protocol.lower()))
    for source in sources:
        for target, protocol in targets:
            told = ask(seen, source, target, protocol)
            assert (source, target, told.verdict) == (source, target, "delivered")
            assert (source, target, told.warnings) == (source, target, ())


@pytest.mark.parametrize("mode", MODES)
def test_a_name_is_asked_for_and_found(mode: str) -> None:
    told = ask(build.lab(mode), "client-1", "web.default.svc.cluster.local:80")
    assert (told.verdict, told.target.service) == ("delivered", "default/web")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_culprit_is_named(case: Case) -> None:
    seen = case.plant(build.lab(case.mode))
    told = ask(seen, case.source, case.target, case.protocol, case.size)
    blamed = told.suspects if case.harmless else [told.culprit]
    assert (told.verdict == "delivered") == case.harmless
    assert [one.fault for one in blamed if one] == [case.fault]
    if case.object:
        assert [one.object for one in blamed if one] == [case.object]
    assert all(one and one.fault in FAULTS for one in blamed)
    assert not any(PLACEHOLDER.search(one.mend) for one in blamed if one)


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("bridge", "ip route replace default via 10.220.2.1 dev eth0"),
        ("transparent", "&& ip route replace default via 169.254.1.1 dev eth0'"),
        ("kubenet", "ip route replace default via 10.100.0.1 dev eth0"),
    ],
)
def test_a_default_route_is_mended_as_the_mode_has_it(name: str, route: str) -> None:
    seen = saved(name)
    pod = next(one for one in seen.clusters[0].pods if one.node == seen.nodes[0].name and one.space)
    spaces = (replace(one, routes=()) if one.id == pod.space else one for one in seen.spaces)
    told = ask(replace(seen, spaces=tuple(spaces)), pod.key, "168.63.129.16:53", "udp")
    assert told.culprit is not None
    assert told.culprit.fault == "pod-route-missing"
    assert told.culprit.mend.endswith(route)


@pytest.mark.parametrize(
    ("name", "link"), [("bridge", "azure0"), ("transparent", "eth0"), ("kubenet", "eth0")]
)
def test_a_nodes_default_route_leads_to_its_subnets_gateway(name: str, link: str) -> None:
    seen = saved(name)
    node = seen.nodes[0]
    spaces = (replace(one, routes=()) if one.id == node.space else one for one in seen.spaces)
    told = ask(replace(seen, spaces=tuple(spaces)), node.name, "168.63.129.16:53", "udp")
    assert told.culprit is not None
    gateway = "10.220.1.1" if name == "kubenet" else "10.220.2.1"
    assert told.culprit.mend.endswith(f" -- ip route replace default via {gateway} dev {link}")


@pytest.mark.parametrize(("name", "prefix"), [("bridge", 24), ("transparent", 32), ("kubenet", 24)])
def test_an_address_is_mended_as_the_mode_has_it(name: str, prefix: int) -> None:
    seen = saved(name)
    pod = next(one for one in seen.clusters[0].pods if one.node == seen.nodes[0].name and one.space)
    bare = partial(replace, addresses=(), routes=())  # they go with the address
    spaces = (bare(one) if one.id == pod.space else one for one in seen.spaces)
    told = ask(replace(seen, spaces=tuple(spaces)), seen.nodes[0].name, f"{pod.address}:80")
    assert told.culprit is not None
    assert told.culprit.mend.endswith(f" ip address add {pod.address}/{prefix} dev eth0")


def test_without_its_element_of_loop_nothing_is_wrong() -> None:
    seen = build.lab()
    for node in build.NODES:
        seen = build.edit(seen, f"node/{node}", _without_loop)
    told = ask(seen, "client-1", "web-2:80")
    assert (told.verdict, told.warnings) == ("delivered", ())


def _without_loop(space: Space) -> Space:
    nft = tuple(
        {"set": {**one["set"], "elem": []}} if one.get("set", {}).get("name") == "loop" else one
        for one in space.nft
    )
    return replace(space, nft=nft)


def test_a_service_shows_every_backend_with_its_probability() -> None:
    told = ask(build.lab(), "client-1", "svc/web")
    assert [(one.backend, one.probability, one.pod) for one in told.branches] == [
        ("10.220.2.5:80", 0.5, "default/web-1"),
        ("10.220.2.36:80", 0.5, "default/web-2"),
    ]
    assert [one.chosen for one in told.branches] == [True, False]


def test_a_backend_can_be_chosen() -> None:
    seen = build.lab()
    source, target = names.source(seen, "client-1"), names.target(seen, "svc/web")
    told = explain(seen, source, target, backend="web-2")
    assert [one.backend for one in told.branches if one.chosen] == ["10.220.2.36:80"]
    assert told.hops[-1].space == "pod/default/web-2"
    with pytest.raises(InvalidInputError, match=r"has no backend 10\.9\.9\.9:80; it has: 10\.220"):
        explain(seen, source, target, backend="10.9.9.9:80")


def test_each_hop_says_what_decided_and_what_the_packet_is() -> None:
    told = ask(build.lab(), "client-1", "svc/web")
    nat = next(one for one in told.hops if one.place == "iptables nat")
    assert nat.entry is not None
    assert "--to-destination 10.220.2.5:80" in nat.entry.text
    assert any("KUBE-SVC-" in one for one in nat.notes)
    assert (nat.packet.src, nat.packet.dst, nat.packet.dport) == ("10.220.2.6", "10.220.2.5", 80)
    assert told.hops[0].place == "pod route"
    assert told.hops[-1].verdict == "delivered"
    back = next(one for one in told.reply if one.place == "conntrack")
    assert (back.packet.src, back.packet.sport) == (build.WEB_IP, 80)


def test_what_a_rule_means_is_said_when_unknown() -> None:
    def change(chain: IptablesChain) -> IptablesChain:
        rule = build.IptablesRule("-m geoip --source-country DE -j DROP")
        return replace(chain, rules=(rule,)) if chain.name == "FORWARD" else chain

    told = ask(build.edit_rules(build.lab(), "node/n1", "filter", change), "client-1", "web-1:80")
    expected = "not understood: -m geoip --source-country DE in -A FORWARD"
    assert any(one.startswith(expected) for one in told.warnings)


def test_mtus_that_differ_are_a_warning() -> None:
    seen = build.edit_link(build.lab(), "pod/default/web-2", "eth0", mtu=1400)
    told = ask(seen, "client-1", "web-2:80")
    assert (told.verdict, told.mtu) == ("delivered", 1400)
    assert "MTUs differ on the way: 1400 of eth0 in pod/default/web-2" in told.warnings[0]
    assert "try --size 1500" in told.warnings[0]


def test_a_link_without_an_address_asks_with_another_ones() -> None:
    """The host's end of a routed pod has none: who answers is found for somebody else's packet."""
    seen = build.edit(
        build.lab("transparent"),
        "node/n1",
        lambda one: replace(
            one, neighbours=tuple(each for each in one.neighbours if each.link != "azv5")
        ),
    )
    told = ask(seen, "client-2", "web-1:80")
    assert (told.verdict, told.culprit) == ("delivered", None)
    assert any("as ARP would learn" in hop.text and hop.space == "node/n1" for hop in told.hops)


def test_a_command_for_a_pod_without_a_lease_names_its_namespace() -> None:
    """Of kubenet the runtime's kept result tells it."""
    seen = build.lab("kubenet")
    address = next(one.address for one in seen.clusters[0].pods if one.name == "web-1")
    kept = KeptResult("/r", "kubenet", "c", "eth0", (address,), "/var/run/netns/cni-1")
    nodes = tuple(
        replace(one, attachments=replace(one.attachments, kept=(kept,))) for one in seen.nodes
    )
    told = ask(replace(seen, nodes=nodes), "client-1", "web-1:81")
    assert told.culprit is not None
    assert "nsenter --net=/var/run/netns/cni-1 ss " in told.culprit.show
