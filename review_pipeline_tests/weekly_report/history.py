"""Builds a findings history row by row, in the words of what happened, with the project's own migration and views."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import duckdb

SQL = files("review_pipeline") / "sql" / "history"
MODEL = "claude-haiku-5-5"
WORKLOAD = "nightly_quality_audit"
_LINE = re.compile(r"(.*?)(?::(\d+))?", re.DOTALL)
_STOPS = {"ok": "end_turn", "refusal": "refusal"}


class HistoryOfTest:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = duckdb.connect(str(path))
        for folder in ("migrations", "views"):
            for script in sorted((SQL / folder).iterdir(), key=lambda file: file.name):
                self.db.execute(script.read_text(encoding="utf-8"))
        self._counter = 0

    def close(self, applied_at: datetime) -> Path:
        self._insert("applied", self._next(), applied_at)
        self.db.close()
        return self.path

    def audit(self, day: date, repo: str, plans: dict[str, str], prompt: str = "bffb3f44388e") -> str:
        """plans: path -> 'submitted', 'unchanged', or 'skipped: its reason'. Returns the cell."""
        cell = f"nightly-{repo}|{day}"
        revision = f"{self._next():040x}"
        self._insert("cells", cell, f"nightly-{repo}", day, WORKLOAD, repo, revision, MODEL, prompt, _at(day, 1))
        for path, said in plans.items():
            plan, _, reason = said.partition(": ")
            blob = f"{path}@{day}" if plan == "submitted" else path
            self._insert("files", cell, path, blob, 1000, "python", plan, reason or None)
        return cell

    def request(self, cell: str, path: str, parent: str | None = None, change: str = "first", round_: int = 0) -> str:
        number = self._next()
        custom_id = f"request-{number}"
        repo = cell.partition("|")[0].removeprefix("nightly-")
        self._insert(
            "requests", custom_id, parent, parent or custom_id, f"{cell}/r{round_}", cell, WORKLOAD, repo, path, path,
            1, 100, round_, 1 if parent is None else 2, change, MODEL, "bffb3f44388e", None,
        )  # fmt: skip
        return custom_id

    def outcome(
        self,
        custom_id: str,
        batch: str,
        result: str = "ok",
        *,
        cost: str = "0.01",
        cached: int = 0,
        cache_saved: str = "0",
        message: str | None = None,
        billed: bool = True,
        day: date,
    ) -> None:
        """1,000 input and 100 output tokens each; the synchronous price is twice the cost."""
        self._insert(
            "outcomes", custom_id, batch, result, billed, _STOPS.get(result), "invalid_request_error" if message else None, message, MODEL,
            1000, 100, cached, 0, 0, Decimal(cost), 2 * Decimal(cost), f"{MODEL}@2026-01-01", 0, _at(day, 3),
            Decimal(cache_saved),
        )  # fmt: skip

    def batch(self, batch: str, cell: str, requests: int, succeeded: int, day: date, round_: int = 0) -> None:
        failed = requests - succeeded
        self._insert(
            "batches", batch, f"{cell}/r{round_}", cell, WORKLOAD, round_, MODEL, requests, succeeded, failed, 0, 0,
            _at(day, 1), _at(day, 2), _at(day, 3),
        )  # fmt: skip

    def finding(
        self,
        repo: str,
        place: str,
        category: str,
        severity: str,
        opened: date,
        *,
        confidence: float = 0.8,
        issue: str = "An error is swallowed here",
        suggestion: str = "Let it reach the caller",
        evidence: str = "except Exception: pass",
        **later: date,
    ) -> UUID:
        """later: fixed=, reopened=, dismissed=, seen=, not_verifiable=; each the day of the audit that said so."""
        fingerprint = UUID(int=self._next())
        path, line = _LINE.fullmatch(place).groups()  # type: ignore[union-attr]
        ends = {**dict.fromkeys(("opened", "reopened"), "open"), **{name: name for name in later}, "reopened": "open"}
        turns = [("opened", opened), *sorted(later.items(), key=lambda turn: turn[1])]
        status = [ends[name] for name, _ in turns if name != "seen"][-1]
        cell = f"nightly-{repo}|{opened}"
        self._insert(
            "findings", fingerprint, repo, path, int(line) if line else None, int(line) if line else None, "RIGHT", category,
            severity, confidence, issue, suggestion, evidence, "exact" if line else "unanchored", WORKLOAD, "audit", MODEL,
            "bffb3f44388e", Decimal("0.001"), status, None, _at(turns[-1][1], 3), "developer" if confidence >= 0.7 else "human",
            "none", path, cell, f"nightly-{repo}|{turns[-1][1]}", "request-0", _at(opened, 3), _at(turns[-1][1], 3),
        )  # fmt: skip
        for name, day in turns:
            self._insert("finding_events", fingerprint, name, None, f"nightly-{repo}|{day}", None, day, _at(day, 3))
        return fingerprint

    def _insert(self, table: str, *values: object) -> None:
        """Columns that were added since are left empty."""
        names = [row[0] for row in self.db.execute(f"DESCRIBE {table}").fetchall()][: len(values)]
        marks = ", ".join("?" * len(values))
        self.db.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", list(values))

    def _next(self) -> int:
        self._counter += 1
        return self._counter


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(hours=hour)
