"""Objects whose requests go to the kernel together, one send for each door.

A pod's objects are new in almost every case: each is asked for as if nothing stood in its way. When
the kernel refuses one of a send, the objects of that send are made one by one, by the functions
that look first. Must not know what an object is.
"""

from __future__ import annotations

from collections.abc import Callable

from podwire.kernel.netlink import NetlinkSocket, Request
from podwire.kernel.wire.session import Session
from podwire.model.errors import KernelError
from podwire.model.wiring import KernelObject

Make = Callable[[KernelObject], None]


class Batch:
    """The objects of one session that wait to be sent, in order."""

    def __init__(self, session: Session, make: Make) -> None:
        """make: makes one object, whatever is there already. Raises KernelError."""
        self._session = session
        self._make = make
        self._waiting: dict[NetlinkSocket, list[tuple[KernelObject, list[Request]]]] = {}

    def add(self, one: KernelObject, door: NetlinkSocket, ask: Make) -> None:
        """ask: makes the requests for an object that is not there. Raises KernelError."""
        try:
            requests = door.record(lambda: ask(one))
        except KernelError:  # what it needs may be waiting itself
            self.send()
            self._make(one)
        else:
            self._waiting.setdefault(door, []).append((one, requests))

    def send(self) -> None:
        """Make what waits. Raises KernelError."""
        waiting, self._waiting = self._waiting, {}
        for door, objects in waiting.items():
            requests = [request for _, asked in objects for request in asked]
            if requests and any(door.batch(requests)):
                self._session.forget_all()
                for one, _ in objects:
                    self._make(one)
