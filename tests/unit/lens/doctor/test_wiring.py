from __future__ import annotations

import copy

import pytest

from podwire.lens.doctor.judge import judge
from tests.unit.lens.doctor.grown import grown
from tests.unit.lens.doctor.mutate import (
    changed,
    each,
    found,
    lease,
    link,
    node,
    pod,
    space,
    sysctl,
    where,
    without,
)
from tests.unit.lens.saved import NAMES, saved


@pytest.mark.parametrize("name", NAMES)
def test_a_healthy_lab_has_no_finding(name):
    assert judge(saved(name)).findings == ()


@pytest.mark.parametrize("name", ["bridge", "transparent"])
def test_nodes_that_are_nearly_full_of_wired_pods_have_no_finding(name):
    report = judge(grown(name, 29))
    assert report.findings == ()
    assert [one.used for one in report.rooms[:2]] == [29, 29]


def _nft(kind, test, make):
    """The matching object of nft's JSON, changed in place by `make`, dropped when that is None."""

    def one(raw):
        if kind not in raw or not test(raw[kind]):
            return raw
        if make is None:
            return None
        new = copy.deepcopy(raw)
        make(new[kind])
        return new

    return space(node("bridge").space, nft=each(one))


HOST, POD = node("bridge").space, f"pod/{pod('bridge')}"
LEASE = lease("bridge")
AT_HOST, AT_POD = node("transparent").space, f"pod/{pod('transparent')}"
ROUTED = lease("transparent")

OF_POD = {
    "address removed": ("bridge", space(POD, addresses=without(lambda one: one.scope == "global"))),
    "no default route": (
        "bridge",
        space(POD, routes=without(lambda one: one.dst == "0.0.0.0/0")),
    ),
    "default route by another": (
        "bridge",
        space(POD, routes=each(where(lambda one: one.dst == "0.0.0.0/0", via="10.220.2.9"))),
    ),
    "link down in the pod": ("bridge", link(POD, "eth0", up=False)),
    "link down on the host": ("bridge", link(HOST, LEASE.host_link, up=False)),
    "MAC changed in the pod": ("bridge", link(POD, "eth0", mac="02:00:00:00:00:77")),
    "no port of the bridge": ("bridge", link(HOST, LEASE.host_link, master="")),
    "hairpin off": ("bridge", link(HOST, LEASE.host_link, hairpin=False)),
    "neighbour gone": (
        "bridge",
        space(HOST, neighbours=without(lambda one: one.ip == LEASE.address)),
    ),
    "neighbour of another MAC": (
        "bridge",
        space(
            HOST,
            neighbours=each(where(lambda one: one.ip == LEASE.address, mac="02:00:00:00:00:77")),
        ),
    ),
    "no element of the MAC NAT": (
        "bridge",
        _nft(
            "map",
            lambda one: one["name"] == "pod_mac",
            lambda one: one.update(elem=[each for each in one["elem"] if each[0] != LEASE.address]),
        ),
    ),
    "its route gone": (
        "transparent",
        space(AT_HOST, routes=without(lambda one: one.dst == f"{ROUTED.address}/32")),
    ),
    "next hop forgotten": (
        "transparent",
        space(AT_POD, neighbours=without(lambda one: one.ip == "169.254.1.1")),
    ),
    "link deleted under a pod that lives": (
        "transparent",
        space(
            AT_HOST,
            links=without(lambda one: one.name == ROUTED.host_link),
            routes=without(lambda one: one.link == ROUTED.host_link),
        ),
        space(AT_POD, links=without(lambda one: one.name == "eth0")),
    ),
}
OF_NODE = {
    "bridge down": ("bridge", link(HOST, "azure0", up=False)),
    "card no port": ("bridge", link(HOST, "eth0", master="")),
    "bridge's address gone": (
        "bridge",
        space(HOST, addresses=without(lambda one: one.cidr == "10.220.2.4/24")),
    ),
    "no default route": ("bridge", space(HOST, routes=without(lambda one: one.dst == "0.0.0.0/0"))),
    "a rule of the MAC NAT deleted": (
        "bridge",
        _nft("rule", lambda one: one["handle"] == 13, None),
    ),
    "no MAC NAT but its sets": (
        "bridge",
        _nft("chain", lambda one: one["name"].startswith("sealed-"), None),
    ),
    "forwarding off": ("transparent", sysctl(AT_HOST, "net.ipv4.ip_forward", "0")),
}


@pytest.mark.parametrize("fault", OF_POD)
def test_what_a_pod_lacks_is_its_one_finding(fault):
    name, *changes = OF_POD[fault]
    assert found(name, *changes) == [("pod-wiring", f"pod {pod(name)}")]


@pytest.mark.parametrize("fault", OF_NODE)
def test_what_a_node_lacks_is_its_one_finding(fault):
    name, *changes = OF_NODE[fault]
    assert found(name, *changes) == [("node-wiring", f"node {node(name).name}")]


def test_evidence_names_the_object_and_its_values():
    fault = OF_POD["default route by another"]
    (finding,) = judge(changed(*fault)).findings
    assert "route pod 0.0.0.0/0 eth0: via is 10.220.2.9, not 10.220.2.1" in finding.evidence
    assert finding.ours
    assert finding.node == node("bridge").name


def test_what_was_not_read_is_not_held_against_anybody():
    blind = space(HOST, nft=lambda _: (), unread=lambda _: {"nft": "nft is not installed"})
    assert found("bridge", blind) == []
    assert judge(changed("bridge", blind)).unread == {f"{HOST} nft": "nft is not installed"}
