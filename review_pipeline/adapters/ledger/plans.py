"""Plans: audits asked for, cells planned, and what was asked about which content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from review_pipeline.adapters.ledger.backlog import insert_pulls
from review_pipeline.adapters.ledger.rows import (
    Part,
    add_event,
    in_portions,
    insert,
    insert_requests,
    insert_submissions,
    request_row,
)
from review_pipeline.core.audit import (
    Cell,
    Known,
    NewEvent,
    PlannedCell,
    PlannedRequest,
    Submission,
)
from review_pipeline.core.backlog import BacklogPull


class PlanRows(Part):
    """Implements the port Plans."""

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
            datetime.fromisoformat(row["deadline_at"]) if row["deadline_at"] else None, row["caching"],
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
        pulls: Iterable[BacklogPull] = (),
    ) -> bool:
        """The whole plan or nothing; False when another process has planned this cell first, or has asked for some of it in another."""
        row = {
            "cell": str(plan.cell), "audit": plan.cell.audit, "audit_date": plan.cell.day.isoformat(), "workload": plan.workload,
            "repo": plan.repo, "revision": plan.revision, "model": plan.model, "prompt_version": plan.prompt_version,
            "route_reason": plan.route_reason, "counts": json.dumps(dict(plan.counts)), "planned_at": plan.planned_at.isoformat(),
            "deadline_at": plan.deadline_at.isoformat() if plan.deadline_at else None,
            "caching": plan.caching,
        }  # fmt: skip
        try:
            with self._database.write() as db:
                insert(db, "cells", row)
                insert_submissions(db, submissions)
                for rows in in_portions(requests):
                    keys = json.dumps(sorted({request.content_key for request in rows}))
                    if db.execute(text(_ASKED_ELSEWHERE), {"keys": keys, "cell": str(plan.cell)}).first():
                        db.rollback()
                        return False
                    insert_requests(db, rows)
                    db.execute(
                        text(_ASK),
                        [
                            {
                                **request_row(request),
                                "workload": plan.workload,
                                "repo": plan.repo,
                                "cell": str(plan.cell),
                            }
                            for request in rows
                        ],
                    )
                insert_pulls(db, plan.cell, pulls)
                db.execute(text("DELETE FROM asks WHERE cell = :cell"), {"cell": str(plan.cell)})
                add_event(db, event, plan.planned_at)
        except IntegrityError:
            if self.planned(plan.cell) is None:
                raise
            return False
        return True


_ASKED_ELSEWHERE = """SELECT 1 FROM contents WHERE content_key IN (SELECT value FROM json_each(:keys))
    AND cell <> :cell AND state <> 'failed' LIMIT 1"""
_ASK = """INSERT INTO contents (content_key, workload, repo, path, cell, root, state) VALUES (:content_key, :workload, :repo, :path, :cell, :root, 'asked')
    ON CONFLICT (content_key) DO UPDATE SET cell = excluded.cell, root = excluded.root, state = 'asked', reason = NULL
    WHERE contents.cell <> excluded.cell"""
