"""Health probes: real connections from 168.63.129.16 to the backends, out of the fabric.

Says which backend passes which probe; must not know what is balanced. Source: Azure Load
Balancer's health probes (TCP: the three-way handshake; HTTP and HTTPS: GET, status 200 and no
other; a new state after `threshold` failures in a row, or one success).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from podwire.kernel.netns import NetNamespace
from podwire.model.load_balancer import Probe
from podwire.model.vnet import WIRE_SERVER

_BIND_ADDRESS_NO_PORT = 24
_FIRST_DELAY = 0.25
"""Seconds to the second attempt at a backend that was never up; each later one waits twice as
long, up to the probe's interval: a Service's nodes are ready some moments after its balancer."""


@dataclass(frozen=True, slots=True)
class Check:
    """One backend's probe. balancer: the key of the load balancer that has it."""

    balancer: str
    backend: str
    probe: Probe


@dataclass(slots=True)
class Health:
    """up: whether new flows may go there. failures: in a row; detail: the last one's reason."""

    up: bool = False
    failures: int = 0
    detail: str = "not probed yet"
    was_up: bool = False

    def note(self, failure: str, threshold: int) -> bool:
        """Enter an attempt's outcome ("": a success); whether `up` has changed."""
        before = self.up
        if failure:
            self.failures += 1
            self.up = self.up and self.failures < threshold
        else:
            self.failures, self.up, self.was_up = 0, True, True
        self.detail = failure
        return self.up != before

    def delay(self, interval: float) -> float:
        """Seconds to the next attempt."""
        if self.was_up:
            return interval
        return min(interval, _FIRST_DELAY * (1 << min(self.failures - 1, 10)))


class Prober:
    """Runs one task for each check that is watched; `changed` is called when a state changes."""

    def __init__(self, space: NetNamespace, changed: Callable[[], None]) -> None:
        self._space, self._changed = space, changed
        self._tasks: dict[Check, asyncio.Task[None]] = {}
        self.states: dict[Check, Health] = {}

    def watch(self, checks: Iterable[Check]) -> None:
        """From now on these and no others; one that is watched already goes on as it is."""
        wanted = set(checks)
        for gone in self._tasks.keys() - wanted:
            self._tasks.pop(gone).cancel()
            del self.states[gone]
        for fresh in wanted - self._tasks.keys():
            state = self.states[fresh] = Health()
            self._tasks[fresh] = asyncio.create_task(self._keep(fresh, state))

    def is_up(self, check: Check) -> bool:
        state = self.states.get(check)
        return state is not None and state.up

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self.watch(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, check: Check, state: Health) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            failure = await attempt(self._space, check.backend, check.probe)
            if state.note(failure, check.probe.threshold):
                self._changed()
            await asyncio.sleep(begun + state.delay(check.probe.interval) - loop.time())


async def attempt(space: NetNamespace, backend: str, probe: Probe) -> str:
    """Probe once, at most `interval` seconds; "" when it succeeds, else why it does not."""
    try:
        async with asyncio.timeout(probe.interval):
            door = await _connect(space, backend, probe.port)
            return await _ask(door, backend, probe)
    except TimeoutError:
        return f"no answer within {probe.interval:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    except (EOFError, ValueError) as error:
        return f"the answer is not HTTP: {error}"


async def _connect(space: NetNamespace, backend: str, port: int) -> socket.socket:
    door = space.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        door.setblocking(False)
        door.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        door.bind((WIRE_SERVER, 0))
        await asyncio.get_running_loop().sock_connect(door, (backend, port))
    except BaseException:
        door.close()
        raise
    return door


async def _ask(door: socket.socket, backend: str, probe: Probe) -> str:
    if probe.protocol == "tcp":
        door.close()
        return ""
    tls = _tls(probe)
    name = None if tls is None else ""
    reader, writer = await asyncio.open_connection(sock=door, ssl=tls, server_hostname=name)
    try:
        host = f"{backend}:{probe.port}"
        head = f"GET {probe.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Load Balancer Agent\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        words = (await reader.readline()).decode("latin-1").split(" ", 2)
    finally:
        writer.transport.abort()
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        return "the answer is not HTTP"
    return "" if words[1] == "200" else f"HTTP status {' '.join(words[1:]).strip()}"


def _tls(probe: Probe) -> ssl.SSLContext | None:
    """Any certificate is good enough for a probe, as in Azure."""
    if probe.protocol != "https":
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
