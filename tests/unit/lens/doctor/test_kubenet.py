from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens.doctor.judge import judge
from podwire.lens.snapshot import Reserved, Snapshot
from podwire.model.route_table import NextHop, Route
from tests.unit.lens.doctor.mutate import (
    attachments,
    changed,
    cluster,
    each,
    link,
    node,
    pod,
    space,
    where,
    without,
)
from tests.unit.lens.saved import saved

NAME = "kubenet"
NODE, HOST = node(NAME).name, node(NAME).space
RANGE = next(one.pod_cidr for one in saved(NAME).clusters[0].nodes if one.name == NODE)
GATEWAY = RANGE.replace(".0/24", ".1/24")
PORT = saved(NAME).space(f"pod/{pod(NAME)}").link("eth0").peer[1]


def _only(*changes):
    (finding,) = judge(changed(NAME, *changes)).findings
    assert finding.node == NODE
    assert not finding.ours
    return finding


def _vnet(change) -> Snapshot:
    def make(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, vnets=tuple(change(one) for one in snapshot.vnets))

    return make


def _routes(change):
    def make(one):
        subnets = tuple(
            replace(
                each, route_table=replace(each.route_table, routes=change(each.route_table.routes))
            )
            if each.route_table
            else each
            for each in one.vnet.subnets
        )
        return replace(one, vnet=replace(one.vnet, subnets=subnets))

    return _vnet(make)


def test_a_port_that_left_the_bridge_comes_back_with_its_hairpin_mode():
    finding = _only(link(HOST, PORT, master="", hairpin=False))
    assert (finding.id, finding.thing) == ("kubenet-wiring", f"link {HOST} {PORT}")
    assert f"{PORT} of pod {pod(NAME)} is no port of cbr0" in finding.evidence
    assert finding.remedy.endswith(
        f"sh -c 'ip link set {PORT} master cbr0 && bridge link set dev {PORT} hairpin on'"
    )


def test_a_port_without_hairpin_mode():
    finding = _only(link(HOST, PORT, hairpin=False))
    assert finding.remedy.endswith(f"{NODE} -- bridge link set dev {PORT} hairpin on")


def test_a_bridge_without_its_address_has_no_route_either():
    gone = space(
        HOST,
        addresses=without(lambda one: one.cidr == GATEWAY),
        routes=without(lambda one: one.dst == RANGE),
    )
    assert _only(gone).remedy.endswith(f"{NODE} -- ip addr add {GATEWAY} dev cbr0")


def test_a_node_without_the_route_to_its_range():
    gone = space(HOST, routes=without(lambda one: one.dst == RANGE))
    remedy = f"ip route add {RANGE} dev cbr0 src {GATEWAY.removesuffix('/24')}"
    assert _only(gone).remedy.endswith(remedy)


def _rules_without(text):
    kept = without(lambda rule: text in rule.text)
    chains = each(lambda one: replace(one, rules=kept(one.rules)))
    return space(HOST, iptables=each(lambda one: replace(one, chains=chains(one.chains))))


def test_the_rule_that_masquerades_is_missing():
    finding = _only(_rules_without("kubenet: SNAT"))
    pods = saved(NAME).clusters[0].pod_cidr
    assert f"iptables -t nat -A POSTROUTING ! -d {pods} -m addrtype" in finding.remedy
    assert "kubenet-keeper" in finding.evidence


@pytest.mark.parametrize(("age", "told"), [(600.0, True), (1.0, False)])
def test_an_address_that_host_local_holds_for_nobody(age, told):
    path = "/var/lib/cni/networks/kubenet/10.100.9.9"
    held = Reserved(path, "10.100.9.9", "f" * 64, age)
    known = node(NAME).attachments.pods
    alive = Reserved("/x", "10.100.9.8", known[0], 600.0)
    leaked = attachments(NODE, reserved=lambda _: (held, alive))
    findings = judge(changed(NAME, leaked)).findings
    assert [one.id for one in findings] == (["lease-leaked"] if told else [])
    assert all(one.remedy.endswith(f"{NODE} -- rm {path}") for one in findings)


def test_nobody_knows_which_are_leaked_when_the_runtime_was_not_asked():
    held = Reserved("/x", "10.100.9.9", "f" * 64, 600.0)
    unasked = attachments(NODE, reserved=lambda _: (held,), pods=lambda _: None)
    assert judge(changed(NAME, unasked)).findings == ()


def test_no_route_leads_to_the_nodes_range():
    finding = _only(_routes(without(lambda one: one.prefix == RANGE)))
    assert finding.id == "pod-range-unrouted"
    assert f"{RANGE}, the range of {NODE}, is led by" in finding.evidence
    assert finding.remedy.startswith("az network route-table route create -g $(az network ")
    assert " --route-table-name aks-agentpool-" in finding.remedy
    assert f"-n {NODE} --address-prefix {RANGE}" in finding.remedy


def test_a_route_leads_the_nodes_range_elsewhere():
    wrong = each(where(lambda one: one.prefix == RANGE, next_hop_ip="10.220.1.99"))
    finding = _only(_routes(wrong))
    assert "VirtualAppliance 10.220.1.99, not to" in finding.evidence
    assert "route update" in finding.remedy


def test_a_part_of_the_range_that_is_led_away_is_told_by_the_route_that_does():
    half = Route("mine", RANGE.replace("/24", "/25"), NextHop.NONE)
    finding = _only(_routes(lambda routes: (*routes, half)))
    assert f"is led by {half.prefix} None, not to" in finding.evidence
    assert finding.remedy.startswith("az network route-table route delete ")
    assert finding.remedy.endswith("-n mine")


def test_the_nic_does_not_forward():
    def off(one):
        nics = each(
            lambda plugged: (
                replace(plugged, nic=replace(plugged.nic, ip_forwarding=False))
                if plugged.node == NODE
                else plugged
            )
        )
        return replace(one, nics=nics(one.nics))

    finding = _only(_vnet(off))
    assert (finding.id, finding.thing) == ("pod-range-unrouted", f"nic {NODE}")
    assert finding.remedy.endswith(f"-n {NODE} --ip-forwarding true")


def test_without_an_api_server_the_cloud_is_not_judged():
    assert judge(changed(NAME, cluster(nodes=lambda _: ()))).findings == ()
