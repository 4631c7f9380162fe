from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.model.errors import InvalidInputError
from podwire.model.load_balancer import Frontend, LoadBalancer, Probe, Rule, check_load_balancer

RULE = Rule("web", "front", "tcp", 80, 80, floating=True, probe="up")
LB = LoadBalancer(
    "lb",
    "Group",
    (Frontend("front", "10.0.0.9", "s"),),
    (RULE,),
    (Probe("up", "tcp", 80),),
    ("10.0.0.4",),
)


def test_a_well_formed_one_passes():
    check_load_balancer(LB)
    check_load_balancer(LoadBalancer("empty", "Group"))
    assert (LB.key, LB.frontends[0].public) == ("group/lb", False)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rules": (replace(RULE, frontend="x"),)}, "names frontend 'x', which is not there"),
        ({"rules": (replace(RULE, probe="x"),)}, "names probe 'x', which is not there"),
        ({"rules": (RULE, replace(RULE, name="2"))}, "frontend port front tcp/80 is there twice"),
        ({"rules": (RULE, RULE)}, "rule web is there twice"),
        ({"rules": (replace(RULE, backend_port=81),)}, "its two ports must be the same"),
        ({"rules": (replace(RULE, frontend_port=0),)}, "has port 0; take one of 1 to 65535"),
        ({"rules": (replace(RULE, idle_minutes=3),)}, "4 to 100 minutes"),
        ({"rules": (replace(RULE, sources=("10.0.0.0/33",)),)}, "is no CIDR"),
        ({"probes": (Probe("up", "tcp", 80, interval=0),)}, "needs an interval"),
        ({"probes": (Probe("up", "http", 80, "/a b"),)}, "has a blank in its path"),
        ({"backends": ("10.0.0",)}, "'10.0.0' is no IPv4 address"),
    ],
)
def test_what_no_balancer_can_be(changes, text):
    with pytest.raises(InvalidInputError, match=text):
        check_load_balancer(replace(LB, **changes))
