"""The nouns of an audit: a cell, its plan, the submissions that carry it, and the batches that the API makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.core.planning import Limits
    from review_pipeline.core.policy import Rule
    from review_pipeline.core.prompt import Prompt
    from review_pipeline.core.selection import SelectionRules


@dataclass(frozen=True, slots=True)
class Cell:
    """One audit of one day: 'nightly-acme-api|2026-11-22'."""

    audit: str
    day: date

    def __str__(self) -> str:
        return f"{self.audit}|{self.day.isoformat()}"

    @classmethod
    def parse(cls, text: str) -> Cell:
        audit, _, day = text.rpartition("|")
        if not audit:
            raise ValueError(f"{text!r} is not a cell; a cell looks like nightly-acme-api|2026-11-22")
        return cls(audit, date.fromisoformat(day))


class State(StrEnum):
    INTENDED = "intended"  # planned and on disk; the API has not been asked
    SENDING = "sending"  # the API may or may not have it: reconcile, never repeat
    IN_PROGRESS = "in_progress"
    ENDED = "ended"
    COLLECTED = "collected"


@dataclass(frozen=True, slots=True)
class Batch:
    """A Message Batch as the API tells it."""

    id: str
    status: str
    created_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]

    @property
    def has_ended(self) -> bool:
        return self.status == "ended"

    @property
    def requests(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Submission:
    """One intended batch; folder holds its body and manifest, below the spool.

    fence: the newest batch of the workspace just before this one was sent ('' if there was none); ours can only be newer.
    doubted_at: since when nobody sends it and its batch has to be looked for; None if that was never needed.
    most_usd: the most it can cost; counts as spent from sending until cost_usd is known.
    is_sync: asked one by one, because a batch would have been late. cancel_asked_at: we cut its batch to keep a deadline.
    """

    id: str
    cell: str
    round: int
    state: State
    folder: str
    body_bytes: int
    requests: int
    model: str
    planned_at: datetime
    most_usd: str = "0"
    batch_id: str | None = None
    not_batches: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    sent_at: datetime | None = None
    fence: str | None = None
    doubted_at: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    cost_usd: str | None = None
    sync_cost_usd: str | None = None
    note: str | None = None
    is_sync: bool = False
    cancel_asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What is asked about which repository, and how. policy_rules: of documents' policy, each with a verdict in every answer."""

    workload: str
    repo: str
    ref: str
    rules: SelectionRules
    prompt: Prompt
    model: str
    max_tokens: int
    chunk_bytes: int
    limits: Limits
    prices: PriceTable
    sla_hours: float
    route_reason: str
    expected_cache_hits: Decimal
    policy_rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """What one look at a commit decided. counts: files by plan state ('submitted', 'unchanged', 'skipped: binary', ...).

    caching: what was decided about the prompt cache and why; '' where an older version planned.
    """

    cell: Cell
    workload: str
    repo: str
    revision: str
    model: str
    prompt_version: str
    route_reason: str
    counts: Mapping[str, int]
    planned_at: datetime
    deadline_at: datetime | None = None
    caching: str = ""


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    custom_id: str
    submission: str
    parent: str | None
    root: str
    content_key: str
    path: str
    attempt: int
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A request that ended badly and is neither replaced nor given up; history: the outcomes of its parents, oldest first."""

    custom_id: str
    folder: str
    batch_id: str
    root: str
    content_key: str
    attempt: int
    outcome: str
    detail: str | None
    history: tuple[str, ...]
    was_cut: bool = False  # we canceled its batch ourselves


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A failed request that is not sent again. is_final: nor by a later audit, while the content stays as it is."""

    custom_id: str
    root: str
    reason: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An outbox row to be written; a key that exists already makes the whole transaction fail."""

    key: str
    kind: str
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a content: was it asked, answered, or is it final as it is (refused, invalid)?"""

    state: str
    cell: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """One outbox row: seq orders, key makes it count once."""

    seq: int
    kind: str
    payload: Mapping[str, object]
    created_at: datetime
