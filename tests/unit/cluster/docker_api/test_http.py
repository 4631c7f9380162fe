"""The HTTP server, over a real unix socket."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from podwire.cluster.docker_api import http
from podwire.cluster.docker_api.http import HttpServer, Request, Response
from podwire.model.errors import InvalidInputError

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(request: Request) -> Response:
    return Response(200, f"{request.method} {request.path} {dict(request.query)}".encode())


def talk(tmp_path: Path, work: Callable[[Streams], Awaitable[None]], handler=echo) -> None:
    """Run `work` with a connection to a server of `handler`."""

    async def whole() -> None:
        server = HttpServer(handler, {"Api-Version": "1.40"})
        listening = await server.serve(tmp_path / "s")
        streams = await asyncio.open_unix_connection(tmp_path / "s")
        try:
            await asyncio.wait_for(work(streams), 10)
        finally:
            streams[1].close()
            listening.close()
            await server.close()

    asyncio.run(whole())


async def answer(streams: Streams, request: bytes) -> tuple[str, dict[str, str], bytes]:
    reader, writer = streams
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return head[0], headers, body


def test_a_connection_serves_several_requests(tmp_path: Path) -> None:
    async def work(streams: Streams) -> None:
        first = await answer(streams, b"GET /a%20b?x=1&x=2&y= HTTP/1.1\r\nHost: d\r\n\r\n")
        assert first[0] == "HTTP/1.1 200 OK"
        assert first[1]["api-version"] == "1.40"
        assert first[2] == b"GET /a b {'x': '2', 'y': ''}"
        second = await answer(streams, b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        assert second[2] == b"POST /b {}"
        third = await answer(streams, b"GET /c HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert third[1]["connection"] == "close"
        assert await streams[0].read() == b""

    talk(tmp_path, work)


def test_head_has_no_body(tmp_path: Path) -> None:
    async def work(streams: Streams) -> None:
        streams[1].write(b"HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
        text = (await streams[0].read()).decode()
        first, second = text.split("HTTP/1.1 200 OK\r\n")[1:]
        assert "Content-Length: 10\r\n" in first
        assert first.endswith("\r\n\r\n")
        assert second.endswith("GET /b {}")

    talk(tmp_path, work)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", "400"),
        (b"GET /a HTTP/2.0\r\n\r\n", "400"),
        (b"GET /a HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        (b"GET /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
        (b"GET http://[x HTTP/1.1\r\n\r\n", "400"),
        (b"POST /a HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", "413"),
        (b"GET /a HTTP/1.1\r\nX: " + b"x" * http.MAX_HEAD * 2 + b"\r\n\r\n", "431"),
    ],
)
def test_what_breaks_the_rules(tmp_path: Path, request_bytes: bytes, status: str) -> None:
    async def work(streams: Streams) -> None:
        line, headers, _ = await answer(streams, request_bytes)
        assert line.split()[1] == status
        assert headers["connection"] == "close"

    talk(tmp_path, work)


def test_a_body_of_unknown_end_closes_the_connection(tmp_path: Path) -> None:
    async def work(streams: Streams) -> None:
        request = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n"
        _, headers, _ = await answer(streams, request)
        assert headers["connection"] == "close"
        assert await streams[0].read() == b""

    talk(tmp_path, work)


def test_pieces_are_sent_as_they_come(tmp_path: Path) -> None:
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b""
        await more.wait()
        yield b"two"

    async def handler(_request: Request) -> Response:
        return Response(200, pieces(), "text/plain")

    async def work(streams: Streams) -> None:
        _, headers, _ = await answer(streams, b"GET / HTTP/1.1\r\n\r\n")
        assert headers["transfer-encoding"] == "chunked"
        assert await streams[0].readexactly(8) == b"3\r\none\r\n"
        more.set()
        assert await streams[0].read() == b"3\r\ntwo\r\n0\r\n\r\n"

    talk(tmp_path, work, handler)


def test_pieces_end_when_the_client_leaves(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def handler(_request: Request) -> Response:
        return Response(200, pieces())

    async def work(streams: Streams) -> None:
        await answer(streams, b"GET / HTTP/1.1\r\n\r\n")
        streams[1].close()
        await ended.wait()

    talk(tmp_path, work, handler)


def test_the_client_is_known_by_its_pid(tmp_path: Path) -> None:
    seen: list[int] = []

    async def handler(request: Request) -> Response:
        seen.append(request.peer)
        return Response(200)

    async def work(streams: Streams) -> None:
        await answer(streams, b"GET / HTTP/1.1\r\n\r\n")

    talk(tmp_path, work, handler)
    assert seen == [os.getpid()]


def test_too_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)

    async def work(streams: Streams) -> None:
        await answer(streams, b"GET / HTTP/1.1\r\n\r\n")
        second = await asyncio.open_unix_connection(tmp_path / "s")
        assert (await answer(second, b""))[0].split()[1] == "503"
        second[1].close()

    talk(tmp_path, work)


def test_an_old_socket_is_replaced_and_the_mode_is_right(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("left behind")

    async def work(streams: Streams) -> None:
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
        assert os.listdir(tmp_path) == ["s"]
        assert (await answer(streams, b"GET / HTTP/1.1\r\n\r\n"))[0].endswith("200 OK")

    talk(tmp_path, work)


def test_a_path_longer_than_an_address(tmp_path: Path) -> None:
    async def work() -> None:
        server = HttpServer(echo, {})
        deep = tmp_path / ("d" * 120)
        deep.mkdir()
        (await server.serve(deep / "s")).close()
        assert stat.S_ISSOCK((deep / "s").stat().st_mode)

    asyncio.run(work())


def test_no_such_directory(tmp_path: Path) -> None:
    async def work() -> None:
        await HttpServer(echo, {}).serve(tmp_path / "none/s")

    with pytest.raises(InvalidInputError, match=r"cannot listen at .*none/s"):
        asyncio.run(work())


@pytest.mark.parametrize("ticks", range(4))
def test_a_connection_ends_also_when_a_request_comes_at_that_moment(ticks: int) -> None:
    """Else the server's end would wait for a client that never stops asking, as a kubelet is."""

    async def work() -> None:
        reader = asyncio.StreamReader()
        reading = asyncio.create_task(http._read_request(reader, 0))
        for _ in range(5):
            await asyncio.sleep(0)
        reader.feed_data(b"G")
        for _ in range(ticks):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading], timeout=5)
        assert reading.cancelled()

    asyncio.run(work())
