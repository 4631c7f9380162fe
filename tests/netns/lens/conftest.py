"""A small network in own namespaces: a client, a router that translates, a server."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from podwire.kernel.netns import NetNamespace
from podwire.lens import names
from podwire.lens.collect import Place, Site, collect
from podwire.lens.snapshot import Snapshot
from podwire.lens.trace import Captured, Request, Trace, trace

CLIENT, ROUTER, SERVER = "pod/default/client", "node/router", "pod/default/server"
CLIENT_IP, SERVER_IP, ROUTER_IP, VIP = "10.9.1.2", "10.9.2.2", "10.9.2.1", "10.9.9.9"
PORT = 8080
_UP = "ip link set lo up"
_COMMANDS = {
    ROUTER: (
        "ip link add br0 type bridge",
        "ip link set a0 master br0",
        "ip link set a0 up",
        "ip link set br0 up",
        "ip addr add 10.9.1.1/24 dev br0",
        "ip link set b0 up",
        "ip addr add 10.9.2.1/24 dev b0",
        "sysctl -qw net.ipv4.ip_forward=1",
        "iptables -t nat -A PREROUTING -d 10.9.9.9 -p tcp --dport 80 -j DNAT --to 10.9.2.2:8080",
        "iptables -t nat -A POSTROUTING -o b0 -j MASQUERADE",
    ),
    CLIENT: (
        "ip link set eth0 up",
        "ip addr add 10.9.1.2/24 dev eth0",
        "ip route add default via 10.9.1.1",
    ),
    SERVER: (
        "ip link set eth0 up",
        "ip addr add 10.9.2.2/24 dev eth0",
        "ip route add default via 10.9.2.1",
    ),
}


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        pytest.fail("these tests need root: they make network namespaces")


@dataclass
class Scene:
    spaces: dict[str, NetNamespace]
    seen: Snapshot = field(default_factory=lambda: Snapshot(0.0, 0.0))

    def run(self, space: str, command: str) -> str:
        with self.spaces[space].entered():
            done = subprocess.run(
                command.split(), capture_output=True, text=True, check=False, timeout=20
            )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def site(self) -> Site:
        return Site(
            (),
            places=tuple(
                Place(one, one.partition("/")[0], space.path) for one, space in self.spaces.items()
            ),
        )

    def snapshot(self) -> Snapshot:
        return collect(self.site)

    def trace(
        self,
        to: str,
        protocol: str = "tcp",
        *,
        watch: float = 0.0,
        wait: float = 0.9,
        size: int = 0,
    ) -> tuple[Trace, tuple[Captured, ...]]:
        """From the client."""
        seen = self.snapshot()
        target = names.target(seen, to, protocol)
        source = names.source(seen, "default/client")
        return trace(seen, Request(source, target, protocol, size, wait, watch))

    @contextmanager
    def served(self) -> Iterator[None]:
        """The server listens, and takes what comes."""
        with self.spaces[SERVER].socket(socket.AF_INET, socket.SOCK_STREAM) as door:
            door.bind((SERVER_IP, PORT))
            door.listen()
            yield

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Connections from client to server, again and again."""
        done = threading.Event()

        def connect() -> None:
            while not done.wait(0.02):
                with self.spaces[CLIENT].socket(socket.AF_INET, socket.SOCK_STREAM) as door:
                    door.settimeout(1)
                    door.connect((VIP, 80))

        thread = threading.Thread(target=connect)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        made = {one: stack.enter_context(NetNamespace.create()) for one in _COMMANDS}
        built = Scene(made)
        for end, peer in (("a0", CLIENT), ("b0", SERVER)):
            path = made[peer].path
            built.run(ROUTER, f"ip link add {end} type veth peer name eth0 netns {path}")
        for space, commands in _COMMANDS.items():
            for command in (_UP, *commands):
                built.run(space, command)
        yield built
