"""The numbers of a pair's two ends: neighbours, as the document shows them, when both are free."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from podwire.kernel import wire
from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.wiring import Veth, Wiring, diff

PAIR = Veth("host", "azv1", "pod", "eth0", index=26)


@pytest.fixture
def places() -> Iterator[dict[str, NetNamespace]]:
    with NetNamespace.create() as host, NetNamespace.create() as pod:
        yield {"host": host, "pod": pod}


def indices(places: dict[str, NetNamespace]) -> tuple[int, int]:
    with RtNetlink(places["pod"]) as pod, RtNetlink(places["host"]) as host:
        return pod.index("eth0"), host.index("azv1")


def test_both_numbers_are_free(places: dict[str, NetNamespace]) -> None:
    wire.realise(Wiring((PAIR,)), places)
    assert indices(places) == (26, 27)


@pytest.mark.parametrize("where", ["host", "pod"])
def test_a_number_that_is_taken_is_no_obstacle(places: dict[str, NetNamespace], where: str) -> None:
    with RtNetlink(places[where]) as door:
        door.create_veth("in-the-way", "other", places[where], index=25 if where == "pod" else 26)
    wire.realise(Wiring((PAIR,)), places)
    assert indices(places) != (26, 27)
    assert diff(Wiring((PAIR,)), wire.observe(Wiring((PAIR,)), places)) == ()
