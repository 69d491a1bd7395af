"""The audits' part of the ledger: plans, submissions, outcomes and the outbox."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import date, datetime
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import IntegrityError

from review_pipeline.core.audit import (
    Batch,
    Cell,
    Event,
    FailedRequest,
    GivenUp,
    Known,
    NewEvent,
    PlannedCell,
    PlannedRequest,
    State,
    Submission,
)

if TYPE_CHECKING:
    from review_pipeline.adapters.ledger.database import LedgerDatabase
    from review_pipeline.ports import Collected

_ROWS_AT_ONCE = 5_000


class AuditLedger:
    """Implements the ports Plans, Submissions, Outcomes and Outbox over one database."""

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database

    # -- plans

    def ask(self, cell: Cell, now: datetime) -> None:
        with self._database.write() as db:
            db.execute(
                text("INSERT OR IGNORE INTO asks VALUES (:cell, :now)"), {"cell": str(cell), "now": now.isoformat()}
            )

    def asked(self) -> tuple[Cell, ...]:
        with self._database.read() as db:
            rows = db.execute(
                text("SELECT cell FROM asks WHERE cell NOT IN (SELECT cell FROM cells) ORDER BY asked_at")
            ).scalars()
            return tuple(Cell.parse(row) for row in rows)

    def planned(self, cell: Cell) -> PlannedCell | None:
        with self._database.read() as db:
            row = (
                db.execute(text("SELECT * FROM cells WHERE cell = :cell"), {"cell": str(cell)}).mappings().one_or_none()
            )
        if row is None:
            return None
        return PlannedCell(
            Cell(row["audit"], date.fromisoformat(row["audit_date"])), row["workload"], row["repo"], row["revision"], row["model"],
            row["prompt_version"], row["route_reason"], json.loads(row["counts"]), datetime.fromisoformat(row["planned_at"]),
        )  # fmt: skip

    def known(self, repo: str, workload: str) -> tuple[dict[str, Known], set[str]]:
        """What was asked of this repository before, by content key, and all paths that were ever asked about."""
        contents, paths = {}, set()
        query = (
            "SELECT content_key, path, state, cell, reason FROM contents WHERE repo = :repo AND workload = :workload"
        )
        with self._database.read() as db:
            for key, path, state, cell, reason in db.execute(text(query), {"repo": repo, "workload": workload}):
                contents[key] = Known(state, cell, reason)
                paths.add(path)
        return contents, paths

    def record_plan(
        self,
        plan: PlannedCell,
        submissions: tuple[Submission, ...],
        requests: Iterable[PlannedRequest],
        event: NewEvent,
    ) -> bool:
        """The whole plan or nothing; False when another process has planned this cell first."""
        row = {
            "cell": str(plan.cell), "audit": plan.cell.audit, "audit_date": plan.cell.day.isoformat(), "workload": plan.workload,
            "repo": plan.repo, "revision": plan.revision, "model": plan.model, "prompt_version": plan.prompt_version,
            "route_reason": plan.route_reason, "counts": json.dumps(dict(plan.counts)), "planned_at": plan.planned_at.isoformat(),
        }  # fmt: skip
        try:
            with self._database.write() as db:
                _insert(db, "cells", row)
                self._insert_submissions(db, submissions)
                for rows in _in_portions(requests):
                    _insert_requests(db, rows)
                    db.execute(
                        text(_ASK),
                        [
                            {**asdict(request), "workload": plan.workload, "repo": plan.repo, "cell": str(plan.cell)}
                            for request in rows
                        ],
                    )
                db.execute(text("DELETE FROM asks WHERE cell = :cell"), {"cell": str(plan.cell)})
                _add_event(db, event, plan.planned_at)
        except IntegrityError:
            if self.planned(plan.cell) is None:
                raise
            return False
        return True

    # -- submissions

    def submissions(
        self, *, cell: Cell | None = None, states: tuple[State, ...] = tuple(State)
    ) -> tuple[Submission, ...]:
        query = "SELECT * FROM submissions WHERE state IN (SELECT value FROM json_each(:states)) AND (:cell IS NULL OR cell = :cell) ORDER BY planned_at, submission"
        with self._database.read() as db:
            rows = db.execute(
                text(query), {"states": json.dumps(states), "cell": str(cell) if cell else None}
            ).mappings()
            return tuple(_submission(row) for row in rows)

    def begin(self, submission: str, now: datetime) -> bool:
        """Takes a submission for sending. False if it is taken, or if one of the same size is in doubt: the two could not be told apart."""
        with self._database.write() as db:
            taken = db.execute(text(_BEGIN), {"submission": submission, "now": now.isoformat()})
            return taken.rowcount == 1

    def release(self, submission: str, note: str) -> None:
        """Certainly not accepted: it may be sent again."""
        self._set(submission, State.SENDING, "state = 'intended', sent_at = NULL, note = :note", note=note)

    def note(self, submission: str, note: str | None, not_batches: tuple[str, ...] | None = None) -> None:
        with self._database.write() as db:
            db.execute(
                text(
                    "UPDATE submissions SET note = :note, not_batches = coalesce(:not_batches, not_batches) WHERE submission = :submission"
                ),
                {
                    "submission": submission,
                    "note": note,
                    "not_batches": json.dumps(not_batches) if not_batches else None,
                },
            )

    def confirm(self, submission: str, batch: Batch) -> None:
        """The receipt: this batch is ours."""
        self._set(
            submission, State.SENDING, "state = 'in_progress', batch_id = :batch, created_at = :created, counts = :counts, note = NULL",
            batch=batch.id, created=batch.created_at.isoformat(), counts=json.dumps(dict(batch.counts)),
        )  # fmt: skip

    def disown(self, submission: str, not_batches: tuple[str, ...], note: str) -> None:
        """The adopted batch proved to be somebody else's: in doubt again."""
        self._set(
            submission, State.ENDED, "state = 'sending', batch_id = NULL, counts = NULL, ended_at = NULL, not_batches = :others, note = :note",
            others=json.dumps(not_batches), note=note,
        )  # fmt: skip

    def record_end(self, submission: str, batch: Batch, now: datetime) -> None:
        ended_at = (batch.ended_at or now).isoformat()
        self._set(
            submission, State.IN_PROGRESS, "state = 'ended', counts = :counts, ended_at = :ended, note = NULL",
            counts=json.dumps(dict(batch.counts)), ended=ended_at,
        )  # fmt: skip

    def claimed_batches(self) -> frozenset[str]:
        with self._database.read() as db:
            return frozenset(db.execute(text("SELECT batch_id FROM submissions WHERE batch_id IS NOT NULL")).scalars())

    # -- outcomes

    def record_collection(self, submission: Submission, collected: Collected, event: NewEvent, now: datetime) -> bool:
        """Every request of the batch gets its outcome, once; False if another process was faster."""
        bound = {"submission": submission.id}
        with self._database.write() as db:
            done = db.execute(
                text(
                    "UPDATE submissions SET state = 'collected', collected_at = :now, cost_usd = :cost, sync_cost_usd = :sync, note = NULL"
                    " WHERE submission = :submission AND state = 'ended'"
                ),
                {
                    **bound,
                    "now": now.isoformat(),
                    "cost": str(collected.cost_usd),
                    "sync": str(collected.sync_cost_usd),
                },
            )
            if done.rowcount != 1:
                return False
            failed = [
                {
                    "custom_id": request.custom_id,
                    "outcome": request.outcome,
                    "detail": _detail(request.error_type, request.error_message),
                }
                for request in collected.failed
            ]
            if failed:
                db.execute(
                    text("UPDATE requests SET outcome = :outcome, detail = :detail WHERE custom_id = :custom_id"),
                    failed,
                )
            db.execute(
                text("UPDATE requests SET outcome = 'ok' WHERE submission = :submission AND outcome IS NULL"), bound
            )
            db.execute(text(_ANSWERED), bound)
            _add_event(db, event, now)
        return True

    def failed_requests(self, cell: Cell) -> tuple[FailedRequest, ...]:
        with self._database.read() as db:
            rows = db.execute(text(_FAILED), {"cell": str(cell)}).mappings()
            return tuple(
                FailedRequest(
                    row["custom_id"], row["folder"], row["batch_id"], row["root"], row["content_key"], row["attempt"], row["outcome"], row["detail"],
                    tuple(filter(None, row["history"].split(","))),
                )
                for row in rows
            )  # fmt: skip

    def record_resubmission(
        self,
        submissions: tuple[Submission, ...],
        requests: tuple[PlannedRequest, ...],
        given_up: tuple[GivenUp, ...],
        event: NewEvent,
        now: datetime,
    ) -> bool:
        """Replacements and those given up, all or nothing; False if another process has dealt with these failures first."""
        parents = sorted({request.parent for request in requests if request.parent})
        settled = [{"custom_id": parent, "follow_up": "replaced"} for parent in parents]
        settled += [{"custom_id": request.custom_id, "follow_up": "given_up"} for request in given_up]
        try:
            with self._database.write() as db:
                for row in settled:
                    marked = db.execute(
                        text(
                            "UPDATE requests SET follow_up = :follow_up WHERE custom_id = :custom_id AND follow_up IS NULL"
                        ),
                        row,
                    )
                    if marked.rowcount != 1:
                        db.rollback()
                        return False
                self._insert_submissions(db, submissions)
                for rows in _in_portions(requests):
                    _insert_requests(db, rows)
                for request in given_up:
                    db.execute(
                        text(
                            "UPDATE contents SET state = :state, reason = :reason WHERE root = :root AND state = 'asked'"
                        ),
                        {
                            "state": "final" if request.is_final else "failed",
                            "reason": request.reason,
                            "root": request.root,
                        },
                    )
                _add_event(db, event, now)
        except IntegrityError:
            # Another process took the round with other failures; anything else would fail in silence on every run.
            if not submissions or self.next_round(Cell.parse(submissions[0].cell)) <= submissions[0].round:
                raise
            return False
        return True

    def unsettled_cells(self) -> tuple[Cell, ...]:
        """Cells with failures that are neither replaced nor given up: a run stopped between collecting and resubmitting."""
        query = """SELECT DISTINCT cell FROM submissions WHERE submission IN (
            SELECT submission FROM requests WHERE outcome <> 'ok' AND follow_up IS NULL)"""
        with self._database.read() as db:
            return tuple(Cell.parse(row) for row in db.execute(text(query)).scalars())

    def outcomes(self, cell: Cell) -> dict[str, int]:
        """How the requests of a cell stand: outcome (or 'waiting') -> requests, replaced ones included as 'replaced'."""
        with self._database.read() as db:
            return {row[0]: row[1] for row in db.execute(text(_STANDING), {"cell": str(cell)})}

    def next_round(self, cell: Cell) -> int:
        with self._database.read() as db:
            last = db.execute(
                text("SELECT max(round) FROM submissions WHERE cell = :cell"), {"cell": str(cell)}
            ).scalar()
            return 0 if last is None else int(last) + 1

    # -- pauses

    def pause(self, scope: str, reason: str, now: datetime) -> None:
        with self._database.write() as db:
            db.execute(
                text("INSERT OR IGNORE INTO pauses VALUES (:scope, :reason, :now)"),
                {"scope": scope, "reason": reason, "now": now.isoformat()},
            )

    def resume(self) -> int:
        with self._database.write() as db:
            return db.execute(text("DELETE FROM pauses")).rowcount

    def pauses(self) -> tuple[tuple[str, str, str], ...]:
        with self._database.read() as db:
            return tuple(
                (row[0], row[1], row[2]) for row in db.execute(text("SELECT scope, reason, paused_at FROM pauses"))
            )

    # -- outbox

    def events(self, after: int, limit: int = 100) -> tuple[Event, ...]:
        query = "SELECT seq, kind, payload, created_at FROM outbox WHERE seq > :after ORDER BY seq LIMIT :limit"
        with self._database.read() as db:
            return tuple(
                Event(row.seq, row.kind, json.loads(row.payload), datetime.fromisoformat(row.created_at))
                for row in db.execute(text(query), {"after": after, "limit": limit})
            )

    def record_published(self, seq: int) -> None:
        with self._database.write() as db:
            db.execute(text("UPDATE published SET seq = max(seq, :seq)"), {"seq": seq})

    def published(self) -> int:
        with self._database.read() as db:
            return int(db.execute(text("SELECT seq FROM published")).scalar_one())

    def record_report(self, week: date, seq: int) -> None:
        """The report of that week tells everything up to this event."""
        upsert = (
            "INSERT INTO reports VALUES (:week, :seq) ON CONFLICT (week) DO UPDATE SET seq = max(seq, excluded.seq)"
        )
        with self._database.write() as db:
            db.execute(text(upsert), {"week": week.isoformat(), "seq": seq})

    def weeks_to_report(self) -> dict[date, int]:
        """Weeks for which the published history holds more than their report, with the newest event that is missing there."""
        query = """SELECT date(audit_date, '-6 days', 'weekday 1') AS monday, max(outbox.seq) AS newest, coalesce(max(reports.seq), 0) AS told
            FROM outbox LEFT JOIN reports ON reports.week = date(audit_date, '-6 days', 'weekday 1')
            WHERE audit_date IS NOT NULL AND outbox.seq <= (SELECT seq FROM published) GROUP BY monday HAVING newest > told"""
        with self._database.read() as db:
            return {date.fromisoformat(row.monday): int(row.newest) for row in db.execute(text(query))}

    def unpublished(self) -> int:
        """The newest event if the published history does not hold it yet, else 0."""
        with self._database.read() as db:
            return int(
                db.execute(
                    text("SELECT coalesce(max(seq), 0) FROM outbox WHERE seq > (SELECT seq FROM published)")
                ).scalar_one()
            )

    def last_event(self) -> int:
        with self._database.read() as db:
            return int(db.execute(text("SELECT coalesce(max(seq), 0) FROM outbox")).scalar_one())

    # -- rows

    def _set(self, submission: str, state: State, assignments: str, **values: object) -> None:
        with self._database.write() as db:
            db.execute(
                text(f"UPDATE submissions SET {assignments} WHERE submission = :submission AND state = :was"),
                {"submission": submission, "was": state.value, **values},
            )

    def _insert_submissions(self, db: Connection, submissions: tuple[Submission, ...]) -> None:
        for submission in submissions:
            _insert(
                db,
                "submissions",
                {
                    "submission": submission.id, "cell": submission.cell, "round": submission.round, "state": submission.state.value,
                    "folder": submission.folder, "body_bytes": submission.body_bytes, "requests": submission.requests,
                    "model": submission.model, "planned_at": submission.planned_at.isoformat(),
                },
            )  # fmt: skip


