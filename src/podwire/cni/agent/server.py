"""The agent's sockets: who may call, how many at a time, and that none waits for another.

Must not know what a call does.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from podwire.cni.agent.frame import BadFrameError, Call, answer_frame, read_call
from podwire.model.cni import TRY_AGAIN, CniError
from podwire.model.errors import UnavailableError

CALLS = 256
"""At a time; a thread each, so that a slow one holds up none."""
READ_SECONDS = 5.0
_QUEUE = 512
_CREDENTIALS = struct.Struct("iII")


class CallServer:
    """Serves `answer` on the unix socket `path`, to root in this network namespace alone."""

    def __init__(
        self, path: str, answer: Callable[[Call], tuple[int, bytes]], *, limit: int = CALLS
    ) -> None:
        self._answer = answer
        self._limit = limit
        self._running = 0
        self._lock = threading.Lock()
        self._namespace = os.stat("/proc/thread-self/ns/net").st_ino
        self._path = path
        self._listener = listen(path)
        self._inode = os.stat(path).st_ino

    def serve(self) -> None:
        """Until `close`, from another thread or a signal handler."""
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            if not self._enter():
                _refuse(peer)
                continue
            threading.Thread(target=self._call, args=(peer,), daemon=True).start()

    def close(self) -> None:
        """No new calls; the path goes unless another agent has it already."""
        with suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def drain(self, seconds: float) -> None:
        """Wait for the calls that are under way."""
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            time.sleep(0.01)

    def _enter(self) -> bool:
        with self._lock:
            if self._running >= self._limit:
                return False
            self._running += 1
            return True

    def _call(self, peer: socket.socket) -> None:
        try:
            with peer:
                if not self._may_call(peer):
                    return
                status, stdout = self._answer(read_call(peer, seconds=READ_SECONDS))
                peer.settimeout(READ_SECONDS)
                peer.sendall(answer_frame(status, stdout))
        except (BadFrameError, OSError):
            return  # without an answer the shim makes the call itself
        finally:
            with self._lock:
                self._running -= 1

    def _may_call(self, peer: socket.socket) -> bool:
        """A caller in another network namespace means another node: its own process serves it."""
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        if uid != 0:
            return False
        try:
            return os.stat(f"/proc/{pid}/ns/net").st_ino == self._namespace
        except OSError:
            return False


def listen(path: str) -> socket.socket:
    """A unix socket for root alone; a leftover at `path` is replaced. Raises UnavailableError."""
    directory = os.path.dirname(path)
    new = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(new)
        listener.bind(new)
        os.chmod(new, 0o600)
        listener.listen(_QUEUE)
        os.rename(new, path)
    except OSError as error:
        listener.close()
        raise UnavailableError(f"cannot listen on {path}: {error}") from error
    return listener


def serve_text(listener: socket.socket, text: Callable[[], str]) -> None:
    """Answer each HTTP request with `text()`, one at a time, until the listener closes."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer, suppress(OSError):
            peer.settimeout(1.0)
            peer.recv(1 << 16)
            body = text().encode()
            head = (
                "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            peer.sendall(head.encode() + body)


def _refuse(peer: socket.socket) -> None:
    error = CniError(TRY_AGAIN, "the agent has too many calls under way; try again later")
    document = json.dumps(error.to_json("0.4.0")).encode() + b"\n"
    with peer, suppress(OSError):
        peer.setblocking(False)
        peer.send(answer_frame(1, document))
