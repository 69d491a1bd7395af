"""Deadlines: what may still take the cheap path, when a batch has to be cut, and what has to be asked at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from review_pipeline.core.routing import BATCH_HOURS, INGEST_HOURS, MARGIN_HOURS, POLL_HOURS, worst_case_hours

# A cron line can say only these: they divide the day.
INTERVAL_HOURS = (24, 12, 8, 6, 4, 3, 2, 1)


def submission_interval_hours(sla_hours: float) -> int | None:
    """The longest wait between two submissions with which a batch's worst case still keeps the SLA; None if none does."""
    return next((hours for hours in INTERVAL_HOURS if round(worst_case_hours(hours) - sla_hours, 6) <= 0), None)


def cron_line(interval_hours: int) -> str:
    """Of submissions every so many hours, one of INTERVAL_HOURS."""
    return {24: "0 0 * * *", 1: "0 * * * *"}.get(interval_hours, f"0 */{interval_hours} * * *")


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things take on the way to the synchronous API.

    cancel: a canceled batch goes on with what it has begun; notice: two polls, before the cut and after the end;
    settle: ingest and margin, as in the SLA's arithmetic; least_batch: below this, most batches do not end in time.
    """

    sync_requests_per_hour: float = 3_000.0
    cancel: timedelta = timedelta(minutes=30)
    notice: timedelta = timedelta(hours=2 * POLL_HOURS)
    settle: timedelta = timedelta(hours=INGEST_HOURS + MARGIN_HOURS)
    least_batch: timedelta = timedelta(hours=1)

    def asking(self, requests: int) -> timedelta:
        """How long the synchronous API takes for so many, at the rate that we allow ourselves."""
        return timedelta(hours=requests / self.sync_requests_per_hour)

    def before_deadline(self, requests: int) -> timedelta:
        """How long before its deadline a batch of so many has to be cut at the latest."""
        return self.settle + self.asking(requests) + self.notice + self.cancel


class Step(StrEnum):
    BATCH = "batch"
    SYNC = "sync"
    CUT = "cut"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Group:
    """Requests with one fate and one deadline: a submission. batch_since: since when it is a batch; None while it waits to be sent."""

    id: str
    requests: int
    deadline_at: datetime
    batch_since: datetime | None = None
    is_canceling: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """cut_at: when the batch must be canceled at the latest, so that its rest can still be asked synchronously."""

    group: Group
    step: Step
    cut_at: datetime
    reason: str


def decide(now: datetime, groups: Iterable[Group], policy: Policy) -> tuple[Decision, ...]:
    """One decision for each group, the nearest deadline first.

    What is canceled, expired or errored is not billed: a batch that is cut in time costs nothing but time. So everything
    waits in batches until the last moment from which all of it could still be asked synchronously, one after the other.
    """
    decisions: list[Decision] = []
    latest_end: datetime | None = None
    for group in sorted(groups, key=lambda group: (group.deadline_at, group.id), reverse=True):
        own_end = group.deadline_at - policy.settle
        end = own_end if latest_end is None else min(own_end, latest_end)
        latest_end = end - policy.asking(group.requests)
        decisions.append(_decided(now, group, latest_end, policy))
    return tuple(reversed(decisions))


def _decided(now: datetime, group: Group, ask_from: datetime, policy: Policy) -> Decision:
    cut_at = ask_from - policy.cancel - policy.notice
    due = f"due {group.deadline_at:%Y-%m-%d %H:%M} UTC"
    if group.batch_since is not None:
        return _of_batch(now, group, cut_at, due)
    left = cut_at - now
    if left >= policy.least_batch:
        return Decision(group, Step.BATCH, cut_at, f"{due}: {_hours(left)} for a batch before it would have to be cut")
    late = ", and cannot be met any more" if now > group.deadline_at - policy.asking(group.requests) else ""
    said = f"{due}{late}: only {_hours(max(left, timedelta()))} for a batch, so it is asked at once"
    return Decision(group, Step.SYNC, cut_at, said)


def _of_batch(now: datetime, group: Group, cut_at: datetime, due: str) -> Decision:
    assert group.batch_since is not None
    age = now - group.batch_since
    if now < cut_at or group.is_canceling or age >= timedelta(hours=BATCH_HOURS):
        return Decision(group, Step.WAIT, cut_at, f"{due}: in a batch for {_hours(age)}, cut at {cut_at:%H:%M} UTC")
    return Decision(
        group, Step.CUT, cut_at, f"{due}: in a batch for {_hours(age)}; canceled, so that the rest can be asked at once"
    )


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} h"
