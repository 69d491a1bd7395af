"""Whole audits as the history sees them: files in a spool and the outbox's events about them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from review_pipeline.adapters.history import History
from review_pipeline.adapters.results import BatchResults
from review_pipeline.adapters.spool import Spool
from review_pipeline.core.audit import Cell, Event
from review_pipeline.core.cost import PriceTable
from review_pipeline.core.finding import Category
from review_pipeline.settings import shipped_prices
from review_pipeline_tests.results import MODEL, Asked, Line, write_batch, write_lines

FIRST_DAY = date(2026, 11, 16)
THRESHOLDS = {category.value: 0.7 for category in Category}
REPO = "acme/api"


def cell(day: int) -> Cell:
    return Cell("nightly-acme-api", FIRST_DAY + timedelta(days=day))


class Nights:
    """Audits of one repository on days 0, 1, 2, ...; each step becomes the next event of the outbox."""

    def __init__(self, home: Path) -> None:
        self.spool = Spool(home / "spool")
        self.history = History(home, home / "spool", THRESHOLDS)
        self.events: list[Event] = []
        self.now = datetime(2026, 11, 16, 6, tzinfo=UTC)

    def plan(self, day: int, asked: Iterable[Asked] = (), removed: Iterable[str] = (), round_: int = 0) -> None:
        """Writes a plan (round 0) or a resubmission (a later round) down."""
        asked, name = list(asked), f"{day}-{round_}-{len(self.events)}"
        write_batch(self.spool, name, asked, [], batch_id=f"unused-{name}")
        submitted = {one.path: one for one in asked}
        write_lines(
            self.spool.path(f"plans/{name}/files.jsonl"),
            [_file(path, one.blob, "submitted") for path, one in submitted.items()]
            + [_file(path, "", "removed") for path in removed],
        )
        payload = {
            **self._shared(day),
            "audit": cell(day).audit,
            "audit_date": cell(day).day.isoformat(),
            "revision": "c0ffee",
            "planned_at": self.now.isoformat(),
            "files": f"plans/{name}/files.jsonl",
            "manifests": [[f"{cell(day)}/r{round_}-000", round_, f"plans/{name}/000"]],
        }
        self._add("resubmission_planned" if round_ else "cell_planned", payload)

    def collect(self, day: int, asked: Iterable[Asked], results: Iterable[Line], round_: int = 0) -> None:
        """The results of a batch that carried these requests."""
        name = f"{day}-{round_}-{len(self.events)}-sent"
        files = write_batch(self.spool, name, list(asked), list(results), batch_id=f"msgbatch_{name}")
        collected = BatchResults(PriceTable(shipped_prices())).read(files, REPO, MODEL, cell(day).day)
        payload = {
            **self._shared(day),
            "audit_date": cell(day).day.isoformat(),
            "batch_id": f"msgbatch_{name}",
            "submission": f"{cell(day)}/r{round_}-000",
            "round": round_,
            "requests": collected.requests,
            "succeeded": collected.requests - len(collected.failed),
            "errored": len(collected.failed),
            "canceled": 0,
            "expired": 0,
            "created_at": self.now.isoformat(),
            "ended_at": None,
            "collected_at": self.now.isoformat(),
            "outcomes": self.spool.relative(files.outcomes),
            "findings": self.spool.relative(files.findings),
        }
        self._add("batch_collected", payload)

    def audit(self, day: int, asked: Asked, result: Line) -> None:
        """One file, asked and answered, and applied."""
        self.plan(day, [asked])
        self.collect(day, [asked], [result])
        self.apply()

    def apply(self) -> int:
        return self.history.apply(tuple(self.events), self.now)

    def _add(self, kind: str, payload: dict[str, object]) -> None:
        self.events.append(Event(len(self.events) + 1, kind, payload, self.now))
        self.now += timedelta(hours=1)

    def _shared(self, day: int) -> dict[str, object]:
        return {
            "cell": str(cell(day)),
            "workload": "nightly_quality_audit",
            "repo": REPO,
            "model": MODEL,
            "prompt_version": "v1",
        }


def _file(path: str, blob: str, plan: str) -> Line:
    return {"path": path, "blob": blob, "bytes": 100, "language": "python", "plan": plan, "reason": None}
