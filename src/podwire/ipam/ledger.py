"""The ledger: which addresses the node has and who holds each, shared by all calls on the node.

A lease is journalled around the kernel's work: `allocate` commits it as pending with its owner
process, `attach` ends that, `begin_release` and `free` frame the removal. A lease whose owner died
in between is `abandoned()`; who finds it claims it, removes its network, and frees it.
Must not know how a network is made, and never asks the network while its file is locked.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Self

from podwire.ipam import dual, rows
from podwire.ipam.database import Database
from podwire.ipam.generation import generation
from podwire.ipam.lease import (
    ATTACHED,
    PENDING,
    RELEASING,
    Holder,
    Lease,
    Survivor,
    own_id,
    own_start,
)
from podwire.ipam.stock import Stock
from podwire.model.cni_error import FAILED, TRY_AGAIN, CniError

STATE_DIR = "/var/run/azure-vnet"
FILE = "ledger.sqlite"


class Ledger(Stock):
    """The ledger of one node; any thread may ask it, one is in its file at a time."""

    @classmethod
    def open(
        cls,
        state_dir: str = STATE_DIR,
        *,
        survivors: Callable[[], Iterable[Survivor]] = tuple,
        create: bool = True,
        wait: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """The ledger in `state_dir`, made when it is missing, damaged, or of an earlier boot
        or another network namespace.

        survivors: the addresses that the kernel shows in use, asked only when it is made.
        create: False only reads; then UnavailableError when there is none. clock: seconds that
        all processes of this boot agree on.
        """

        def make(connection: sqlite3.Connection) -> None:
            for table in rows.TABLES:
                connection.execute(table)
            for one in survivors():
                rows.adopt(connection, one)

        database = Database(
            os.path.join(state_dir, FILE),
            generation=generation(everywhere=not create),
            create=make if create else None,
            wait=wait,
        )
        return cls(database, clock)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Taking an address

    def allocate(
        self,
        holder: Holder,
        *,
        subnet: str = "",
        address: str = "",
        address6: str = "",
        mac: str = "",
        both: bool = True,
        state: str = PENDING,
        cooling_seconds: float = 0.0,
        waiting: Callable[[], bool] = lambda: True,
    ) -> Lease:
        """A lease for `holder`: the one it has already, as it is, else the lowest free address,
        and unless `both` is False the lowest free IPv6 address of the same card, if it lists any.

        subnet, address, mac: only of this subnet, only this address, only of this card. address6:
        only this IPv6 address beside it.
        cooling_seconds: addresses freed less long ago come last, the one freed first before others.
        waiting: whether the caller still waits; else it may have called DEL already.
        Raises CniError 100 (not an address of the node, or held by another, or not the one that
        `holder` has), 101 (none is free, or no IPv6 address), 11 (nobody waits any more).
        """

        def work(db: sqlite3.Connection) -> Lease:
            have = self._own(db, holder)
            if have is not None:
                rows.check_wanted(have, address, address6)
                return have
            _require(waiting, holder)
            where, warm_since = (subnet, address, mac), self._clock() - cooling_seconds
            row = rows.choose(db, where, warm_since)
            if row is None:
                raise rows.refusal(db, where)
            second = dual.choose(db, row[0], warm_since, address6) if both else rows.NONE
            return rows.insert(db, holder, row, state, second)

        return self._database.run(work)

    def reserve(self, holder: Holder, waiting: Callable[[], bool] = lambda: True) -> Lease:
        """A pending lease without an address, which another IPAM plugin is about to give.

        waiting: as in `allocate`.
        """

        def work(db: sqlite3.Connection) -> Lease:
            have = self._own(db, holder)
            if have is not None:
                return have
            _require(waiting, holder)
            return rows.insert(db, holder, (None, "", ""), PENDING)

        return self._database.run(work)

    def assign(self, lease: Lease, address: str, subnet: str, gateway: str) -> Lease:
        """The address of a `reserve`d lease. Raises CniError 100 when another lease holds it."""

        def work(db: sqlite3.Connection) -> Lease:
            try:
                db.execute(
                    "UPDATE lease SET address = ?, subnet = ?, gateway = ? WHERE id = ?",
                    (address, subnet, gateway, lease.id),
                )
            except sqlite3.IntegrityError as error:
                raise CniError(
                    FAILED, f"{lease.ipam} gave {address}, which another pod of this node holds"
                ) from error
            return rows.by_id(db, lease.id)

        return self._database.run(work)

    def _own(self, db: sqlite3.Connection, holder: Holder) -> Lease | None:
        which = (holder.container_id, holder.ifname, holder.mac or "-")
        have = next(rows.select(db, rows.IS, which), None)
        if have is not None and have.state != ATTACHED:
            raise CniError(
                TRY_AGAIN,
                f"{holder.container_id} {holder.ifname} is {have.state} in another call",
                f"process {have.owner_pid} works on it",
            )
        return have

    def take_over(self, lease: Lease, holder: Holder) -> Lease:
        """Make an attached lease pending again, for this process and `holder`, same address."""
        values = {name: getattr(holder, name) for name in rows.HOLDER}
        return self._claim(lease, PENDING, values)

    def attach(self, lease: Lease) -> None:
        """The network is made. Raises CniError 11 when the ledger lost the lease meanwhile."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute(
                "UPDATE lease SET state = ?, owner_pid = 0, owner_start = 0"
                " WHERE state = ? AND address = ? AND owner_pid = ? AND owner_start = ?",
                (ATTACHED, PENDING, lease.address, lease.owner_pid, lease.owner_start),
            ).rowcount

        if self._database.run(work) != 1:
            raise CniError(TRY_AGAIN, f"the lease of {lease.address} was lost while it was wired")

    def while_held(self, lease: Lease, work: Callable[[], None]) -> bool:
        """Do `work` while nobody else can change or free `lease`. False: it is another already.

        The file is locked meanwhile: for a few kernel requests, never for a network's answer.
        """

        def inside(db: sqlite3.Connection) -> bool:
            if next(rows.select(db, "id = ?", (lease.id,)), None) != lease:
                return False
            work()
            return True

        return self._database.run(inside)

    def rebridge(self, lease: Lease, bridge: str) -> Lease | None:
        """Tell that an attached lease's pod is on `bridge` now, or routed (""). None: it is
        another lease already."""

        def work(db: sqlite3.Connection) -> Lease | None:
            if next(rows.select(db, "id = ?", (lease.id,)), None) != lease:
                return None
            db.execute("UPDATE lease SET bridge = ? WHERE id = ?", (bridge, lease.id))
            return rows.by_id(db, lease.id)

        return self._database.run(work)

    # Giving it back

    def begin_release(
        self, lease: Lease, waiting: Callable[[], bool] = lambda: True
    ) -> Lease | None:
        """Claim `lease` to remove its network; None while another process works on it, and when
        the caller does not wait any more (`allocate`)."""
        mine = lease.owner_pid == own_id()
        if lease.state != ATTACHED and not mine and not lease.abandoned:
            return None
        try:
            return self._claim(lease, RELEASING, {}, waiting)
        except CniError as error:
            if error.code == TRY_AGAIN:
                return None
            raise

    def free(self, lease: Lease) -> None:
        """The network is gone: the address may be handed out again."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> None:
            gone = db.execute(
                "DELETE FROM lease WHERE address IS ? AND owner_pid = ? AND owner_start = ?"
                " AND container_id = +? AND ifname = ?",  # "+" as in rows.IS
                (
                    lease.address or None,
                    lease.owner_pid,
                    lease.owner_start,
                    lease.container_id,
                    lease.ifname,
                ),
            ).rowcount
            if gone:
                given = (lease.address, lease.address6)
                db.execute("UPDATE address SET freed = ? WHERE address IN (?, ?)", (now, *given))
                db.execute("DELETE FROM address WHERE address IN (?, ?) AND NOT listed", given)

        self._database.run(work)

    def release(self, container_id: str, ifname: str = "") -> list[Lease]:
        """Free at once what the container holds (on one interface, or all) and others wired.

        An address that azure-vnet wired is freed by its DEL alone. An unknown container holds
        nothing. Returns what was freed.
        """
        freed = []
        self.find_surely(container_id, ifname)
        for lease in self.holding(container_id):
            if lease.host_link or (ifname and lease.ifname != ifname):
                continue
            claimed = self.begin_release(lease)
            if claimed is not None:
                self.free(claimed)
                freed.append(claimed)
        return freed

    def _claim(
        self,
        lease: Lease,
        state: str,
        values: dict[str, str],
        waiting: Callable[[], bool] = lambda: True,
    ) -> Lease:
        new = {**values, "state": state, "owner_pid": own_id(), "owner_start": own_start()}
        sets = ", ".join(f"{name} = ?" for name in new)

        def work(db: sqlite3.Connection) -> Lease:
            _require(waiting, lease)
            changed = db.execute(
                f"UPDATE lease SET {sets} WHERE id = ? AND since = ? AND address IS ? AND state = ?"
                " AND owner_pid = ? AND owner_start = ?",
                (
                    *new.values(),
                    lease.id,
                    lease.since,  # an id that was freed is given again, perhaps with the address
                    lease.address or None,
                    lease.state,
                    lease.owner_pid,
                    lease.owner_start,
                ),
            ).rowcount
            if changed != 1:
                raise CniError(TRY_AGAIN, f"another call works on the lease of {lease.address}")
            return rows.by_id(db, lease.id)

        return self._database.run(work)


def _require(waiting: Callable[[], bool], whose: Holder | Lease) -> None:
    if not waiting():
        raise CniError(TRY_AGAIN, f"the call for {whose.container_id} {whose.ifname} was given up")
