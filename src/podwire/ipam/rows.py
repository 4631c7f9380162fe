"""The ledger's tables and what is asked of them, inside a transaction that the caller holds."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import fields
from ipaddress import ip_address
from typing import TYPE_CHECKING

from podwire.ipam.lease import (
    ATTACHED,
    PENDING,
    AddressState,
    Holder,
    Lease,
    MainPool,
    Survivor,
    own_id,
    own_start,
)
from podwire.model.cni_error import FAILED, NO_ADDRESS, CniError

if TYPE_CHECKING:
    from podwire.ipam.source import Card

SCHEMA = 3
TABLES = (
    "CREATE TABLE pool (subnet TEXT, mac TEXT, gateway TEXT, main TEXT, rank INTEGER)",
    """CREATE TABLE address (address TEXT PRIMARY KEY, number BLOB, subnet TEXT, mac TEXT,
    listed INTEGER, freed REAL, held INTEGER DEFAULT 0)""",
    "CREATE INDEX free ON address (subnet, mac, number) WHERE listed AND NOT held",
    """CREATE TABLE lease (id INTEGER PRIMARY KEY, address TEXT UNIQUE, subnet TEXT, gateway TEXT,
    state TEXT, container_id TEXT, ifname TEXT, netns TEXT, pod_namespace TEXT, pod_name TEXT,
    network TEXT, host_link TEXT, mac TEXT, bridge TEXT, ipam TEXT, owner_pid INTEGER,
    owner_start INTEGER, since REAL, address6 TEXT UNIQUE, subnet6 TEXT, gateway6 TEXT)""",
    "CREATE UNIQUE INDEX one_lease ON lease (container_id, ifname) WHERE container_id <> ''",
    "CREATE INDEX unnamed ON lease (mac) WHERE container_id = ''",
    "CREATE INDEX working ON lease (state) WHERE state <> 'attached'",
    # address.held follows from lease; kept, so that the next free one is found without a search
    """CREATE TRIGGER taken AFTER INSERT ON lease BEGIN
    UPDATE address SET held = 1 WHERE address IN (NEW.address, NEW.address6); END""",
    """CREATE TRIGGER given_back AFTER DELETE ON lease BEGIN
    UPDATE address SET held = 0 WHERE address IN (OLD.address, OLD.address6); END""",
    """CREATE TRIGGER assigned AFTER UPDATE OF address ON lease BEGIN
    UPDATE address SET held = address IS NEW.address
    WHERE address IN (OLD.address, NEW.address); END""",
)
NONE = ("", "", "")
"""address6, subnet6, gateway6 of a lease without IPv6."""
HELD = (
    "SELECT address FROM lease WHERE address IS NOT NULL"
    " UNION ALL SELECT address6 FROM lease WHERE address6 IS NOT NULL"
)
"""Every address that a lease has."""
_NAMES = [field.name for field in fields(Lease)]
_UNIQUE = ("address", "address6")
"""NULL where a lease has none; in a Lease that is ""."""
_COLUMNS = ", ".join(f"ifnull({name}, '')" if name in _UNIQUE else name for name in _NAMES)
UNFINISHED = "state <> 'attached'"
HOLDER = tuple(field.name for field in fields(Holder))
# A lease is found by its container, or by the pod's MAC when only the kernel told of it.
# Each half as the index has it, so that none is searched for among all. "+": beside the column of
# a partial index's condition a bare parameter makes sqlite compile anew for each value.
_NAMED = "(container_id = +? AND ifname = ? AND container_id <> '')"
IS = f"({_NAMED} OR (container_id = '' AND mac = ?))"


def select(db: sqlite3.Connection, where: str, values: tuple[object, ...] = ()) -> Iterator[Lease]:
    for row in db.execute(f"SELECT {_COLUMNS} FROM lease WHERE {where}", values):
        yield Lease(*row)


def choose(
    db: sqlite3.Connection, where: tuple[str, str, str], warm_since: float
) -> tuple[str, str, str] | None:
    """The free address to hand out next, with its subnet and gateway."""
    subnet, address, mac = where
    pools = db.execute(
        "SELECT subnet, mac, gateway FROM pool WHERE (? = '' OR subnet = ?) AND"
        " (? = '' OR mac = ? OR mac = '') AND instr(subnet, ':') > 0 = ? ORDER BY rank",
        (*_twice((subnet, mac)), _asks_for_v6(where)),
    ).fetchall()
    only, value = ("AND address = ?", (address,)) if address else ("", ())
    for pool, card, gateway in pools:
        warm = f"{_FREE} AND ifnull(freed, -1e99) <= ? {only} ORDER BY number LIMIT 1"
        row = db.execute(warm, (pool, card, warm_since, *value)).fetchone()
        if row:
            return row[1], pool, gateway
    cooling = [
        (*row, pool, gateway)
        for pool, card, gateway in pools
        for row in db.execute(f"{_FREE} {only} ORDER BY freed LIMIT 1", (pool, card, *value))
    ]
    return min(cooling)[1:] if cooling else None


_FREE = "SELECT freed, address FROM address WHERE subnet = ? AND mac = ? AND listed AND NOT held"
_MAIN_POOL = (
    "SELECT subnet, mac, (SELECT value FROM meta WHERE key = 'subnet6') AS subnet6,"
    " EXISTS (SELECT 1 FROM lease WHERE address6 > '') AS given6"
    " FROM pool ORDER BY rank, instr(subnet, ':') > 0 LIMIT 1"
)
_WHERE = (
    "(? = '' OR a.subnet = ?) AND (? = '' OR a.address = ?) AND (? = '' OR a.mac = ? OR a.mac = '')"
)


def stock(db: sqlite3.Connection, pool: MainPool, most: int) -> tuple[float | None, str, int]:
    """When the source was heard, its name, how many pods the main pool serves, up to `most`."""
    keys = "('refreshed', 'source')"
    known = dict(db.execute(f"SELECT key, value FROM meta WHERE key IN {keys}").fetchall())
    subnets = [one for one in (pool.subnet, pool.subnet6) if one]
    query = f"{_FREE} LIMIT ?"
    free = [len(db.execute(query, (one, pool.mac, most)).fetchall()) for one in subnets]
    heard = known.get("refreshed")
    return (float(heard) if heard else None), known.get("source") or "", min(free, default=0)


def main_pool(db: sqlite3.Connection) -> MainPool:
    subnet, mac, second, given = db.execute(_MAIN_POOL).fetchone() or ("", "", "", 0)
    return MainPool(subnet, mac, second or "", bool(second or given))


def subnet6(db: sqlite3.Connection, mac: str) -> str:
    """The IPv6 subnet of the card that lists addresses for pods; "" when none does."""
    query = "SELECT subnet FROM pool WHERE mac = ? AND instr(subnet, ':')"
    listed = "SELECT 1 FROM address WHERE subnet = ? AND mac = ? AND listed LIMIT 1"
    for (subnet,) in db.execute(query, (mac,)).fetchall():
        if db.execute(listed, (subnet, mac)).fetchone():
            return str(subnet)
    return ""


def _asks_for_v6(where: tuple[str, str, str]) -> bool:
    """IPv6 only when a subnet or an address of it is asked for."""
    return ":" in where[0] + where[1]


def _family(where: tuple[str, str, str]) -> str:
    return f"length(a.number) = {16 if _asks_for_v6(where) else 4}"


def _twice(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value for value in values for _ in range(2))


def insert(
    db: sqlite3.Connection,
    holder: Holder,
    row: tuple[str | None, str, str],
    state: str,
    second: tuple[str, str, str] = NONE,
) -> Lease:
    """row: address, subnet, gateway; second: those of IPv6."""
    owner = (own_id(), own_start()) if state == PENDING else (0, 0)
    values = (*row, state, *(getattr(holder, name) for name in HOLDER), *owner, time.time())
    new = db.execute(_INSERT, (*values, second[0] or None, *second[1:])).lastrowid
    return Lease(new or 0, row[0] or "", *(*values[1:], *second))


_INSERT = (
    f"INSERT INTO lease ({', '.join(_NAMES[1:])}) VALUES ({', '.join('?' * (len(_NAMES) - 1))})"
)


def by_id(db: sqlite3.Connection, number: int | None) -> Lease:
    return next(select(db, "id = ?", (number,)))


def refusal(db: sqlite3.Connection, where: tuple[str, str, str]) -> CniError:
    """Why there is no address: in words that tell the node, the subnet and who holds them."""
    subnet, address, mac = where
    held = "SELECT count(*), ifnull(sum(a.held), 0) FROM address a"
    total, taken = db.execute(
        f"{held} WHERE a.listed AND {_WHERE} AND {_family(where)}", _twice(where)
    ).fetchone()
    if address:
        return _refusal_of(db, address, bool(total))
    subnets = subnet or _all_subnets(db, mac) or "none"
    states = db.execute("SELECT state, count(*) FROM lease GROUP BY state ORDER BY state")
    counts = ", ".join(f"{count} {state}" for state, count in states)
    return CniError(
        NO_ADDRESS,
        "Failed to allocate address: No available addresses",
        f"node {os.uname().nodename}, subnet {subnets}: {taken} of {total} addresses are held "
        f"({counts or 'no leases'}); delete a pod, or give the node's NIC more addresses",
    )


def _refusal_of(db: sqlite3.Connection, address: str, known: bool) -> CniError:
    for lease in select(db, "address = ? OR address6 = ?", (address, address)):
        pod = f"{lease.pod_namespace}/{lease.pod_name} " if lease.pod_name else ""
        return CniError(
            FAILED,
            "Failed to allocate address: Address already in use",
            f"asked for {address}: {pod}(container {lease.container_id or 'unknown'}, "
            f"{lease.ifname or 'unknown interface'}) holds it",
        )
    what = "on another card or subnet than asked for" if known else "not of the node's NIC"
    return CniError(
        FAILED, "Failed to allocate address: Address not found", f"asked for {address}: {what}"
    )


def check_wanted(have: Lease, address: str, address6: str = "") -> None:
    """An interface that has an address cannot be given another one."""
    for asked, held in ((address, have.address), (address6, have.address6)):
        if asked and asked != held:
            raise CniError(
                FAILED,
                "Failed to allocate address: Address already in use",
                f"asked for {asked}, but container {have.container_id} {have.ifname} holds "
                f"{held or 'no IPv6 address'} already; DEL it first",
            )


def addresses(db: sqlite3.Connection, now: float) -> Iterator[AddressState]:
    query = "SELECT address, subnet, mac, listed, freed, held FROM address"
    for address, subnet, mac, listed, freed, held in db.execute(query):
        ago = None if freed is None else max(0.0, now - freed)
        yield AddressState(address, subnet, mac, bool(listed), ago, bool(held))


def _all_subnets(db: sqlite3.Connection, mac: str) -> str:
    rows = db.execute("SELECT subnet FROM pool WHERE ? = '' OR mac = ? ORDER BY rank", (mac, mac))
    return ", ".join(subnet for (subnet,) in rows)


def merge_card(db: sqlite3.Connection, card: Card, rank: int) -> None:
    for one in card.subnets:
        db.execute(
            "INSERT OR REPLACE INTO pool VALUES (?, ?, ?, ?, ?)",
            (one.subnet, card.mac, one.gateway, one.primary, rank),
        )
        db.executemany(
            "INSERT INTO address (address, number, subnet, mac, listed) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT (address) DO UPDATE"
            " SET subnet = excluded.subnet, mac = excluded.mac, listed = 1",
            [(text, number(text), one.subnet, card.mac) for text in one.addresses],
        )
        db.execute(f"UPDATE address SET held = address IN ({HELD}) WHERE subnet = ?", (one.subnet,))
        for six in ("", "6"):
            db.execute(
                f"UPDATE lease SET subnet{six} = ?, gateway{six} = ? WHERE subnet{six} = ''"
                f" AND address{six} IN (SELECT address FROM address WHERE subnet = ? AND mac = ?)",
                (one.subnet, one.gateway, one.subnet, card.mac),
            )


def adopt(db: sqlite3.Connection, one: Survivor) -> None:
    """Hold what the kernel shows in use. Its container is known when its DEL or ADD comes."""
    holder = Holder("", "", host_link=one.host_link, mac=one.mac, bridge=one.bridge)
    insert(db, holder, (one.address, "", ""), ATTACHED, (one.address6, "", ""))


def refreshed(db: sqlite3.Connection) -> float | None:
    text = meta(db, "refreshed")
    return float(text) if text else None


def meta(db: sqlite3.Connection, key: str) -> str:
    """What stands under a key; "" when nothing does."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""


def number(address: str) -> bytes:
    """Sorts as the addresses do; a lease without one comes first."""
    return ip_address(address).packed if address else b""