_ASK = """INSERT INTO contents (content_key, workload, repo, path, cell, root, state) VALUES (:content_key, :workload, :repo, :path, :cell, :root, 'asked')
    ON CONFLICT (content_key) DO UPDATE SET cell = excluded.cell, root = excluded.root, state = 'asked', reason = NULL
    WHERE contents.cell <> excluded.cell"""
_BEGIN = """UPDATE submissions SET state = 'sending', sent_at = :now WHERE submission = :submission AND state = 'intended'
    AND NOT EXISTS (SELECT 1 FROM submissions AS other WHERE other.state = 'sending' AND other.requests = submissions.requests)"""
_ANSWERED = """UPDATE contents SET state = 'answered' WHERE state = 'asked' AND root IN (SELECT root FROM requests WHERE submission = :submission AND outcome = 'ok')
    AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.root = contents.root
        AND requests.follow_up IS NOT 'replaced' AND coalesce(requests.outcome, 'waiting') <> 'ok')"""
_FAILED = """SELECT requests.*, submissions.folder, submissions.batch_id FROM requests JOIN submissions USING (submission)
    WHERE submissions.cell = :cell AND requests.outcome <> 'ok' AND requests.follow_up IS NULL ORDER BY custom_id"""
_STANDING = """SELECT CASE WHEN follow_up = 'replaced' THEN 'replaced' ELSE coalesce(outcome, 'waiting') END AS standing, count(*)
    FROM requests JOIN submissions USING (submission) WHERE cell = :cell GROUP BY standing"""


