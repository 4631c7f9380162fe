"""The relay passes bytes both ways, half-closes, and survives a target that is not there."""

from __future__ import annotations

import asyncio
import socket

import pytest

from podwire.lab.relay import Relay, loopback_listener


async def _echo_upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


def _connector(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=2)
    made.setblocking(False)
    return made


@pytest.mark.parametrize("size", [1, 300_000])
def test_bytes_pass_and_the_end_of_one_direction_does_too(size: int) -> None:
    async def go() -> bytes:
        server = await asyncio.start_server(_echo_upper, "127.0.0.1", 0)
        target = server.sockets[0].getsockname()[1]
        listener = loopback_listener()
        relay = Relay(listener, lambda: _connector(target))
        await relay.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"a" * size)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await relay.close()
        server.close()
        return answer

    assert asyncio.run(go()) == b"A" * size


def test_nobody_behind_it_closes_the_connection() -> None:
    async def go() -> bytes:
        def refuse() -> socket.socket:
            raise ConnectionRefusedError

        listener = loopback_listener()
        relay = Relay(listener, refuse)
        await relay.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await relay.close()
        return answer

    assert asyncio.run(go()) == b""


def test_it_listens_on_loopback_alone() -> None:
    with loopback_listener() as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
