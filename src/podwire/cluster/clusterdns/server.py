"""The program: answers on port 53, watches the API server, tells its health.

python3 -m clusterdns --domain cluster.local --address 10.0.0.10
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from . import tables
from .forward import Forwarder, nameservers
from .tables import Key, Tables
from .watch import ApiServer, Document, Watcher
from .wire import Query, encode, failure, parse, question, truncated
from .zone import Zone

KINDS = ("/api/v1/namespaces", "/api/v1/services", "/api/v1/endpoints")
_IDLE_SECONDS = 30.0
_Value = TypeVar("_Value")


class TableSink:
    """Puts documents of one kind into its mapping of the tables, in the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        everything: Tables,
        mapping: dict[Key, _Value],
        read: Callable[[Document], _Value],
    ) -> None:
        self._loop, self._tables, self._read = loop, everything, read
        self._mapping: dict[Key, Any] = mapping
        self.synced = False

    def replace(self, documents: list[Document]) -> None:
        found = {tables.key_of(one): self._read(one) for one in documents}
        self._loop.call_soon_threadsafe(self._replace, found)

    def put(self, document: Document) -> None:
        self._loop.call_soon_threadsafe(self._put, tables.key_of(document), self._read(document))

    def remove(self, document: Document) -> None:
        self._loop.call_soon_threadsafe(self._remove, tables.key_of(document))

    def _replace(self, found: dict[Key, Any]) -> None:
        self._mapping.clear()
        self._mapping.update(found)
        self._tables.changed()
        self.synced = True

    def _put(self, key: Key, value: Any) -> None:
        self._mapping[key] = value
        self._tables.changed()

    def _remove(self, key: Key) -> None:
        self._mapping.pop(key, None)
        self._tables.changed()


class Server:
    """Answers queries out of `zone`, the rest through `forwarder`.

    ready: whether the zone's tables are complete; until then its names get SERVFAIL, as "no such
    name" would be believed and remembered.
    """

    def __init__(self, zone: Zone, forwarder: Forwarder, ready: Callable[[], bool]) -> None:
        self._zone, self._forwarder, self._ready = zone, forwarder, ready

    async def answer(self, data: bytes, *, tcp: bool) -> bytes | None:
        """The reply to one packet, None for none."""
        query = parse(data)
        if not isinstance(query, Query):
            return query
        answer = self._zone.resolve(query.name, query.kind)
        if answer is None:
            return await self._forwarder.ask(data, tcp=tcp) or failure(query)
        if not self._ready():
            return failure(query)
        followed = None
        if answer.follow:
            followed = await self._forwarder.ask(question(answer.follow, query.kind), tcp=tcp)
            if followed is None:
                return failure(query)
        reply = encode(query, answer, followed=followed or b"")
        return reply if tcp else truncated(query, reply)

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it is closed or idle (RFC 7766)."""
        try:
            while True:
                head = await asyncio.wait_for(reader.readexactly(2), _IDLE_SECONDS)
                data = await asyncio.wait_for(
                    reader.readexactly(struct.unpack("!H", head)[0]), _IDLE_SECONDS
                )
                reply = await self.answer(data, tcp=True)
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Udp(asyncio.DatagramProtocol):
    """Answers datagrams, each in a task of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: Any = None  # 3.11's transport is no DatagramTransport by its class
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        task = asyncio.ensure_future(self._reply(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, data: bytes, addr: Any) -> None:
        reply = await self._server.answer(data, tcp=False)
        if reply:
            self._transport.sendto(reply, addr)


def health(
    path: str, good: Callable[[], bool]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """An HTTP server of one page: 200 while `good`, else 503."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _IDLE_SECONDS)
            found = head.split(b" ", 2)[1:2] == [path.encode()]
            status = (
                ("200 OK" if good() else "503 Service Unavailable") if found else "404 Not Found"
            )
            body = status.split(" ", 1)[1]
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                f"{body}".encode()
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return serve


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cluster-dns", description=__doc__)
    parser.add_argument("--domain", default="cluster.local")
    parser.add_argument("--address", required=True, help="where this DNS is reached")
    parser.add_argument("--listen", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--health-port", type=int, default=8080)
    parser.add_argument("--ready-port", type=int, default=8181)
    return parser.parse_args(argv)


def watch_tables(api: ApiServer, everything: Tables) -> list[TableSink]:
    """Start one watcher per kind; each fills its part of the tables."""
    loop = asyncio.get_running_loop()
    sinks = [
        TableSink(loop, everything, everything.namespaces, tables.read_namespace),
        TableSink(loop, everything, everything.services, tables.read_service),
        TableSink(loop, everything, everything.endpoints, tables.read_endpoints),
    ]
    for path, sink in zip(KINDS, sinks, strict=True):
        Watcher(api, path, sink).start()
    return sinks


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT, which end the process on the spot."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)
    api = ApiServer(
        os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    )
    zone = Zone(options.domain.lower().strip("."), options.address)
    sinks = watch_tables(api, zone.tables)

    def ready() -> bool:
        return all(sink.synced for sink in sinks)

    server = Server(zone, Forwarder(nameservers()), ready)
    where = options.listen, options.port
    await loop.create_datagram_endpoint(lambda: Udp(server), local_addr=where)
    await asyncio.start_server(server.tcp, *where)
    await asyncio.start_server(health("/health", lambda: True), options.listen, options.health_port)
    await asyncio.start_server(health("/ready", ready), options.listen, options.ready_port)
    gc.freeze()
    await asyncio.Event().wait()


def main(argv: list[str] | None = None) -> None:
    asyncio.run(serve(arguments(argv)))
