from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.lens.doctor.judge import judge
from podwire.lens.snapshot import IptablesChain, IptablesRule, PolicyRule, Route
from tests.unit.lens.doctor.mutate import changed, each, found, lease, node, plus, pod, space, where
from tests.unit.lens.saved import NAMES, saved


def _address(name):
    own = saved(name).space(f"pod/{pod(name)}")
    return next(one.cidr.partition("/")[0] for one in own.addresses if one.scope == "global")


def _rule(name, chain, text, table="filter"):
    """The text with {pod} as a pod's address, at the end of a chain, which is made if need be."""
    rule = IptablesRule(text.format(pod=_address(name)), 7, 420)

    def make(one):
        if (one.name, one.family) != (table, 4):
            return one
        chains = {two.name: two for two in one.chains}
        have = chains.get(chain, IptablesChain(chain))
        chains[chain] = replace(have, rules=(*have.rules, rule))
        return replace(one, chains=tuple(chains.values()))

    return space(node(name).space, iptables=each(make))


def _nft(name, *expr, hook="forward", policy="accept"):
    base = {"family": "inet", "table": "guard"}
    chain = {**base, "name": "mine", "handle": 1, "hook": hook, "prio": 0, "policy": policy}
    rule = {**base, "chain": "mine", "handle": 5, "expr": list(expr)}
    objects = ({"table": {"family": "inet", "name": "guard"}}, {"chain": chain}, {"rule": rule})
    return space(node(name).space, nft=plus(*objects))


def _match(field, right, op="=="):
    left = {"payload": {"protocol": "ip", "field": field}}
    return {"match": {"op": op, "left": left, "right": right}}


DROP = {"drop": None}
IPTABLES = {
    "source": ("FORWARD", "-s {pod}/32 -j DROP"),
    "destination": ("FORWARD", "-d {pod}/32 -p tcp -m tcp --dport 80 -j REJECT"),
    "everything": ("FORWARD", "-j DROP"),
    "from the card": ("FORWARD", "-i eth0 -p tcp -j DROP"),
    "named in INPUT": ("INPUT", "-s {pod}/32 -j DROP"),
}
HARMLESS = {
    "others": ("FORWARD", "-s 192.0.2.0/24 -j DROP"),
    "invalid": ("FORWARD", "-m conntrack --ctstate INVALID -j DROP"),
    "the node's own": ("INPUT", "-p tcp -m tcp --dport 111 -j DROP"),
    "nobody jumps there": ("MINE", "-s {pod}/32 -j DROP"),
    "network policy": ("KUBE-NWPLCY-X", "-d {pod}/32 -j REJECT"),
    "a link that is not there": ("FORWARD", "-i docker0 -j DROP"),
    "counted": ("FORWARD", "-s {pod}/32 -j ACCEPT"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", IPTABLES)
def test_an_iptables_rule_that_drops_pods(name, case):
    host = node(name).space
    (finding,) = judge(changed(name, _rule(name, *IPTABLES[case]))).findings
    chain, text = IPTABLES[case]
    assert (finding.id, finding.thing, finding.ours) == ("foreign-drop", f"space {host}", False)
    command = f"iptables -t filter -D {chain} {text.format(pod=_address(name))}"
    assert finding.remedy == f"podwire node exec {node(name).name} -- {command}"


@pytest.mark.parametrize("case", HARMLESS)
def test_an_iptables_rule_that_drops_no_pod(case):
    assert found("bridge", _rule("bridge", *HARMLESS[case])) == []


def test_a_rule_in_a_chain_that_is_jumped_to():
    both = _rule("bridge", "MINE", "-d {pod}/32 -j DROP"), _rule("bridge", "FORWARD", "-j MINE")
    (finding,) = judge(changed("bridge", *both)).findings
    assert "-A MINE -d" in finding.evidence


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_of_forward_that_drops(name):
    def make(one):
        chains = each(where(lambda two: two.name == "FORWARD", policy="DROP"))(one.chains)
        return replace(one, chains=chains) if one.name == "filter" else one

    closed = space(node(name).space, iptables=each(make))
    assert found(name, closed) == [("foreign-drop", f"space {node(name).space}")]
    opened = _rule(name, "FORWARD", "-s {pod}/32 -j ACCEPT")
    assert found(name, closed, opened) == []


@pytest.mark.parametrize(
    "expr",
    [
        [DROP],
        [_match("saddr", _address("bridge")), DROP],
        [_match("daddr", {"prefix": {"addr": "10.220.2.0", "len": 24}}), {"reject": None}],
        [_match("daddr", {"set": ["192.0.2.1", _address("bridge")]}), DROP],
        [_match("saddr", "192.0.2.1", "!="), DROP],
    ],
)
def test_an_nft_rule_that_drops_pods(expr):
    (finding,) = judge(changed("bridge", _nft("bridge", *expr))).findings
    assert finding.id == "foreign-drop"
    assert finding.remedy.endswith("-- nft delete rule inet guard mine handle 5")


@pytest.mark.parametrize(
    ("expr", "hook"),
    [
        ([_match("saddr", "192.0.2.1"), DROP], "forward"),
        ([{"counter": {}}], "forward"),
        ([DROP], "input"),
        (
            [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, DROP],
            "forward",
        ),
    ],
)
def test_an_nft_rule_that_drops_no_pod(expr, hook):
    assert found("bridge", _nft("bridge", *expr, hook=hook)) == []


def test_an_nft_policy_that_drops():
    (finding,) = judge(changed("bridge", _nft("bridge", policy="drop"))).findings
    assert finding.remedy.endswith("-- nft chain inet guard mine '{ policy accept; }'")


@pytest.mark.parametrize("name", NAMES)
def test_a_route_that_leads_a_pod_away(name):
    host = node(name).space
    for route in (
        Route(f"{_address(name)}/32", kind="blackhole"),
        Route(f"{_address(name)}/32", link="docker0"),
    ):
        away = space(host, routes=plus(route))
        assert found(name, away) == [("foreign-route", f"space {host}")]
    other = space(host, routes=plus(Route("172.17.0.0/16", link="docker0")))
    assert found(name, other) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_that_takes_pods_to_another_table(name):
    host = node(name).space
    for rule, routes in (
        (PolicyRule(100, 77, source=f"{_address(name)}/32"), (Route("0.0.0.0/0", table=77),)),
        (PolicyRule(100, 0, action="prohibit", destination=f"{_address(name)}/32"), ()),
    ):
        shadow = space(host, rules=plus(rule), routes=plus(*routes))
        assert found(name, shadow) == [("foreign-rule", f"space {host}")]
    for rule in (
        PolicyRule(100, 77, source=f"{_address(name)}/32"),  # its table is empty
        PolicyRule(100, 77, source="192.0.2.0/24"),
        PolicyRule(100, 77, mark=0x40, mask=0x40),
    ):
        harmless = space(host, rules=plus(rule))
        assert found(name, harmless) == []
    assert lease("bridge").address == _address("bridge")
