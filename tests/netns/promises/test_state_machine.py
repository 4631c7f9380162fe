"""The real plugin on a real node against a model, in orders that nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from podwire.model.bridge_mode import host_veth_name

from ..cni.node import Node, Pod, build
from .harness import agree, bare, call, elements, leases, neighbours, usable, watched

STEPS = 2000
COUNT = 5
NODE_HARMS = (
    "ip link del azure0",
    "ip link set eth0 nomaster",
    "ip link set azure0 down",
    "nft delete table bridge azure-vnet",
    "nft flush table bridge azure-vnet",
    "nft flush ruleset",
)
POD_HARMS = (
    "ip link del {link}",
    "ip link set {link} nomaster",
    "ip link set {link} down",
    "ip neigh del {ip} dev azure0",
    "nft delete element bridge azure-vnet pod_mac {{ {ip} }}",
    "bridge link set dev {link} hairpin off",
)


def link_of(pod: Pod) -> str:
    return host_veth_name("azure", pod.id, "eth0")


class Machine(RuleBasedStateMachine):
    """held: the model, container -> address. hurt: pods whose own objects were harmed.

    node_hurt: the node's were, and no ADD came since. unsure: a call for it was killed, and no
    other call came since.
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

    @rule(which=st.integers(0, COUNT - 1))
    def add(self, which: int) -> None:
        pod = self.pods[which]
        address = call(self.node, "ADD", pod).address
        if pod.id not in self.unsure:
            assert self.held.get(pod.id, address) == address
        self.held[pod.id] = address
        self.hurt.discard(pod.id)
        repaired = self.node_hurt or self.unsure
        self.node_hurt = False
        self.unsure.discard(pod.id)
        self.settle()
        if repaired:
            self.hurt = {one for one in self.hurt if self.is_hurt(one)}
        usable(self.node, pod)

    @rule(which=st.integers(0, COUNT - 1))
    def delete(self, which: int) -> None:
        pod = self.pods[which]
        said = call(self.node, "DEL", pod)
        assert (said.status, said.document) == (0, None)
        self.forget(pod.id)
        self.settle()

    @rule(which=st.integers(0, COUNT - 1))
    def check(self, which: int) -> None:
        pod = self.pods[which]
        if pod.id in self.unsure or (self.unsure and (self.node_hurt or self.hurt)):
            return  # a killed call may have repaired the node, and pods with it
        said = call(self.node, "CHECK", pod)
        if pod.id not in self.held:
            assert said.document
            assert said.document["code"] == 3, said
        elif pod.id not in self.hurt and not self.node_hurt:
            assert said.status == 0, said
        else:
            assert said.document
            assert said.document["code"] == 104, said

    @rule(
        which=st.integers(0, COUNT - 1),
        verb=st.sampled_from(("ADD", "DEL")),
        at=st.integers(1, 120),
    )
    def kill(self, which: int, verb: str, at: int) -> None:
        """Perhaps it is through before it is killed: nobody knows, as in life."""
        watched(self.node, verb, self.pods[which], at)
        self.unsure.add(self.pods[which].id)

    @rule(which=st.integers(0, COUNT - 1), harm=st.sampled_from(POD_HARMS))
    def harm_pod(self, which: int, harm: str) -> None:
        pod = self.pods[which]
        whole = pod.id in self.held and pod.id not in self.hurt | self.unsure
        if not whole or self.node_hurt:
            return
        self.run(harm.format(link=link_of(pod), ip=self.held[pod.id]))
        self.hurt.add(pod.id)

    @precondition(lambda self: self.held and not self.node_hurt and not self.unsure)
    @rule(harm=st.sampled_from(NODE_HARMS))
    def harm_node(self, harm: str) -> None:
        self.run(harm)
        self.node_hurt = True

    @precondition(
        lambda self: self.held and not self.hurt and not self.node_hurt and not self.unsure
    )
    @rule(damage=st.sampled_from(("gone", "garbage")))
    def lose_ledger(self, damage: str) -> None:
        """All is known again from the kernel, and each container when its ADD comes."""
        for file in Path(self.node.settings.state_dir).glob("ledger.sqlite*"):
            file.write_bytes(b"garbage" * 999) if damage == "garbage" else file.unlink()
        for pod in self.pods:
            if pod.id in self.held:
                assert call(self.node, "ADD", pod).address == self.held[pod.id]

    @invariant()
    def nothing_leaks(self) -> None:
        """What the kernel has is somebody's; whole pods are whole."""
        type(self).steps += 1
        if self.unsure:
            return
        if not self.hurt and not self.node_hurt:
            agree(self.node, [one for one in self.pods if one.id in self.held])
            return
        assert {one.container_id: one.address for one in leases(self.node)} == self.held
        addresses = set(self.held.values())
        assert set(elements(self.node.netns, "pod_mac")) <= addresses
        assert set(neighbours(self.node)) <= addresses
        there = {link_of(one) for one in self.pods if one.id in self.held}
        assert set(self.node.azv_links()) <= there

    def teardown(self) -> None:
        for pod in self.pods:
            assert call(self.node, "DEL", pod).status == 0
        bare(self.node)

    def settle(self) -> None:
        """After a whole call the killed ones are undone or done: the ledger says which."""
        known = {one.container_id: one.address for one in leases(self.node)}
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

    def run(self, command: str) -> None:
        if command.startswith("nft "):
            self.node.run("nft", command.removeprefix("nft "))
        else:
            self.node.run(*command.split())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[type[Machine]]:
    with ExitStack() as stack:
        node = build(tmp_path, stack)
        Machine.node = node
        Machine.pods = [node.pod(letter * 64) for letter in "abcdef"[:COUNT]]
        Machine.steps = 0
        yield Machine


def test_the_plugin_does_as_the_model(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=44,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.steps >= STEPS, f"only {machine.steps} steps"
