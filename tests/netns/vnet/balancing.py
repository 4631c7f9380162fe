"""Load balancers on a fabric whose event loop runs in a thread, and servers behind them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from podwire.kernel.netns import NetNamespace
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.load_balancer import Frontend, LoadBalancer, Probe, Rule
from podwire.vnet.fabric import Fabric
from podwire.vnet.load_balancer import LoadBalancers

from .conftest import A, B
from .frames import PATIENCE

FRONTEND = "10.220.2.100"
PROBE = Probe("web", "tcp", 80, interval=0.2, threshold=2)
RULE = Rule("web", "front", "tcp", 80, 80, floating=True, probe="web")


def balancer(*rules: Rule, **changes: Any) -> LoadBalancer:
    """One frontend, both nodes as backends; without rules given: port 80, probed."""
    plain = LoadBalancer(
        "kubernetes-internal",
        "MC_lab",
        (Frontend("front", FRONTEND, "azurecni"),),
        rules or (RULE,),
        (PROBE,),
        (A.primary, B.primary),
    )
    return replace(plain, **changes)


class Balancing:
    """`LoadBalancers`, called from a test's thread."""

    def __init__(self, fabric: Fabric, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.told: list[str] = []
        self.balancers = LoadBalancers(fabric, self.told.append)

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(PATIENCE * 2)

    def put(self, lb: LoadBalancer) -> None:
        self.run(self.balancers.put(lb))

    def up(self) -> set[str]:
        """The backends that pass all their probes."""
        states = self.balancers.health()
        return {one.backend for one in states} - {one.backend for one in states if not one.up}

    def wait_up(self, *backends: str) -> None:
        eventually(lambda: self.up() == set(backends))
        self.run(self.balancers.refresh())  # what was seen is in the kernel


@contextmanager
def balancing(fabric: Fabric) -> Iterator[Balancing]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = Balancing(fabric, loop)
    try:
        yield made
        assert made.told == []
    finally:
        made.run(made.balancers.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def eventually(question: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE * 2
    while not question():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


class Server:
    """A node's service on port 80: says its name and who asks, line by line, until `close`.

    The node has the frontend's address on its loopback: what kube-proxy does otherwise.
    """

    def __init__(self, name: str, space: NetNamespace, port: int = 80) -> None:
        self.name = name
        self._listener = space.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("0.0.0.0", port))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                made, peer = self._listener.accept()
                threading.Thread(target=self._serve, args=(made, peer[0]), daemon=True).start()

    def _serve(self, made: socket.socket, peer: str) -> None:
        with made, made.makefile("rwb") as stream, suppress(OSError):
            for line in stream:
                if line.startswith(b"GET"):
                    self.answer(stream, line)
                    return
                stream.write(f"{self.name} {peer}\n".encode())
                stream.flush()

    def answer(self, stream: Any, _line: bytes) -> None:
        stream.write(b"HTTP/1.0 200 OK\r\n\r\n")

    def close(self) -> None:
        """Take no more connections; those that are there go on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def hold(space: NetNamespace, address: str = FRONTEND) -> None:
    with RtNetlink(space) as door:
        door.add_address(door.index("lo"), f"{address}/32")


class Client:
    """One connection to the frontend."""

    def __init__(self, space: NetNamespace, address: str = FRONTEND, port: int = 80) -> None:
        self._door = space.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._door.settimeout(PATIENCE)
        try:
            self._door.connect((address, port))
        except OSError:
            self._door.close()
            raise
        self._stream = self._door.makefile("rwb")

    def ask(self) -> tuple[str, str]:
        """Who answers, and whom it sees."""
        self._stream.write(b"who\n")
        self._stream.flush()
        name, seen = self._stream.readline().decode().split()
        return name, seen

    def close(self) -> None:
        self._stream.close()
        self._door.close()


def ask(space: NetNamespace, address: str = FRONTEND, port: int = 80) -> tuple[str, str]:
    client = Client(space, address, port)
    try:
        return client.ask()
    finally:
        client.close()
