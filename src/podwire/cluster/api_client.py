"""A small client of the Kubernetes API: JSON over HTTPS, on the standard library alone.

Must not know what the objects mean. Connections are kept and used again; one that the server
closed meanwhile is replaced once. Source: Kubernetes API concepts; RFC 9112.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urlencode

from podwire.cluster.pki import Credential
from podwire.kernel.netns import NetNamespace
from podwire.model.errors import ApiError, UnavailableError

Object: TypeAlias = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
FIELD_MANAGER = "podwire"
_LIMIT = 1 << 20
_IDLE_MAX = 8


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes
    keep: bool


class ApiClient:
    """address: host and port; the server's certificate must name that host.

    namespace: the network namespace in which `address` is, None for this process's own.
    timeout: seconds for one request. Use it as an async context manager, or call `close`.
    """

    def __init__(
        self,
        address: tuple[str, int],
        credential: Credential,
        *,
        namespace: NetNamespace | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._namespace = namespace
        self._tls = tls_context(credential)
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def get(self, path: str, **query: str) -> Object:
        return await self.request("GET", path, query=query)

    async def text(self, path: str) -> str:
        """A body that is not JSON, as /readyz answers."""
        return (await self._send("GET", path, b"", "")).decode(errors="replace")

    async def post(self, path: str, body: Object) -> Object:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Object) -> Object:
        return await self.request("PUT", path, body)

    async def merge(self, path: str, body: Object) -> Object:
        """A JSON merge patch (RFC 7396): None removes a field."""
        return await self.request("PATCH", path, body, kind=MERGE)

    async def apply(self, path: str, body: Object) -> Object:
        """Server-side apply as field manager podwire: creates or updates, wins conflicts."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.request("PATCH", path, body, kind=APPLY, query=query)

    async def delete(self, path: str) -> None:
        """Delete in the background; absent already: nothing."""
        try:
            await self.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    async def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """path: as in /api/v1/nodes.

        Raises ApiError when the API refuses, UnavailableError when it does not answer in time.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        content = b"" if body is None else json.dumps(body).encode()
        received = await self._send(method, target, content, kind)
        try:
            answer: Object = json.loads(received)
        except ValueError as error:
            raise UnavailableError(f"{method} {target}: the answer is no JSON: {error}") from error
        return answer

    async def lines(self, path: str, silence: float, **query: str) -> AsyncIterator[bytes]:
        """The lines of an answer that goes on, as a watch's, on a connection of its own.

        silence: seconds without a byte after which it is given up. Raises as `request` does.
        """
        what = f"GET https://{self.address[0]}:{self.address[1]}{path}"
        request = _encode(self.address, "GET", f"{path}?{urlencode(query)}", b"", "")
        connection = None
        try:
            async with asyncio.timeout(self.timeout):
                connection = await self._connect()
                connection.writer.write(request)
                head = await _read_head(connection.reader)
            if head.status >= 400:
                raise _refusal(what, await _read_body(connection.reader, head))
            async for line in _read_lines(connection.reader, silence):
                yield line
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise UnavailableError(f"{what}: {error or type(error).__name__}") from error
        finally:
            if connection is not None:
                connection.close()

    async def _send(self, method: str, target: str, content: bytes, kind: str) -> bytes:
        host, port = self.address
        what = f"{method} https://{host}:{port}{target}"
        request = _encode(self.address, method, target, content, kind)
        try:
            async with asyncio.timeout(self.timeout):
                response = await self._exchange(request, reuse=method != "POST")
        except TimeoutError as error:
            raise UnavailableError(f"{what}: no answer within {self.timeout:g} s") from error
        except (OSError, EOFError, ValueError) as error:
            raise UnavailableError(f"{what}: {error or type(error).__name__}") from error
        if response.status >= 400:
            raise _refusal(what, response)
        return response.body

    async def _exchange(self, request: bytes, *, reuse: bool) -> _Response:
        """An idle connection may have been closed by the server: then once more on a new one.

        reuse: False for what may not be sent twice, as nobody knows whether it was done.
        """
        while reuse and self._idle:
            try:
                return await self._converse(self._idle.pop(), request)
            except ConnectionError:
                continue
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
        return await self._converse(await self._connect(), request)

    async def _converse(self, connection: _Connection, request: bytes) -> _Response:
        try:
            connection.writer.write(request)
            await connection.writer.drain()
            response = await _read_response(connection.reader)
        except BaseException:
            connection.close()
            raise
        if response.keep and len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    async def _connect(self) -> _Connection:
        place = self._namespace
        family, kind = socket.AF_INET, socket.SOCK_STREAM
        made = socket.socket(family, kind) if place is None else place.socket(family, kind)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, self.address)
        except BaseException:
            made.close()
            raise
        # The loop owns it now: closed here, its number would be another's while the loop still
        # watches it.
        reader, writer = await asyncio.open_connection(
            sock=made, ssl=self._tls, server_hostname=self.address[0], limit=_LIMIT
        )
        return _Connection(reader, writer)


def tls_context(credential: Credential) -> ssl.SSLContext:
    """Checks the server by the credential's authority, shows it the credential's certificate."""
    context = ssl.create_default_context(cafile=str(credential.ca))
    context.load_cert_chain(credential.certificate, credential.key)
    return context


def _encode(address: tuple[str, int], method: str, target: str, content: bytes, kind: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Accept: */*"]
    lines += ["User-Agent: podwire", f"Content-Length: {len(content)}"]
    if content:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass(frozen=True, slots=True)
class _Head:
    """headers: names and values in lower case."""

    status: int
    headers: Mapping[str, str]


async def _read_response(reader: asyncio.StreamReader) -> _Response:
    return await _read_body(reader, await _read_head(reader))


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
    return _Head(int(head[0][9:12]), headers)


async def _read_body(reader: asyncio.StreamReader, head: _Head) -> _Response:
    headers, status = head.headers, head.status
    keep = headers.get("connection") != "close"
    if headers.get("transfer-encoding") == "chunked":
        chunks = [chunk async for chunk in _read_chunks(reader)]
        return _Response(status, b"".join(chunks), keep)
    if "content-length" in headers:
        return _Response(status, await reader.readexactly(int(headers["content-length"])), keep)
    return _Response(status, await reader.read(), keep=False)


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass


async def _read_lines(reader: asyncio.StreamReader, silence: float) -> AsyncIterator[bytes]:
    """A line may be spread over chunks, and a chunk hold many."""
    rest = b""
    chunks = aiter(_read_chunks(reader))
    while True:
        async with asyncio.timeout(silence):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _refusal(what: str, response: _Response) -> ApiError:
    """The message of the API's Status object, else the plain text of the body."""
    text = response.body.decode(errors="replace").strip()
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": text}
    message, reason = str(status.get("message", "")), str(status.get("reason", ""))
    full = f"{what}: {message or 'refused'} (HTTP {response.status})"
    return ApiError(full, status=response.status, reason=reason)
