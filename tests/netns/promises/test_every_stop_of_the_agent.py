"""SIGSTOP of the agent at every moment of a call, and the runtime goes on without it.

What its caller's own process then does may meet the hung call's locks and lease: it may answer
"try again" (code 11). Whatever it answered: when the agent goes on, or dies, nothing leaks and
nobody is harmed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..cni.node import Node, Pod, until
from ..cni.resident import put_shims
from .doomed import ANSWERED, Doomed, doomed_agent
from .harness import Said, agree, bare, call, settled, usable
from .test_every_kill_of_the_agent import BESIDE, DOOMED, OTHER, counted

TRY_AGAIN = 11


@contextmanager
def impatient(node: Node) -> Iterator[None]:
    """Calls in process wait for a lock for a moment only: they meet many that nobody lets go of."""
    node.lock_wait = 0.02
    try:
        yield
    finally:
        node.lock_wait = 10.0


@contextmanager
def stopped_agent(node: Node, verb: str, pods: list[Pod], at: int) -> Iterator[Doomed | None]:
    """An agent in the middle of the doomed pod's call; the caller has lost its patience. None: this
    call has fewer moments."""
    doomed, beside, _ = pods
    with doomed_agent(node, DOOMED, at, signal.SIGSTOP) as agent:
        assert node.call("ADD", beside).status == 0
        caller = node.start(verb, doomed)
        reached = agent.reaches(at, os.WSTOPPED)
        caller.kill()
        caller.communicate()
        yield agent if reached else None


def tried(said: Said) -> bool:
    """Whether a call beside the hung one was done; else it is to be tried again."""
    assert said.status == 0 or (said.document or {})["code"] == TRY_AGAIN, said
    return said.status == 0


def goes_on(node: Node, agent: Doomed) -> None:
    agent.signal(signal.SIGCONT)
    until(lambda: ANSWERED in agent.lines, "the agent's call does not end")
    settled(node)


def add_again_and_go_on(node: Node, agent: Doomed, pods: list[Pod]) -> None:
    doomed, _, other = pods
    with impatient(node):
        tried(call(node, "ADD", doomed))
        tried(call(node, "ADD", other))
    goes_on(node, agent)
    for pod in (doomed, other):
        assert call(node, "ADD", pod).status == 0
    agree(node, pods)


def add_again_and_die(node: Node, agent: Doomed, pods: list[Pod]) -> None:
    doomed, _, other = pods
    with impatient(node):
        tried(call(node, "ADD", doomed))
    agent.signal(signal.SIGKILL)
    agent.ended()
    for pod in (other, doomed):
        assert call(node, "ADD", pod).status == 0
    agree(node, pods)


def delete_and_go_on(node: Node, agent: Doomed, pods: list[Pod]) -> None:
    """The worst: the agent still adds what the runtime has deleted, and deletes what it has."""
    doomed, beside, other = pods
    with impatient(node):
        tried(call(node, "ADD", doomed))
        gone = tried(call(node, "DEL", doomed))
        there = tried(call(node, "ADD", other))
    goes_on(node, agent)
    if gone:
        agree(node, [beside, other] if there else [beside])
    assert call(node, "DEL", doomed).status == 0
    agree(node, [beside, other] if there else [beside])


def make_again_and_go_on(node: Node, agent: Doomed, pods: list[Pod]) -> None:
    """Runtimes that use a container's id again: the hung DEL is not for its new network."""
    doomed, beside, _ = pods
    with impatient(node):
        made = tried(call(node, "DEL", doomed)) and tried(call(node, "ADD", doomed))
    goes_on(node, agent)
    if made:
        agree(node, [doomed, beside])
        usable(node, doomed)


WAYS = {
    "ADD": [(delete_and_go_on, add_again_and_go_on), (delete_and_go_on, add_again_and_die)],
    "DEL": [(make_again_and_go_on, add_again_and_go_on), (make_again_and_go_on, delete_and_go_on)],
}


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_agent_stopped_at_every_moment(shared_node: Node, verb: str) -> None:
    node = shared_node
    put_shims(node)
    pods = [node.pod(one) for one in (DOOMED, BESIDE, OTHER)]
    doomed, beside, other = pods
    assert call(node, "ADD", beside).status == 0
    moments = counted(node, verb, doomed, beside)
    for at, moment in enumerate(moments, 1):
        for then in WAYS[verb][at % 2]:
            if verb == "DEL":
                assert call(node, "ADD", doomed).status == 0
            try:
                with stopped_agent(node, verb, pods, at) as agent:
                    if agent:
                        then(node, agent, pods)
                usable(node, beside)
                for pod in (doomed, other):
                    assert call(node, "DEL", pod).status == 0
                agree(node, [beside])
            except AssertionError as error:
                raise AssertionError(f"{verb}, stopped at {at}, {moment}, {then}") from error
    assert call(node, "DEL", beside).status == 0
    bare(node)
