"""Reads one week from the findings history: one question of sql/report/week_*.sql for each part of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from review_pipeline.ports import Unavailable
from review_pipeline.report.week import (
    SEVERITIES,
    STATES,
    AuditOfDay,
    BatchCost,
    CategoryTrend,
    FailureClass,
    Fate,
    HotFile,
    Listed,
    QualityWeek,
    Row,
    Spent,
    Standing,
    TopFinding,
    UnreviewedFile,
    WeekFlow,
    WorkloadCost,
)

if TYPE_CHECKING:
    import pandas as pd

    from review_pipeline.ports import HistoryReader

# What a person reads of a week; the rest is counted on the page and stands in the history.
MOST_HOT_FILES = 15
MOST_FINDINGS = 25
MOST_FILES = 30
MOST_BATCHES = 20
_ATTEMPTS = 3
_FLOWS = ("opened", "reopened", "fixed", "dismissed", "not_verifiable", "open_at_end")


def read_week(reader: HistoryReader, monday: date) -> QualityWeek:
    """One state of the history. Raises what the reader raises, and Unavailable if it is published anew all the time."""
    for _ in range(_ATTEMPTS):
        week = _read(reader, monday)
        if _standing(reader.frame("week_standing", week=monday)) == week.standing:
            return week
    raise Unavailable(
        f"the history was published anew during each of {_ATTEMPTS} readings of the week of {monday}. Run the report again."
    )


def _read(reader: HistoryReader, monday: date) -> QualityWeek:
    standing = _standing(reader.frame("week_standing", week=monday))
    flow = reader.frame("week_flow", week=monday)
    files, skips = _files(reader.frame("week_files", week=monday))
    costs = reader.frame("week_costs", week=monday)
    return QualityWeek(
        monday,
        standing,
        _flows(flow, monday),
        _categories(flow, monday),
        tuple(map(_audit, _rows(reader.frame("week_audits", week=monday)))),
        files,
        skips,
        _listed(reader.frame("week_unreviewed_files", week=monday, most=MOST_FILES), _unreviewed),
        tuple(map(_failure, _rows(reader.frame("week_failures", week=monday)))),
        tuple(map(_workload_cost, _rows(costs[costs["week"].dt.date == monday]))),
        sum((_spent(row) for row in _rows(costs[costs["week"].dt.date != monday])), Spent()),
        _listed(reader.frame("week_batches", week=monday, most=MOST_BATCHES), _batch),
        _listed(reader.frame("week_hot_files", week=monday, most=MOST_HOT_FILES), _hot_file),
        _listed(reader.frame("week_top_findings", week=monday, most=MOST_FINDINGS), _top_finding),
        tuple(
            Fate(row.bucket, row.fixed, row.dismissed, row.still_open)
            for row in _rows(reader.frame("week_calibration", week=monday))
        ),
    )


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    return iter(frame.itertuples(index=False))


def _listed(frame: pd.DataFrame, make: Callable[[Any], Row]) -> Listed[Row]:
    return Listed(tuple(map(make, _rows(frame))), int(frame["total"].iloc[0]) if len(frame) else 0)


def _standing(frame: pd.DataFrame) -> Standing:
    import pandas as pd

    row = next(_rows(frame))
    return Standing(
        row.seq,
        None if pd.isna(row.applied_at) else row.applied_at.to_pydatetime().replace(tzinfo=UTC),
        None if pd.isna(row.first_audit) else row.first_audit.date(),
        row.audits_before,
    )


def _weeks_of(frame: pd.DataFrame, monday: date) -> pd.DatetimeIndex:
    """All Mondays from the first of the frame on, so that a week without an audit is a gap with numbers in it."""
    import pandas as pd

    return pd.date_range(frame["week"].min(), pd.Timestamp(monday), freq="7D")


def _flows(frame: pd.DataFrame, monday: date) -> tuple[WeekFlow, ...]:
    weeks = _weeks_of(frame, monday)
    sums = frame.groupby("week")[list(_FLOWS)].sum().reindex(weeks, fill_value=0)
    by_severity = frame.pivot_table(
        index="week", columns="severity", values="open_at_end", aggfunc="sum", fill_value=0
    ).reindex(index=weeks, columns=list(SEVERITIES), fill_value=0)
    return tuple(
        WeekFlow(
            week.date(),
            row.opened,
            row.reopened,
            row.fixed,
            row.dismissed,
            row.not_verifiable,
            row.open_at_end,
            dict(zip(SEVERITIES, counts, strict=True)),
        )
        for week, row, counts in zip(weeks, _rows(sums), _rows(by_severity), strict=True)
    )


def _categories(frame: pd.DataFrame, monday: date) -> tuple[CategoryTrend, ...]:
    """The largest of today first. A category that did nothing in twelve weeks is left out."""
    weeks = _weeks_of(frame, monday)
    named = frame[frame["category"] != ""]
    grids = {
        name: named.pivot_table(index="category", columns="week", values=name, aggfunc="sum", fill_value=0).reindex(
            columns=weeks, fill_value=0
        )
        for name in ("open_at_end", "opened")
    }
    trends = [
        CategoryTrend(
            str(category),
            *(tuple(int(count) for count in grids[name].loc[category]) for name in ("open_at_end", "opened")),
        )
        for category in grids["open_at_end"].index
    ]
    moving = [trend for trend in trends if any(trend.open_at_end) or any(trend.opened)]
    return tuple(sorted(moving, key=lambda trend: (-trend.open_at_end[-1], -sum(trend.opened), trend.category)))


def _files(frame: pd.DataFrame) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Files by repository and state, and the skipped ones by the kind of reason."""
    files: dict[str, dict[str, int]] = {}
    skips: dict[str, int] = {}
    for row in _rows(frame):
        of_repo = files.setdefault(row.repo, {})
        of_repo[row.state] = of_repo.get(row.state, 0) + row.files
        if row.state == "skipped":
            skips[row.kind] = skips.get(row.kind, 0) + row.files
    return files, dict(sorted(skips.items(), key=lambda skip: (-skip[1], skip[0])))


