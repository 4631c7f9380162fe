"""Two hundred calls over fifty containers at once, in random order: no leak, no double address."""

from __future__ import annotations

import json
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..cni.node import Answer, Node, Pod, build, finish
from .harness import agree, bare, leases, usable

CONTAINERS, CALLS, AT_ONCE = 50, 200, 12
LATER = (11,)
"""Another call works on the same container, or took the lock: try again later."""


def called(node: Node, verb: str, pod: Pod) -> tuple[str, Pod, Answer]:
    for _ in range(20):
        answer = finish(node.start(verb, pod))
        one_document(verb, answer)
        if answer.status == 0 or answer.document["code"] not in LATER:
            break
    return verb, pod, answer


def one_document(verb: str, answer: Answer) -> None:
    """A result or an error; nothing at all is what a DEL that worked says."""
    assert answer.stderr == ""
    if verb == "DEL" and answer.status == 0:
        assert answer.stdout == ""
        return
    document = json.loads(answer.stdout)
    assert isinstance(document, dict)
    assert ("ips" in document) == (answer.status == 0)


@pytest.mark.parametrize("seed", [1])
def test_no_leak_and_no_double_address(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with ExitStack() as stack:
        node = build(tmp_path, stack, count=CONTAINERS + 5)
        pods = [node.pod(f"{number:064x}") for number in range(CONTAINERS)]
        work = [(chance.choice(("ADD", "ADD", "DEL")), chance.choice(pods)) for _ in range(CALLS)]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            answers = list(threads.map(lambda one: called(node, *one), work))

        bad = [(verb, pod.id[-4:], said) for verb, pod, said in answers if said.status]
        assert not bad, bad[:3]
        held = {one.container_id: one.address for one in leases(node)}
        there = [pod for pod in pods if pod.id in held]
        agree(node, there)
        for pod in there:
            usable(node, pod)
        # Once more the same for each, now that nothing else happens: ADD says what the ledger has.
        with ThreadPoolExecutor(AT_ONCE) as threads:
            again = list(threads.map(lambda pod: called(node, "ADD", pod), there))
        for _, pod, said in again:
            assert said.document["ips"][0]["address"] == f"{held[pod.id]}/24"
        with ThreadPoolExecutor(AT_ONCE) as threads:
            gone = list(threads.map(lambda pod: called(node, "DEL", pod), pods))
        assert {said.status for _, _, said in gone} == {0}
        bare(node)


def test_calls_killed_at_random_among_others(tmp_path: Path) -> None:
    """Some runtimes kill a call that takes long; the others must not suffer, nor anything leak."""
    chance = random.Random(2)
    with ExitStack() as stack:
        node = build(tmp_path, stack, count=20)
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

        lives = (None, None, 0.05, 0.08, 0.12)
        work = [
            (chance.choice(("ADD", "ADD", "DEL")), chance.choice(pods), chance.choice(lives))
            for _ in range(80)
        ]
        with ThreadPoolExecutor(8) as threads:
            for said in threads.map(disturbed, work):
                if said is not None and said.status:
                    assert said.document["code"] in LATER, said
        for pod in pods:
            assert called(node, "DEL", pod)[2].status == 0
        bare(node)
