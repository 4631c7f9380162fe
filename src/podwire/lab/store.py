"""The lab's desired resources, typed rows in sqlite: what is in here is what shall be.

`up` writes the document's resources, `down` writes nothing. A restarted daemon finds them here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from podwire.model.cluster import ClusterSpec
from podwire.model.errors import PodwireError
from podwire.model.vnet import Nic, Subnet, VNet

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""


class Store:
    """One row per resource: kind ("cluster", "nic", "setting"), name, JSON body."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise PodwireError(
                f"the lab's store {path} cannot be used: {error}; `podwire down` removes it"
            ) from error

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the writes inside, or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def put(self, kind: str, name: str, body: dict[str, Any]) -> None:
        row = (kind, name, json.dumps(body, sort_keys=True))
        self._db.execute("INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", row)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        query = "SELECT body FROM resource WHERE kind = ? AND name = ?"
        row = self._db.execute(query, (kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        query = "SELECT name, body FROM resource WHERE kind = ? ORDER BY name"
        return {name: json.loads(body) for name, body in self._db.execute(query, (kind,))}

    def delete(self, kind: str, name: str) -> None:
        self._db.execute("DELETE FROM resource WHERE kind = ? AND name = ?", (kind, name))


def cluster_body(spec: ClusterSpec) -> dict[str, Any]:
    return asdict(spec)


def cluster_from(body: dict[str, Any]) -> ClusterSpec:
    vnet = body["vnet"]
    subnets = tuple(Subnet(**one) for one in vnet["subnets"])
    return ClusterSpec(
        **{
            **body,
            "vnet": VNet(**{**vnet, "prefixes": tuple(vnet["prefixes"]), "subnets": subnets}),
        }
    )


def nic_from(body: dict[str, Any]) -> Nic:
    subnet = Subnet(**body["subnet"])
    return Nic(body["name"], body["mac"], subnet, tuple(body["addresses"]))
