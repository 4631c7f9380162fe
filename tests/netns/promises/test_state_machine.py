"""The real plugin on a real node against a model, in orders that nobody thought of.

Calls go through the shim while there is an agent, which is started, ended, killed in the middle of
calls and stopped; else they run in process.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ..cni.node import Node, Pod, build, until
from ..cni.resident import put_shims
from .doomed import ANSWERED, Doomed, doomed_agent
from .harm import OF_A_NODE, OF_A_POD, words
from .harness import (
    Said,
    agree,
    asked,
    bare,
    call,
    elements,
    leases,
    neighbours,
    routes,
    settled,
    usable,
    watched,
)

STEPS = 1000
"""In each mode."""
COUNT = 5
PODS = st.integers(0, COUNT - 1)
VERBS = st.sampled_from(("ADD", "DEL"))
SHIM_SECONDS = 0.1


class Machine(RuleBasedStateMachine):
    """held: the model, container -> address. hurt: pods whose own objects were harmed.

    node_hurt: the node's were, and no ADD came since. unsure: a call for it was killed, and no
    other call came since, and no agent started. half_repaired: a killed ADD may have repaired the
    node or a pod, and no whole one came since.

    No rule has a precondition: how far a killed call came depends on the machine, and hypothesis
    wants to choose among the same rules each time.
    """

    node: Node
    pods: list[Pod]
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, str] = {}
        self.hurt: set[str] = set()
        self.node_hurt = False
        self.unsure: set[str] = set()
        self.half_repaired = False
        self.agent: Doomed | None = None
        self.stack = ExitStack()

    @rule(which=PODS)
    def add(self, which: int) -> None:
        self.added(self.pods[which], self.call("ADD", self.pods[which]))

    @rule(which=PODS)
    def delete(self, which: int) -> None:
        self.deleted(self.pods[which], self.call("DEL", self.pods[which]))

    @rule(which=PODS)
    def check(self, which: int) -> None:
        pod = self.pods[which]
        if pod.id in self.unsure or (self.half_repaired and (self.node_hurt or self.hurt)):
            return
        said = self.call("CHECK", pod)
        if pod.id not in self.held:
            assert said.document
            assert said.document["code"] == 3, said
        elif pod.id not in self.hurt and not self.node_hurt:
            assert said.status == 0, said
        else:
            assert said.document
            assert said.document["code"] == 104, said

    @rule(which=PODS, verb=VERBS, at=st.integers(1, 80))
    def kill(self, which: int, verb: str, at: int) -> None:
        """A call in process. Perhaps it is through before it is killed: nobody knows."""
        watched(self.node, verb, self.pods[which], at)
        self.unsure.add(self.pods[which].id)
        self.half_repaired = True

    # The agent

    @rule()
    def start_agent(self) -> None:
        if self.agent:
            return
        self.begin("", 0)
        until(lambda: not any(one.abandoned for one in leases(self.node)), "nobody recovers")
        self.settle()

    @rule(how=st.sampled_from((signal.SIGTERM, signal.SIGKILL)))
    def end_agent(self, how: signal.Signals) -> None:
        if not self.agent:
            return
        self.agent.signal(how)
        self.agent.ended()
        self.end()

    @rule(which=PODS, verb=VERBS, at=st.integers(1, 60))
    def kill_agent_in_a_call(self, which: int, verb: str, at: int) -> None:
        """The shim makes the call then: its answer is as good as ever."""
        pod = self.pods[which]
        self.end()
        agent = self.begin(pod.id, at)
        said = asked(self.node, verb, pod)
        settled(self.node)
        dead, answered = len(agent.moments) >= at, ANSWERED in agent.lines
        if dead:
            agent.ended()
        self.end()
        if verb == "DEL" and dead and answered:  # the next call ends what came after the answer
            assert (said.status, said.document) == (0, None)
            self.unsure.add(pod.id)
        else:
            self.added(pod, said) if verb == "ADD" else self.deleted(pod, said)

    @rule(which=PODS, verb=VERBS, now=st.sampled_from((True, False, False)))
    def stop_agent_for_a_call(self, which: int, verb: str, now: bool) -> None:
        if not now or not self.agent:
            return  # each takes long
        pod = self.pods[which]
        self.agent.signal(signal.SIGSTOP)
        self.agent.stopped()
        said = asked(self.node, verb, pod)
        self.agent.signal(signal.SIGCONT)
        self.added(pod, said) if verb == "ADD" else self.deleted(pod, said)

    # What others do to the node

    @rule(which=PODS, harm=st.sampled_from(range(30)))
    def harm_pod(self, which: int, harm: int) -> None:
        pod = self.pods[which]
        whole = pod.id in self.held and pod.id not in self.hurt | self.unsure
        if not whole or self.node_hurt:
            return
        ways = OF_A_POD[self.node.mode]
        command = ways[harm % len(ways)]
        self.node.run(*words(command.format(link=self.links()[pod.id], ip=self.held[pod.id])))
        self.hurt.add(pod.id)

    @rule(harm=st.sampled_from(range(30)))
    def harm_node(self, harm: int) -> None:
        if not self.held or self.node_hurt or self.unsure:
            return
        ways = OF_A_NODE[self.node.mode]
        self.node.run(*words(ways[harm % len(ways)]))
        self.node_hurt = True

    @rule(damage=st.sampled_from(("gone", "garbage")))
    def lose_ledger(self, damage: str) -> None:
        """All is known again from the kernel, and each container when its ADD comes."""
        if not self.held or self.hurt or self.node_hurt or self.unsure:
            return
        for file in Path(self.node.settings.state_dir).glob("ledger.sqlite*"):
            file.write_bytes(b"garbage" * 999) if damage == "garbage" else file.unlink()
        for pod in self.pods:
            if pod.id in self.held:
                assert self.call("ADD", pod).address == self.held[pod.id]

    @invariant()
    def nothing_leaks(self) -> None:
        """What the kernel has is somebody's; whole pods are whole."""
        type(self).steps += 1
        if self.unsure:
            return
        if not self.hurt and not self.node_hurt:
            agree(self.node, [one for one in self.pods if one.id in self.held])
            return
        assert {one.container_id: one.address for one in settled(self.node)} == self.held
        addresses = set(self.held.values())
        assert set(elements(self.node.netns, "pod_mac")) <= addresses
        assert set(neighbours(self.node)) <= addresses
        assert set(routes(self.node)) <= addresses
        assert set(self.node.azv_links()) <= set(self.links().values())

    def teardown(self) -> None:
        try:
            for pod in self.pods:
                assert self.call("DEL", pod).status == 0
            bare(self.node)
        finally:
            self.end()

    def call(self, verb: str, pod: Pod) -> Said:
        return asked(self.node, verb, pod) if self.agent else call(self.node, verb, pod)

    def begin(self, container: str, at: int) -> Doomed:
        self.agent = self.stack.enter_context(doomed_agent(self.node, container, at))
        return self.agent

    def end(self) -> None:
        self.stack.close()
        self.agent = None

    def added(self, pod: Pod, said: Said) -> None:
        if pod.id not in self.unsure:
            assert self.held.get(pod.id, said.address) == said.address
        self.held[pod.id] = said.address
        self.hurt.discard(pod.id)
        repaired = self.node_hurt or self.half_repaired
        self.node_hurt = self.half_repaired = False
        self.unsure.discard(pod.id)
        self.settle()
        if repaired:
            self.hurt = {one for one in self.hurt if self.is_hurt(one)}
        usable(self.node, pod)

    def deleted(self, pod: Pod, said: Said) -> None:
        assert (said.status, said.document) == (0, None)
        self.forget(pod.id)
        self.settle()

    def settle(self) -> None:
        """After a whole call the killed ones are undone or done: the ledger says which."""
        known = {one.container_id: one.address for one in settled(self.node)}
        for identity in tuple(self.unsure):
            was_hurt = identity in self.hurt
            self.forget(identity)
            if identity in known:
                self.held[identity] = known[identity]
                self.hurt |= {identity} if was_hurt and self.is_hurt(identity) else set()
        assert known == self.held

    def is_hurt(self, identity: str) -> bool:
        pod = next(one for one in self.pods if one.id == identity)
        return call(self.node, "CHECK", pod).status != 0

    def forget(self, identity: str) -> None:
        self.held.pop(identity, None)
        self.hurt.discard(identity)
        self.unsure.discard(identity)

    def links(self) -> dict[str, str]:
        return {one.container_id: one.host_link for one in leases(self.node)}


@pytest.fixture(params=["bridge", "transparent"])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[type[Machine]]:
    with ExitStack() as stack:
        node = build(tmp_path, stack, mode=request.param)
        put_shims(node, seconds=SHIM_SECONDS)
        Machine.node = node
        Machine.pods = [node.pod(letter * 64) for letter in "abcdef"[:COUNT]]
        Machine.steps = 0
        yield Machine


def test_the_plugin_does_as_the_model(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.steps >= STEPS, f"only {machine.steps} steps"
