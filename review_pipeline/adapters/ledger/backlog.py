"""The overnight backlog: pull requests of a night, and what its answers were."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, text

from review_pipeline.adapters.ledger.reviews import ended_row
from review_pipeline.adapters.ledger.rows import Part, insert
from review_pipeline.core.audit import Cell
from review_pipeline.core.backlog import AskedRequest, BacklogCall, BacklogPull, PullState
from review_pipeline.core.review_record import Call, CallEnd


class BacklogRows(Part):
    """Implements the port Backlog."""

    def backlog(self, cell: Cell) -> tuple[BacklogPull, ...]:
        query = "SELECT * FROM backlog_pulls WHERE cell = :cell ORDER BY length(number), number"
        with self._database.read() as db:
            return tuple(
                BacklogPull(
                    row["number"], row["head"], PullState(row["state"]), row["note"], row["review"],
                    tuple(_call(told) for told in json.loads(row["calls"])),
                )
                for row in db.execute(text(query), {"cell": str(cell)}).mappings()
            )  # fmt: skip

    def waiting_pulls(self, repo: str) -> dict[str, str]:
        """Numbers of a repository's pull requests that wait for answers, with the cell that has asked."""
        query = """SELECT backlog_pulls.number, cell FROM backlog_pulls JOIN reviews USING (review)
            WHERE backlog_pulls.state = 'asked' AND repo = :repo"""
        with self._database.read() as db:
            return {row[0]: row[1] for row in db.execute(text(query), {"repo": repo})}

    def settle_pull(self, cell: Cell, number: str, state: PullState, note: str) -> None:
        """The end of one that was asked about; what was settled first stays."""
        query = "UPDATE backlog_pulls SET state = :state, note = :note WHERE cell = :cell AND number = :number AND state = 'asked'"
        with self._database.write() as db:
            db.execute(text(query), {"cell": str(cell), "number": number, "state": state.value, "note": note})

    def backlog_requests(self, cell: Cell) -> tuple[AskedRequest, ...]:
        """All requests, replaced ones included, of the pull requests that still wait."""
        with self._database.read() as db:
            rows = db.execute(text(_REQUESTS), {"cell": str(cell)}).mappings()
            return tuple(AskedRequest(**row) for row in rows)

    def record_calls(self, calls: Iterable[tuple[Call, CallEnd]]) -> None:
        """Calls that a batch has answered or failed; what is there already stays."""
        with self._database.write() as db:
            for call, end in calls:
                if db.execute(
                    text("SELECT 1 FROM review_calls WHERE session_id = :id"), {"id": call.session_id}
                ).first():
                    continue
                assert end.asked_at is not None
                assert end.ended_at is not None
                key = {"review": call.review, "pass": call.pass_name, "unit": call.unit, "call_key": call.key}
                row = {**ended_row(call.session_id, end, end.ended_at), **key, "asked_at": end.asked_at.isoformat()}
                insert(db, "review_calls", {**row, "batch_id": end.batch_id})

    def recorded_calls(self, review: str) -> frozenset[str]:
        with self._database.read() as db:
            rows = db.execute(text("SELECT session_id FROM review_calls WHERE review = :review"), {"review": review})
            return frozenset(rows.scalars())


def insert_pulls(db: Connection, cell: Cell, pulls: Iterable[BacklogPull]) -> None:
    for pull in pulls:
        row = {
            "cell": str(cell), "number": pull.number, "head": pull.head, "review": pull.review, "state": pull.state.value, "note": pull.note,
            "calls": json.dumps([asdict(call) for call in pull.calls]),
        }  # fmt: skip
        insert(db, "backlog_pulls", row)


def _call(told: dict[str, str]) -> BacklogCall:
    return BacklogCall(told["unit"], told["key"], tuple(told["paths"]), tuple(told["names"]), told["root"])


_ROOTS = "SELECT json_extract(value, '$.root') FROM json_each(pulls.calls)"
_REQUESTS = f"""SELECT requests.custom_id, requests.root, requests.outcome, requests.detail, requests.follow_up, contents.reason, requests.submission
    FROM backlog_pulls AS pulls JOIN requests ON requests.root IN ({_ROOTS}) LEFT JOIN contents ON contents.root = requests.root
    WHERE pulls.cell = :cell AND pulls.state = 'asked' ORDER BY requests.attempt, requests.custom_id"""
# Cells with a pull request whose answers are all there, or that needs none, and whose review was not brought to its end.
TO_CONCLUDE = f"""SELECT DISTINCT cell FROM backlog_pulls AS pulls WHERE state = 'asked' AND NOT EXISTS (
    SELECT 1 FROM requests WHERE root IN ({_ROOTS}) AND (outcome IS NULL OR (outcome <> 'ok' AND follow_up IS NULL)))"""
