"""Paths for the page: every step is somewhere, and begins where the last one ended."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from podwire.lens.draw import scene
from podwire.lens.explain import explain
from podwire.lens.names import source, target
from podwire.lens.ui.paths import journey
from podwire.lens.ui.things import things
from tests.unit.lens.saved import NAMES, saved


@pytest.mark.parametrize("name", NAMES)
def test_a_packet_goes_from_box_to_box_without_a_leap(name: str) -> None:
    snapshot = saved(name)
    pods = [one.key for each in snapshot.clusters for one in each.pods if one.space]
    drawn = {one.object for one in scene(snapshot, "wiring").boxes}
    for pod in pods:
        found = journey(
            snapshot,
            explain(snapshot, source(snapshot, pod), target(snapshot, "svc/default/nginx")),
        )
        assert json.loads(json.dumps(found)) == found
        steps = found["steps"]
        assert steps[0]["at"][0] == f"link pod/{pod} eth0"
        assert found["verdict"] == "delivered"
        for way in (False, True):
            leg = [one for one in steps if one["reply"] is way]
            assert leg
            for one, two in pairwise(leg):
                if two["space"] != one["space"]:
                    assert two["at"][0] == one["at"][-1]
                assert two["at"]
        seen = {one for step in steps for one in step["at"]}
        assert {one for one in seen if one.startswith("link pod/")} <= drawn


def test_what_is_rewritten_is_told() -> None:
    snapshot = saved("bridge")
    pod = next(o.key for each in snapshot.clusters for o in each.pods if o.space)
    found = journey(
        snapshot, explain(snapshot, source(snapshot, pod), target(snapshot, "svc/default/nginx"))
    )
    rewritten = [one for one in found["steps"] if "dst" in one["changed"] and not one["reply"]]
    assert [one["place"] for one in rewritten] == ["iptables nat"]


@pytest.mark.parametrize("name", NAMES)
def test_every_end_that_is_offered_is_one(name: str) -> None:
    snapshot = saved(name)
    offered = things(snapshot)
    assert [one for one in offered if one.sends]
    for one in offered:
        if one.end:
            assert target(snapshot, one.end).thing.object == one.object
        if one.sends:
            assert source(snapshot, one.end).space
