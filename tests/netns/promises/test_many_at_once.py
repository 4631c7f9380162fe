"""Two hundred calls over fifty containers at once, in random order: no leak, no double address."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from ..cni.node import WAIT, Answer, Node, Pod, build, finish
from ..cni.resident import end_agent, put_shims, start_agent
from .harness import agree, bare, call, settled, usable

CONTAINERS, CALLS, AT_ONCE = 50, 200, 12
LATER = (11,)
"""Another call works on the same container, or took the lock: try again later."""
Restart = Callable[[], None]
PLACES = [("bridge", False), ("bridge", True), ("transparent", True)]
NAMES = ["bridge, in process", "bridge, agent", "transparent, agent"]


def called(node: Node, verb: str, pod: Pod) -> tuple[str, Pod, Answer]:
    """As a runtime does it: what is to be tried again is tried again."""
    deadline = time.monotonic() + WAIT
    while True:
        answer = finish(node.start(verb, pod))
        one_document(verb, answer)
        done = answer.status == 0 or answer.document["code"] not in LATER
        if done or time.monotonic() > deadline:
            return verb, pod, answer
        time.sleep(0.02)


def one_document(verb: str, answer: Answer) -> None:
    """A result or an error; nothing at all is what a DEL that worked says."""
    assert answer.stderr == ""
    if verb == "DEL" and answer.status == 0:
        assert answer.stdout == ""
        return
    document = json.loads(answer.stdout)
    assert isinstance(document, dict)
    assert ("ips" in document) == (answer.status == 0)


@contextmanager
def restarted_agent(node: Node) -> Iterator[Restart]:
    """What ends the node's agent and starts another: gently, and the next time by SIGKILL."""
    put_shims(node)
    agents, ways = [start_agent(node)], cycle((signal.SIGTERM, signal.SIGKILL))

    def restart() -> None:
        end_agent(agents.pop(), next(ways))
        agents.append(start_agent(node))

    try:
        yield restart
    finally:
        for one in agents:
            end_agent(one)


@pytest.mark.parametrize(("mode", "with_agent"), PLACES, ids=NAMES)
def test_no_leak_and_no_double_address(tmp_path: Path, mode: str, with_agent: bool) -> None:
    chance = random.Random(1)
    with ExitStack() as stack:
        node = build(tmp_path, stack, count=CONTAINERS + 5, mode=mode)
        restart = stack.enter_context(restarted_agent(node) if with_agent else nullcontext())
        pods = [node.pod(f"{number:064x}") for number in range(CONTAINERS)]
        work: list[Callable[[], tuple[str, Pod, Answer] | None]] = [
            partial(called, node, chance.choice(("ADD", "ADD", "DEL")), chance.choice(pods))
            for _ in range(CALLS)
        ]
        if restart:
            for at in (CALLS // 3, 2 * CALLS // 3):
                work.insert(at, restart)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            answers = [one for one in threads.map(lambda one: one(), work) if one]

        assert len(answers) == CALLS
        bad = [(verb, pod.id[-4:], said) for verb, pod, said in answers if said.status]
        assert not bad, bad[:3]
        held = {one.container_id: one.address for one in settled(node)}
        there = [pod for pod in pods if pod.id in held]
        agree(node, there)
        for pod in there:
            usable(node, pod)
        # Once more the same for each, now that nothing else happens: ADD says what the ledger has.
        assert {pod.id: call(node, "ADD", pod).address for pod in there} == held
        assert {call(node, "DEL", pod).status for pod in pods} == {0}
        bare(node)


@pytest.mark.parametrize(("mode", "with_agent"), PLACES, ids=NAMES)
def test_calls_killed_at_random_among_others(tmp_path: Path, mode: str, with_agent: bool) -> None:
    """Some runtimes kill a call that takes long; the others must not suffer, nor anything leak.

    The agent goes on with what it was asked by a shim that is dead.
    """
    chance = random.Random(2)
    lives = (0.01, 0.015, 0.02) if with_agent else (0.05, 0.08, 0.12)
    with ExitStack() as stack:
        node = build(tmp_path, stack, count=20, mode=mode)
        if with_agent:
            stack.enter_context(restarted_agent(node))
        pods = [node.pod(f"{number:064x}") for number in range(15)]

        def disturbed(one: tuple[str, Pod, float | None]) -> Answer | None:
            verb, pod, life = one
            process = node.start(verb, pod)
            if life is None:
                return finish(process)
            try:
                process.wait(life)
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            return None

        work = [
            (
                chance.choice(("ADD", "ADD", "DEL")),
                chance.choice(pods),
                chance.choice((None, None, *lives)),
            )
            for _ in range(80)
        ]
        with ThreadPoolExecutor(8) as threads:
            for said in threads.map(disturbed, work):
                if said is not None and said.status:
                    assert said.document["code"] in LATER, said
        for pod in pods:
            assert called(node, "DEL", pod)[2].status == 0
        bare(node)
