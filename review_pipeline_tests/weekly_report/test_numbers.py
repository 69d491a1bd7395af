"""The numbers of six weeks, against values counted by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from review_pipeline.adapters.analyst import Analyst
from review_pipeline.ports import Unavailable
from review_pipeline.report.numbers import read_week
from review_pipeline.report.week import QualityWeek
from review_pipeline_tests.weekly_report.conftest import FIRST, WEEK, days
from review_pipeline_tests.weekly_report.history import HistoryOfTest

APPLIED = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def week(six_weeks: Analyst) -> QualityWeek:
    return read_week(six_weeks, WEEK)


@pytest.mark.parametrize(
    ("place", "opened", "reopened", "fixed", "dismissed", "not_verifiable", "open_at_end", "mix"),
    [
        (0, 3, 0, 0, 0, 0, 3, (1, 1, 1)),
        (1, 1, 0, 0, 0, 0, 4, (1, 1, 2)),
        (2, 0, 0, 0, 0, 0, 4, (1, 1, 2)),
        (3, 2, 0, 1, 0, 0, 5, (2, 2, 1)),
        (4, 1, 0, 0, 0, 1, 5, (2, 2, 1)),
        (5, 1, 1, 1, 1, 0, 5, (2, 1, 2)),
    ],
)
def test_each_week_counts_what_came_what_went_and_what_is_left(
    week: QualityWeek, place: int, opened: int, reopened: int, fixed: int, dismissed: int, not_verifiable: int, open_at_end: int, mix: tuple[int, ...]
) -> None:  # fmt: skip
    flow = week.flows[place]
    assert flow.week == days(place + 1)
    assert (flow.opened, flow.reopened, flow.fixed) == (opened, reopened, fixed)
    assert (flow.dismissed, flow.not_verifiable, flow.open_at_end) == (dismissed, not_verifiable, open_at_end)
    assert tuple(flow.by_severity[name] for name in ("critical", "warning", "info")) == mix


def test_open_before_plus_what_came_less_what_went_is_still_open(week: QualityWeek) -> None:
    before = 0
    for flow in week.flows:
        went = flow.fixed + flow.dismissed + flow.not_verifiable
        assert flow.open_at_end == before + flow.opened + flow.reopened - went
        before = flow.open_at_end


def test_a_category_has_a_number_for_every_week(week: QualityWeek) -> None:
    trends = {trend.category: trend for trend in week.categories}
    assert trends["security"].open_at_end == (0, 0, 0, 2, 2, 1)
    assert trends["type_safety_gap"].open_at_end == (1, 1, 1, 0, 0, 1)
    assert trends["bug"].opened == (1, 0, 0, 0, 0, 1)
    assert [sum(week) for week in zip(*(trend.open_at_end for trend in week.categories), strict=True)] == [
        3,
        4,
        4,
        5,
        5,
        5,
    ]


def test_every_file_of_the_week_is_counted_once_in_one_state(week: QualityWeek) -> None:
    assert week.files == {
        "acme-api": {"failed": 1, "partly_reviewed": 1, "reviewed": 2, "skipped": 1, "unchanged": 1},
        "acme-web": {"reviewed": 2, "skipped": 1, "waiting": 1},
    }
    assert week.total_files == 10
    assert week.skips == {"given_up": 1, "not_source": 1}


def test_every_audit_accounts_for_all_of_its_files(week: QualityWeek) -> None:
    assert [(audit.audit, sum(audit.files.values())) for audit in week.audits] == [
        ("nightly-acme-web", 1),
        ("nightly-acme-web", 4),
        ("nightly-acme-api", 6),
    ]


def test_a_file_without_an_answer_is_listed_with_its_reason(week: QualityWeek) -> None:
    told = [(file.path, file.state, file.reason.partition(":")[0]) for file in week.unreviewed.rows]
    assert told == [
        ("app/bad.py", "failed", "refusal"),
        ("app/big.py", "partly_reviewed", "expired"),
        ("src/huge.ts", "given_up", "given_up"),
        ("src/late.ts", "waiting", ""),
    ]


def test_failures_are_counted_by_class_and_by_what_was_done(week: QualityWeek) -> None:
    told = {
        (failure.name, failure.action): (failure.requests, failure.billed, failure.cost_usd)
        for failure in week.failures
    }
    assert told == {
        ("too_long", "sent again: chunked"): (1, 0, Decimal(0)),
        ("refusal", "not sent again"): (1, 1, Decimal("0.03")),
        ("expired", "not sent again"): (1, 0, Decimal(0)),
    }


def test_money_is_exact_and_counts_in_the_week_of_the_audit(week: QualityWeek) -> None:
    assert week.spent.cost_usd == Decimal("0.13")
    assert week.spent.sync_cost_usd == Decimal("0.26")
    assert week.spent.saved_usd == Decimal("0.13")
    assert week.spent_before.cost_usd == Decimal("0.05")
    assert (week.spent.requests, week.spent.batches) == (8, 3)
    assert week.spent.cache_read_tokens == 6000
    assert week.spent.cache_saved_usd == Decimal("0.003")
    assert {one.batch_id: one.spent.cache_saved_usd for one in week.batches.rows} == {
        "msgbatch_a": Decimal("0.003"),
        "msgbatch_b": Decimal(0),
        "msgbatch_c": Decimal(0),
    }
    assert {batch.batch_id: batch.spent.cost_usd for batch in week.batches.rows} == {
        "msgbatch_a": Decimal("0.07"),
        "msgbatch_b": Decimal("0.04"),
        "msgbatch_c": Decimal("0.02"),
    }


def test_the_hottest_file_is_the_one_with_critical_findings_and_then_the_most(week: QualityWeek) -> None:
    assert [(file.path, file.open_at_end, file.opened, file.fixed, file.versions) for file in week.hot_files.rows] == [
        ("app/db.py", 2, 1, 0, 6),
        ("app/auth.py", 1, 0, 0, 1),
        ("src/new.ts", 1, 1, 0, 1),
        ("src/cart.ts", 1, 0, 1, 2),
    ]


def test_the_worst_finding_comes_first_and_one_that_came_back_says_so(week: QualityWeek) -> None:
    assert [(finding.place, finding.confidence, finding.is_back) for finding in week.top_findings.rows] == [
        ("app/db.py:10", 0.95, False),
        ("app/auth.py:3", 0.85, False),
        ("src/new.ts:1", 0.8, False),
        ("app/db.py:40", 0.8, True),
        ("src/cart.ts:90", 0.55, False),
    ]


def test_confidence_is_held_against_what_became_of_findings(week: QualityWeek) -> None:
    told = {fate.bucket: (fate.fixed, fate.dismissed, fate.still_open, fate.accepted_share) for fate in week.fates}
    assert told == {
        "0.9 to 1.0": (1, 0, 1, 1.0),
        "0.8 to 0.9": (0, 0, 3, None),
        "0.7 to 0.8": (0, 1, 0, 0.0),
        "0.5 to 0.7": (0, 0, 1, None),
    }


def test_a_past_week_is_told_as_it_stood_then(six_weeks: Analyst) -> None:
    third = read_week(six_weeks, days(3))
    assert [flow.open_at_end for flow in third.flows] == [3, 4, 4]
    assert [finding.place for finding in third.top_findings.rows] == [
        "app/db.py:10", "src/cart.ts:7", "app/db.py:40", "src/cart.ts:90",
    ]  # fmt: skip
    assert third.spent.cost_usd == Decimal("0.05")


def test_what_is_open_now_is_what_the_analysts_view_says(six_weeks: Analyst, week: QualityWeek) -> None:
    assert week.flow.open_at_end == int(six_weeks.frame("open_by_severity")["total"].sum())


def test_the_history_says_how_far_it_reaches(week: QualityWeek) -> None:
    assert (week.standing.applied_at, week.standing.first_audit, week.standing.audits_before) == (APPLIED, FIRST, 1)


def test_a_week_without_an_audit_between_two_others_keeps_its_place(history: HistoryOfTest) -> None:
    history.audit(days(1), "acme-api", {"app/db.py": "submitted"})
    history.audit(days(4), "acme-api", {"app/db.py": "submitted"})
    history.finding("acme-api", "app/db.py:1", "bug", "info", days(1))
    week = read_week(Analyst(history.close(datetime(2026, 11, 8))), days(4))  # noqa: DTZ001
    assert [flow.open_at_end for flow in week.flows] == [1, 1, 1, 1]
    assert [flow.opened for flow in week.flows] == [1, 0, 0, 0]


def test_twelve_weeks_are_the_most_that_are_told(history: HistoryOfTest) -> None:
    history.audit(date(2026, 1, 5), "acme-api", {"app/db.py": "submitted"})
    week = read_week(Analyst(history.close(datetime(2026, 11, 23))), WEEK)  # noqa: DTZ001
    assert (len(week.flows), week.flows[0].week) == (12, date(2026, 8, 31))


class ReaderThatMovesOn:
    """Another copy is published between any two questions."""

    def __init__(self, reader: Analyst) -> None:
        self._reader = reader
        self._seq = 0

    def frame(self, name: str, **parameters: object):
        self._seq += 1
        frame = self._reader.frame(name, **parameters)
        return frame.assign(seq=self._seq) if name == "week_standing" else frame


def test_numbers_of_two_states_of_the_history_are_never_mixed(six_weeks: Analyst) -> None:
    with pytest.raises(Unavailable, match="published anew"):
        read_week(ReaderThatMovesOn(six_weeks), WEEK)
