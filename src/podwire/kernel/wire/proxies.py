"""Proxy neighbours: made, unmade, seen."""

from __future__ import annotations

from podwire.kernel.wire.session import Session, unless_missing
from podwire.model.wiring import NeighbourProxy


def make_proxy(session: Session, want: NeighbourProxy) -> None:
    index = session.index(want.place, want.link)
    session.route(want.place).add_proxy(index, want.ip)


def unmake_proxy(session: Session, want: NeighbourProxy) -> None:
    index = session.find_index(want.place, want.link)
    if index is not None:
        door = session.route(want.place)
        unless_missing(lambda: door.delete_proxy(index, want.ip))


def see_proxy(session: Session, want: NeighbourProxy) -> NeighbourProxy | None:
    index = session.find_index(want.place, want.link)
    found = index is not None and session.route(want.place).has_proxy(index, want.ip)
    return want if found else None
