"""A small HTTP/1.1 server on a unix socket: keep-alive, bounded, streaming answers.

Must not know what is served. Requests are small and their bodies are read and dropped; a request
that breaks the rules is answered once and the connection closed.

Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from podwire.model.errors import InvalidInputError

MAX_HEAD = 32 << 10
MAX_BODY = 1 << 20
MAX_CONNECTIONS = 128
IDLE = 120.0
"""Seconds that a connection may stay open without a request."""
SLOW = 20.0
"""Seconds that a begun request may take to arrive."""


@dataclass(frozen=True, slots=True)
class Request:
    """path: decoded; query: the last value of each name; headers: names in lower case.

    peer: pid of the client as this process sees it, 0 when it cannot see it.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    peer: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """body: all of it, or pieces that are sent as they come."""

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = "application/json"


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class _BadRequestError(Exception):
    """status, reason: what the client is told."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class HttpServer:
    """Serves `handler`, which must not raise, with `headers` in every answer."""

    def __init__(self, handler: Handler, headers: Mapping[str, str]) -> None:
        self._handler = handler
        self._headers = headers
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, path: Path) -> asyncio.Server:
        """Listen at `path`, mode 0660, in place of whatever socket was there before."""
        return await asyncio.start_server(self._accept, sock=_bind(path), limit=MAX_HEAD)

    async def close(self) -> None:
        """End the open connections."""
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                await self._refuse(writer, HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            task.uncancel()  # the server closes: nobody waits for this connection
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep = True
        while keep:
            try:
                request, keep = await _read_request(reader, _peer(writer))
            except _BadRequestError as error:
                await self._refuse(writer, error.status)
                return
            response = await self._handler(request)
            if isinstance(response.body, bytes):
                await self._send(writer, request, response, response.body, keep=keep)
            else:
                await self._stream(reader, writer, response, response.body)
                return

    async def _refuse(self, writer: asyncio.StreamWriter, status: HTTPStatus) -> None:
        body = f'{{"message": "{status.phrase}"}}\n'.encode()
        response = Response(status, body)
        await self._send(writer, Request("GET", "/"), response, body, keep=False)

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        request: Request,
        response: Response,
        body: bytes,
        *,
        keep: bool,
    ) -> None:
        head = self._head(response, f"Content-Length: {len(body)}", keep=keep)
        writer.write(head if request.method == "HEAD" else head + body)
        await writer.drain()

    async def _stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        response: Response,
        pieces: AsyncIterator[bytes],
    ) -> None:
        """Send the pieces in chunks, until they end or the client goes away."""
        writer.write(self._head(response, "Transfer-Encoding: chunked", keep=False))
        sending = asyncio.create_task(_send_chunks(writer, pieces))
        leaving = asyncio.create_task(_until_left(reader))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    def _head(self, response: Response, length: str, *, keep: bool) -> bytes:
        status = HTTPStatus(response.status)
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {response.content_type}",
            length,
            *(f"{name}: {value}" for name, value in self._headers.items()),
            *([] if keep else ["Connection: close"]),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _send_chunks(writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        if piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _until_left(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


async def _read_request(reader: asyncio.StreamReader, peer: int) -> tuple[Request, bool]:
    """The next request, and whether the connection stays open after it."""
    async with asyncio.timeout(IDLE):  # wait_for of Python 3.11 can lose a cancellation
        first = await reader.readexactly(1)
    try:
        async with asyncio.timeout(SLOW):
            head = first + await reader.readuntil(b"\r\n\r\n")
            request, version = parse_head(head, peer)
            keep = await _drop_body(reader, request.headers)
    except asyncio.LimitOverrunError:
        raise _BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    connection = request.headers.get("connection", "").lower()
    return request, keep and version == "HTTP/1.1" and connection != "close"


def parse_head(head: bytes, peer: int = 0) -> tuple[Request, str]:
    """The request of a head that ends with an empty line, and its HTTP version."""
    start, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = start.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _BadRequestError(HTTPStatus.BAD_REQUEST)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _BadRequestError(HTTPStatus.BAD_REQUEST)
        headers[name.lower()] = value.strip()
    try:
        target = urlsplit(words[1])
    except ValueError:
        raise _BadRequestError(HTTPStatus.BAD_REQUEST) from None
    query = dict(parse_qsl(target.query, keep_blank_values=True))
    return Request(words[0], unquote(target.path), query, headers, peer), words[2]


async def _drop_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bool:
    """Read past the body. False: its end is unknown, so the connection must not be used again."""
    if "transfer-encoding" in headers or "upgrade" in headers:
        return False
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _BadRequestError(HTTPStatus.BAD_REQUEST)
    if int(text) > MAX_BODY:
        raise _BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    await reader.readexactly(int(text))
    return True


def _peer(writer: asyncio.StreamWriter) -> int:
    """unix(7), SO_PEERCRED: the pid is translated to the reader's pid namespace."""
    connection = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid: int = struct.unpack("3i", raw)[0]
    return pid


def _bind(path: Path) -> socket.socket:
    """A listening socket, complete with its mode before anyone can see it at `path`.

    The directory is named by a descriptor: a path in a socket address has 107 bytes at most.
    """
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InvalidInputError(f"cannot listen at {path}: {error.strerror}") from error
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = f"/proc/self/fd/{directory}/{path.name}.new"
    try:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        listening.bind(fresh)
        os.chmod(fresh, 0o660)
        listening.listen(MAX_CONNECTIONS)
        os.rename(fresh, f"/proc/self/fd/{directory}/{path.name}")
    except OSError as error:
        listening.close()
        raise InvalidInputError(f"cannot listen at {path}: {error.strerror or error}") from error
    finally:
        os.close(directory)
    return listening
