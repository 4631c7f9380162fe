"""The second, IPv6, address of a lease: chosen in the transaction that takes the IPv4 one.

A card that lists IPv6 addresses for pods gives each pod one beside its IPv4 address.
"""

from __future__ import annotations

import os
import sqlite3

from podwire.ipam import rows
from podwire.model.cni_error import NO_ADDRESS, CniError


def choose(
    db: sqlite3.Connection, address: str, warm_since: float, wanted: str = ""
) -> tuple[str, str, str]:
    """The IPv6 address to go with `address`, with its subnet and gateway; rows.NONE on a card
    that lists none for pods.

    wanted: the one that is asked for, "" for the lowest that is free; not looked at on such a
    card. Raises CniError 100 (it is not to be had), 101 (none is free).
    """
    (mac,) = db.execute("SELECT mac FROM address WHERE address = ?", (address,)).fetchone()
    subnet = "" if ":" in address else rows.subnet6(db, mac)
    if not subnet:
        return rows.NONE
    where = (subnet, wanted, mac)
    row = rows.choose(db, where, warm_since)
    if row is None:
        raise rows.refusal(db, where) if wanted else _exhausted(db, subnet)
    return row


def _exhausted(db: sqlite3.Connection, subnet: str) -> CniError:
    count = "SELECT count(*) FROM address WHERE listed AND subnet = ?"
    (total,) = db.execute(count, (subnet,)).fetchone()
    return CniError(
        NO_ADDRESS,
        "Failed to allocate address: No available IPv6 addresses",
        f"node {os.uname().nodename}, subnet {subnet}: all {total} IPv6 addresses are held, though "
        "an IPv4 address is free; delete a pod, or give the node's NIC more IPv6 addresses",
    )
