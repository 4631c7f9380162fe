"""Asking the node's resolvers what is not ours to answer.

Must not know what a packet says beyond its id.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

_WAIT = 2.0
_PORT = 53
_AT_ONCE = 512


class Forwarder:
    """Sends queries to `servers` in turn. An error that the kernel reports ends a try at once."""

    def __init__(self, servers: Sequence[str], port: int = _PORT, wait: float = _WAIT) -> None:
        self._servers, self._port, self._wait = tuple(servers), port, wait
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, query: bytes, *, tcp: bool = False) -> bytes | None:
        """The reply to `query` under the query's own id; None when no server gave one."""
        own = secrets.token_bytes(2)
        exchange = _over_tcp if tcp else _over_udp
        async with self._room:
            for server in self._servers:
                try:
                    reply = await asyncio.wait_for(
                        exchange(server, self._port, own + query[2:]), self._wait
                    )
                except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
                    continue
                return query[:2] + reply[2:]
        return None


async def _over_udp(server: str, port: int, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((server, port))
        await loop.sock_sendall(sock, query)
        while True:
            reply = await loop.sock_recv(sock, 65535)
            if len(reply) >= 12 and reply[:2] == query[:2] and reply[2] & 0x80:
                return reply


async def _over_tcp(server: str, port: int, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        reply = await reader.readexactly(length)
    finally:
        writer.close()
    if len(reply) < 12 or reply[:2] != query[:2]:
        raise OSError(f"{server} answered something else")
    return reply


def nameservers(resolv_conf: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The resolvers of resolv.conf(5), none when there is no such file."""
    try:
        lines = [line.split() for line in resolv_conf.read_text().splitlines()]
    except OSError:
        return []
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
