"""Carries out rules that make a whole call fail, the same way for every endpoint."""

from __future__ import annotations

from review_pipeline.simulator.gate import ConnectionDropped
from review_pipeline.simulator.rules import READY_MADE_ERRORS, Asked, Rule
from review_pipeline.simulator.service import Service
from review_pipeline.simulator.wire import ApiError, ErrorBody


def fail_if_scripted(service: Service, operation: str, batch_id: str | None = None, text: str = "") -> Rule | None:
    """Raises what the script asks for; returns the rule when its effect is not a plain failure."""
    if not service.script.watches(operation):
        return None
    rule = service.script.applies(_asked(service, operation, batch_id, text))
    if rule is not None:
        raise_failure(rule)
    return rule


def raise_failure(rule: Rule) -> None:
    headers = {} if rule.retry_after is None else {"retry-after": str(rule.retry_after)}
    match rule.effect:
        case "drop":
            raise ConnectionDropped
        case "error":
            raise ApiError(rule.error_body(), headers)
        case "not_found":
            raise ApiError(ErrorBody("not_found_error", "Not found"), headers)
        case "overloaded":
            raise ApiError(READY_MADE_ERRORS["overloaded"], headers)
        case "rate_limit":
            raise ApiError(READY_MADE_ERRORS["rate_limit"], headers)


def _asked(service: Service, operation: str, batch_id: str | None, text: str) -> Asked:
    if batch_id is None:
        return Asked(operation, text=text)
    batch = service.store.find(batch_id)
    age_seconds = service.clock.now() - batch.created_at if batch else 0.0
    return Asked(
        operation,
        earlier_calls=service.store.calls_of(batch_id, operation),
        age_seconds=age_seconds,
    )
