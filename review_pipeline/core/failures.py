"""Every way in which a request can end, and what is done about each: one table, dispatched on the API's strings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    OK = "ok"
    TRUNCATED = "truncated"
    CONTEXT_OUT = "context_out"
    REFUSAL = "refusal"
    PAUSED = "paused"
    BAD_OUTPUT = "bad_output"
    TOO_LONG = "too_long"
    BILLING = "billing"
    INVALID = "invalid"
    TRANSIENT = "transient"
    EXPIRED = "expired"
    CANCELED = "canceled"
    MISSING = "missing"


class Change(StrEnum):
    """How a request differs from the one that it replaces."""

    FIRST = "first"
    UNCHANGED = "unchanged"
    CHUNKED = "chunked"
    LARGER = "larger_max_tokens"
    REPAIRED = "repaired"
    CONTINUED = "continued"


@dataclass(frozen=True, slots=True)
class Remedy:
    """attempts: how often a request of this class may be replaced, counted along its chain of parents."""

    is_billed: bool
    change: Change | None
    attempts: int
    advice: str


# Unbilled: errored, canceled, expired (documented). Attempts are ours.
REMEDIES: dict[Outcome, Remedy] = {
    Outcome.OK: Remedy(True, None, 0, "nothing to do"),
    Outcome.TRUNCATED: Remedy(True, Change.LARGER, 2, "sent again with twice the max_tokens, then in halves"),
    Outcome.CONTEXT_OUT: Remedy(True, Change.CHUNKED, 6, "sent again in halves"),
    Outcome.REFUSAL: Remedy(True, None, 0, "recorded once; the model will not review this file as it is"),
    Outcome.PAUSED: Remedy(True, Change.CONTINUED, 4, "sent again with what was said so far, for the turn to go on"),
    Outcome.BAD_OUTPUT: Remedy(True, Change.REPAIRED, 1, "one request for repair, with the answer that did not fit"),
    Outcome.TOO_LONG: Remedy(False, Change.CHUNKED, 12, "sent again in halves"),
    Outcome.BILLING: Remedy(False, Change.UNCHANGED, 5, "submissions pause until somebody resumes them"),
    Outcome.INVALID: Remedy(False, None, 0, "never sent again unchanged; correct the request or the setting"),
    Outcome.TRANSIENT: Remedy(False, Change.UNCHANGED, 5, "sent again unchanged"),
    Outcome.EXPIRED: Remedy(False, Change.UNCHANGED, 3, "sent again unchanged"),
    Outcome.CANCELED: Remedy(False, None, 0, "somebody canceled the batch; the next audit asks again"),
    Outcome.MISSING: Remedy(False, Change.UNCHANGED, 2, "sent again unchanged; its line was not in complete results"),
}

# There is no error code for it: these are the two texts. Our own estimate, taken before sending, is the second line of defence.
_TOO_LONG = re.compile(r"prompt is too long|input length and `?max_tokens`? exceed context limit", re.IGNORECASE)
# Money problems that come under the name of a bad request.
_BILLING = re.compile(r"credit balance is too low|reached your specified (workspace )?API usage limits", re.IGNORECASE)
_BILLING_CODES = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached", "organization_on_hold"})
_STOP_REASONS = {
    "end_turn": Outcome.OK,
    "stop_sequence": Outcome.OK,
    "tool_use": Outcome.OK,
    "max_tokens": Outcome.TRUNCATED,
    "model_context_window_exceeded": Outcome.CONTEXT_OUT,
    "refusal": Outcome.REFUSAL,
    "pause_turn": Outcome.PAUSED,
}
_ERROR_TYPES = {
    "billing_error": Outcome.BILLING,
    "invalid_request_error": Outcome.INVALID,
    "not_found_error": Outcome.INVALID,
    "permission_error": Outcome.INVALID,
    "authentication_error": Outcome.INVALID,
    "request_too_large": Outcome.TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What of one result line decides its class. fits_schema: the answer parsed and kept to the schema."""

    type: str
    stop_reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_code: str | None = None
    fits_schema: bool = False


def classify(reply: Reply) -> Outcome:
    match reply.type:
        case "succeeded":
            outcome = _STOP_REASONS.get(reply.stop_reason or "", Outcome.BAD_OUTPUT)
            return Outcome.BAD_OUTPUT if outcome is Outcome.OK and not reply.fits_schema else outcome
        case "errored":
            return _classify_error(reply)
        case "expired":
            return Outcome.EXPIRED
        case "canceled":
            return Outcome.CANCELED
        case "missing":
            return Outcome.MISSING
        case _:
            return Outcome.TRANSIENT  # a result type this program does not know: ask again, within the limit


def _classify_error(reply: Reply) -> Outcome:
    code = reply.error_code or ""
    message = reply.error_message or ""
    if code in _BILLING_CODES or code.startswith("linked_organization_") or _BILLING.search(message):
        return Outcome.BILLING
    if reply.error_type == "invalid_request_error" and _TOO_LONG.search(message):
        return Outcome.TOO_LONG
    return _ERROR_TYPES.get(reply.error_type or "", Outcome.TRANSIENT)
