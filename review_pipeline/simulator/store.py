"""All state of the server: one SQLite file for what changes, plain files for bodies and results."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import orjson

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at REAL NOT NULL,
    batch_seconds REAL NOT NULL, total INTEGER NOT NULL, version TEXT NOT NULL, cancel_at REAL, ended_at REAL,
    succeeded INTEGER NOT NULL DEFAULT 0, errored INTEGER NOT NULL DEFAULT 0,
    canceled INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS open_batches ON batches (number) WHERE ended_at IS NULL;
CREATE TABLE IF NOT EXISTS rules (number INTEGER PRIMARY KEY, rule TEXT NOT NULL,
    seen INTEGER NOT NULL DEFAULT 0, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, operation TEXT NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER, batch_id TEXT, custom_ids INTEGER, accepted INTEGER);
CREATE INDEX IF NOT EXISTS journal_of_batch ON journal (batch_id, operation);
CREATE TABLE IF NOT EXISTS answered (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, model TEXT NOT NULL, usage TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cached_prefixes (hash TEXT PRIMARY KEY, expires_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Batch:
    number: int
    id: str
    created_at: float
    batch_seconds: float
    total: int
    version: str
    cancel_at: float | None = None
    ended_at: float | None = None
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the journal; `status` is None when the connection was closed without an answer."""

    at: float
    operation: str
    method: str
    path: str
    status: int | None
    batch_id: str | None = None
    custom_ids: int | None = None
    accepted: bool | None = None


@dataclass(frozen=True, slots=True)
class Billed:
    """One answer that somebody pays for. at: when its batch was created, or when it was asked. usage: as the API told it."""

    at: float
    is_batch: bool
    model: str
    usage: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    batches: tuple[Batch, ...]
    has_more: bool


