"""A TCP relay: how the machine reaches the API server (loopback only), and nodes the mirror.

Listening and connecting happen in whichever network namespace the given functions make sockets.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from podwire.kernel.netns import NetNamespace

_CHUNK = 64 * 1024


class Relay:
    """Passes each connection of `listener` on to what `connect` gives: a connected socket."""

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener, self._connect = listener, connect
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            out = await asyncio.to_thread(self._connect)
        except OSError:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(sock=out)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        for one in (writer, far_writer):
            one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of one direction, then tell the other side so (half-close)."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def listen_in(space: NetNamespace, address: str, port: int) -> socket.socket:
    """A listening socket in the network namespace `space`."""
    listener = space.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(128)
    listener.setblocking(False)
    return listener


def connect_in(space: NetNamespace, address: str, port: int) -> socket.socket:
    return _connected(space.socket(socket.AF_INET, socket.SOCK_STREAM), (address, port))


def connect_unix(path: Path) -> socket.socket:
    return _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))


def _connected(made: socket.socket, target: tuple[str, int] | str) -> socket.socket:
    try:
        made.connect(target)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def loopback_listener(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1. port 0: the kernel chooses a free one."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    return listener
