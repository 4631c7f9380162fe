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
from podwire.model.cni_error import TRY_AGAIN, CniError
from podwire.model.errors import UnavailableError

CALLS = 256
"""At a time; each has a thread of its own, so that a slow one holds up none."""
IDLE = 16
"""Threads that wait for calls at most."""
READ_SECONDS = 5.0
_QUEUE = 512
_CREDENTIALS = struct.Struct("iII")


class CallServer:
    """Serves `answer` on the unix socket `path`, to root in this network namespace alone.

    Its threads wait in accept(2) themselves: a call is not handed from one to another. after: what
    a thread does when its caller has the answer, and whether it may take another call; leave: what
    it does before it ends.
    """

    def __init__(
        self,
        path: str,
        answer: Callable[[Call], tuple[int, bytes]],
        *,
        after: Callable[[], bool] = lambda: True,
        leave: Callable[[], None] = lambda: None,
        limit: int = CALLS,
    ) -> None:
        self._answer, self._after, self._leave = answer, after, leave
        self._limit = limit
        self._waiting = self._working = 0
        self._lock = threading.Lock()
        self._closed = False
        self._end = threading.Lock()  # an Event could not be set from a signal's handler
        self._end.acquire()
        self._namespace = os.stat("/proc/thread-self/ns/net").st_ino
        self._path = path
        self._listener = listen(path)
        self._inode = os.stat(path).st_ino

    def serve(self) -> None:
        """Until `close`, from another thread or a signal handler."""
        self._hire()
        self._end.acquire()

    def close(self) -> None:
        """No new calls; the path goes unless another agent has it already."""
        with suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if not self._closed:
            self._closed = True
            self._end.release()

    def drain(self, seconds: float) -> None:
        """Wait for the calls that are under way."""
        deadline = time.monotonic() + seconds
        while self._working and time.monotonic() < deadline:
            time.sleep(0.01)

    def _hire(self) -> None:
        """There is always a thread that waits for the next call."""
        with self._lock:
            if self._waiting or self._closed:
                return
            self._waiting += 1
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            while self._one():
                pass
        finally:
            self._leave()

    def _one(self) -> bool:
        """One call; whether this thread goes on."""
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return False
        goes_on, refused = False, self._begin()
        try:
            with peer:
                if refused:
                    _refuse(peer)
                else:
                    self._hire()
                    self._call(peer)
            goes_on = self._after()
        finally:
            goes_on = self._finish(goes_on)
        return goes_on

    def _begin(self) -> bool:
        """Whether there are too many calls."""
        with self._lock:
            self._waiting -= 1
            self._working += 1
            return self._working > self._limit

    def _finish(self, goes_on: bool) -> bool:
        with self._lock:
            self._working -= 1
            goes_on = goes_on and self._waiting < IDLE
            self._waiting += goes_on
        self._hire()
        return goes_on

    def _call(self, peer: socket.socket) -> None:
        try:
            if self._may_call(peer):
                status, stdout = self._answer(read_call(peer, seconds=READ_SECONDS))
                peer.settimeout(READ_SECONDS)
                peer.sendall(answer_frame(status, stdout))
        except (BadFrameError, OSError):
            return  # without an answer the shim makes the call itself

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