def _insert(db: Connection, table: str, row: Mapping[str, object]) -> None:
    db.execute(
        text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"), dict(row)
    )


def _submission(row: RowMapping) -> Submission:
    return Submission(
        id=row["submission"],
        cell=row["cell"],
        round=row["round"],
        state=State(row["state"]),
        folder=row["folder"],
        body_bytes=row["body_bytes"],
        requests=row["requests"],
        model=row["model"],
        batch_id=row["batch_id"],
        not_batches=tuple(json.loads(row["not_batches"])),
        counts=MappingProxyType(json.loads(row["counts"]) if row["counts"] else {}),
        planned_at=datetime.fromisoformat(row["planned_at"]),
        sent_at=_time(row["sent_at"]),
        created_at=_time(row["created_at"]),
        ended_at=_time(row["ended_at"]),
        cost_usd=row["cost_usd"],
        sync_cost_usd=row["sync_cost_usd"],
        note=row["note"],
    )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _detail(error_type: str | None, message: str | None) -> str | None:
    return ": ".join(part for part in (error_type, message) if part)[:500] or None


def _in_portions(requests: Iterable[PlannedRequest]) -> Iterator[list[PlannedRequest]]:
    waiting = iter(requests)
    while rows := list(islice(waiting, _ROWS_AT_ONCE)):
        yield rows


def _insert_requests(db: Connection, requests: list[PlannedRequest]) -> None:
    db.execute(
        text(
            "INSERT INTO requests (custom_id, submission, parent, root, content_key, attempt, history)"
            " VALUES (:custom_id, :submission, :parent, :root, :content_key, :attempt, :history)"
        ),
        [{**asdict(request), "history": ",".join(request.history)} for request in requests],
    )


def _add_event(db: Connection, event: NewEvent, now: datetime) -> None:
    row = {
        "key": event.key,
        "kind": event.kind,
        "audit_date": event.payload.get("audit_date"),
        "payload": json.dumps(dict(event.payload)),
        "created_at": now.isoformat(),
    }
    _insert(db, "outbox", row)
