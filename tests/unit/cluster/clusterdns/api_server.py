"""A small HTTPS server that plays the API server's list, watch and create, with a history
that can be lost.

Shared by the tests of the programs that run in pods, and of the pods themselves.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TOKEN = "the-token-of-the-service-account"


def named(name: str, namespace: str = "default", **body: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **body}


def service(name: str, address: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return named(name, namespace, spec={"clusterIP": address, **spec})


class ApiState:
    """Objects by path, and every event since the start. Versions count events."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.objects: dict[str, dict[tuple[str, str], Any]] = {}
        self.events: list[tuple[str, str, Any]] = []
        self.forgotten = 0
        self.closing = 0
        self.broken = 0
        self.requests: list[str] = []
        self.posted: list[tuple[str, Any]] = []

    def put(self, path: str, document: Mapping[str, Any]) -> None:
        with self._changed:
            metadata = {**document["metadata"], "resourceVersion": str(len(self.events) + 1)}
            stored = {**document, "metadata": metadata}
            key = (metadata["namespace"], metadata["name"])
            known = self.objects.setdefault(path, {})
            self._event(path, "MODIFIED" if key in known else "ADDED", stored)
            known[key] = stored

    def delete(self, path: str, name: str, namespace: str = "default") -> None:
        with self._changed:
            stored = self.objects[path].pop((namespace, name))
            metadata = {**stored["metadata"], "resourceVersion": str(len(self.events) + 1)}
            self._event(path, "DELETED", {**stored, "metadata": metadata})

    def forget(self) -> None:
        """Lose the history, as etcd's compaction does, and end every watch."""
        with self._changed:
            self.forgotten = len(self.events)
            self.closing += 1
            self._changed.notify_all()

    def hang_up(self) -> None:
        """End every watch."""
        with self._changed:
            self.closing += 1
            self._changed.notify_all()

    def bookmark(self, path: str) -> None:
        with self._changed:
            version = str(len(self.events) + 1)
            self._event(path, "BOOKMARK", {"metadata": {"resourceVersion": version}})

    def _event(self, path: str, kind: str, document: Any) -> None:
        self.events.append((path, kind, document))
        self._changed.notify_all()

    def listing(self, path: str) -> dict[str, Any]:
        with self._changed:
            items = list(self.objects.get(path, {}).values())
            return {"metadata": {"resourceVersion": str(len(self.events))}, "items": items}

    def watch(self, path: str, version: int) -> Iterator[dict[str, Any]]:
        with self._changed:
            closing = self.closing
            if version < self.forgotten:
                yield {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
                return
        while True:
            fresh = self._after(version, closing)
            if fresh is None:
                return
            version += len(fresh)
            for where, kind, document in fresh:
                if where == path:
                    yield {"type": kind, "object": document}

    def _after(self, version: int, closing: int) -> list[tuple[str, str, Any]] | None:
        """The events after `version`, waiting for one; None when watches were ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self.events) > version or self.closing != closing, timeout=30
            )
            return self.events[version:] if self.closing == closing else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ApiState

    def do_GET(self) -> None:
        state = self.state
        state.requests.append(self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.send_error(401)
            return
        if state.broken:
            state.broken -= 1
            self.send_error(500)
            return
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if "watch" in query:
            self._stream(state.watch(url.path, int(query["resourceVersion"][0])))
            return
        self._answer(200, state.listing(url.path))

    def do_POST(self) -> None:
        """What was posted is kept; the same name a second time is a conflict."""
        state = self.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Unauthorized"})
        elif any(body["metadata"] == one["metadata"] for _, one in state.posted):
            self._answer(409, {"message": "it already exists"})
        else:
            state.posted.append((self.path, body))
            self._answer(201, body)

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            for event in events:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: Any) -> None:
        pass


@contextmanager
def api_server(account: Path, address: str = "127.0.0.1") -> Iterator[tuple[ApiState, int]]:
    """The state, and the port at `address`. account: gets ca.crt and token, as a pod has them."""
    certificate, key = _certificate(address)
    account.mkdir(parents=True, exist_ok=True)
    (account / "ca.crt").write_bytes(certificate)
    (account / "token").write_text(TOKEN)
    both = account.with_name(f"{account.name}-server.pem")
    both.write_bytes(certificate + key)
    state = ApiState()
    server = _Server((address, 0), type("Handler", (_Handler,), {"state": state}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state, server.server_address[1]
    finally:
        state.hang_up()
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(address: str) -> tuple[bytes, bytes]:
    """A certificate that signs itself, for an IP address, and its key; PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM), private
