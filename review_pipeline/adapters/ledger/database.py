"""Opens the ledger's database, brings it up to date and turns its failures into sentences."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from review_pipeline.ports import Refused, Unavailable

_MIGRATIONS = files("review_pipeline") / "sql" / "ledger" / "migrations"


class LedgerDatabase:
    """SQLite in WAL mode, fully synchronous. Writers queue for the lock at BEGIN, so a watermark never passes a later commit."""

    def __init__(self, path: Path, lock_seconds: float = 30.0) -> None:
        self.path = path
        self._lock_seconds = lock_seconds
        self._engine: Engine | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._translated(), self._opened().begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._translated(), self._opened().execution_options(only_reads=True).begin() as connection:
            yield connection

    def _opened(self) -> Engine:
        if self._engine is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Refused(
                    f"cannot make the folder {self.path.parent}: {error.strerror}. Set REVIEW_PIPELINE_HOME to a writable folder."
                ) from error
            # NullPool: forked step processes must not share a connection, and opening costs under a millisecond.
            engine = create_engine(
                f"sqlite:///{self.path}", poolclass=NullPool, connect_args={"timeout": self._lock_seconds}
            )
            event.listen(engine, "connect", self._configure)
            event.listen(engine, "begin", _begin)
            _migrate(engine)
            self._engine = engine
        return self._engine

    def _configure(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver guesses
        deadline = time.monotonic() + self._lock_seconds
        while not _is_in_wal_mode(connection):
            # Where two processes make one new ledger, SQLite refuses this at once instead of waiting.
            if time.monotonic() > deadline:
                connection.execute("PRAGMA journal_mode = WAL")
            time.sleep(0.01)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, DatabaseError) as error:
            raise self._explained(error) from error

    def _explained(self, error: DatabaseError) -> Exception:
        code = getattr(error.orig, "sqlite_errorcode", None)
        match (code & 0xFF) if isinstance(code, int) else None:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Unavailable(
                    f"the ledger {self.path} is locked by another process (waited {self._lock_seconds:g} s). "
                    "Close whatever holds it open for writing; the same command can then be run again."
                )
            case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                return Unavailable(
                    f"the disk of {self.path} is full or failing: {error.orig}. Free some space and run the same command again; nothing was lost."
                )
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return Refused(
                    f"{self.path} is not a ledger or is damaged: {error.orig}. Restore it from a backup, or move all of {self.path.parent} away to start anew."
                )
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return Refused(
                    f"cannot open the ledger {self.path} for writing: {error.orig}. Check the folder's permissions."
                )
            case _:
                return error


def _is_in_wal_mode(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin(connection: Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def _migrate(engine: Engine) -> None:
    """Each numbered file once, in one transaction with its own record. Raises Refused for a ledger of a newer program."""
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        )
        done = set(connection.execute(text("SELECT number FROM migrations")).scalars())
        scripts = {int(file.name[:4]): file for file in _MIGRATIONS.iterdir() if file.name.endswith(".sql")}
        if unknown := done - scripts.keys():
            raise Refused(
                f"the ledger was written by a newer review_pipeline (migration {max(unknown)}). Install that version, or restore a backup."
            )
        for number in sorted(scripts.keys() - done):
            for statement in _statements(scripts[number].read_text(encoding="utf-8")):
                connection.exec_driver_sql(statement)
            connection.execute(
                text("INSERT INTO migrations VALUES (:number, :name)"), {"number": number, "name": scripts[number].name}
            )


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
