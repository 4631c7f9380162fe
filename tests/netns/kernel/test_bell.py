"""What rings the bell: changes of a namespace, and of those that its links lead to."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator

import pytest

from podwire.kernel.bell import Bell
from podwire.kernel.netns import NetNamespace

SETUP = ["ip link add azv1 type veth peer name eth0", "ip link set azv1 up"]


def run(where: NetNamespace, command: str) -> None:
    argv = ["nsenter", f"--net={where.path}", *command.split()]
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def pair() -> Iterator[tuple[NetNamespace, NetNamespace]]:
    """A node and a pod, joined by azv1 and eth0."""
    with NetNamespace.create() as node, NetNamespace.create() as pod:
        for line in SETUP:
            run(node, line)
        run(node, f"ip link set eth0 netns {pod.path}")
        yield node, pod


@pytest.mark.parametrize(
    ("where", "command"),
    [
        (0, "ip link add azv2 type veth peer name azv3"),
        (0, "ip link del azv1"),
        (0, "ip addr add 10.0.0.1/24 dev azv1"),
        (1, "ip link set eth0 up"),
        (1, "ip addr add 10.0.0.4/24 dev eth0"),
    ],
)
def test_it_rings(pair: tuple[NetNamespace, NetNamespace], where: int, command: str) -> None:
    bell = Bell(pair[0])
    try:
        assert not bell.rang()
        run(pair[where], command)
        assert select.select([bell], [], [], 5)[0]
        assert bell.rang()
        assert not bell.rang()
    finally:
        bell.close()


def test_a_stranger_does_not_ring(pair: tuple[NetNamespace, NetNamespace]) -> None:
    bell = Bell(pair[0])
    try:
        with NetNamespace.create() as other:
            run(other, "ip link set lo up")
        assert not bell.rang()
    finally:
        bell.close()
