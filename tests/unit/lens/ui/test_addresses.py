"""Address use: what is counted as what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from podwire.cni.settings import COOLING_SECONDS
from podwire.lens.snapshot import Node, Snapshot
from podwire.lens.ui.addresses import Use, use
from tests.unit.lens.saved import NAMES, saved


def first(snapshot: Snapshot) -> Use:
    return use(snapshot)[0]


def with_node(snapshot: Snapshot, node: Node) -> Snapshot:
    return replace(snapshot, nodes=(node, *snapshot.nodes[1:]))


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_a_bar_are_the_whole(name: str) -> None:
    found = use(saved(name))
    assert [one.name for one in found if one.kind == "node"] == [
        one.name for one in saved(name).nodes
    ]
    assert [one for one in found if one.kind == "subnet"]
    for one in found:
        parts = one.used, one.cooling, one.leaked, one.free, one.own, one.unassigned
        assert min(parts) >= 0
        assert sum(parts) == one.total


@pytest.mark.parametrize("name", NAMES)
def test_each_pod_with_an_address_of_its_own_uses_one(name: str) -> None:
    snapshot = saved(name)
    for node in snapshot.nodes:
        found = next(one for one in use(snapshot) if one.name == node.name)
        assert found.used == len(node.pods)


def test_an_address_cools_for_as_long_as_the_plugin_spares_it() -> None:
    snapshot = saved("bridge")
    node = snapshot.nodes[0]
    was = first(snapshot)
    free = [one for one in node.attachments.addresses if not one.held]
    for seconds, more in ((0.0, 1), (COOLING_SECONDS - 1, 1), (COOLING_SECONDS + 1, 0)):
        rows = [
            replace(one, freed=seconds if one is free[-1] else None)
            for one in node.attachments.addresses
        ]
        now = with_node(
            snapshot, replace(node, attachments=replace(node.attachments, addresses=tuple(rows)))
        )
        base = first(now)
        assert base.cooling == more
        assert base.free + base.cooling == was.free + was.cooling


def test_a_lease_whose_link_is_gone_is_leaked() -> None:
    snapshot = saved("bridge")
    node = snapshot.nodes[0]
    assert first(snapshot).leaked == 0
    lease = replace(node.attachments.leases[0], host_link="azvgone")
    held = replace(node.attachments, leases=(lease, *node.attachments.leases[1:]))
    now = first(with_node(snapshot, replace(node, attachments=held)))
    assert now.leaked == 1
    assert now.used == first(snapshot).used - 1
