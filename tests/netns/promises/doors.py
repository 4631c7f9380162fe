"""The few doors through which a call changes anything: the kernel's and the journal's.

A *moment* lies before and after each message to netlink, each sysctl write, each run of nft, and
each transaction of the ledger; and inside each transaction just before it is committed. What
passes is seen below the product's own code, so that no request can be made beside it.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from podwire.kernel import nft, sysctl

T = TypeVar("T")
_SENDING = ("send", "sendall", "sendto", "sendmsg")
_TRANSACTION = {"BEGIN": "before ledger", "COMMIT": "in ledger"}


class Doors:
    """Counts the moments of a process, and ends or stops the process at one of them.

    at: the number of the moment, from 1; 0: none. how: the signal. told: a file descriptor that
    each moment's name is written to, a line each. armed: whether moments count now.
    """

    def __init__(
        self, at: int = 0, how: signal.Signals = signal.SIGKILL, told: int = -1, armed: bool = True
    ) -> None:
        self._at, self._how, self._told = at, how, told
        self._lock = threading.Lock()
        self.armed = armed
        self.moments: list[str] = []

    def moment(self, name: str) -> None:
        if not self.armed:
            return
        with self._lock:
            self.moments.append(name)
            here = len(self.moments) == self._at
        self.tell(name)
        if here:
            signal.pthread_kill(threading.get_ident(), self._how)

    def tell(self, line: str) -> None:
        if self._told >= 0:
            os.write(self._told, f"{line}\n".encode())

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        for name in _SENDING:
            patch.setattr(socket.socket, name, self._sending(getattr(socket.socket, name)))
        patch.setattr(nft, "run", self._around("nft", nft.run))
        patch.setattr(sysctl, "write", self._around("sysctl", sysctl.write))
        patch.setattr(sqlite3, "connect", self._connecting(sqlite3.connect))

    def _around(self, name: str, original: Callable[..., T]) -> Callable[..., T]:
        def work(*args: Any, **named: Any) -> T:
            self.moment(f"before {name}")
            result = original(*args, **named)
            self.moment(f"after {name}")
            return result

        return work

    def _sending(self, original: Callable[..., T]) -> Callable[..., T]:
        noticed = self._around("netlink", original)

        def send(plug: socket.socket, *args: Any) -> T:
            return (noticed if plug.family == socket.AF_NETLINK else original)(plug, *args)

        return send

    def _connecting(self, original: Callable[..., sqlite3.Connection]) -> Callable[..., Any]:
        """Statements that write outside of a transaction count as transactions of their own."""
        doors = self

        class Watched(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                verb = sql.split(None, 1)[0].upper()
                alone = not self.in_transaction and verb in ("INSERT", "UPDATE", "DELETE")
                if verb in _TRANSACTION or alone:
                    doors.moment(_TRANSACTION.get(verb, "before ledger"))
                cursor = super().execute(sql, *args)
                if verb == "COMMIT" or alone:
                    doors.moment("after ledger")
                return cursor

        return lambda *args, **named: original(*args, **named, factory=Watched)
