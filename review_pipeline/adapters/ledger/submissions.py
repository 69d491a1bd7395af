"""Submissions: intent, effect, receipt."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

from sqlalchemy import Connection, RowMapping, text

from review_pipeline.adapters.ledger.rows import (
    Part,
)
from review_pipeline.core.audit import (
    Batch,
    Cell,
    State,
    Submission,
)
from review_pipeline.core.forecast import Past
from review_pipeline.core.spending import UNCAPPED, Caps, Spending, month_of
from review_pipeline.ports import OverBudget


class SubmissionRows(Part):
    """Implements the port Submissions."""

    def submissions(
        self, *, cell: Cell | None = None, states: tuple[State, ...] = tuple(State)
    ) -> tuple[Submission, ...]:
        query = "SELECT * FROM submissions WHERE state IN (SELECT value FROM json_each(:states)) AND (:cell IS NULL OR cell = :cell) ORDER BY planned_at, submission"
        with self._database.read() as db:
            rows = db.execute(
                text(query), {"states": json.dumps(states), "cell": str(cell) if cell else None}
            ).mappings()
            return tuple(_submission(row) for row in rows)

    def begin(self, submission: str, now: datetime, fence: str, caps: Caps = UNCAPPED) -> bool:
        """Takes a submission for sending, with the most it can cost. False if it is taken, or if one of the same size is in doubt: the two could not be told apart.

        Raises OverBudget, with nothing changed, if the month's caps leave no room for it.
        """
        with self._database.write() as db:
            row = db.execute(text(_WORKLOAD_AND_MOST), {"submission": submission}).one()
            if told := caps.refusal(row.workload, Decimal(row.most_usd), _spent(db, now)):
                raise OverBudget(f"submission {submission} is held back: {told}")
            taken = db.execute(text(_BEGIN), {"submission": submission, "now": now.isoformat(), "fence": fence})
            return taken.rowcount == 1

    def doubt(self, submission: str, now: datetime) -> None:
        """Nobody sends it any more, and its batch has to be looked for; the first such moment counts, unless a clock that was put back has not come to it yet."""
        self._set(submission, State.SENDING, "doubted_at = min(coalesce(doubted_at, :now), :now)", now=now.isoformat())

    def release(self, submission: str, note: str) -> None:
        """Certainly not accepted: it may be sent again."""
        self._set(
            submission, State.SENDING, "state = 'intended', sent_at = NULL, fence = NULL, doubted_at = NULL, note = :note",
            note=note,
        )  # fmt: skip

    def escalate(self, submission: str, most_usd: str, note: str) -> None:
        """It has no time for a batch: it will be asked one by one, and costs what that costs."""
        self._set(
            submission, State.INTENDED, "route = 'sync', most_usd = :most, note = :note", most=most_usd, note=note
        )  # fmt: skip

    def record_asked(self, submission: str, batch: Batch) -> None:
        """All of it was answered one by one; it is collected like a batch that has ended."""
        assert batch.ended_at is not None
        self._set(
            submission, State.SENDING,
            "state = 'ended', batch_id = :batch, created_at = :created, ended_at = :ended, counts = :counts",
            batch=batch.id, created=batch.created_at.isoformat(), ended=batch.ended_at.isoformat(), counts=json.dumps(dict(batch.counts)),
        )  # fmt: skip

    def ask_cancel(self, submission: str, now: datetime, note: str) -> None:
        """The intent to cancel its batch; the first such moment counts."""
        self._set(
            submission, State.IN_PROGRESS, "cancel_asked_at = coalesce(cancel_asked_at, :now), note = :note",
            now=now.isoformat(), note=note,
        )  # fmt: skip

    def deadlines(self) -> dict[str, datetime]:
        """Of cells that have something open and a deadline."""
        with self._database.read() as db:
            return {row[0]: datetime.fromisoformat(row[1]) for row in db.execute(text(_DEADLINES))}

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
        """This batch is ours: a receipt takes it from a submission that only guessed, a guess takes it from nobody."""
        bound = {
            "submission": submission, "batch": batch.id, "created": batch.created_at.isoformat(), "counts": json.dumps(dict(batch.counts)),
        }  # fmt: skip
        with self._database.write() as db:
            db.execute(text(_YIELD), bound)
            db.execute(text(_CONFIRM), bound)

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

    def spent(self, now: datetime) -> dict[str, Spending]:
        """Of the calendar month (UTC) of now, by workload."""
        with self._database.read() as db:
            return _spent(db, now)

    def claimed_batches(self) -> frozenset[str]:
        with self._database.read() as db:
            return frozenset(db.execute(text("SELECT batch_id FROM submissions WHERE batch_id IS NOT NULL")).scalars())

    def durations(self) -> tuple[Past, ...]:
        """Of the newest batches that ended by themselves."""
        with self._database.read() as db:
            rows = db.execute(text(_ENDED), {"most": _DURATIONS}).all()
        return tuple(
            Past(row.model, row.requests, datetime.fromisoformat(row.ended_at) - datetime.fromisoformat(row.created_at))
            for row in rows
        )

    def _set(self, submission: str, state: State, assignments: str, **values: object) -> None:
        with self._database.write() as db:
            db.execute(
                text(f"UPDATE submissions SET {assignments} WHERE submission = :submission AND state = :was"),
                {"submission": submission, "was": state.value, **values},
            )


_WORKLOAD_AND_MOST = "SELECT workload, most_usd FROM submissions JOIN cells USING (cell) WHERE submission = :submission"
_OF_MONTH = """SELECT workload, state, most_usd, cost_usd FROM submissions JOIN cells USING (cell) WHERE sent_at >= :first AND sent_at < :next"""
_DURATIONS = 500
_ENDED = """SELECT model, requests, created_at, ended_at FROM submissions WHERE route = 'batch' AND ended_at IS NOT NULL AND cancel_asked_at IS NULL
    ORDER BY ended_at DESC LIMIT :most"""
_YIELD = """UPDATE submissions SET state = 'sending', batch_id = NULL, counts = NULL, ended_at = NULL,
    not_batches = json_insert(not_batches, '$[#]', :batch), note = 'batch ' || :batch || ' has its receipt with another submission'
    WHERE batch_id = :batch AND state IN ('in_progress', 'ended') AND doubted_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM submissions AS sure WHERE sure.submission = :submission AND sure.state = 'sending' AND sure.doubted_at IS NULL)"""
_CONFIRM = """UPDATE submissions SET state = 'in_progress', batch_id = :batch, created_at = :created, counts = :counts, note = NULL
    WHERE submission = :submission AND state = 'sending' AND NOT EXISTS (SELECT 1 FROM submissions AS other WHERE other.batch_id = :batch)"""
_BEGIN = """UPDATE submissions SET state = 'sending', sent_at = :now, fence = :fence, doubted_at = NULL WHERE submission = :submission AND state = 'intended'
    AND (route = 'sync' OR NOT EXISTS (
        SELECT 1 FROM submissions AS other WHERE other.state = 'sending' AND other.route = 'batch' AND other.requests = submissions.requests))"""
_DEADLINES = """SELECT cell, deadline_at FROM cells WHERE deadline_at IS NOT NULL
    AND cell IN (SELECT cell FROM submissions WHERE state IN ('intended', 'sending', 'in_progress'))"""


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
        most_usd=row["most_usd"],
        sent_at=_time(row["sent_at"]),
        fence=row["fence"],
        doubted_at=_time(row["doubted_at"]),
        created_at=_time(row["created_at"]),
        ended_at=_time(row["ended_at"]),
        cost_usd=row["cost_usd"],
        sync_cost_usd=row["sync_cost_usd"],
        note=row["note"],
        is_sync=row["route"] == "sync",
        cancel_asked_at=_time(row["cancel_asked_at"]),
    )


def _spent(db: Connection, now: datetime) -> dict[str, Spending]:
    first, next_ = month_of(now.astimezone(UTC).date())
    settled: dict[str, Decimal] = defaultdict(Decimal)
    reserved: dict[str, Decimal] = defaultdict(Decimal)
    for row in db.execute(text(_OF_MONTH), {"first": first.isoformat(), "next": next_.isoformat()}):
        if row.state == State.COLLECTED:
            settled[row.workload] += Decimal(row.cost_usd)
        else:
            reserved[row.workload] += Decimal(row.most_usd)
    return {name: Spending(settled[name], reserved[name]) for name in settled.keys() | reserved.keys()}


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
