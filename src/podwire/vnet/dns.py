"""The VNet's DNS at 168.63.129.16: names of its hosts, and everything else from upstream.

`Resolver.answer` takes and gives whole DNS messages; `Upstream` asks the machine's own resolvers.
Must not know on which sockets it is served. Sources: RFC 1035; Azure's name resolution for virtual
networks (internal.cloudapp.net).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RCODE, RR, A, DNSError, DNSRecord

from podwire.vnet.directory import Host, NicDirectory

INTERNAL_DOMAIN = "internal.cloudapp.net"
UPSTREAM_TIMEOUT = 2.0
_TTL = 10
_CONCURRENT = 256
_HEADER = 12


def machine_resolvers(resolv_conf: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The IPv4 name servers of a resolv.conf; none when there is no such file."""
    try:
        lines = resolv_conf.read_text(errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [
        one[1] for one in words if len(one) > 1 and one[0] == "nameserver" and ":" not in one[1]
    ]


class Upstream:
    """Forwards messages, unchanged, to the machine's resolvers and takes the first answer.

    servers: IPv4 addresses, of port 53 unless one says otherwise as in 127.0.0.1:5353.
    """

    def __init__(self, servers: Iterable[str], timeout: float = UPSTREAM_TIMEOUT) -> None:
        self.servers = [_endpoint(one) for one in servers]
        self.timeout = timeout
        self._waiting = 0

    async def ask(self, query: bytes, *, tcp: bool) -> bytes | None:
        """The answer of the resolver that is first; None when none answers in time."""
        if not self.servers or self._waiting >= _CONCURRENT:
            return None
        self._waiting += 1
        tasks = [asyncio.create_task(_attempt(one, query, tcp)) for one in self.servers]
        try:
            return await self._first(tasks)
        finally:
            self._waiting -= 1
            for task in tasks:
                task.cancel()

    async def _first(self, tasks: Sequence[asyncio.Task[bytes | None]]) -> bytes | None:
        with suppress(TimeoutError):
            for done in asyncio.as_completed(tasks, timeout=self.timeout):
                if answer := await done:
                    return answer
        return None


async def _attempt(server: tuple[str, int], query: bytes, tcp: bool) -> bytes | None:
    """The server's answer; None as soon as it is plain that it gives none."""
    with suppress(OSError, EOFError):
        return await (_ask_tcp if tcp else _ask_udp)(server, query)
    return None


def _endpoint(server: str) -> tuple[str, int]:
    host, _, port = server.partition(":")
    return host, int(port or 53)


async def _ask_udp(server: tuple[str, int], query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.setblocking(False)
        door.connect(server)
        await loop.sock_sendall(door, query)
        while True:
            answer = await loop.sock_recv(door, 65535)
            if len(answer) >= _HEADER and answer[:2] == query[:2]:
                return answer


async def _ask_tcp(server: tuple[str, int], query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


class Resolver:
    """Answers messages: hosts of the directory itself, all else from upstream."""

    def __init__(self, directory: NicDirectory, upstream: Upstream) -> None:
        self.directory = directory
        self.upstream = upstream

    async def answer(self, query: bytes, *, tcp: bool = False) -> bytes | None:
        """The whole answer; None when `query` is not a DNS query at all."""
        try:
            asked = DNSRecord.parse(query)
        except (DNSError, ValueError, IndexError):
            return None
        if asked.header.qr:
            return None
        if asked.header.opcode != 0 or len(asked.questions) != 1:
            return _failure(asked, RCODE.NOTIMP)
        if own := self._own(asked):
            return own
        return await self.upstream.ask(query, tcp=tcp) or _failure(asked, RCODE.SERVFAIL)

    def _own(self, asked: Any) -> bytes | None:
        """The answer for a name of this VNet; None when it is not one."""
        name = str(asked.q.qname).rstrip(".").lower()
        inside = name.endswith(f".{INTERNAL_DOMAIN}")
        host = self.directory.by_name(name.removesuffix(f".{INTERNAL_DOMAIN}"))
        if host is None:
            return _failure(asked, RCODE.NXDOMAIN) if inside else None
        return _address_answer(asked, host)


def _address_answer(asked: Any, host: Host) -> bytes:
    """The host's primary address; nothing, but no error, for types that it has none of."""
    reply = asked.reply(ra=1, aa=1)
    if asked.q.qtype in (QTYPE.A, QTYPE.ANY):
        reply.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A(host.nic.primary), ttl=_TTL))
    return bytes(reply.pack())


def _failure(asked: Any, rcode: int) -> bytes:
    reply = asked.reply(ra=1, aa=0)
    reply.header.rcode = rcode
    return bytes(reply.pack())


class UdpService(asyncio.DatagramProtocol):
    """The resolver over UDP."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, client: tuple[str, int]) -> None:
        answer = await self.resolver.answer(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, client)

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()


async def serve_tcp(
    resolver: Resolver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """The resolver over one TCP connection, query by query, until the client is done or idle."""
    try:
        with suppress(OSError, EOFError, TimeoutError):
            while True:
                async with asyncio.timeout(UPSTREAM_TIMEOUT * 2):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    answer = await resolver.answer(await reader.readexactly(length), tcp=True)
                    if answer is None:
                        return
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
    finally:
        writer.close()
