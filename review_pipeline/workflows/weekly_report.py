"""Writes the weekly quality report: reads the history, renders the page, and puts it in its place for good."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from review_pipeline.ports import Unavailable

if TYPE_CHECKING:
    from review_pipeline.ports import HistoryReader
    from review_pipeline.report.week import QualityWeek


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """What was written, and what it says in short. files: every file of the week once, by state."""

    path: Path
    summary_md: str
    plot_png: bytes
    open_findings: int
    opened: int
    fixed: int
    files: Mapping[str, int]
    waiting: int
    audits: int
    audit_days: tuple[date, ...]
    first_audit: date | None


def write_weekly_report(
    week: date, reader: HistoryReader, folder: Path, *, now: datetime, offline: bool
) -> WeeklyReport:
    """week: its Monday. Raises what the reader raises, and Unavailable if the folder takes no file."""
    if week.weekday() != 0:
        raise ValueError(f"{week} is no Monday; its week begins on {week - timedelta(days=week.weekday())}")
    from review_pipeline.report.charts import trend_png
    from review_pipeline.report.numbers import read_week
    from review_pipeline.report.page import render_page
    from review_pipeline.report.summary import summary_md

    numbers = read_week(reader, week)
    path = _save(folder, week, render_page(numbers, now, offline=offline))
    return _report(path, numbers, summary_md(numbers, now, offline=offline), trend_png(numbers))


def covers_week(report: WeeklyReport, week: date, now: datetime) -> tuple[str, ...]:
    """What the report cannot tell of, one sentence each: days without an audit, and files without a whole answer."""
    missing = tuple(f"no audit on {day}" for day in _days_due(report, week, now) if day not in report.audit_days)
    unanswered = (
        (report.waiting, "still wait for results"),
        (report.files.get("failed", 0), "failed: no answer could be used"),
        (report.files.get("partly_reviewed", 0), "reviewed only in part"),
    )
    return missing + tuple(_files_that(count, what) for count, what in unanswered if count)


def _files_that(count: int, what: str) -> str:
    return f"1 file {what.replace('wait ', 'waits ')}" if count == 1 else f"{count:,} files {what}"


def _days_due(report: WeeklyReport, week: date, now: datetime) -> tuple[date, ...]:
    """Since the first audit ever, and before today: today's audit may still come."""
    today = now.astimezone(UTC).date()
    first = max(week, report.first_audit or today)
    return tuple(day for day in (week + timedelta(days=count) for count in range(7)) if first <= day < today)


def _report(path: Path, week: QualityWeek, summary: str, png: bytes) -> WeeklyReport:
    states = week.by_state
    return WeeklyReport(
        path,
        summary,
        png,
        week.flow.open_at_end,
        week.flow.opened,
        week.flow.fixed,
        states,
        states["waiting"] + states["in_flight"],
        len(week.audits),
        week.days,
        week.standing.first_audit,
    )


def _save(folder: Path, week: date, page: str) -> Path:
    path = folder / f"weekly-{week}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(path, page)
        # Late results write an old week again; the latest report stays the latest.
        if path.name == max(report.name for report in folder.glob("weekly-*.html")):
            _replace(folder / "latest.html", page)
    except OSError as error:
        raise Unavailable(
            f"cannot write {path}: {error.strerror}. Make room or correct the folder's rights, and run the report again."
        ) from error
    return path


def _replace(path: Path, page: str) -> None:
    """A reader sees the old page or the new one, and never half of one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