def _audit(row: Any) -> AuditOfDay:
    return AuditOfDay(
        row.audit_date.date(),
        row.audit,
        row.repo,
        row.workload,
        row.revision,
        row.model,
        row.prompt_version,
        {state: getattr(row, state) for state in STATES},
    )


def _unreviewed(row: Any) -> UnreviewedFile:
    return UnreviewedFile(row.repo, row.path, row.state, row.reason, row.audit_date.date())


def _failure(row: Any) -> FailureClass:
    return FailureClass(row.name, row.action, row.requests, row.files, row.billed, Decimal(row.cost_usd), row.example)


def _spent(row: Any) -> Spent:
    return Spent(
        row.requests,
        row.batches,
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        Decimal(row.cost_usd),
        Decimal(row.sync_cost_usd),
        Decimal(row.cache_saved_usd),
    )


def _workload_cost(row: Any) -> WorkloadCost:
    return WorkloadCost(row.workload, row.model, _spent(row), row.prices)


def _batch(row: Any) -> BatchCost:
    return BatchCost(
        row.batch_id,
        row.audit,
        row.audit_date.date(),
        row.round,
        row.model,
        row.failed,
        row.seconds if row.seconds >= 0 else None,
        row.findings,
        _spent(row),
    )


def _hot_file(row: Any) -> HotFile:
    by_severity = {severity: getattr(row, severity) for severity in SEVERITIES}
    return HotFile(row.repo, row.path, by_severity, row.open_at_end, row.opened, row.fixed, row.versions)


def _top_finding(row: Any) -> TopFinding:
    return TopFinding(
        row.repo,
        row.place,
        row.severity,
        row.confidence,
        row.category,
        row.issue,
        row.suggestion,
        row.evidence,
        row.anchor,
        row.route,
        row.opened_on.date(),
        row.is_back,
    )
