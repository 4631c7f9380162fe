"""What the endpoint keeps: bodies as Azure shows them, operations, secrets. One sqlite file, 0600.

Rows are keyed by the id in lower case; the id's own spelling is in the body. Must not know what
any type of resource means. What a cluster's machines look like is not here: that is rendered from
the lab.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from podwire.lab.database import Database

Body: TypeAlias = dict[str, Any]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, collection TEXT NOT NULL, body TEXT NOT NULL,
    etag TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_kind ON resource (kind, key);
CREATE INDEX IF NOT EXISTS by_collection ON resource (collection, key);
CREATE TABLE IF NOT EXISTS operation (
    id TEXT PRIMARY KEY, resource TEXT NOT NULL, action TEXT NOT NULL, input TEXT NOT NULL,
    status TEXT NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL, outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_status ON operation (status, resource);
CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
RUNNING, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"


@dataclass(frozen=True, slots=True)
class Row:
    """A resource. key: its id in lower case; kind: in lower case; etag: with its quotes."""

    key: str
    kind: str
    body: Body
    etag: str


@dataclass(frozen=True, slots=True)
class OperationRow:
    """Something that takes a while.

    resource: the key of what changes; action: what is done, as in "cluster.put"; input: what the
    action needs; status: InProgress, Succeeded or Failed; started, ended: RFC 3339, "" while it
    runs; outcome: {"error": ...}, or {"properties": ...} for an action with an answer, or {}.
    """

    id: str
    resource: str
    action: str
    input: Body
    status: str
    started: str
    ended: str = ""
    outcome: Body | None = None


class ArmStore(Database):
    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA, whose="the endpoint's")
        self._db.execute("PRAGMA synchronous=NORMAL")

    def put(self, kind: str, body: Body) -> Row:
        """Write a resource under body["id"]; it gets a new etag."""
        key, etag = body["id"].lower(), f'W/"{uuid.uuid4()}"'
        clean = {name: value for name, value in body.items() if name != "etag"}
        row = (key, kind.lower(), key.rsplit("/", 1)[0], json.dumps(clean), etag)
        self._db.execute("INSERT OR REPLACE INTO resource VALUES (?, ?, ?, ?, ?)", row)
        return Row(key, kind.lower(), clean, etag)

    def get(self, resource_id: str) -> Row | None:
        query = "SELECT key, kind, body, etag FROM resource WHERE key = ?"
        return next(self._rows(query, resource_id.lower()), None)

    def delete(self, resource_id: str) -> None:
        self._db.execute("DELETE FROM resource WHERE key = ?", (resource_id.lower(),))

    def of_kind(self, kind: str) -> list[Row]:
        query = "SELECT key, kind, body, etag FROM resource WHERE kind = ? ORDER BY key"
        return list(self._rows(query, kind.lower()))

    def collection(self, path: str) -> list[Row]:
        """The resources right below `path`, as in .../providers/Microsoft.Network/routeTables."""
        query = "SELECT key, kind, body, etag FROM resource WHERE collection = ? ORDER BY key"
        return list(self._rows(query, path.lower()))

    def below(self, path: str) -> list[Row]:
        """Everything whose id begins with `path`/."""
        query = "SELECT key, kind, body, etag FROM resource WHERE key > ? AND key < ? ORDER BY key"
        start = path.lower().rstrip("/")
        return list(self._rows(query, f"{start}/", f"{start}0"))

    def everything(self) -> list[Row]:
        return list(self._rows("SELECT key, kind, body, etag FROM resource ORDER BY key"))

    def _rows(self, query: str, *values: str) -> Iterator[Row]:
        for key, kind, body, etag in self._db.execute(query, values):
            yield Row(key, kind, json.loads(body), etag)

    def put_operation(self, row: OperationRow) -> None:
        outcome = json.dumps(row.outcome or {})
        values = (
            *(row.id, row.resource.lower(), row.action, json.dumps(row.input)),
            *(row.status, row.started, row.ended, outcome),
        )
        self._db.execute("INSERT OR REPLACE INTO operation VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def operation(self, name: str) -> OperationRow | None:
        found = self._db.execute("SELECT * FROM operation WHERE id = ?", (name.lower(),))
        return next((_operation(row) for row in found), None)

    def running(self) -> list[OperationRow]:
        query = "SELECT * FROM operation WHERE status = ? ORDER BY started"
        return [_operation(row) for row in self._db.execute(query, (RUNNING,))]

    def finish(self, row: OperationRow, status: str, ended: str, outcome: Body) -> OperationRow:
        """Its input is forgotten: nothing needs it any more, and it may hold secrets."""
        done = replace(row, status=status, ended=ended, outcome=outcome, input={})
        self.put_operation(done)
        return done

    def forget_operations(self, before: str) -> None:
        """Those that ended before a time (RFC 3339, UTC)."""
        query = "DELETE FROM operation WHERE status != ? AND ended < ?"
        self._db.execute(query, (RUNNING, before))

    def secret(self, name: str) -> str | None:
        found = self._db.execute("SELECT value FROM secret WHERE name = ?", (name.lower(),))
        row = found.fetchone()
        return str(row[0]) if row else None

    def put_secret(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO secret VALUES (?, ?)", (name.lower(), value))

    def delete_secrets_below(self, path: str) -> None:
        """Of everything whose id begins with `path`/."""
        start = path.lower().rstrip("/")
        self._db.execute(
            "DELETE FROM secret WHERE name > ? AND name < ?", (f"{start}/", f"{start}0")
        )


def _operation(row: tuple[str, ...]) -> OperationRow:
    name, resource, action, given, status, started, ended, outcome = row
    return OperationRow(
        name, resource, action, json.loads(given), status, started, ended, json.loads(outcome)
    )
