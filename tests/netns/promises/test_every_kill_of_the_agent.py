"""SIGKILL of the agent at every moment of a call: its shim makes the call, or a later one undoes.

The agent has served before, so that it dies with all open that it keeps open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..cni.node import Answer, Node, Pod, until
from ..cni.resident import put_shims
from .doomed import ANSWERED, Doomed, doomed_agent
from .harness import agree, bare, call, leases, settled, usable

DOOMED, BESIDE, OTHER = "d" * 64, "b" * 64, "e" * 64
AFTER = ("the shim does it", "an agent starts", "another call")


@contextmanager
def no_plugin(node: Node, hidden: bool) -> Iterator[None]:
    """Shims that cannot become the plugin, as if the runtime had killed them."""
    plugin = node.directory / "lib/in-process/azure-vnet"
    aside = plugin.with_name("aside")
    if hidden:
        plugin.rename(aside)
    try:
        yield
    finally:
        if hidden:
            aside.rename(plugin)


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_agent_killed_at_every_moment(shared_node: Node, verb: str) -> None:
    node = shared_node
    put_shims(node)
    doomed, beside, other = (node.pod(one) for one in (DOOMED, BESIDE, OTHER))
    call(node, "ADD", beside)
    moments = counted(node, verb, doomed, beside)
    assert {"before netlink", "in ledger", "after ledger"} <= set(moments)
    for at, moment in enumerate(moments, 1):
        then = AFTER[(at + (node.mode == "transparent")) % len(AFTER)]
        try:
            if verb == "DEL":
                assert call(node, "ADD", doomed).status == 0
            with doomed_agent(node, DOOMED, at) as agent:
                assert node.call("ADD", beside).status == 0
                with no_plugin(node, then != AFTER[0]):
                    answer = node.call(verb, doomed)
                if agent.reaches(at):
                    follow(node, then, verb, agent, answer)
            assert call(node, "ADD", other).status == 0
            for pod in (beside, other):
                usable(node, pod)
            assert call(node, "ADD", doomed).status == 0
            usable(node, doomed)
            agree(node, [doomed, beside, other])
            for pod in (doomed, other):
                assert call(node, "DEL", pod).status == 0
            agree(node, [beside])
        except AssertionError as error:
            raise AssertionError(f"{verb}, agent killed at {at}, {moment}, {then}") from error
    assert call(node, "DEL", beside).status == 0
    bare(node)


def counted(node: Node, verb: str, doomed: Pod, beside: Pod) -> list[str]:
    """The moments of a call of an agent that is left alone, with its work beside the answer."""
    if verb == "DEL":
        assert call(node, "ADD", doomed).status == 0
    with doomed_agent(node, DOOMED) as agent:
        assert node.call("ADD", beside).status == 0
        assert node.call(verb, doomed).status == 0
        settled(node)
        if verb == "ADD":
            assert call(node, "DEL", doomed).status == 0
        return agent.moments


def follow(node: Node, then: str, verb: str, agent: Doomed, answer: Answer) -> None:
    """After the death and what came next; the pod of the call is there or not."""
    doomed, beside, _ = node.pods[-3:]
    if then == "the shim does it":
        assert answer.status == 0, answer
        if ANSWERED not in agent.lines:  # what is left is the shim's work, and that is whole
            agree(node, [beside, doomed] if verb == "ADD" else [beside])
    elif ANSWERED not in agent.lines:
        assert (answer.status, answer.document["code"]) == (1, 5), answer
    if then == "an agent starts":
        with doomed_agent(node, OTHER):
            until(lambda: not any(one.abandoned for one in leases(node)), "nobody recovers")
            there = {one.container_id for one in settled(node)}
            agree(node, [one for one in (beside, doomed) if one.id in there])
            assert node.call("ADD", beside).status == 0
