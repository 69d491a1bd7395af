"""Outcomes: what became of every request, what is sent in its place, and pauses."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from review_pipeline.adapters.ledger.backlog import TO_CONCLUDE
from review_pipeline.adapters.ledger.rows import (
    Part,
    add_event,
    in_portions,
    insert_requests,
    insert_submissions,
)
from review_pipeline.core.audit import (
    Cell,
    FailedRequest,
    GivenUp,
    NewEvent,
    PlannedRequest,
    Submission,
)

if TYPE_CHECKING:
    from review_pipeline.ports import Collected


class OutcomeRows(Part):
    """Implements the ports Outcomes and Pauses."""

    def record_collection(self, submission: Submission, collected: Collected, event: NewEvent, now: datetime) -> bool:
        """Every request of the batch gets its outcome, once; False if another process was faster."""
        bound = {"submission": submission.id}
        with self._database.write() as db:
            done = db.execute(
                text(
                    "UPDATE submissions SET state = 'collected', collected_at = :now, cost_usd = :cost, sync_cost_usd = :sync, note = CASE route WHEN 'sync' THEN note END"
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
            add_event(db, event, now)
        return True

    def failed_requests(self, cell: Cell) -> tuple[FailedRequest, ...]:
        with self._database.read() as db:
            rows = db.execute(text(_FAILED), {"cell": str(cell)}).mappings()
            return tuple(
                FailedRequest(
                    row["custom_id"], row["folder"], row["batch_id"], row["root"], row["content_key"], row["attempt"], row["outcome"], row["detail"],
                    tuple(filter(None, row["history"].split(","))), bool(row["was_cut"]),
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
                insert_submissions(db, submissions)
                for rows in in_portions(requests):
                    insert_requests(db, rows)
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
                add_event(db, event, now)
        except IntegrityError:
            # Another process took the round with other failures; anything else would fail in silence on every run.
            if not submissions or self.next_round(Cell.parse(submissions[0].cell)) <= submissions[0].round:
                raise
            return False
        return True

    def unsettled_cells(self) -> tuple[Cell, ...]:
        """Cells with failures that are neither replaced nor given up, or reviews without an end: a run stopped after collecting."""
        query = f"""SELECT DISTINCT cell FROM submissions WHERE submission IN (
            SELECT submission FROM requests WHERE outcome <> 'ok' AND follow_up IS NULL) UNION {TO_CONCLUDE}"""
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


_ANSWERED = """UPDATE contents SET state = 'answered' WHERE state = 'asked' AND root IN (SELECT root FROM requests WHERE submission = :submission AND outcome = 'ok')
    AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.root = contents.root
        AND requests.follow_up IS NOT 'replaced' AND coalesce(requests.outcome, 'waiting') <> 'ok')"""
_FAILED = """SELECT requests.*, submissions.folder, submissions.batch_id, submissions.cancel_asked_at IS NOT NULL AS was_cut FROM requests JOIN submissions USING (submission)
    WHERE submissions.cell = :cell AND requests.outcome <> 'ok' AND requests.follow_up IS NULL ORDER BY custom_id"""
_STANDING = """SELECT CASE WHEN follow_up = 'replaced' THEN 'replaced' ELSE coalesce(outcome, 'waiting') END AS standing, count(*)
    FROM requests JOIN submissions USING (submission) WHERE cell = :cell GROUP BY standing"""


def _detail(error_type: str | None, message: str | None) -> str | None:
    return ": ".join(part for part in (error_type, message) if part)[:500] or None
