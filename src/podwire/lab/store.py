"""The lab's desired resources, typed rows in sqlite: what is in here is what shall be.

Whoever wants the lab to be different writes here first. A restarted daemon finds it all again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cattrs

from podwire.cluster.vm_access_settings import VmAccess
from podwire.lab.database import Database
from podwire.lab.instances import Instances
from podwire.model.cluster import ClusterSpec
from podwire.model.vnet import Nic, VNet
from podwire.vnet.frontend_addresses import Claim

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class WantedCluster:
    """stopped: its machines shall be off; workload: it shall run the document's nginx."""

    spec: ClusterSpec
    stopped: bool = False
    workload: bool = False


@dataclass(frozen=True, slots=True)
class PluggedNic:
    """A NIC and the key of its VNet; cluster: the key of whose it is."""

    nic: Nic
    vnet: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Frontends:
    """The addresses of the load balancers of a VNet."""

    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """instances: the numbers of those that it is for; None: all of the pool, and those to come."""

    wish: VmAccess
    instances: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who shall be able to log in to the nodes of a pool, in the order in which it was asked."""

    grants: tuple[Grant, ...] = ()

    def of(self, instance: int) -> tuple[VmAccess, ...]:
        every = self.grants
        return tuple(
            one.wish for one in every if one.instances is None or instance in one.instances
        )

    def granted(self, fresh: Grant) -> Access:
        """With this one last. Who has it for all needs it for none; else it is for more of them."""
        same = [one for one in self.grants if one.wish == fresh.wish]
        others = tuple(one for one in self.grants if one.wish != fresh.wish)
        numbers: set[int] = set()
        for one in (*same, fresh):
            if one.instances is None:
                return Access((*others, Grant(fresh.wish)))
            numbers |= set(one.instances)
        return Access((*others, Grant(fresh.wish, tuple(sorted(numbers)))))


KINDS: dict[type[Any], str] = {
    VNet: "vnet",
    WantedCluster: "cluster",
    Instances: "pool",
    PluggedNic: "nic",
    Frontends: "frontends",
    Access: "access",
}
"""What has a type; rows of kind "setting" are free JSON."""


class Store(Database):
    """One row per resource: kind, name, JSON body."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA, whose="the lab's")

    def put(self, name: str, value: Any) -> None:
        """value: of one of the types in KINDS."""
        self._put(KINDS[type(value)], name, cattrs.unstructure(value))

    def get(self, kind: type[_Value], name: str) -> _Value | None:
        body = self._get(KINDS[kind], name)
        return None if body is None else cattrs.structure(body, kind)

    def all(self, kind: type[_Value]) -> dict[str, _Value]:
        """By name, in the order of names."""
        query = "SELECT name, body FROM resource WHERE kind = ? ORDER BY name"
        rows = self._db.execute(query, (KINDS[kind],))
        return {name: cattrs.structure(json.loads(body), kind) for name, body in rows}

    def delete(self, kind: type[Any], name: str) -> None:
        self._delete(KINDS[kind], name)

    def setting(self, name: str) -> dict[str, Any] | None:
        return self._get("setting", name)

    def put_setting(self, name: str, body: dict[str, Any]) -> None:
        self._put("setting", name, body)

    def delete_setting(self, name: str) -> None:
        self._delete("setting", name)

    def _put(self, kind: str, name: str, body: dict[str, Any]) -> None:
        row = (kind, name, json.dumps(body, sort_keys=True))
        self._db.execute("INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", row)

    def _get(self, kind: str, name: str) -> dict[str, Any] | None:
        query = "SELECT body FROM resource WHERE kind = ? AND name = ?"
        row = self._db.execute(query, (kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def _delete(self, kind: str, name: str) -> None:
        self._db.execute("DELETE FROM resource WHERE kind = ? AND name = ?", (kind, name))
