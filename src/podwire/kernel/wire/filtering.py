"""nftables tables and elements: made, unmade, seen."""

from __future__ import annotations

import errno
from dataclasses import replace

from podwire.kernel import nft
from podwire.kernel.nfnetlink import encode
from podwire.kernel.wire.session import Session, unless_missing
from podwire.model.errors import KernelError
from podwire.model.wiring import Element, Table


def make_table(session: Session, want: Table) -> None:
    door = session.filter(want.place)
    if not nft.is_loaded(door, want.family, want.name, want.rules):
        nft.load(session.namespace(want.place), door, want.family, want.name, want.rules)


def unmake_table(session: Session, want: Table) -> None:
    if session.has_place(want.place):
        door = session.filter(want.place)
        unless_missing(lambda: door.delete_table(want.family, want.name))


def see_table(session: Session, want: Table) -> Table | None:
    """A table that is not as it was loaded has other rules than anybody wanted: ""."""
    door = session.filter(want.place)
    if nft.is_loaded(door, want.family, want.name, want.rules):
        return want
    return replace(want, rules="") if door.has_table(want.family, want.name) else None


def make_element(session: Session, want: Element) -> None:
    door = session.filter(want.place)
    where = (want.family, want.table, want.set)
    try:
        door.add_elements(*where, [(want.item, want.value)])
    except KernelError as error:
        if error.errno not in (errno.EBUSY, errno.EEXIST):
            raise
        door.replace_element(*where, want.item, want.value)


def unmake_element(session: Session, want: Element) -> None:
    if session.has_place(want.place):
        door = session.filter(want.place)
        unless_missing(lambda: door.delete_elements(want.family, want.table, want.set, [want.item]))


def see_element(session: Session, want: Element) -> Element | None:
    door = session.filter(want.place)
    data = door.element(want.family, want.table, want.set, want.item)
    if data is None:
        return None
    if want.value is None or data == encode(want.value):
        return want
    return replace(want, value=door.elements(want.family, want.table, want.set)[want.item])
