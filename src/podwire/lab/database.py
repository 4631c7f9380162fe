"""A file of rows that only root reads: opened, or refused by name; all of some writes, or none.

Must not know what the rows mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podwire.model.errors import PodwireError


class Database:
    """Each write survives the end of this process as soon as it returns."""

    def __init__(self, path: Path, schema: str, *, whose: str) -> None:
        """whose: for the refusal, as in "the lab's". Raises PodwireError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(schema)
        except sqlite3.Error as error:
            raise PodwireError(
                f"{whose} store {path} cannot be used: {error}; `podwire down` removes it"
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
