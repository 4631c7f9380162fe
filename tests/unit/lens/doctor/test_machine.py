from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.cni.modes import MODES
from podwire.lens.doctor.judge import judge
from podwire.lens.snapshot import Neighbour
from tests.unit.lens.doctor.mutate import (
    attachments,
    changed,
    found,
    link,
    node,
    of_node,
    plus,
    pod,
    space,
    sysctl,
)
from tests.unit.lens.saved import NAMES, saved

BRIDGED = ("bridge", "kubenet")
HOST = {name: node(name).space for name in NAMES}
BRIDGE_OF = {"bridge": "azure0", "kubenet": "cbr0"}


def _end(name):
    """The host's end of a pod's link."""
    return saved(name).space(f"pod/{pod(name)}").link("eth0").peer[1]


@pytest.mark.parametrize("name", BRIDGED)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.{}.forwarding", "0"),
        ("net.bridge.bridge-nf-call-iptables", "0"),
    ],
)
def test_a_setting_that_stands_against_pods(name, setting, value):
    setting = setting.format(BRIDGE_OF[name])
    (finding,) = judge(changed(name, sysctl(HOST[name], setting, value))).findings
    assert (finding.id, finding.thing) == ("sysctl-wrong", f"space {HOST[name]}")
    assert finding.evidence == f"{setting} is 0, not 1"
    assert finding.remedy.endswith(f"-- sysctl -w {setting}=1")


@pytest.mark.parametrize("name", BRIDGED)
def test_bridged_packets_pass_no_iptables_without_the_module(name):
    gone = space(
        HOST[name],
        sysctls=lambda have: {key: have[key] for key in have if ".bridge-nf-" not in key},
    )
    (finding,) = judge(changed(name, gone)).findings
    assert "-- sh -c 'modprobe br_netfilter && sysctl -w " in finding.remedy


def test_transparent_mode_bridges_nothing():
    off = sysctl(HOST["transparent"], "net.bridge.bridge-nf-call-iptables", "0")
    assert found("transparent", off) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_strict_reverse_path(name):
    strict = [("rp-filter-strict", f"space {HOST[name]}")]
    assert found(name, sysctl(HOST[name], "net.ipv4.conf.all.rp_filter", "1")) == strict
    assert found(name, sysctl(HOST[name], "net.ipv4.conf.all.rp_filter", "2")) == []
    own = f"net.ipv4.conf.{BRIDGE_OF.get(name, 'eth0')}.rp_filter"
    assert found(name, sysctl(HOST[name], own, "1")) == strict
    assert found(name, sysctl(HOST[name], "net.ipv4.conf.docker0.rp_filter", "1")) == []


@pytest.mark.parametrize("name", NAMES)
def test_tables_that_fill_up(name):
    full = sysctl(HOST[name], "net.netfilter.nf_conntrack_count", "250000")
    assert found(name, full) == [("conntrack-full", f"space {HOST[name]}")]
    many = [Neighbour("eth0", f"10.9.0.{at}", "02:00:00:00:00:01", "STALE") for at in range(120)]
    crowd = space(HOST[name], neighbours=plus(*many))
    limit = sysctl(HOST[name], "net.ipv4.neigh.default.gc_thresh3", "128")
    assert found(name, crowd, limit) == [("neighbours-full", f"space {HOST[name]}")]
    assert found(name, crowd) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_link_of_another_mtu(name):
    inner = f"pod/{pod(name)}"
    (finding,) = judge(changed(name, link(inner, "eth0", mtu=1400))).findings
    assert (finding.id, finding.thing) == ("mtu-differs", f"link {inner} eth0")
    assert finding.ours == (name in MODES)
    words = "podwire doctor --fix --node" if name in MODES else "kubectl delete pod -n"
    assert finding.remedy.startswith(words)
    end = _end(name)
    outer = link(HOST[name], end, mtu=9000)
    assert found(name, outer) == [("mtu-differs", f"link {HOST[name]} {end}")]
    (finding,) = judge(changed(name, link(HOST[name], "eth0", mtu=1400))).findings
    assert (finding.id, finding.thing) == ("mtu-differs", f"link {HOST[name]} eth0")
    assert finding.remedy.endswith("-- ip link set eth0 mtu 1500")


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_down(name):
    down = [("link-down", f"link {HOST[name]} eth0")]
    assert found(name, link(HOST[name], "eth0", up=False)) == down
    assert found(name, link(HOST[name], "eth0", carrier=False)) == down


def test_links_of_kubenet_that_are_down():
    for where, name in (
        (HOST["kubenet"], "cbr0"),
        (HOST["kubenet"], _end("kubenet")),
        (f"pod/{pod('kubenet')}", "eth0"),
    ):
        down = link(where, name, up=False)
        assert found("kubenet", down) == [("link-down", f"link {where} {name}")]


def _fact(name, key, value):
    return of_node(node(name).name, lambda one: replace(one, facts={**one.facts, key: value}))


@pytest.mark.parametrize("name", ["bridge", "transparent"])
def test_an_agent_that_does_not_answer(name):
    silent = _fact(name, "agent", "does not answer at /run/x: Connection refused")
    assert found(name, silent) == [("agent-silent", f"node {node(name).name}")]


@pytest.mark.parametrize("name", ["bridge", "transparent"])
@pytest.mark.parametrize("fact", ["podwire", "plugin"])
def test_versions_that_differ(name, fact):
    ((kind, _),) = found(name, _fact(name, fact, "0.0.9"))
    assert kind == "versions-differ"


def test_a_configuration_of_another_mode():
    def other(have):
        return have[0], have[1].replace('"mode": "bridge"', '"mode": "transparent"')

    (finding,) = judge(changed("bridge", attachments(node("bridge").name, conflist=other))).findings
    assert finding.id == "mode-differs"
    assert finding.remedy.endswith("-- podwire cni migrate --to transparent")
