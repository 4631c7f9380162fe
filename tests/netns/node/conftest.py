"""Nodes of a lab whose every file is below the test's own directory, and a look at what is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from podwire.cluster.cgroups import LabCgroups
from podwire.cluster.containerd import (
    containerd_packages,
    containerd_program,
    containerd_steps,
    wait_containerd,
)
from podwire.cluster.node import Node, compiled_init
from podwire.kernel.process import Supervisor
from podwire.model.layout import CACHE, LabLayout

from .images import write_image
from .machine import Snapshot

NAME = "aks-nodepool1-12345678-vmss000000"


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    assert os.geteuid() == 0, "these tests need root: they make nodes of namespaces"


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[LabLayout]:
    """The layout of a lab; after the test nothing of the lab may be left."""
    made = LabLayout(
        f"t{os.getpid()}", tmp_path / "state", tmp_path / "run", tmp_path / "log", CACHE
    )
    before = Snapshot.take(made.name)
    yield made
    left = LabCgroups.find(made)
    if left is not None:  # the test failed, or killed its lab: as `down` would
        left.kill()
        left.remove()
    Snapshot.take(made.name).assert_same(before)


@pytest.fixture
def cgroups(layout: LabLayout) -> Iterator[LabCgroups]:
    made = LabCgroups.create(layout)
    yield made
    made.kill()
    made.remove()


@pytest.fixture
def node(layout: LabLayout, cgroups: LabCgroups) -> Node:
    return Node(NAME, layout, cgroups, ip="10.220.2.4")


@pytest.fixture(scope="session")
def packages() -> Path:
    return containerd_packages(CACHE)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image archive under containerd's sandbox name, whose one program waits for ever."""
    program = compiled_init(CACHE)
    assert program is not None, "no gcc with a static C library: apt-get install gcc libc6-dev"
    return write_image(tmp_path_factory.mktemp("image") / "pause.tar", program)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """asyncio.run with a limit: a test that hangs fails."""

    def bounded(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(asyncio.wait_for(work, 120))

    return bounded


@asynccontextmanager
async def booted(node: Node) -> AsyncIterator[Node]:
    try:
        await node.boot()
        yield node
    finally:
        await node.destroy()


@asynccontextmanager
async def with_containerd(
    node: Node, packages: Path, image: Path
) -> AsyncIterator[tuple[Supervisor, Path]]:
    """The node up with containerd serving, and the image in it; its supervisor and CRI socket."""
    node.steps = (*containerd_steps(packages), *node.steps)
    supervisor = Supervisor()
    async with booted(node):
        try:
            await supervisor.start(containerd_program(node))
            socket = await wait_containerd(node)
            done = await output(node, "ctr", "-n", "k8s.io", "images", "import", "-", stdin=image)
            assert done[0] == 0, done[1]
            yield supervisor, socket
        finally:
            await supervisor.stop_all(grace=0)


async def output(node: Node, *command: str, stdin: Path = Path("/dev/null")) -> tuple[int, str]:
    """Run a command on the node: exit status, stdout and stderr together."""
    with stdin.open("rb") as source:
        process = await asyncio.create_subprocess_exec(
            *node.enter(command),
            stdin=source,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        text, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, text.decode()


async def until(true: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    for _ in range(int(seconds / 0.05)):
        if found := true():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")
