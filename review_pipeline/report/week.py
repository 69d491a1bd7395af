"""The values of one weekly report: what the page, the charts and the summary are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

Row = TypeVar("Row")

# Worst first for the reader: what has no answer, what waits, then what has one.
STATES = ("failed", "partly_reviewed", "waiting", "in_flight", "reviewed", "unchanged", "skipped")
SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the history reaches, and since when there are audits."""

    seq: int
    applied_at: datetime | None
    first_audit: date | None
    audits_before: int


@dataclass(frozen=True, slots=True)
class WeekFlow:
    """What happened to findings in one week, and what was open at its end."""

    week: date
    opened: int
    reopened: int
    fixed: int
    dismissed: int
    not_verifiable: int
    open_at_end: int
    by_severity: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CategoryTrend:
    """One number a week, oldest first."""

    category: str
    open_at_end: tuple[int, ...]
    opened: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AuditOfDay:
    day: date
    audit: str
    repo: str
    workload: str
    revision: str
    model: str
    prompt_version: str
    files: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UnreviewedFile:
    repo: str
    path: str
    state: str
    reason: str
    day: date


@dataclass(frozen=True, slots=True)
class FailureClass:
    name: str
    action: str
    requests: int
    files: int
    billed: int
    cost_usd: Decimal
    example: str


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and money, at batch prices and at those of the synchronous API; input_tokens exclude the cache's.

    cache_saved_usd: at batch prices, against the plain input price; negative where the cache cost more than it saved.
    """

    requests: int = 0
    batches: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    sync_cost_usd: Decimal = Decimal(0)
    cache_saved_usd: Decimal = Decimal(0)

    @property
    def saved_usd(self) -> Decimal:
        return self.sync_cost_usd - self.cost_usd

    @property
    def saved_share(self) -> float:
        return float(self.saved_usd / self.sync_cost_usd) if self.sync_cost_usd else 0.0

    @property
    def cache_read_share(self) -> float:
        prompt_tokens = self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
        return self.cache_read_tokens / prompt_tokens if prompt_tokens else 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.batches + other.batches,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cost_usd + other.cost_usd,
            self.sync_cost_usd + other.sync_cost_usd,
            self.cache_saved_usd + other.cache_saved_usd,
        )


@dataclass(frozen=True, slots=True)
class WorkloadCost:
    workload: str
    model: str
    spent: Spent
    prices: str


@dataclass(frozen=True, slots=True)
class BatchCost:
    batch_id: str
    audit: str
    day: date
    round: int
    model: str
    failed: int
    seconds: float | None
    findings: int
    spent: Spent


@dataclass(frozen=True, slots=True)
class HotFile:
    repo: str
    path: str
    by_severity: Mapping[str, int]
    open_at_end: int
    opened: int
    fixed: int
    versions: int


@dataclass(frozen=True, slots=True)
class TopFinding:
    repo: str
    place: str
    severity: str
    confidence: float
    category: str
    issue: str
    suggestion: str
    evidence: str
    anchor: str
    route: str
    opened_on: date
    is_back: bool


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of findings of one bucket of confidence."""

    bucket: str
    fixed: int
    dismissed: int
    still_open: int

    @property
    def accepted_share(self) -> float | None:
        acted_on = self.fixed + self.dismissed
        return self.fixed / acted_on if acted_on else None


@dataclass(frozen=True, slots=True)
class Listed(Generic[Row]):
    """The head of a list and the length of all of it, so that what is cut off can be told."""

    rows: tuple[Row, ...]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


@dataclass(frozen=True, slots=True)
class QualityWeek:
    """Everything that one report tells."""

    monday: date
    standing: Standing
    flows: tuple[WeekFlow, ...]
    categories: tuple[CategoryTrend, ...]
    audits: tuple[AuditOfDay, ...]
    files: Mapping[str, Mapping[str, int]]
    skips: Mapping[str, int]
    unreviewed: Listed[UnreviewedFile]
    failures: tuple[FailureClass, ...]
    costs: tuple[WorkloadCost, ...]
    spent_before: Spent
    batches: Listed[BatchCost]
    hot_files: Listed[HotFile]
    top_findings: Listed[TopFinding]
    fates: tuple[Fate, ...]

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def flow(self) -> WeekFlow:
        return self.flows[-1]

    @property
    def flow_before(self) -> WeekFlow | None:
        return self.flows[-2] if len(self.flows) > 1 else None

    @property
    def spent(self) -> Spent:
        return sum((cost.spent for cost in self.costs), Spent())

    @property
    def repositories(self) -> tuple[str, ...]:
        return tuple(sorted({audit.repo for audit in self.audits}))

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(sorted({audit.day for audit in self.audits}))

    @property
    def by_state(self) -> dict[str, int]:
        """Every file once."""
        return {state: sum(files.get(state, 0) for files in self.files.values()) for state in STATES}

    @property
    def total_files(self) -> int:
        return sum(self.by_state.values())

    @property
    def given_up(self) -> int:
        return self.skips.get("given_up", 0)
