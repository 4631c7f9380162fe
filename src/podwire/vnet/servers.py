"""The platform's servers on the fabric: wire server, IMDS and DNS as tasks of one event loop.

Their listening sockets live in the fabric's namespace, the process stays where it is; so do the
sockets that ask the machine's own resolvers.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from podwire.kernel.netns import NetNamespace
from podwire.model.errors import KernelError
from podwire.model.vnet import IMDS, WIRE_SERVER
from podwire.vnet.directory import NicDirectory
from podwire.vnet.dns import Resolver, UdpService, Upstream, serve_tcp
from podwire.vnet.fabric import Fabric
from podwire.vnet.http import HEAD_LIMIT, HttpServer
from podwire.vnet.imds import imds
from podwire.vnet.wireserver import wire_server

_HTTP, _DNS = 80, 53
_BACKLOG = 256


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Servers:
    """What runs, until `close`."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, door: socket.socket, serve: _Serve) -> None:
        """Serve each connection that comes to `door`, a bound socket that is owned from now on."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await serve(reader, writer)
            except asyncio.CancelledError:
                _reset(writer)
            finally:
                self._connections.discard(task)

        server = await asyncio.start_server(
            connected, sock=door, limit=HEAD_LIMIT, backlog=_BACKLOG
        )
        self._listeners.append(server)

    async def receive(self, door: socket.socket, resolver: Resolver) -> None:
        """Serve each datagram that comes to `door`."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: UdpService(resolver), sock=door)
        self._datagrams.append(transport)

    async def close(self) -> None:
        """Close all sockets, those of open connections too; a second time: nothing."""
        for datagram in self._datagrams:
            datagram.close()
        for listener in self._listeners:
            listener.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn


async def serve(fabric: Fabric, registry: NicDirectory, upstream_dns: Sequence[str]) -> Servers:
    """Start them all. upstream_dns: the machine's resolvers, as `dns.machine_resolvers` finds them.

    Raises KernelError when an address or port is taken; nothing is left listening then.
    """
    space = fabric.namespace
    resolver = Resolver(registry, Upstream(upstream_dns))
    wires, metadata = HttpServer(wire_server(registry)), HttpServer(imds(registry))
    streams: tuple[tuple[str, int, _Serve], ...] = (
        (WIRE_SERVER, _HTTP, wires.serve),
        (IMDS, _HTTP, metadata.serve),
        (WIRE_SERVER, _DNS, partial(serve_tcp, resolver)),
    )
    servers = Servers()
    try:
        for address, port, callback in streams:
            await servers.listen(_bound(space, socket.SOCK_STREAM, address, port), callback)
        await servers.receive(_bound(space, socket.SOCK_DGRAM, WIRE_SERVER, _DNS), resolver)
    except BaseException:
        await servers.close()
        raise
    return servers


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without lingering: a socket that waits for its peer would keep the fabric alive."""
    door = writer.get_extra_info("socket")
    door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _bound(space: NetNamespace, kind: int, address: str, port: int) -> socket.socket:
    door = space.socket(socket.AF_INET, kind)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.setblocking(False)
        door.bind((address, port))
    except OSError as error:
        door.close()
        raise KernelError(
            f"cannot listen on {address}:{port} in the fabric: {error.strerror}",
            errno=error.errno or 0,
        ) from error
    return door
