"""When a batch is likely to end, from how long earlier ones took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, log

from review_pipeline.core.routing import BATCH_HOURS

LONGEST = timedelta(hours=BATCH_HOURS)
MOST_ALIKE = 30


@dataclass(frozen=True, slots=True)
class Past:
    """A batch that ended by itself, and how long that took."""

    model: str
    requests: int
    took: timedelta


@dataclass(frozen=True, slots=True)
class Forecast:
    """likely_at: half of the batches like it had ended by then; late_at: nine of ten. based_on: how many those were."""

    likely_at: datetime
    late_at: datetime
    based_on: int

    def __str__(self) -> str:
        if not self.based_on:
            return f"by {self.late_at:%m-%d %H:%M} (nothing to compare with)"
        return f"{self.likely_at:%m-%d %H:%M}, 9 of 10 by {self.late_at:%m-%d %H:%M} (of {self.based_on})"


def forecast(created_at: datetime, now: datetime, model: str, requests: int, past: Sequence[Past]) -> Forecast:
    """Of the same model's batches the nearest in size, and of them those that took longer than this one has taken already.

    Without any such batch all that is known is the API's limit: a batch ends after 24 h at the latest.
    """
    expires_at = created_at + LONGEST
    same = sorted(
        (one for one in past if one.model == model), key=lambda one: abs(log((one.requests + 1) / (requests + 1)))
    )
    longer = sorted(one.took for one in same[:MOST_ALIKE] if one.took > now - created_at)
    if not longer:
        return Forecast(expires_at, expires_at, 0)
    return Forecast(
        min(created_at + _quantile(longer, 0.5), expires_at),
        min(created_at + _quantile(longer, 0.9), expires_at),
        len(longer),
    )


def _quantile(ordered: Sequence[timedelta], share: float) -> timedelta:
    """The smallest of them that at least this share of them does not exceed."""
    return ordered[ceil(share * len(ordered)) - 1]
