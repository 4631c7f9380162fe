"""SIGKILL at every journal step and every kernel operation: the next call leaves all whole."""

from __future__ import annotations

import pytest

from ..cni.node import Node, Pod, renew
from .harness import agree, bare, call, usable, watched

DOOMED, OTHER = "d" * 64, "e" * 64
AFTER = ("another", "again", "del")


def follow(node: Node, then: str, doomed: Pod, other: Pod) -> None:
    """The call after the killed one; whatever it is, the node is whole again."""
    if then == "another":
        assert call(node, "ADD", other).status == 0
        usable(node, other)
        assert call(node, "DEL", doomed).status == 0
        agree(node, [other])
        assert call(node, "DEL", other).status == 0
    elif then == "again":
        call(node, "ADD", doomed).address  # noqa: B018  it has one
        agree(node, [doomed])
        usable(node, doomed)
        assert call(node, "DEL", doomed).status == 0
    else:
        assert call(node, "DEL", doomed).status == 0
    bare(node)


@pytest.mark.parametrize("then", AFTER)
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_killed_at_every_moment(shared_node: Node, verb: str, then: str) -> None:
    node = shared_node
    pods = {one.id: one for one in node.pods}
    doomed, other = (pods.get(one) or node.pod(one) for one in (DOOMED, OTHER))
    assert call(node, "ADD", doomed).status == 0  # the node is wired
    if verb == "ADD":
        assert call(node, "DEL", doomed).status == 0
    moments = watched(node, verb, doomed)
    assert {"before netlink", "in ledger", "after ledger"} <= set(moments)
    if verb == "ADD":
        assert call(node, "DEL", doomed).status == 0
    for at, moment in enumerate(moments, 1):
        if verb == "DEL":
            assert call(node, "ADD", doomed).status == 0
        assert watched(node, verb, doomed, at) == [], f"not killed at {at}, {moment}"
        try:
            follow(node, then, doomed, other)
        except AssertionError as error:
            raise AssertionError(f"{verb} killed at moment {at}, {moment}, then {then}") from error


def test_first_wiring_of_the_node_killed_at_every_moment(shared_node: Node) -> None:
    """A fresh node for each: in bridge mode its address moves to the bridge in the same call."""
    node, at, moments = shared_node, 0, ["count them"]
    while at <= len(moments):
        renew(node)
        doomed, other = node.pod(DOOMED), node.pod(OTHER)
        if at == 0:
            moments = watched(node, "ADD", doomed)
            assert {"before netlink", "before sysctl", "in ledger"} <= set(moments)
            assert ("before nft" in moments) == (node.mode == "bridge")
        else:
            assert watched(node, "ADD", doomed, at) == []
            try:
                follow(node, AFTER[at % len(AFTER)], doomed, other)
            except AssertionError as error:
                raise AssertionError(f"killed at {at}, {moments[at - 1]}") from error
        at += 1
