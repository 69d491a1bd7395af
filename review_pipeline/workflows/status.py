"""What is in flight: each open batch with its age, counts, likely end, deadline and reserved money, and what holds the rest up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Cell, State, Submission
from review_pipeline.core.deadlines import Decision, Policy
from review_pipeline.core.forecast import Forecast, forecast
from review_pipeline.core.spending import Caps, Spending
from review_pipeline.workflows.late import decisions
from review_pipeline.workflows.open_work import held_back

if TYPE_CHECKING:
    from review_pipeline.ports import Ledger

_OPEN = tuple(state for state in State if state is not State.COLLECTED)


@dataclass(frozen=True, slots=True)
class Flight:
    """One submission that is not collected yet. age: since its batch was created, or since it was planned.

    ends: None while there is no batch, and once it has ended. decision: what the deadline asks for now.
    """

    submission: Submission
    workload: str
    age: timedelta
    deadline_at: datetime | None
    ends: Forecast | None
    decision: Decision | None

    @property
    def is_in_time(self) -> bool | None:
        """Whether nine of ten such batches would meet the deadline; None where that cannot be told."""
        if self.deadline_at is None or self.ends is None or not self.ends.based_on:
            return None
        return self.ends.late_at <= self.deadline_at

    def as_row(self) -> dict[str, object]:
        one = self.submission
        return {
            "submission": one.id,
            "cell": one.cell,
            "workload": self.workload,
            "round": one.round,
            "route": "sync" if one.is_sync else "batch",
            "state": "canceling" if one.cancel_asked_at and one.state is State.IN_PROGRESS else one.state.value,
            "batch_id": one.batch_id,
            "model": one.model,
            "requests": one.requests,
            "counts": dict(one.counts),
            "age_seconds": int(self.age.total_seconds()),
            "likely_end_at": _told(self.ends.likely_at if self.ends else None),
            "late_end_at": _told(self.ends.late_at if self.ends else None),
            "compared_with": self.ends.based_on if self.ends else None,
            "deadline_at": _told(self.deadline_at),
            "cut_at": _told(self.decision.cut_at if self.decision else None),
            "is_in_time": self.is_in_time,
            "reserved_usd": one.most_usd if one.state is not State.INTENDED else "0",
            "most_usd": one.most_usd,
            "note": one.note,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """spent: by workload, in the calendar month of `at`. is_published: the history shows every event."""

    at: datetime
    flights: tuple[Flight, ...]
    held: tuple[str, ...]
    spent: Mapping[str, Spending]
    caps: Caps
    is_published: bool

    @property
    def reserved_usd(self) -> Decimal:
        return sum((one.reserved_usd for one in self.spent.values()), Decimal(0))

    def as_row(self) -> dict[str, object]:
        return {
            "at": _told(self.at),
            "in_flight": [flight.as_row() for flight in self.flights],
            "held": list(self.held),
            "month": {
                name: {
                    "settled_usd": str(one.settled_usd),
                    "reserved_usd": str(one.reserved_usd),
                    "most_usd": str(self.caps.workload_usd[name]) if name in self.caps.workload_usd else None,
                }
                for name, one in sorted(self.spent.items())
            },
            "most_usd_per_month": str(self.caps.month_usd) if self.caps.month_usd is not None else None,
            "is_published": self.is_published,
        }


def in_flight(ledger: Ledger, caps: Caps, policy: Policy, now: datetime) -> Status:
    """From the ledger alone: it needs neither a key nor the network, and changes nothing."""
    open_ = ledger.submissions(states=_OPEN)
    past = ledger.durations() if open_ else ()
    deadlines = ledger.deadlines()
    decided = decisions(ledger, lambda: now, policy)
    flights = []
    for submission in open_:
        plan = ledger.planned(Cell.parse(submission.cell))
        assert plan is not None
        began = submission.created_at or submission.sent_at or submission.planned_at
        ends = None
        if submission.state is State.IN_PROGRESS and submission.created_at is not None:
            ends = forecast(submission.created_at, now, submission.model, submission.requests, past)
        flights.append(
            Flight(
                submission, plan.workload, now - began, deadlines.get(submission.cell), ends, decided.get(submission.id)
            )
        )
    waiting = [submission for submission in open_ if submission.state is State.INTENDED]
    _, held = held_back(ledger, waiting, caps, lambda: now)
    return Status(now, tuple(flights), held, ledger.spent(now), caps, not ledger.unpublished())


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None
