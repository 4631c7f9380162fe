"""HTTP over the Docker API's unix socket: just enough to ask it, and quick to import.

Runs on the node under `python3 -IS`: standard library only, and nothing of it that is slow.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import Any, BinaryIO

DEFAULT_HOST = "unix:///var/run/docker.sock"
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")


class ToolError(Exception):
    """What went wrong, for people. status: the exit status, or the API's answer (400 and up)."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def quoted(text: str) -> str:
    """Percent-encoded for one segment of a path or one value of a query (RFC 3986)."""
    return "".join(chr(one) if one in _SAFE else f"%{one:02X}" for one in text.encode())


def target(path: str, **query: str) -> str:
    """The path with those parameters that are not empty."""
    pairs = "&".join(f"{name}={quoted(value)}" for name, value in query.items() if value)
    return f"{path}?{pairs}" if pairs else path


def get(path: str) -> Any:
    """The JSON that the API answers with. Raises ToolError."""
    return json.loads(b"".join(stream(path)))


def stream(path: str) -> Iterator[bytes]:
    """The body of the answer, in pieces as they come. Raises ToolError."""
    with _connected() as connection, connection.makefile("rb") as answer:
        request = f"GET {path} HTTP/1.1\r\nHost: node\r\nUser-Agent: podwire\r\n"
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
        status, headers = _head(answer)
        chunked = headers.get("transfer-encoding") == "chunked"
        body = _chunks(answer) if chunked else _whole(answer, int(headers.get("content-length", 0)))
        if status >= 400:
            raise ToolError(_message(b"".join(body)), status)
        yield from body


def _connected() -> socket.socket:
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith("unix://"):
        raise ToolError(f"DOCKER_HOST={host}: only a unix:// socket is served; unset it")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(host.removeprefix("unix://"))
    except OSError as error:
        raise ToolError(
            f"Cannot connect to the API at {host} ({error.strerror}). Is the lab's daemon "
            "running? `podwire status` on the machine shows it; `ctr -n k8s.io` works without it"
        ) from None
    return connection


def _head(answer: BinaryIO) -> tuple[int, dict[str, str]]:
    words = answer.readline().decode("latin-1").split(" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ToolError("the API closed the connection without an answer; try again")
    headers: dict[str, str] = {}
    while line := answer.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(words[1]), headers


def _whole(answer: BinaryIO, length: int) -> Iterator[bytes]:
    body = answer.read(length)
    if len(body) < length:
        raise ToolError("the API's answer was cut short; try again")
    yield body


def _chunks(answer: BinaryIO) -> Iterator[bytes]:
    while True:
        size = answer.readline().strip()
        if not size:
            raise ToolError("the API went away in the middle of its answer")
        if not (length := int(size, 16)):
            return
        yield answer.read(length)
        answer.readline()


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def run(work: Callable[[], int], prefix: str = "", of_api: str = "") -> int:
    """The exit status of a tool's work; its errors to stderr, behind one of the prefixes."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a locale may not have the dots of a cut text
    try:
        status = work()
        sys.stdout.flush()
    except ToolError as error:
        return fail(f"{of_api or prefix if error.status >= 400 else prefix}{error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains when it flushes
        return 141
    except KeyboardInterrupt:
        return 130
    return status


def fail(message: str, status: int = 1) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    return status
