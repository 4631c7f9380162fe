"""What a node has, as its ledger knows it: addresses, their source, who holds them, calls' notes.

Must not know how an address is taken or given back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from podwire.ipam import rows
from podwire.ipam.database import Database
from podwire.ipam.lease import AddressState, Glance, Lease, MainPool, Pool, own_id

if TYPE_CHECKING:
    from podwire.ipam.source import Card

REFRESH_SECONDS = 10.0
Row: TypeAlias = tuple[str, str, str, str, int, int]
LOW = 4
"""With fewer free addresses than this, an old cache is asked for anew."""


class Stock:
    """Of one node; what is taken from it and given back is the Ledger's."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    # What there is

    def leases(self) -> list[Lease]:
        """All, by address."""
        found = self._database.read(lambda db: list(rows.select(db, "1")))
        return sorted(found, key=lambda one: rows.number(one.address))

    def pools(self) -> list[Pool]:
        """All, the primary card's first."""
        query = (
            "SELECT p.subnet, p.gateway, p.mac, p.main,"
            " (SELECT count(*) FROM address a WHERE a.subnet = p.subnet AND a.mac = p.mac"
            "  AND a.listed),"
            " (SELECT count(*) FROM address a WHERE a.subnet = p.subnet AND a.mac = p.mac"
            "  AND a.listed AND a.held)"
            " FROM pool p ORDER BY p.rank, instr(p.subnet, ':') > 0"
        )
        found: list[Row] = self._database.read(lambda db: db.execute(query).fetchall())
        age = self.source_age()
        return [Pool(*row, age) for row in found]

    def pool(self) -> MainPool:
        """The pool that pods get their addresses from."""
        return self._database.read(rows.main_pool)

    def addresses(self) -> list[AddressState]:
        """All that a source listed or a lease holds, by address."""
        now = self._clock()
        found = self._database.read(lambda db: list(rows.addresses(db, now)))
        return sorted(found, key=lambda one: rows.number(one.address))

    def find(self, container_id: str, ifname: str, mac: str = "") -> Lease | None:
        """mac: the pod's; finds the lease also when only the kernel told of it."""
        which = (container_id, ifname, mac or "-")
        return self._database.read(lambda db: next(rows.select(db, rows.IS, which), None))

    def find_surely(self, container_id: str, ifname: str, mac: str = "") -> Lease | None:
        """As `find`; None only when no call whose caller gave up can still take an address.

        Such a call, in an agent that hung, looks inside its transaction whether it is still waited
        for (`allocate`): what it takes is committed before this looks, or never.
        """
        which = (container_id, ifname, mac or "-")
        return self.find(container_id, ifname, mac) or self._database.run(
            lambda db: next(rows.select(db, rows.IS, which), None)
        )

    def holding(self, container_id: str) -> list[Lease]:
        """All leases of a container, whatever the interface."""
        return self._database.read(
            lambda db: list(rows.select(db, "container_id = +?", (container_id,)))
        )

    def of_link(self, host_link: str) -> list[Lease]:
        """The leases whose pod's link on the host has this name."""
        return self._database.read(lambda db: list(rows.select(db, "host_link = ?", (host_link,))))

    # What a call learnt and another need not ask again

    def remember(self, key: str, value: str) -> None:
        """Gone with the boot and with a lost ledger. Whoever recalls it must verify it."""
        insert = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        self._database.run(lambda db: db.execute(insert, (f"note {key}", value)))

    def recall(self, key: str) -> str:
        """What was remembered; "" when nothing was."""
        return self._database.read(lambda db: rows.meta(db, f"note {key}"))

    # Where addresses come from

    def source_age(self) -> float | None:
        """Seconds since the source was last heard; None when never."""
        at = self._database.read(rows.refreshed)
        return None if at is None else max(0.0, self._clock() - at)

    def glance(self) -> Glance:
        """One read instead of several."""

        def look(db: sqlite3.Connection) -> Glance:
            working, pool = list(rows.select(db, rows.UNFINISHED)), rows.main_pool(db)
            return Glance(working, *rows.stock(db, pool, LOW), pool)

        return self._database.read_together(look)

    def wants_refresh(self, source: str = "", glance: Glance | None = None) -> bool:
        """Whether the source is to be asked: never heard, empty, or low and not heard for long.

        source: the name of the one that addresses shall come from; another one is to be asked.
        """
        seen = glance or self.glance()
        if seen.heard is None or seen.free == 0 or (source and seen.source != source):
            return True
        return seen.free < LOW and self._clock() - seen.heard > REFRESH_SECONDS

    def can_serve(self, container_id: str, ifname: str) -> bool:
        """Whether an address is there for the interface, without asking the source."""
        return self.has_free() or self.find(container_id, ifname) is not None

    def has_free(self) -> bool:
        """Whether the pool that pods get their addresses from has one left."""
        return self.glance().free > 0

    def begin_refresh(self) -> bool:
        """Whether the caller shall ask now: nobody else did within REFRESH_SECONDS."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> bool:
            asked = rows.meta(db, "asked")
            if asked and 0 <= now - float(asked) < REFRESH_SECONDS:
                return False
            db.execute("INSERT OR REPLACE INTO meta VALUES ('asked', ?)", (repr(now),))
            return True

        return self._database.run(work)

    def merge(self, cards: Iterable[Card], source: str = "") -> None:
        """Take over what the source says. An address that it lists no more is kept while held."""
        now, known = self._clock(), list(cards)

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM pool")
            db.execute("UPDATE address SET listed = 0")
            for rank, card in enumerate(sorted(known, key=lambda one: not one.primary)):
                rows.merge_card(db, card, rank)
            db.execute(f"DELETE FROM address WHERE NOT listed AND address NOT IN ({rows.HELD})")
            mac = rows.main_pool(db).mac
            news = {"refreshed": repr(now), "source": source, "subnet6": rows.subnet6(db, mac)}
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", news.items())

        self._database.run(work)

    def abandoned(self) -> list[Lease]:
        """The leases whose owner died in the middle of the work."""
        return [one for one in self.unfinished() if one.abandoned]

    def unfinished(self) -> list[Lease]:
        """The leases that some call works on, or did."""
        return self._database.read(lambda db: list(rows.select(db, rows.UNFINISHED)))

    def owns_any(self) -> bool:
        """Whether the calling thread owns a lease that is being made or removed."""
        query = "SELECT 1 FROM lease WHERE state <> 'attached' AND owner_pid = ? LIMIT 1"
        return bool(self._database.read(lambda db: db.execute(query, (own_id(),)).fetchone()))
