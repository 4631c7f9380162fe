"""The sockets and link indices that one realise, unwire or observe needs, opened when needed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TypeVar

from podwire.kernel.netlink import NetlinkSocket
from podwire.kernel.netns import NetNamespace
from podwire.kernel.nfnetlink import NfNetlink
from podwire.kernel.rtnetlink import RtNetlink
from podwire.model.errors import KernelError

Door = TypeVar("Door", bound=NetlinkSocket)
MISSING = frozenset(
    {
        errno.ENOENT,
        errno.ENODEV,
        errno.ESRCH,
        errno.EADDRNOTAVAIL,
        errno.ENXIO,
    }
)
"""What the kernel says of an object that is not there."""


def unless_missing(deletion: Callable[[], None]) -> None:
    """Delete; that there is nothing to delete is fine."""
    try:
        deletion()
    except KernelError as error:
        if error.errno not in MISSING:
            raise


def forget_indices(namespace: NetNamespace) -> None:
    """What is kept of links with the namespace may be true no more."""
    if namespace.kept and "route" in namespace.kept:
        namespace.kept["route"].indices.clear()


class Session:
    """One thread's doors to the places of a wiring. A context manager."""

    def __init__(self, places: Mapping[str, NetNamespace]) -> None:
        self._places = places
        self._route: dict[str, RtNetlink] = {}
        self._filter: dict[str, NfNetlink] = {}
        self._closing: list[NetlinkSocket] = []
        self._indices: dict[tuple[str, str], int] = {}

    def has_place(self, place: str) -> bool:
        return place in self._places

    def namespace(self, place: str) -> NetNamespace:
        """Raises KernelError."""
        if place not in self._places:
            known = ", ".join(self._places) or "none"
            raise KernelError(f"no network namespace was given for the place {place} (of {known})")
        return self._places[place]

    def route(self, place: str) -> RtNetlink:
        if place not in self._route:
            self._route[place] = self._door(place, RtNetlink, "route")
        return self._route[place]

    def filter(self, place: str) -> NfNetlink:
        if place not in self._filter:
            self._filter[place] = self._door(place, NfNetlink, "filter")
        return self._filter[place]

    def _door(self, place: str, kind: Callable[[NetNamespace], Door], name: str) -> Door:
        """Kept with the namespace, or closed with the session."""
        namespace = self.namespace(place)
        if namespace.kept is not None and name in namespace.kept:
            kept: Door = namespace.kept[name]
            return kept
        door = kind(namespace)
        if namespace.kept is None:
            self._closing.append(door)
        else:
            namespace.kept[name] = door
        return door

    def index(self, place: str, link: str) -> int:
        """Index of a link. Raises KernelError (ENODEV)."""
        key, door = (place, link), self.route(place)
        if key not in self._indices:
            kept = door.indices.get(link)
            self._indices[key] = kept if kept is not None else door.index(link)
        return self._indices[key]

    def kept_index(self, place: str, link: str) -> int:
        """The same of a link that outlives many sessions: the others need not ask."""
        index = self.index(place, link)
        self.route(place).indices[link] = index
        return index

    def forget_all(self) -> None:
        """Something is not as it was known."""
        self._indices.clear()
        for door in self._route.values():
            door.indices.clear()

    def find_index(self, place: str, link: str) -> int | None:
        """Index of a link; None when there is no such link, or its place is gone with all in it."""
        if not self.has_place(place):
            return None
        try:
            return self.index(place, link)
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def learn(self, place: str, link: str, index: int) -> None:
        self._indices[place, link] = index

    def forget(self, place: str, link: str) -> None:
        self._indices.pop((place, link), None)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for door in self._closing:
            door.close()
