"""A tiny HTTP/1.1 responder for the platform's two web services. One request a connection.

Bounded in size, time and number of connections, because pods can reach it. Must not know what is
served. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

HEAD_LIMIT = 8192
BODY_LIMIT = 65536
TIME_LIMIT = 5.0
CONNECTION_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Request:
    """path: decoded, without the query; query: the first value of each name, names in lower case;
    headers: names in lower case; client: the address it came from."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    client: str


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, with_body: bool = True) -> bytes:
        payload = self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(payload)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        return head + payload if with_body else head


Handler = Callable[[Request], Response]


def not_found(request: Request) -> Response:
    """What a service says of a path that is not its own."""
    return Response(404, f"Not found: {request.path}\n")


def parse_head(head: bytes, client: str) -> Request:
    """The request line and the header fields. Raises ValueError when they are not HTTP."""
    first, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"unknown version {version!r}")
    url = urlsplit(target)
    query = {name.lower(): values[0] for name, values in parse_qs(url.query).items()}
    fields = [line.partition(":") for line in rest]
    if any(not colon or name != name.strip() for name, colon, _ in fields):
        raise ValueError("a header line is not `Name: value`")
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return Request(method, unquote(url.path), query, headers, client)


class HttpServer:
    """Answers each connection's one request with what `handler` says."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The callback of `asyncio.start_server` (give that `limit=HEAD_LIMIT`)."""
        self._open += 1
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(TIME_LIMIT):
                    writer.write(await self._answer(reader, writer))
                    writer.write_eof()
                    await _read_out(reader)
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        if self._open > CONNECTION_LIMIT:
            return Response(503, "Too many connections; try again\n").encode()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = parse_head(head, writer.get_extra_info("peername")[0])
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            return Response(431, f"The header is larger than {HEAD_LIMIT} bytes\n").encode()
        except ValueError as error:
            return Response(400, f"Bad request: {error}\n").encode()
        return self.handler(request).encode(with_body=request.method != "HEAD")


async def _read_out(reader: asyncio.StreamReader) -> None:
    """Read what nobody wants, until the client closes: closing with bytes unread would reset the
    connection, and take the answer away from the client."""
    left = BODY_LIMIT
    while left > 0 and (data := await reader.read(left)):
        left -= len(data)
