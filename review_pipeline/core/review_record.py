"""What is kept of a review: its plan, its calls, its end, and each finding as it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from review_pipeline.core.pull_request import FileResult, Target

DIFF_ONLY = "overnight backlog: diff only"


@dataclass(frozen=True, slots=True)
class PlannedPass:
    """name: file, across or summary; calls: how many at least, 0 if it is left out; reason: why."""

    name: str
    calls: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One head of one change under one configuration. state: planned, reviewed, incomplete, nothing_to_review or failed."""

    key: str
    target: Target
    config_version: str
    model: str
    authored_by_claude: str
    author_sessions: tuple[str, ...]
    plan: tuple[PlannedPass, ...]
    planned_at: datetime
    state: str = "planned"
    summary: str = ""
    troubles: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    finished_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None

    @property
    def is_diff_only(self) -> bool:
        """Passes that it would have needed were left out over night; whoever wants them goes on with it."""
        return any(planned.reason == DIFF_ONLY for planned in self.plan)


def call_key(system: str, prompt: str, schema: Mapping[str, object], model: str, tools: tuple[str, ...] = ()) -> str:
    """What an answer depends on: the same question is paid for once, however it was asked."""
    question = json.dumps([system, prompt, schema, model, tools], sort_keys=True)
    return sha256(question.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    session_id: str
    review: str
    pass_name: str
    unit: str
    key: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """state: asked (nobody knows how it ended), answered or failed. batch_id: of the batch that brought it, and whose costs these are."""

    state: str
    answer: Mapping[str, Any] | None = None
    text: str = ""
    mishap: str | None = None
    said: str | None = None
    version: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal | None = None
    turns: int = 0
    denials: tuple[str, ...] = ()
    asked_at: datetime | None = None
    ended_at: datetime | None = None
    batch_id: str = ""


@dataclass(frozen=True, slots=True)
class ReviewEnd:
    """reviewed_patches: keys of the files that need not be reviewed again; troubles: why it is incomplete.

    plan: with which passes it ended, if not with those that were planned.
    """

    repo: str
    number: str
    state: str
    summary: str
    troubles: tuple[str, ...]
    counts: Mapping[str, int]
    files: tuple[FileResult, ...]
    reviewed_patches: tuple[str, ...]
    plan: tuple[PlannedPass, ...] = ()


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding of one change as it stands. head: the commit in which its place was last seen; triaged: 'accepted', 'dismissed' or ''.

    duplicate_of: the finding beside which it is told, or ''.
    """

    repo: str
    number: str
    finding: str
    path: str
    side: str
    start_line: int | None
    end_line: int | None
    anchor: str
    in_diff: bool
    code: str
    occurrence: int
    category: str
    severity: str
    confidence: float
    issue: str
    suggestion: str
    evidence: str
    passes: tuple[str, ...]
    reason: str
    disputed: str
    note: str
    duplicate_of: str
    route: str
    status: str
    status_reason: str
    triaged: str
    head: str
    blob: str
    first_review: str
    last_review: str
    first_seen_at: datetime
    last_seen_at: datetime

    @property
    def where(self) -> str:
        line = f":{self.start_line}" if self.start_line else ""
        return f"{self.path}{line}{' (deleted line)' if self.side == 'LEFT' else ''}"

    @property
    def delivery(self) -> str:
        """Where a developer meets it: at its line, or in the summary. A human's queue until then."""
        if self.duplicate_of:
            return "merged"
        if self.route == "human":
            return "queue"
        return "inline" if self.in_diff and self.start_line else "summary"

    def as_row(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "in_diff": int(self.in_diff),
            "passes": json.dumps(self.passes),
            "first_seen_at": self.first_seen_at.isoformat(),
            "last_seen_at": self.last_seen_at.isoformat(),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> FindingRow:
        values = dict(row)
        return cls(
            **{
                **values,
                "in_diff": bool(values["in_diff"]),
                "passes": tuple(json.loads(values["passes"])),
                "first_seen_at": datetime.fromisoformat(values["first_seen_at"]),
                "last_seen_at": datetime.fromisoformat(values["last_seen_at"]),
            }
        )
