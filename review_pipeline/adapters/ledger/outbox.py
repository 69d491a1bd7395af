"""The outbox, and how far the published history and the reports have come with it."""

from __future__ import annotations

import json
from datetime import date, datetime

from sqlalchemy import text

from review_pipeline.adapters.ledger.rows import (
    Part,
)
from review_pipeline.core.audit import (
    Event,
)


class OutboxRows(Part):
    """Implements the outbox."""

    def events(self, after: int, limit: int = 100) -> tuple[Event, ...]:
        query = "SELECT seq, kind, payload, created_at FROM outbox WHERE seq > :after ORDER BY seq LIMIT :limit"
        with self._database.read() as db:
            return tuple(
                Event(row.seq, row.kind, json.loads(row.payload), datetime.fromisoformat(row.created_at))
                for row in db.execute(text(query), {"after": after, "limit": limit})
            )

    def identity(self) -> str:
        with self._database.read() as db:
            return str(db.execute(text("SELECT ledger FROM identity")).scalar_one())

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
