"""The ledger's file: one sqlite database that processes share, replaced when it is damaged.

Must not know what an address or a lease is. No fsync: what it tells dies with the boot, and the
boot id in `meta` guards the rest; a kill -9 loses nothing that the kernel's page cache holds.
"""

from __future__ import annotations

import os
import sqlite3
from _thread import allocate_lock
from collections.abc import Callable
from typing import TypeVar

from podwire.ipam.lock import locked
from podwire.model.cni_error import IO_FAILURE, TRY_AGAIN, CniError
from podwire.model.errors import UnavailableError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FILES = ("", "-wal", "-shm")


class _ReplacedError(Exception):
    """The file at the path is not the one that this process has open."""


class Database:
    """`create(connection)` makes and fills the tables of a new file, or of one made for others.

    generation: what the file must be made for, or a prefix of it when only reading.
    wait: seconds for a lock that others hold. create None: only read what is there.
    """

    def __init__(
        self, path: str, *, generation: str, create: Work[None] | None, wait: float
    ) -> None:
        """Raises CniError 5 (the file cannot be used), 11 (locked too long)."""
        self.path = path
        self._generation = generation
        self._create = create
        self._wait = wait
        self._inode = 0
        self._files: tuple[int, ...] = ()
        self._connection: sqlite3.Connection | None = None
        self._turn = allocate_lock()

    def run(self, work: Work[T]) -> T:
        """`work` in one write transaction, again from the start when the file was replaced."""
        return self._retry(lambda: self._transaction(work))

    def read(self, work: Work[T]) -> T:
        """`work`, which makes one query, on what the last committed transaction left."""
        return self._retry(lambda: work(self._readable()))

    def read_together(self, work: Work[T]) -> T:
        """The same for several queries: all see the same, and the file's lock is taken once."""
        return self._retry(lambda: self._framed("BEGIN", self._readable(), work))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _retry(self, call: Callable[[], T]) -> T:
        """One thread at a time: sqlite's own waiting for another's turn is a sleep."""
        for last in (False, False, True):
            with self._turn:
                try:
                    return call()
                except _ReplacedError:
                    self.close()
                except sqlite3.Error as error:
                    if _is_damage(error) and self._create is not None:
                        self._move_aside()
                        continue
                    if _code(error) not in _BUSY:
                        self.close()  # what is put right meanwhile is seen by another opening
                    if last or _code(error) != sqlite3.SQLITE_READONLY:
                        raise self._translated(error) from error
        raise CniError(IO_FAILURE, f"{self.path} is damaged again each time it is made anew")

    def _transaction(self, work: Work[T]) -> T:
        def on_same_file(connection: sqlite3.Connection) -> T:
            self._expect_same_file()
            return work(connection)

        return self._framed("BEGIN IMMEDIATE", self._opened(), on_same_file)

    def _readable(self) -> sqlite3.Connection:
        connection = self._opened()
        if _inode_of(self.path) != self._inode:
            raise _ReplacedError
        return connection

    def _framed(self, begin: str, connection: sqlite3.Connection, work: Work[T]) -> T:
        connection.execute(begin)
        try:
            done = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return done

    def _expect_same_file(self) -> None:
        """Without its log or its index at their paths, others would not see what this writes."""
        if self._files_now() != self._files:
            raise _ReplacedError

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
            self._files = (self._inode, *self._files_now()[1:])
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._inode_now():
            connection = self._connect()
            try:
                if self._is_ready(connection):
                    return connection
            except sqlite3.Error:
                connection.close()
                raise
            connection.close()
        if self._create is None:
            raise UnavailableError(
                f"{self.path} holds no ledger of this boot; no pod was wired yet"
            )
        self._make_directory()
        with locked(f"{self.path}.lock", wait=self._wait):
            connection = self._connect()
            try:
                if not self._is_ready(connection):
                    self._make(connection, self._create)
            except BaseException:
                connection.close()  # open, it would keep everybody else out
                raise
            return connection

    def _make_directory(self) -> None:
        directory = os.path.dirname(self.path)
        try:
            os.makedirs(directory, mode=0o755, exist_ok=True)
        except OSError as error:
            raise CniError(IO_FAILURE, f"cannot make {directory}: {error.strerror}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._wait, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=OFF")
        self._inode = self._inode_now()
        return connection

    def _is_ready(self, connection: sqlite3.Connection) -> bool:
        """Sound, made by this version, in this boot."""
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _damage(f"quick_check: {verdict}")
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchone()
        if not found:
            return False
        row = connection.execute("SELECT value FROM meta WHERE key='generation'").fetchone()
        return bool(row and row[0].startswith(self._generation))

    def _make(self, connection: sqlite3.Connection, create: Work[None]) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        names = connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        for (name,) in names:
            connection.execute(f"DROP TABLE {name}")
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('generation', ?)", (self._generation,))
        create(connection)
        connection.execute("COMMIT")

    def _move_aside(self) -> None:
        """Rename the damaged file, unless another process already did."""
        self.close()
        with locked(f"{self.path}.lock", wait=self._wait):
            if self._is_sound():
                return
            for suffix in _FILES:
                if os.path.exists(self.path + suffix):
                    os.replace(self.path + suffix, f"{self.path}.damaged{suffix}")

    def _is_sound(self) -> bool:
        try:
            connection = self._connect()
            try:
                self._is_ready(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            return not _is_damage(error)
        return True

    def _inode_now(self) -> int:
        return _inode_of(self.path)

    def _files_now(self) -> tuple[int, ...]:
        return tuple(_inode_of(self.path + suffix) for suffix in _FILES)

    def _translated(self, error: sqlite3.Error) -> CniError:
        if _code(error) in _BUSY:
            return CniError(TRY_AGAIN, f"timed out locking store: {self.path}", str(error))
        return CniError(IO_FAILURE, f"cannot use the ledger {self.path}: {error}")


def _inode_of(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: sqlite3.Error) -> bool:
    """A read that ends early: the index tells of a log that somebody deleted."""
    whole = getattr(error, "sqlite_errorcode", 0)
    return _code(error) in _DAMAGED or whole == sqlite3.SQLITE_IOERR_SHORT_READ


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for the module's own complaints, which have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
