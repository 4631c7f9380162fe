"""Lists and watches objects of the API server with the pod's own service account.

Must not know DNS. One thread per kind of object; what it learns goes to callbacks.
Source: Kubernetes API concepts, "Efficient detection of changes" (watch, bookmarks, 410 Gone).
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WATCH_SECONDS = 300
_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 15.0
_SOON = 1.0
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

Document = Mapping[str, Any]


class Sink(Protocol):
    """Where a watcher puts what it learns. Called from the watcher's thread."""

    def replace(self, documents: list[Document]) -> None: ...

    def put(self, document: Document) -> None: ...

    def remove(self, document: Document) -> None: ...


class ListAgainError(Exception):
    """The server no longer has what happened since our last version (410 Gone)."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """How to reach the API. account: directory with the files `token` and `ca.crt`."""

    host: str
    port: int
    account: Path = ACCOUNT

    def get(self, path: str, silence: float = _ANSWER_SECONDS) -> http.client.HTTPResponse:
        """The response to GET `path`, its body unread. Raises OSError, HTTPException.

        silence: seconds without a byte of the body after which reading it fails.
        """
        connection = http.client.HTTPSConnection(self.host, self.port)
        tls = connection.sock = self._connect()
        token = (self.account / "token").read_text().strip()
        connection.request(
            "GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"}
        )
        response = connection.getresponse()
        if response.status == http.client.GONE:
            raise ListAgainError
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"{response.status} {response.reason}")
        tls.settimeout(silence)
        return response

    def _connect(self) -> ssl.SSLSocket:
        """A connection with a short wait: the first packets after a node's start may be lost.

        A new socket, rather than the kernel's second try, is also what gets through when the rule
        for the Service's address came later than our first packet (conntrack remembers that one).
        """
        plain = socket.create_connection((self.host, self.port), timeout=_CONNECT_SECONDS)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            plain.settimeout(_ANSWER_SECONDS)
            context = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
            return context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


class Watcher(threading.Thread):
    """Keeps `sink` equal to what the API server holds at `path`, until `ended` is set.

    path: as in /api/v1/services.
    """

    def __init__(self, api: ApiServer, path: str, sink: Sink) -> None:
        super().__init__(name=path, daemon=True)
        self._api, self._path, self._sink = api, path, sink
        self._version = ""
        self._failures = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            started = time.monotonic()
            try:
                self.step()
                if time.monotonic() - started < _SOON:
                    self._pause("the watch ended at once")
            except ListAgainError:
                self._version = ""
                self._pause("the server forgot our version, listing anew")
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self._pause(f"{type(error).__name__}: {error}")

    def step(self) -> None:
        """List if there is no version to go on from, then follow one watch to its end."""
        if not self._version:
            self._list()
        self._watch()

    def _list(self) -> None:
        with self._api.get(self._path) as response:
            document = json.load(response)
        self._sink.replace(document.get("items") or [])
        self._version = document["metadata"]["resourceVersion"]

    def _watch(self) -> None:
        query = (
            f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}"
            f"&resourceVersion={self._version}"
        )
        with self._api.get(f"{self._path}?{query}", WATCH_SECONDS + _ANSWER_SECONDS) as response:
            for event in _events(response):
                self._apply(event["type"], event["object"])

    def _apply(self, kind: str, document: Document) -> None:
        if kind == "ERROR":
            if document.get("code") == http.client.GONE:
                raise ListAgainError
            raise http.client.HTTPException(f"{self._path}: {document.get('message')}")
        if kind == "DELETED":
            self._sink.remove(document)
        elif kind in ("ADDED", "MODIFIED"):
            self._sink.put(document)
        self._version = document["metadata"]["resourceVersion"]
        self._failures = 0

    def _pause(self, why: str) -> None:
        delay = _DELAYS[min(self._failures, len(_DELAYS) - 1)]
        self._failures += 1
        print(f"{self._path}: {why}; again in {delay} s", file=sys.stderr, flush=True)  # noqa: T201
        self.ended.wait(delay * random.uniform(0.8, 1.2))


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """One JSON document per line, as they come."""
    while line := response.readline():
        yield json.loads(line)
