from __future__ import annotations

import asyncio

import pytest

from podwire.vnet import http
from podwire.vnet.http import HttpServer, Request, Response, parse_head


def test_a_head_is_taken_apart():
    head = b"GET /a%20b?Comp=nmagent&x= HTTP/1.1\r\nHost: h\r\nMetadata:  true \r\n\r\n"
    request = parse_head(head, "10.0.0.4")
    assert request == Request(
        "GET", "/a b", {"comp": "nmagent"}, {"host": "h", "metadata": "true"}, "10.0.0.4"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / SPDY/3\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET http://[half HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(head):
    with pytest.raises(ValueError):  # noqa: PT011 - only the kind matters to the caller
        parse_head(head, "10.0.0.4")


def echo(request: Request) -> Response:
    return Response(200, f"{request.method} {request.path}")


def talk(*pieces: bytes, half_close: bool = False) -> bytes:
    """What a server answers to these bytes over a real connection."""

    async def run() -> bytes:
        server = await asyncio.start_server(
            HttpServer(echo).serve, "127.0.0.1", 0, limit=http.HEAD_LIMIT
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            if half_close:
                writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_a_request_in_pieces_is_answered_and_the_connection_closed():
    answer = talk(b"GET /x HT", b"TP/1.1\r\n\r", b"\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in head
    assert b"Content-Length: 6" in head
    assert body == b"GET /x"


def test_head_has_the_length_but_no_body():
    answer = talk(b"HEAD /x HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 7" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_is_ignored():
    answer = talk(b"PUT /token HTTP/1.1\r\nContent-Length: 20000\r\n\r\n", b"x" * 20000)
    assert answer.endswith(b"PUT /token")


def test_a_head_that_is_too_large_is_refused():
    answer = talk(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * http.HEAD_LIMIT))
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_client_that_leaves_early_gets_nothing():
    assert talk(b"GET / HT", half_close=True) == b""


def test_a_client_that_says_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(http, "TIME_LIMIT", 0.05)
    assert talk() == b""


def test_more_connections_than_allowed_are_refused(monkeypatch):
    monkeypatch.setattr(http, "CONNECTION_LIMIT", 0)
    assert talk(b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")
