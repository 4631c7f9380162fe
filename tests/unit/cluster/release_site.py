"""A real web server on loopback that behaves as release sites do, and as broken ones do."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from podwire.cluster.kubernetes_release import release_url

PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)


def program(version: str, name: str = "") -> bytes:
    """A program that says its version; `name` makes each a file of its own."""
    return f"#!/bin/sh\n# {name} {'x' * 3000}\necho Kubernetes {version}\n".encode()


class Site(ThreadingHTTPServer):
    """files: path -> content. cut: path -> after how many bytes the next
    connections end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, list[int]] = {}
        self.ranges = True
        self.requests: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Clients that go away are part of the tests."""

    def add_release(self, version: str, algorithm: str = "sha256", says: str = "") -> None:
        for name in PROGRAMS:
            path = f"{release_url('', version)}/{name}"
            self.files[path] = program(says or version, name)
            digest = hashlib.new(algorithm, self.files[path]).hexdigest()
            self.files[f"{path}.{algorithm}"] = digest.encode()


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.requests.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        start = start if self.server.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cuts = self.server.cut.get(self.path)
        end = start + cuts.pop(0) if cuts else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


@contextmanager
def mute() -> Iterator[str]:
    """The URL of a socket that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
