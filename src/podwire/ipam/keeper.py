"""The ledger as those see it who mend it: whose it is, and what it does not know of.

Must not know the kernel; what is to be mended there is done by the caller, inside a block here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from podwire.ipam import rows
from podwire.ipam.generation import generation
from podwire.ipam.lease import Lease, Survivor
from podwire.ipam.ledger import Ledger

_POOL = (
    "SELECT p.subnet, p.gateway FROM address a"
    " JOIN pool p ON p.subnet = a.subnet AND p.mac = a.mac WHERE a.address = ?"
)
_HELD = "address = ? OR address6 = ? OR (host_link <> '' AND host_link = ?)"


class Keeper(Ledger):
    """Opened with create=False it never makes a ledger: where there is none, nothing is mended."""

    def is_of_here(self) -> bool:
        """Whether it is the ledger of this network namespace: another node's pods are not here."""
        mine = generation(everywhere=False)
        return self._database.read(lambda db: rows.meta(db, "generation")) == mine

    def source(self) -> str:
        """The name of the source that was heard last; "" when none was."""
        return self._database.read(lambda db: rows.meta(db, "source"))

    def adopt(self, one: Survivor) -> Lease | None:
        """Hold an address that the kernel shows in use. None: a lease has it or its link."""

        def work(db: sqlite3.Connection) -> Lease | None:
            if next(rows.select(db, _HELD, (one.address, one.address6, one.host_link)), None):
                return None
            rows.adopt(db, one)
            for six, address in (("", one.address), ("6", one.address6)):
                for subnet, gateway in db.execute(_POOL, (address,)).fetchall():
                    change = f"subnet{six} = ?, gateway{six} = ? WHERE address{six} = ?"
                    db.execute(f"UPDATE lease SET {change}", (subnet, gateway, address))
            return next(rows.select(db, "address = ?", (one.address,)))

        return self._database.run(work)

    def while_no_lease(self, host_link: str, work: Callable[[], None]) -> bool:
        """Do `work` while no lease can get a pod's link of this name. False: one has it.

        The file is locked meanwhile: for a few kernel requests.
        """

        def inside(db: sqlite3.Connection) -> bool:
            if next(rows.select(db, "host_link = ?", (host_link,)), None):
                return False
            work()
            return True

        return self._database.run(inside)
