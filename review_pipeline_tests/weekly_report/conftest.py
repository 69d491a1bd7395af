"""Six weeks of two repositories, small enough to count by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from review_pipeline.adapters.analyst import Analyst
from review_pipeline_tests.weekly_report.history import HistoryOfTest

FIRST, WEEK = date(2026, 10, 12), date(2026, 11, 16)


def days(week: int, day: int = 0) -> date:
    """Week 1 is the first of the six."""
    return FIRST + timedelta(days=7 * (week - 1) + day)


@pytest.fixture
def history(tmp_path: Path) -> HistoryOfTest:
    return HistoryOfTest(tmp_path / "findings.duckdb")


@pytest.fixture(scope="session")
def six_weeks(tmp_path_factory: pytest.TempPathFactory) -> Analyst:
    history = HistoryOfTest(tmp_path_factory.mktemp("history") / "findings.duckdb")
    _tell_findings(history)
    for week in range(1, 6):
        _tell_a_quiet_audit(history, days(week))
    _tell_the_last_week(history)
    return Analyst(history.close(datetime(2026, 11, 23, 5, 30)))  # noqa: DTZ001


def _tell_findings(history: HistoryOfTest) -> None:
    """Open at the ends of the six weeks: 3, 4, 4, 5, 5, 5."""
    api, web = "acme-api", "acme-web"
    history.finding(api, "app/db.py:10", "missing_error_handling", "critical", days(1), confidence=0.95, seen=days(6))
    history.finding(api, "app/db.py:40", "type_safety_gap", "info", days(1), fixed=days(4), reopened=days(6, 1))
    history.finding(web, "src/cart.ts:7", "bug", "warning", days(1), confidence=0.9, fixed=days(6, 2))
    history.finding(web, "src/cart.ts:90", "inconsistent_naming", "info", days(2), confidence=0.55)
    history.finding(api, "app/auth.py:3", "security", "critical", days(4), confidence=0.85)
    history.finding(api, "app/auth.py:8", "security", "warning", days(4), confidence=0.75, dismissed=days(6, 3))
    history.finding(web, "src/old.ts", "stale_comment", "info", days(5), confidence=0.6, not_verifiable=days(5, 2))
    history.finding(
        web, "src/new.ts:1", "bug", "warning", days(6, 4), confidence=0.8, issue="`total` may be None | here"
    )


def _tell_a_quiet_audit(history: HistoryOfTest, day: date) -> None:
    cell = history.audit(day, "acme-api", {"app/db.py": "submitted", "README.md": "skipped: not_source: no code"})
    batch = f"msgbatch_{day}"
    history.outcome(history.request(cell, "app/db.py"), batch, cost="0.05", day=day)
    history.batch(batch, cell, 1, 1, day)


def _tell_the_last_week(history: HistoryOfTest) -> None:
    """Ten files: 4 reviewed, 1 in part, 1 failed, 1 waiting, 1 unchanged, 2 skipped (one of them given up)."""
    monday, tuesday = days(6), days(6, 1)
    asked = ("app/db.py", "app/auth.py", "app/big.py", "app/bad.py")
    api = history.audit(
        monday,
        "acme-api",
        {**dict.fromkeys(asked, "submitted"), "app/same.py": "unchanged", "README.md": "skipped: not_source: no code"},
    )
    first = {path: history.request(api, path) for path in asked}
    for path in ("app/db.py", "app/auth.py"):
        history.outcome(first[path], "msgbatch_a", cost="0.02", cached=3000, cache_saved="0.0015", day=monday)
    history.outcome(
        first["app/big.py"], "msgbatch_a", "too_long", cost="0", message="prompt is too long", billed=False, day=monday
    )
    history.outcome(first["app/bad.py"], "msgbatch_a", "refusal", cost="0.03", day=monday)
    history.batch("msgbatch_a", api, 4, 2, monday)
    halves = [history.request(api, "app/big.py", first["app/big.py"], "chunked", 1) for _ in range(2)]
    history.outcome(halves[0], "msgbatch_b", cost="0.04", day=monday)
    history.outcome(halves[1], "msgbatch_b", "expired", cost="0", billed=False, day=monday)
    history.batch("msgbatch_b", api, 2, 1, monday, round_=1)

    web = history.audit(
        tuesday,
        "acme-web",
        {
            **dict.fromkeys(("src/cart.ts", "src/new.ts", "src/late.ts"), "submitted"),
            "src/huge.ts": "skipped: given_up: no answer to be had while it is unchanged (refusal, nightly-acme-web|2026-11-09)",
        },
    )
    for path in ("src/cart.ts", "src/new.ts"):
        history.outcome(history.request(web, path), "msgbatch_c", cost="0.01", day=tuesday)
    history.request(web, "src/late.ts")
    history.batch("msgbatch_c", web, 2, 2, tuesday)
    # The next night finds one file as it was: it stays reviewed, and is not counted again.
    history.audit(days(6, 2), "acme-web", {"src/cart.ts": "unchanged"})
