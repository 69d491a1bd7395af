"""When a batch ends, how far it got, and how it looks to a client: pure functions of a batch and the time."""

from __future__ import annotations

from dataclasses import dataclass

from review_pipeline.simulator.store import Batch
from review_pipeline.simulator.wire import JsonObject, rfc3339

EXPIRY_SECONDS = 24 * 3600
RESULTS_KEPT_SECONDS = 29 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Ending:
    """Requests from number `finished` on have no answer and share the fate `rest`."""

    at: float
    finished: int
    rest: str


def expires_at(batch: Batch) -> float:
    return batch.created_at + EXPIRY_SECONDS


def ending_of(batch: Batch, cancel_seconds: float) -> Ending:
    """Requests finish one after the other, evenly over `batch_seconds`; what cuts that short decides the rest."""
    natural = batch.created_at + batch.batch_seconds
    if batch.cancel_at is not None and batch.cancel_at < min(natural, expires_at(batch)):
        return Ending(batch.cancel_at + cancel_seconds, _finished_by(batch, batch.cancel_at), "canceled")
    if expires_at(batch) < natural:
        return Ending(expires_at(batch), _finished_by(batch, expires_at(batch)), "expired")
    return Ending(natural, batch.total, "expired")


def _finished_by(batch: Batch, at: float) -> int:
    share = (at - batch.created_at) / batch.batch_seconds if batch.batch_seconds else 1.0
    return min(batch.total, max(0, int(batch.total * share)))


def status_of(batch: Batch) -> str:
    if batch.ended_at is not None:
        return "ended"
    return "canceling" if batch.cancel_at is not None else "in_progress"


def is_archived(batch: Batch, now: float) -> bool:
    return now >= batch.created_at + RESULTS_KEPT_SECONDS


def batch_json(batch: Batch, now: float, base_url: str) -> JsonObject:
    has_ended, archived = batch.ended_at is not None, is_archived(batch, now)
    has_results = has_ended and not archived
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status_of(batch),
        # The whole batch counts as processing until it has ended: there is no progress inside a batch.
        "request_counts": {
            "processing": 0 if has_ended else batch.total,
            "succeeded": batch.succeeded,
            "errored": batch.errored,
            "canceled": batch.canceled,
            "expired": batch.expired,
        },
        "created_at": rfc3339(batch.created_at),
        "expires_at": rfc3339(expires_at(batch)),
        "ended_at": rfc3339(batch.ended_at),
        "cancel_initiated_at": rfc3339(batch.cancel_at),
        "archived_at": rfc3339(batch.created_at + RESULTS_KEPT_SECONDS) if archived else None,
        "results_url": f"{base_url}/v1/messages/batches/{batch.id}/results" if has_results else None,
    }
