"""What is sent in the place of a failed request, decided from its class and the history of its attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from review_pipeline.core.failures import REMEDIES, Change, Outcome
from review_pipeline.core.planning import Span


@dataclass(frozen=True, slots=True)
class SendAgain:
    change: Change
    spans: tuple[Span, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """is_final: asking the same again can only fail again."""

    reason: str
    is_final: bool


# While the content is unchanged, these cannot end otherwise another night.
_FINAL = frozenset({Outcome.REFUSAL, Outcome.INVALID, Outcome.TOO_LONG, Outcome.CONTEXT_OUT})


def remedy(
    outcome: Outcome,
    history: tuple[str, ...],
    span: Span,
    max_tokens: int,
    most_output_tokens: int,
    in_two: Callable[[Span], tuple[Span, ...]],
    *,
    was_cut: bool = False,
) -> SendAgain | GiveUp:
    """history: outcomes of the requests that this one replaced, oldest first. max_tokens: what this one was allowed.

    in_two: the parts of a span, none for a single line; asked only where a part is what is sent.
    was_cut: we canceled its batch to keep a deadline; that is no failure of the request.
    """
    if outcome is Outcome.CANCELED and was_cut:
        return SendAgain(Change.UNCHANGED, (span,), max_tokens)
    rule = REMEDIES[outcome]
    before = history.count(outcome.value)
    if rule.change is None:
        return GiveUp(f"{outcome.value}: {rule.advice}", outcome in _FINAL)
    if before >= rule.attempts:
        return GiveUp(
            f"{outcome.value} {before + 1} times in a row of attempts; the limit is {rule.attempts + 1}",
            outcome in _FINAL,
        )
    if outcome is Outcome.TRUNCATED and (before or max_tokens >= most_output_tokens):
        return _in_parts(outcome, span, max_tokens, in_two(span))
    if rule.change is Change.CHUNKED:
        return _in_parts(outcome, span, max_tokens, in_two(span))
    larger = min(2 * max_tokens, most_output_tokens) if rule.change is Change.LARGER else max_tokens
    return SendAgain(rule.change, (span,), larger)


def _in_parts(outcome: Outcome, span: Span, max_tokens: int, pieces: tuple[Span, ...]) -> SendAgain | GiveUp:
    if not pieces:
        return GiveUp(f"{outcome.value}: line {span.first} alone is too much for one request and cannot be split", True)
    return SendAgain(Change.CHUNKED, pieces, max_tokens)
