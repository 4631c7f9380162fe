"""explain: a healthy network is all right for every pair; every planted fault is named."""

from __future__ import annotations

import pytest

from podwire.lens import names
from podwire.lens.explain import Explanation, explain
from podwire.lens.explain.faults import FAULTS
from podwire.lens.snapshot import Snapshot
from podwire.model.errors import InvalidInputError
from tests.unit.lens import build
from tests.unit.lens.faults import CASES, Case

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


def test_without_its_element_of_loop_nothing_is_wrong() -> None:
    seen = build.lab()
    for node in build.NODES:
        seen = build.edit(seen, f"node/{node}", _without_loop)
    told = ask(seen, "client-1", "web-2:80")
    assert (told.verdict, told.warnings) == ("delivered", ())


def _without_loop(space):
    from dataclasses import replace

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
    def change(chain):
        from dataclasses import replace

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
