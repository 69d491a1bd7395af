"""Scripts: rules that make chosen calls go wrong in a chosen way, and the counting that decides when they apply."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from review_pipeline.simulator.store import Store
from review_pipeline.simulator.wire import ErrorBody

READY_MADE_ERRORS = {
    "overloaded": ErrorBody("overloaded_error", "Overloaded"),
    "api_error": ErrorBody("api_error", "Internal server error"),
    "timeout": ErrorBody("timeout_error", "Request timed out"),
    "rate_limit": ErrorBody("rate_limit_error", "This request would exceed your organization's rate limit"),
    "too_long": ErrorBody("invalid_request_error", "prompt is too long: 1204311 tokens > 1000000 maximum"),
    "too_long_with_max_tokens": ErrorBody(
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, "
        "decrease input length or `max_tokens` and try again",
    ),
    "credit_balance": ErrorBody(
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. "
        "Please go to Plans & Billing to upgrade or purchase credits.",
    ),
    "spend_limit": ErrorBody(
        "invalid_request_error",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    ),
    "spend_cap": ErrorBody(
        "rate_limit_error",
        "Your organization has reached its monthly spend limit.",
        {"error_code": "enforced_spend_limit_reached"},
    ),
    "billing": ErrorBody("billing_error", "There is an issue with your billing or payment information"),
    "authentication": ErrorBody("authentication_error", "invalid x-api-key"),
    "permission": ErrorBody("permission_error", "Your API key does not have permission to use the specified resource"),
    "not_found": ErrorBody("not_found_error", "model: claude-that-is-not-there"),
    "invalid": ErrorBody("invalid_request_error", "messages.0.content: Input should be a valid string"),
}

REQUEST_EFFECTS = frozenset(
    [
        "max_tokens",
        "context_window",
        "refusal",
        "pause_turn",
        "stop_reason",
        "bad_json",
        "bad_schema",
        "text",
        "error",
        "expired",
        "canceled",
        "missing",
        "duplicate",
        "unknown_id",
    ]
)
CREATE_EFFECTS = frozenset(
    [
        "accept_then_drop",
        "error_500_after_accept",
        "overloaded_after_accept",
        "rate_limit",
        "overloaded",
        "error",
        "drop",
    ]
)
RESULTS_EFFECTS = frozenset(["cut_at_row", "cut_in_row", "not_found", "error", "overloaded", "drop"])
CALL_EFFECTS = frozenset(["not_found", "error", "overloaded", "rate_limit", "drop"])
EFFECTS_ON = {
    "request": REQUEST_EFFECTS,
    "create": CREATE_EFFECTS,
    "results": RESULTS_EFFECTS,
    "retrieve": CALL_EFFECTS,
    "list": CALL_EFFECTS,
    "cancel": CALL_EFFECTS,
    "delete": CALL_EFFECTS,
    "message": CALL_EFFECTS,
}


class IllegalRule(ValueError):
    """The rule cannot mean anything; the text says which part and what would be legal."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes wrong (`effect`), where (`on`), for which requests, and how often.

    `on="request"` touches single requests, in a batch and at `POST /v1/messages`; `via` narrows that.
    The others touch whole calls: create, retrieve, list, results, cancel, delete, message.
    """

    effect: str
    on: str = "request"
    via: str | None = None
    custom_id: str | None = None
    contains: str | None = None
    every: int = 1
    times: int | None = None
    # Only within the first N calls of this kind for one batch, or the first N seconds of its life.
    calls: int | None = None
    seconds: float | None = None
    error: str | Mapping[str, Any] | None = None
    stop_reason: str | None = None
    text: str | None = None
    category: str | None = "cyber"
    # For cuts: how many whole rows arrive. None is half of them.
    rows: int | None = None
    retry_after: int | None = None

    def __post_init__(self) -> None:
        legal = EFFECTS_ON.get(self.on)
        if legal is None:
            raise IllegalRule(f"on={self.on!r} is not one of {', '.join(EFFECTS_ON)}")
        if self.effect not in legal:
            raise IllegalRule(f"effect={self.effect!r} on {self.on!r} is not one of {', '.join(sorted(legal))}")
        if self.via not in (None, "batch", "messages"):
            raise IllegalRule(f"via={self.via!r} is neither 'batch' nor 'messages'")
        if self.every < 1:
            raise IllegalRule(f"every={self.every} must be at least 1")
        try:
            re.compile(self.custom_id or "")
        except re.error as error:
            raise IllegalRule(f"custom_id={self.custom_id!r} is not a regular expression: {error}") from error
        self.error_body()

    def error_body(self) -> ErrorBody:
        """The error of `effect="error"`; other effects carry their own."""
        if isinstance(self.error, str):
            if self.error not in READY_MADE_ERRORS:
                raise IllegalRule(f"error={self.error!r} is not one of {', '.join(READY_MADE_ERRORS)}")
            return READY_MADE_ERRORS[self.error]
        if self.error is None:
            return READY_MADE_ERRORS["api_error"]
        details = self.error.get("details")
        return ErrorBody(str(self.error.get("type", "api_error")), str(self.error.get("message", "")), details)


def rule_from_json(value: object) -> Rule:
    if not isinstance(value, Mapping):
        raise IllegalRule(f"a rule is a JSON object, not {type(value).__name__}")
    known = {field.name for field in fields(Rule)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise IllegalRule(f"unknown field {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    if "effect" not in value:
        raise IllegalRule("a rule needs an effect")
    return Rule(**value)


@dataclass(frozen=True, slots=True)
class Asked:
    """The call or request that rules are matched against."""

    on: str
    via: str | None = None
    custom_id: str = ""
    text: str = ""
    earlier_calls: int = 0
    age_seconds: float = 0.0


class Script:
    """The rules in force. The first rule that matches and has uses left decides."""

    def __init__(self, store: Store, rules: tuple[Rule, ...] = ()) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._rules = [(rule_from_json(orjson.loads(text)), [seen, used]) for text, seen, used in store.rules()]
        if rules:
            self.add(rules)

    def add(self, rules: tuple[Rule, ...]) -> None:
        with self._lock:
            self._rules += [(rule, [0, 0]) for rule in rules]
            self._save()

    def clear(self) -> None:
        with self._lock:
            self._rules = []
            self._save()

    def applies(self, asked: Asked, *, save: bool = True) -> Rule | None:
        """With `save=False` the count is kept in memory until `save()`: a batch redone after a crash counts once."""
        with self._lock:
            for rule, count in self._rules:
                if not _matches(rule, asked):
                    continue
                count[0] += 1
                if count[0] % rule.every or (rule.times is not None and count[1] >= rule.times):
                    continue
                count[1] += 1
                if save:
                    self._save()
                return rule
        return None

    def watches(self, on: str) -> bool:
        return any(rule.on == on for rule, _ in self._rules)

    def save(self) -> None:
        with self._lock:
            self._save()

    def describe(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**asdict(rule), "seen": seen, "used": used} for rule, (seen, used) in self._rules]

    def _save(self) -> None:
        self._store.replace_rules(
            (orjson.dumps(asdict(rule)).decode(), seen, used) for rule, (seen, used) in self._rules
        )


def _matches(rule: Rule, asked: Asked) -> bool:
    return (
        rule.on == asked.on
        and (rule.via is None or rule.via == asked.via)
        and (rule.custom_id is None or re.search(rule.custom_id, asked.custom_id) is not None)
        and (rule.contains is None or rule.contains in asked.text)
        and (rule.calls is None or asked.earlier_calls < rule.calls)
        and (rule.seconds is None or asked.age_seconds < rule.seconds)
    )
