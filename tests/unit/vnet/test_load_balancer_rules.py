from __future__ import annotations

import re
from dataclasses import replace

import pytest

from podwire.model.load_balancer import Frontend, LoadBalancer, Rule
from podwire.model.wiring import Element, Neighbour
from podwire.vnet.fabric import Port
from podwire.vnet.load_balancer_probes import Health
from podwire.vnet.load_balancer_rules import Loaded, Marks, return_wiring, script, services

F = "10.220.2.100"
LB = LoadBalancer(
    "lb",
    "g",
    (Frontend("front", F, "azurecni"),),
    (Rule("web", "front", "tcp", 80, 80, floating=True),),
    (),
    ("10.220.2.4", "10.220.2.35", "10.220.2.66"),
)


def made(lb=LB, healthy=lambda lb, rule, backend: True, marks=None, before=Loaded()):  # noqa: B008
    balanced = services([lb], healthy)
    return script([one.address for one in lb.frontends], balanced, marks or Marks(), before)


def test_what_every_packet_passes_does_not_grow_with_rules_and_backends():
    def hooks(lb):
        text, _ = made(lb)
        return re.findall(r"^add rule ip balancer (?:dispatch|restore|translate) .*$", text, re.M)

    many = tuple(replace(LB.rules[0], name=str(n), frontend_port=n, backend_port=n) for n in (1, 2))
    assert hooks(LB) == hooks(replace(LB, rules=many, backends=LB.backends[:1]))


def test_a_mark_is_one_target_s_for_ever():
    marks = Marks()
    made(marks=marks)
    targets = services([LB], lambda *_: True)[0].targets
    first = [marks.of(one) for one in targets]
    marks.forget_all_but(targets[1:])
    assert [marks.of(one) for one in targets[1:]] == first[1:]
    assert marks.of(targets[0]) not in first


def test_only_floating_rules_are_not_tracked():
    assert "nat hook" not in made()[0]
    text, after = made(replace(LB, rules=(replace(LB.rules[0], floating=False),)))
    assert "nat hook" in text
    assert after.translating
    assert "delete chain ip balancer translate" in made(before=after)[0]


def test_a_backend_that_fails_keeps_its_tcp_flows_and_gets_no_new_one():
    marks = Marks()
    text, _ = made(healthy=lambda _lb, _rule, one: one == "10.220.2.35", marks=marks)
    kept = re.search(r"meta mark != \{ (.*?) \} meta mark set (0x\w+)$", text, re.M)
    assert kept is not None
    everybody, chosen = kept.groups()
    assert len(everybody.split(", ")) == 3
    target = services([LB], lambda *_: True)[0].targets[1]
    assert chosen == marks.of(target)


def test_no_healthy_backend_and_no_backend():
    assert "unserved drop" in made(healthy=lambda *_: False)[0]
    assert made(replace(LB, backends=()))[0].count("rule0 counter name unserved drop") == 1


def test_the_old_chains_go_and_nothing_of_an_unused_table_stays():
    text, after = made(before=Loaded(3, present=True))
    assert [f"delete chain ip balancer rule{n}" in text for n in range(4)] == [True] * 3 + [False]
    assert after == Loaded(1, present=True)
    assert script([], (), Marks(), after) == ("delete table ip balancer\n", Loaded())
    assert script([], (), Marks(), Loaded()) == ("", Loaded())


def test_the_way_back_is_there_for_backends_with_a_nic_alone(first):
    balanced = services([LB], lambda *_: True)
    wiring = return_wiring(balanced, [Port(first, "nic7", 1, "eth0", 1500)])
    assert [one for one in wiring if isinstance(one, Neighbour)] == [
        Neighbour("fabric", "nic7", F, first.mac)
    ]
    assert {(one.family, one.item) for one in wiring if isinstance(one, Element)} == {
        (family, f"nic7 . {first.mac} . {F}") for family in ("ip", "arp")
    }


@pytest.mark.parametrize(
    ("outcomes", "up"),
    [
        (["refused"], False),
        ([""], True),
        (["", "refused"], True),
        (["", "refused", "refused"], False),
        (["", "refused", "", "refused"], True),
        (["", "refused", "refused", ""], True),
    ],
)
def test_health_changes_after_so_many_failures_and_one_success(outcomes, up):
    state = Health()
    changes = [state.note(one, 2) for one in outcomes]
    assert state.up == up
    assert sum(changes) % 2 == up


def test_a_backend_that_was_never_up_is_asked_more_often():
    state = Health()
    delays = []
    for _ in range(8):
        state.note("refused", 2)
        delays.append(state.delay(5.0))
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    state.note("", 2)
    state.note("refused", 2)
    assert state.delay(5.0) == 5.0
