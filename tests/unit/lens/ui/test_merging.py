"""A look at one node put into a look at all."""

from __future__ import annotations

from dataclasses import replace

from podwire.lens.snapshot import Snapshot
from podwire.lens.ui.merging import merged
from tests.unit.lens.saved import saved


def only(snapshot: Snapshot, name: str) -> Snapshot:
    """As a look at one node gives it: ends in what was not looked at are unknown."""
    node = snapshot.node(name)
    assert node is not None
    mine = {node.space, *node.pods}
    spaces = tuple(
        replace(
            one,
            links=tuple(
                replace(link, peer=link.peer if link.peer and link.peer[0] in mine else None)
                for link in one.links
            ),
        )
        for one in snapshot.spaces
        if one.id in mine
    )
    return replace(snapshot, nodes=(node,), spaces=spaces)


def test_nothing_changed_is_the_same_snapshot() -> None:
    whole = saved("bridge")
    again = merged(whole, only(whole, whole.nodes[0].name))
    assert again.nodes == whole.nodes
    assert {one.id: one for one in again.spaces} == {one.id: one for one in whole.spaces}
    assert again.clusters == whole.clusters


def test_a_pod_that_went_is_gone_and_other_nodes_stay() -> None:
    whole = saved("bridge")
    node = next(one for one in whole.nodes if one.pods)
    gone = node.pods[0]
    part = only(whole, node.name)
    part = replace(
        part,
        nodes=(replace(node, pods=node.pods[1:]),),
        spaces=tuple(one for one in part.spaces if one.id != gone),
    )
    now = merged(whole, part)
    assert now.space(gone) is None
    assert len(now.spaces) == len(whole.spaces) - 1
    assert [one.space for one in now.clusters[0].pods].count(gone) == 0
    assert [one for one in now.nodes if one.name != node.name] == [
        one for one in whole.nodes if one.name != node.name
    ]
