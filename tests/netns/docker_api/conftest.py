"""One node with one pod for all tests here, and the API served on it from a thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from podwire.cluster.docker_api import DockerApi

from .node import POD, UID, Node, Pod, run_pod, until


class Loop:
    """An event loop in a thread, so that the tests can wait for real programs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def node(loop: Loop) -> Iterator[Node]:
    """Namespaces and the API on their docker.sock; containerd starts, and may not answer yet."""
    assert os.geteuid() == 0, "these tests need root: they make namespaces and run containerd"
    node = Node()
    api = None
    try:
        node.prepare()
        node.start()
        until(lambda: (node.root / "usr/local/bin/.node").exists(), "the node's own mounts")
        api = DockerApi(node.cri_socket, node.root, "aks-nodepool1-44430483-vmss000000")
        loop.run(api.serve(node.root / "var/run/docker.sock"))
        yield node
    finally:
        if api is not None:
            loop.run(api.close())
        node.stop()


@pytest.fixture(scope="session")
def pod(node: Node) -> Pod:
    until(node.answers, f"containerd; its log is {node.work}/containerd.log")
    node.import_images()
    pod = run_pod(node)
    log = node.work / f"pods/default_{POD}_{UID}/nginx/0.log"
    until(lambda: "line 3" in log.read_text(), "the container's first lines")
    return pod
