"""The findings history in DuckDB: one applier drains the outbox into it and publishes read-only copies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from review_pipeline.ports import Refused, Unavailable

if TYPE_CHECKING:
    import duckdb

    from review_pipeline.core.audit import Event

_SQL = files("review_pipeline") / "sql" / "history"
_KEPT_COPIES = 3
_LOCK_SECONDS = 300
# What each kind of event runs, besides the requests that it may bring.
_SCRIPTS: dict[str, tuple[str, ...]] = {
    "cell_planned": ("cell_planned", "policy_planned"),
    "resubmission_planned": (),
    "batch_collected": ("batch_recorded", "batch_collected"),
    "verdicts_collected": ("batch_recorded", "verdicts_collected"),
    "review_recorded": ("review_recorded",),
    "finding_triaged": ("finding_triaged",),
    "findings_answered": ("findings_answered",),
}
# What events of earlier versions do not say.
_ABSENT_IN_OLD_EVENTS: dict[str, dict[str, object]] = {
    "batch_collected": {"route": "batch", "surcharge_usd": "0"},
    "cell_planned": {"deadline_at": None, "rules": "[]"},
}
# Two threads leave groups of DuckDB's usual 122,880 rows half-filled; a checkpoint then writes them all over again (0.7 s and 1.6 x the file).
_ROWS_PER_GROUP = 61_440


class History:
    """Applies events in order, each batch of them in one transaction with its high-water mark."""

    def __init__(self, home: Path, spool: Path, thresholds: Mapping[str, float], memory_limit: str = "500MB") -> None:
        self._path = home / "history.duckdb"
        self._published = home / "findings.duckdb"
        self._copies = home / "published"
        self._spool = spool
        self._thresholds = thresholds
        self._memory_limit = memory_limit

    @property
    def published(self) -> Path:
        return self._published

    def exists(self) -> bool:
        return self._path.exists()

    def claim(self, ledger: str, last_event: int) -> None:
        """Ties an empty history to its ledger. Raises Refused if another one filled it, or this one in a newer state."""
        with self._writer() as db:
            row = db.execute("SELECT ledger FROM source").fetchone()
            mark = _applied(db)
            if (row and row[0] != ledger) or mark > last_event:
                raise Refused(
                    f"{self._path} was filled from another ledger, or from this one before it was put back (it holds event {mark}, the ledger ends at "
                    f"{last_event}). Restore the ledger that belongs to it, or move the whole folder {self._path.parent} away to start anew."
                )
            if not row:
                db.execute("INSERT INTO source VALUES (?)", [ledger])

    def applied(self) -> int:
        with self._writer() as db:
            return _applied(db)

    def apply(self, events: tuple[Event, ...], now: datetime) -> int:
        """Those not applied yet. Returns how many that were."""
        with self._writer() as db:
            mark = _applied(db)
            fresh = [event for event in events if event.seq > mark]
            if not fresh:
                return 0
            self._load_thresholds(db)
            db.execute("BEGIN")
            for event in fresh:
                self._apply_one(db, event)
            db.execute("DELETE FROM applied")
            db.execute("INSERT INTO applied VALUES (?, ?)", [fresh[-1].seq, _utc(now)])
            db.execute("COMMIT")
            return len(fresh)

    def publish(self) -> Path:
        """A copy under a name of its own, and a link flipped to it; a rename over the old file would have its stray .wal replayed."""
        with self._locked():
            self._copies.mkdir(parents=True, exist_ok=True)
            mark = self._checkpointed()
            copy = self._copies / f"findings-{mark}-{os.urandom(4).hex()}.duckdb"
            beside = copy.with_suffix(".part")
            try:
                shutil.copyfile(self._path, beside)
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
                beside.chmod(0o444)
                beside.rename(copy)
                link = self._published.with_suffix(".link")
                link.unlink(missing_ok=True)
                link.symlink_to(copy.relative_to(self._published.parent))
                link.replace(self._published)
            except OSError as error:
                beside.unlink(missing_ok=True)
                raise Unavailable(
                    f"cannot publish {self._published}: {error.strerror}. Free some space and run the same command again."
                ) from error
            self._drop_old_copies(copy)
        return self._published

    def _drop_old_copies(self, newest: Path) -> None:
        copies = sorted(self._copies.glob("findings-*.duckdb"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        unfinished = list(self._copies.glob("findings-*.part"))  # left by killed publishers; we hold the lock
        for old in [*unfinished, *[copy for copy in copies if copy != newest][_KEPT_COPIES - 1 :]]:
            old.unlink()

    def _checkpointed(self) -> int:
        with self._opened() as db:
            db.execute("BEGIN")
            _make_views(db)  # a newer program may tell them differently without a migration
            db.execute("COMMIT")
            db.execute("CHECKPOINT")
            return _applied(db)

    def _apply_one(self, db: duckdb.DuckDBPyConnection, event: Event) -> None:
        payload = {name: _typed(name, value) for name, value in event.payload.items()}
        for name in ("files", "outcomes", "findings"):
            if name in payload:
                payload[name] = str(self._spool / str(payload[name]))
        payload = {**_ABSENT_IN_OLD_EVENTS.get(event.kind, {}), **payload}
        manifests = payload.pop("manifests", [])
        shared = dict(payload)
        if event.kind not in _SCRIPTS:
            raise Refused(
                f"event {event.seq} is a {event.kind!r}, which this version does not know. Install the newer review_pipeline that wrote it."
            )
        for script in _SCRIPTS[event.kind]:
            _run(db, _SQL / "apply" / f"{script}.sql", payload)
        assert isinstance(manifests, list)
        for submission, round_, folder in manifests:
            manifest = str(self._spool / folder / "manifest.jsonl")
            _run(
                db,
                _SQL / "apply" / "requests_planned.sql",
                {**shared, "submission": submission, "round": round_, "manifest": manifest},
            )

    def _load_thresholds(self, db: duckdb.DuckDBPyConnection) -> None:
        db.execute(
            "CREATE OR REPLACE TEMP TABLE thresholds AS SELECT unnest($1) AS category, unnest($2) AS threshold",
            [list(self._thresholds), list(self._thresholds.values())],
        )

    @contextmanager
    def _writer(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._locked(), self._opened() as db:
            yield db

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(
                f"cannot make the folder {self._path.parent}: {error.strerror}. Set REVIEW_PIPELINE_HOME to a writable folder."
            ) from error
        try:
            with FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise Unavailable(
                f"another process has been applying to {self._path} for over {_LOCK_SECONDS} s. Look for a hung run of findings_history."
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        spill = self._path.with_suffix(".tmp")
        shutil.rmtree(spill, ignore_errors=True)  # of a killed applier: we hold the lock
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._memory_limit,
            "temp_directory": str(spill),
            "threads": "2",
            "preserve_insertion_order": "false",
        }
        try:
            db = duckdb.connect(":memory:", config=settings)
            db.execute(f"ATTACH {_quoted(self._path)} AS history (ROW_GROUP_SIZE {_ROWS_PER_GROUP}); USE history")
        except duckdb.Error as error:
            if isinstance(error, duckdb.IOException) and _is_database(self._path):
                raise Unavailable(
                    f"{self._path} is open in another process: {error}. Query {self._published.name} instead of it; close the other program."
                ) from error
            raise Refused(
                f"{self._path} cannot be opened: {error}. Restore it from {self._copies}; what is newer will be applied again."
            ) from error
        try:
            _migrate(db)
            yield db
        except duckdb.IOException as error:
            raise Unavailable(
                f"{self._path}: {error}. Free some space and run the same command again; the outbox keeps what is missing."
            ) from error
        finally:
            db.close()


def _quoted(path: Path) -> str:
    return f"'{str(path).replace(chr(39), chr(39) * 2)}'"


def _is_database(path: Path) -> bool:
    """DuckDB has one exception for a locked file and for one that is no database."""
    try:
        with path.open("rb") as file:
            return file.read(12)[8:] == b"DUCK"
    except OSError:
        return False


def _migrate(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER, name VARCHAR)")
    done = {number for (number,) in db.execute("SELECT number FROM migrations").fetchall()}
    scripts = {int(file.name[:4]): file for file in (_SQL / "migrations").iterdir() if file.name.endswith(".sql")}
    if unknown := done - scripts.keys():
        raise Refused(
            f"the history was written by a newer review_pipeline (migration {max(unknown)}). Install that version, or restore a backup."
        )
    if done == scripts.keys():
        return
    for number in sorted(scripts.keys() - done):
        db.execute("BEGIN")
        _run(db, scripts[number])
        db.execute("INSERT INTO migrations VALUES (?, ?)", [number, scripts[number].name])
        db.execute("COMMIT")
    _make_views(db)


def _make_views(db: duckdb.DuckDBPyConnection) -> None:
    for file in sorted((_SQL / "views").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            _run(db, file)


def _run(db: duckdb.DuckDBPyConnection, script: Traversable, values: Mapping[str, object] | None = None) -> None:
    """Each statement with the values that it names."""
    for statement in db.extract_statements(script.read_text(encoding="utf-8")):
        named = {name: (values or {})[name] for name in statement.named_parameters}
        db.execute(statement, named or None)


def _applied(db: duckdb.DuckDBPyConnection) -> int:
    row = db.execute("SELECT max(seq) FROM applied").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _typed(name: str, value: object) -> object:
    if isinstance(value, str) and name.endswith("_at"):
        return _utc(datetime.fromisoformat(value))
    if isinstance(value, str) and name.endswith("_date"):
        return date.fromisoformat(value)
    return value


def _utc(moment: datetime) -> datetime:
    """DuckDB's TIMESTAMP knows no zone; the history's are UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None)
