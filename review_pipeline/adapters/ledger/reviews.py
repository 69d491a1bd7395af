"""Reviews of changes: their plans, calls, files, and the findings of each change as they stand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from review_pipeline.adapters.ledger.rows import Part, add_event, insert
from review_pipeline.core.audit import NewEvent
from review_pipeline.core.finding import Category
from review_pipeline.core.identity import Prior
from review_pipeline.core.pull_request import FileResult, FileState, Target
from review_pipeline.core.review import Status
from review_pipeline.core.review_record import Call, CallEnd, FindingRow, PlannedPass, ReviewEnd, ReviewRow


class ReviewRows(Part):
    """Implements the port Reviews."""

    def record_review_plan(self, review: ReviewRow) -> bool:
        """False if it is there already: the same head of the same change under the same configuration."""
        target = review.target
        row = {
            "review": review.key, "repo": target.repo, "number": target.number, "base_ref": target.base_ref, "head_ref": target.head_ref,
            "base": target.base, "head": target.head, "merge_base": target.merge_base, "config_version": review.config_version,
            "title": target.title, "author": target.author, "model": review.model, "authored_by_claude": review.authored_by_claude,
            "author_sessions": json.dumps(review.author_sessions), "state": "planned",
            "plan": _plan_text(review.plan), "planned_at": review.planned_at.isoformat(),
        }  # fmt: skip
        with self._database.write() as db:
            if db.execute(text("SELECT 1 FROM reviews WHERE review = :review"), {"review": review.key}).first():
                return False
            insert(db, "reviews", row)
        return True

    def review(self, key: str) -> ReviewRow | None:
        with self._database.read() as db:
            row = db.execute(text("SELECT * FROM reviews WHERE review = :key"), {"key": key}).mappings().one_or_none()
        return _review(row) if row else None

    def reviews(self, repo: str | None = None, number: str | None = None, limit: int = 50) -> tuple[ReviewRow, ...]:
        """The newest first."""
        query = """SELECT * FROM reviews WHERE (:repo IS NULL OR repo = :repo) AND (:number IS NULL OR number = :number)
            ORDER BY planned_at DESC, review LIMIT :limit"""
        with self._database.read() as db:
            rows = db.execute(text(query), {"repo": repo, "number": number, "limit": limit}).mappings()
            return tuple(_review(row) for row in rows)

    def review_files(self, key: str) -> tuple[FileResult, ...]:
        with self._database.read() as db:
            rows = db.execute(
                text("SELECT * FROM review_files WHERE review = :key ORDER BY path"), {"key": key}
            ).mappings()
            return tuple(
                FileResult(row["path"], FileState(row["state"]), row["reason"], row["added"], row["removed"]) for row in rows
            )  # fmt: skip

    def ask_call(self, call: Call, now: datetime) -> None:
        row = {
            "session_id": call.session_id, "review": call.review, "pass": call.pass_name, "unit": call.unit, "call_key": call.key,
            "state": "asked", "asked_at": now.isoformat(),
        }  # fmt: skip
        with self._database.write() as db:
            insert(db, "review_calls", row)

    def end_call(self, session_id: str, end: CallEnd, now: datetime) -> None:
        """Once: what was written first stays."""
        row = ended_row(session_id, end, now)
        names = ", ".join(f"{name} = :{name}" for name in row if name != "session_id")
        with self._database.write() as db:
            db.execute(text(f"UPDATE review_calls SET {names} WHERE session_id = :session_id AND state = 'asked'"), row)

    def answered_call(self, review: str, call_key: str) -> CallEnd | None:
        """An answer that was paid for already."""
        query = "SELECT * FROM review_calls WHERE review = :review AND call_key = :key AND state = 'answered' ORDER BY ended_at LIMIT 1"
        with self._database.read() as db:
            row = db.execute(text(query), {"review": review, "key": call_key}).mappings().one_or_none()
        return _call_end(row) if row else None

    def failed_call(self, review: str, call_key: str) -> CallEnd | None:
        """How it went the last time, for a call that was never answered."""
        query = "SELECT * FROM review_calls WHERE review = :review AND call_key = :key AND state = 'failed' ORDER BY ended_at DESC LIMIT 1"
        with self._database.read() as db:
            row = db.execute(text(query), {"review": review, "key": call_key}).mappings().one_or_none()
        return _call_end(row) if row else None

    def calls(self, review: str) -> tuple[tuple[Call, CallEnd], ...]:
        query = "SELECT * FROM review_calls WHERE review = :review ORDER BY asked_at, session_id"
        with self._database.read() as db:
            return tuple(
                (Call(row["session_id"], row["review"], row["pass"], row["unit"], row["call_key"]), _call_end(row))
                for row in db.execute(text(query), {"review": review}).mappings()
            )

    def spent_usd(self, review: str) -> Decimal:
        with self._database.read() as db:
            costs = db.execute(
                text("SELECT cost_usd FROM review_calls WHERE review = :review AND cost_usd IS NOT NULL"), {"review": review}
            ).scalars()  # fmt: skip
            return sum((Decimal(cost) for cost in costs), Decimal(0))

    def reviewing_sessions(self) -> frozenset[str]:
        with self._database.read() as db:
            return frozenset(db.execute(text("SELECT session_id FROM review_calls")).scalars())

    def authoring_sessions(self) -> frozenset[str]:
        """All that commits of reviewed changes named as the ones which wrote them."""
        with self._database.read() as db:
            rows = db.execute(text("SELECT DISTINCT author_sessions FROM reviews WHERE author_sessions <> '[]'"))
            return frozenset(session for row in rows.scalars() for session in json.loads(row))

    def reviewed_patches(self, repo: str, number: str, but: str) -> frozenset[str]:
        """By other reviews of this change than `but`."""
        query = "SELECT patch_key FROM review_answers WHERE repo = :repo AND number = :number AND review <> :but"
        with self._database.read() as db:
            return frozenset(db.execute(text(query), {"repo": repo, "number": number, "but": but}).scalars())

    def priors(self, repo: str, number: str) -> tuple[Prior, ...]:
        """Every finding that earlier reviews of this change told, whatever became of it."""
        query = "SELECT * FROM review_findings WHERE repo = :repo AND number = :number"
        with self._database.read() as db:
            rows = db.execute(text(query), {"repo": repo, "number": number}).mappings()
            return tuple(_prior(row) for row in rows)

    def finding_rows(
        self, repo: str | None = None, number: str | None = None, finding: str | None = None
    ) -> tuple[FindingRow, ...]:
        query = """SELECT * FROM review_findings WHERE (:repo IS NULL OR repo = :repo) AND (:number IS NULL OR number = :number)
            AND (:finding IS NULL OR finding LIKE :finding || '%') ORDER BY repo, number, path, start_line, finding"""
        with self._database.read() as db:
            rows = db.execute(text(query), {"repo": repo, "number": number, "finding": finding}).mappings()
            return tuple(_finding(row) for row in rows)

    def record_review(
        self, key: str, end: ReviewEnd, findings: Iterable[FindingRow], event: NewEvent, now: datetime
    ) -> bool:
        """The whole end of a review or nothing; False if another process has recorded it first."""
        with self._database.write() as db:
            done = db.execute(
                text(
                    "UPDATE reviews SET state = :state, summary = :summary, troubles = :troubles, counts = :counts, finished_at = :now,"
                    " plan = CASE WHEN :plan = '[]' THEN plan ELSE :plan END"
                    " WHERE review = :key AND finished_at IS NULL"
                ),
                {
                    "key": key, "state": end.state, "summary": end.summary, "troubles": json.dumps(end.troubles),
                    "counts": json.dumps(dict(end.counts)), "now": now.isoformat(), "plan": _plan_text(end.plan),
                },
            )  # fmt: skip
            if done.rowcount != 1:
                return False
            db.execute(text("DELETE FROM review_files WHERE review = :key"), {"key": key})
            for file in end.files:
                insert(
                    db, "review_files",
                    {"review": key, "path": file.path, "state": file.state.value, "reason": file.reason, "added": file.added, "removed": file.removed},
                )  # fmt: skip
            for patch in end.reviewed_patches:
                db.execute(
                    text("INSERT OR REPLACE INTO review_answers VALUES (:repo, :number, :patch, :key)"),
                    {"repo": end.repo, "number": end.number, "patch": patch, "key": key},
                )
            for finding in findings:
                _put(db, finding)
            add_event(db, event, now)
        return True

    def reopen_review(self, key: str, plan: Iterable[PlannedPass]) -> None:
        """What is incomplete, or left out some of these passes, may be gone on with: calls that were answered are kept."""
        with self._database.write() as db:
            db.execute(
                text("UPDATE reviews SET finished_at = NULL, state = 'planned', plan = :plan"
                     " WHERE review = :key AND finished_at IS NOT NULL AND (state IN ('incomplete', 'failed') OR plan <> :plan)"),
                {"key": key, "plan": _plan_text(plan)},
            )  # fmt: skip

    def triage(self, finding: FindingRow, event: NewEvent, now: datetime) -> None:
        with self._database.write() as db:
            _put(db, finding)
            add_event(db, event, now)


def _plan_text(plan: Iterable[PlannedPass]) -> str:
    return json.dumps([[one.name, one.calls, one.reason] for one in plan])


def ended_row(session_id: str, end: CallEnd, now: datetime) -> dict[str, object]:
    """What `review_calls` holds of how a call ended."""
    return {
        "session_id": session_id, "state": end.state, "answer": json.dumps(end.answer) if end.answer is not None else None,
        "text": end.text, "mishap": end.mishap, "said": end.said, "version": end.version, "model": end.model,
        "input_tokens": end.input_tokens, "output_tokens": end.output_tokens, "cache_read_tokens": end.cache_read_tokens,
        "cache_write_tokens": end.cache_write_tokens, "cost_usd": str(end.cost_usd) if end.cost_usd is not None else None,
        "turns": end.turns, "denials": json.dumps(end.denials), "ended_at": now.isoformat(),
    }  # fmt: skip


def _put(db: Connection, finding: FindingRow) -> None:
    row = finding.as_row()
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    db.execute(text(f"INSERT OR REPLACE INTO review_findings ({names}) VALUES ({values})"), row)


def _review(row: RowMapping) -> ReviewRow:
    target = Target(
        row["repo"], row["number"], row["base_ref"], row["head_ref"], row["base"], row["head"], row["merge_base"], row["title"], row["author"],
    )  # fmt: skip
    return ReviewRow(
        key=row["review"], target=target, config_version=row["config_version"], model=row["model"],
        authored_by_claude=row["authored_by_claude"], author_sessions=tuple(json.loads(row["author_sessions"])),
        plan=tuple(PlannedPass(*entry) for entry in json.loads(row["plan"])), planned_at=datetime.fromisoformat(row["planned_at"]),
        state=row["state"], summary=row["summary"], troubles=tuple(json.loads(row["troubles"])), counts=json.loads(row["counts"]),
        finished_at=datetime.fromisoformat(row["finished_at"]) if row["finished_at"] else None,
    )  # fmt: skip


def _call_end(row: RowMapping) -> CallEnd:
    answer: Mapping[str, object] | None = json.loads(row["answer"]) if row["answer"] else None
    return CallEnd(
        row["state"], answer, row["text"] or "", row["mishap"], row["said"], row["version"], row["model"], row["input_tokens"] or 0,
        row["output_tokens"] or 0, row["cache_read_tokens"] or 0, row["cache_write_tokens"] or 0,
        Decimal(row["cost_usd"]) if row["cost_usd"] else None, row["turns"] or 0, tuple(json.loads(row["denials"] or "[]")),
        datetime.fromisoformat(row["asked_at"]), datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None, row["batch_id"],
    )  # fmt: skip


def _prior(row: RowMapping) -> Prior:
    return Prior(
        UUID(row["finding"]), row["path"], row["side"], row["start_line"], row["code"], row["occurrence"], Category(row["category"]),
        row["severity"], row["confidence"], row["issue"], row["suggestion"], row["evidence"], Status(row["status"]), row["status_reason"],
        row["head"], datetime.fromisoformat(row["first_seen_at"]), row["route"], row["anchor"], row["first_review"],
    )  # fmt: skip


def _finding(row: RowMapping) -> FindingRow:
    return FindingRow.from_row({str(name): value for name, value in row.items()})