_COLUMNS = ", ".join(field.name for field in fields(Batch))
_CALL_COLUMNS = ", ".join(field.name for field in fields(Call))


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bodies", "work", "results"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(folder / "simulator.sqlite", check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # A killed process loses nothing that was committed; only a power cut could, and this is a test double.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self._sweep()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _sweep(self) -> None:
        """A process that was killed while it took a body in leaves files that belong to no batch."""
        known = {batch.id for batch in self._batches("WHERE NOT deleted")}
        for path in (*(self.folder / "bodies").iterdir(), *(self.folder / "results").iterdir()):
            if path.name.split(".")[0] not in known:
                path.unlink()

    def body_path(self, batch_id: str) -> Path:
        return self.folder / "bodies" / f"{batch_id}.json"

    def index_path(self, batch_id: str) -> Path:
        return self.folder / "bodies" / f"{batch_id}.index"

    def work_path(self, batch_id: str) -> Path:
        return self.folder / "work" / f"{batch_id}.jsonl"

    def results_path(self, batch_id: str) -> Path:
        return self.folder / "results" / f"{batch_id}.jsonl"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def accept(self, batch: Batch, call: Call) -> Batch:
        """The batch and the journal line that proves its acceptance, or neither."""
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO batches (id, created_at, batch_seconds, total, version) VALUES (?, ?, ?, ?, ?)",
                (batch.id, batch.created_at, batch.batch_seconds, batch.total, batch.version),
            )
            _insert_call(connection, call)
        assert cursor.lastrowid is not None
        return Batch(cursor.lastrowid, batch.id, batch.created_at, batch.batch_seconds, batch.total, batch.version)

    def remember_answer(self, at: float, model: str, usage: Mapping[str, Any]) -> None:
        """An answer of the Messages API; those of batches are in their results."""
        with self._transaction() as connection:
            row = (at, model, orjson.dumps(usage).decode())
            connection.execute("INSERT INTO answered (at, model, usage) VALUES (?, ?, ?)", row)

    def billed(self) -> Iterator[Billed]:
        with self._lock:
            asked = self._connection.execute("SELECT at, model, usage FROM answered ORDER BY number").fetchall()
        for at, model, usage in asked:
            yield Billed(at, False, model, orjson.loads(usage))
        for batch in self._batches("WHERE ended_at IS NOT NULL ORDER BY number"):
            for line in self.results_path(batch.id).read_bytes().splitlines():
                result = orjson.loads(line)["result"]
                if result["type"] == "succeeded":
                    yield Billed(batch.created_at, True, result["message"]["model"], result["message"]["usage"])

    def find(self, batch_id: str) -> Batch | None:
        rows = self._batches("WHERE id = ? AND NOT deleted", (batch_id,))
        return rows[0] if rows else None

    def open_batches(self) -> tuple[Batch, ...]:
        return self._batches("WHERE ended_at IS NULL AND NOT deleted ORDER BY number")

    def newest_first(self, limit: int, older_than: int | None, newer_than: int | None) -> Page:
        if newer_than is not None:
            where = "WHERE NOT deleted AND number > ? ORDER BY number LIMIT ?"
            found = self._batches(where, (newer_than, limit + 1))
            return Page(found[:limit][::-1], len(found) > limit)
        where = "WHERE NOT deleted AND number < ? ORDER BY number DESC LIMIT ?"
        found = self._batches(where, (2**62 if older_than is None else older_than, limit + 1))
        return Page(found[:limit], len(found) > limit)

    def request_cancel(self, batch_id: str, at: float) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batches SET cancel_at = ? WHERE id = ? AND cancel_at IS NULL AND ended_at IS NULL",
                (at, batch_id),
            )

    def end(self, batch_id: str, ended_at: float, counts: Mapping[str, int]) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE batches SET ended_at = ?, succeeded = ?, errored = ?, canceled = ?, expired = ? WHERE id = ?",
                (
                    ended_at,
                    counts.get("succeeded", 0),
                    counts.get("errored", 0),
                    counts.get("canceled", 0),
                    counts.get("expired", 0),
                    batch_id,
                ),
            )

    def delete(self, batch_id: str) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE batches SET deleted = 1 WHERE id = ?", (batch_id,))
        for path in (self.body_path(batch_id), self.index_path(batch_id), self.results_path(batch_id)):
            path.unlink(missing_ok=True)

    def record(self, call: Call) -> None:
        with self._transaction() as connection:
            _insert_call(connection, call)

    def journal(self) -> tuple[Call, ...]:
        rows = self._rows(f"SELECT {_CALL_COLUMNS} FROM journal ORDER BY number")
        return tuple(_call(*row) for row in rows)

    def calls_of(self, batch_id: str, operation: str) -> int:
        rows = self._rows(
            "SELECT count(*) FROM journal WHERE batch_id = ? AND operation = ?",
            (batch_id, operation),
        )
        return int(rows[0][0])

    def rules(self) -> list[tuple[str, int, int]]:
        return self._rows("SELECT rule, seen, used FROM rules ORDER BY number")

    def replace_rules(self, rules: Iterable[tuple[str, int, int]]) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM rules")
            connection.executemany("INSERT INTO rules (rule, seen, used) VALUES (?, ?, ?)", rules)

    def cached_prefixes(self) -> dict[str, float]:
        return dict(self._rows("SELECT hash, expires_at FROM cached_prefixes"))

    def remember_prefixes(self, prefixes: Mapping[str, float]) -> None:
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO cached_prefixes VALUES (?, ?)", prefixes.items())

    def setting(self, name: str) -> float:
        rows = self._rows("SELECT value FROM settings WHERE name = ?", (name,))
        return float(rows[0][0]) if rows else 0.0

    def remember_setting(self, name: str, value: float) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def _batches(self, where: str, values: tuple[object, ...] = ()) -> tuple[Batch, ...]:
        return tuple(Batch(*row) for row in self._rows(f"SELECT {_COLUMNS} FROM batches {where}", values))

    def _rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()


def _call(*values: Any) -> Call:
    """SQLite has no booleans."""
    call = Call(*values)
    return call if call.accepted is None else replace(call, accepted=bool(call.accepted))


def _insert_call(connection: sqlite3.Connection, call: Call) -> None:
    connection.execute(f"INSERT INTO journal ({_CALL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(call))
