"""Routes of further tables, their rules, and taps: made, seen, unmade, idempotent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.kernel.tap import KIND, create_tap
from podwire.model.errors import KernelError
from podwire.model.wiring import Address, Neighbour, PolicyRoute, PolicyRule, Veth, Wiring, diff

from .conftest import run

TABLE = 1000
CABLE = Veth("a", "left", "a", "right")
THROW = PolicyRoute("a", TABLE, "10.1.0.0/16")
VIA = PolicyRoute("a", TABLE, "10.2.0.0/16", "left", "10.9.9.9")
LAST = PolicyRoute("a", TABLE, "10.2.0.0/16", "lo", metric=1000)
DEFAULT = PolicyRoute("a", TABLE, "0.0.0.0/0", "lo")
ROUTES = Wiring((THROW, VIA, LAST, DEFAULT, PolicyRule("a", TABLE)))


@pytest.fixture
def places() -> Iterator[dict[str, NetNamespace]]:
    with NetNamespace.create() as made:
        with RtNetlink(made) as door:
            door.set_link(door.index("lo"), up=True)
        places = {"a": made}
        neighbour = Neighbour("a", "left", "10.9.9.9", "00:0d:3a:00:00:01")
        wire.realise(Wiring((CABLE, neighbour, Address("a", "left", "10.0.0.1/32"))), places)
        yield places


def get(places: dict[str, NetNamespace], destination: str, mark: int) -> str:
    return run(places["a"], "ip", "route", "get", destination, "mark", str(mark))


def test_made_twice_seen_and_unmade_twice(places):
    for _ in range(2):
        wire.realise(ROUTES, places)
        assert diff(ROUTES, wire.observe(ROUTES, places)) == ()
    for _ in range(2):
        wire.unwire(ROUTES, places)
        assert len(wire.observe(ROUTES, places)) == 0
    assert str(TABLE) not in run(places["a"], "ip", "rule")
    assert run(places["a"], "ip", "-4", "route", "show", "table", "all", "type", "unicast") == ""


def test_only_marked_packets_follow_the_table_and_what_is_thrown_goes_on_to_main(places):
    wire.realise(ROUTES, places)
    run(places["a"], "ip", "route", "add", "10.0.0.0/8", "dev", "right")
    assert "via 10.9.9.9 dev left" in get(places, "10.2.0.1", TABLE)
    assert "dev right" in get(places, "10.2.0.1", 0)
    assert "dev right" in get(places, "10.1.0.1", TABLE)
    assert "dev lo" in get(places, "10.3.0.1", TABLE)


def test_the_last_resort_holds_when_the_link_goes(places):
    wire.realise(ROUTES, places)
    wire.unwire(Wiring((CABLE,)), places)
    assert "dev lo" in get(places, "10.2.0.1", TABLE)
    lost = diff(ROUTES, wire.observe(ROUTES, places))
    assert [one.wanted for one in lost] == [VIA]


def test_another_way_takes_the_place_of_the_first(places):
    wire.realise(ROUTES, places)
    other = replace(VIA, via=None, link="lo")
    wire.realise(Wiring((other,)), places)
    assert diff(Wiring((other,)), wire.observe(Wiring((other,)), places)) == ()
    assert [one.wanted for one in diff(ROUTES, wire.observe(ROUTES, places))] == [VIA]


def test_a_route_through_no_link_is_an_error_that_names_it(places):
    with pytest.raises(
        KernelError, match=r"cannot make policyroute a 1000 10\.2\.0\.0/16 0: .*nolink"
    ):
        wire.realise(Wiring((replace(VIA, link="nolink"),)), places)


def test_a_tap_outlives_the_call_and_may_be_there_already(places):
    for _ in range(2):
        create_tap(places["a"], "tap7")
    with RtNetlink(places["a"]) as door:
        link = door.link("tap7")
        assert link is not None
        assert link.kind == KIND
        door.delete_link(link.ifindex)
        assert door.link("tap7") is None
    with pytest.raises(KernelError, match="cannot make tap"):
        create_tap(places["a"], "left")
