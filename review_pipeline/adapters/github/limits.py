"""Recognises a rate limit in each of its disguises, and how long it asks to wait."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

SECONDARY_SECONDS = 60.0  # where the forge names no time; its documentation asks for a minute at least
LONGEST_SECONDS = 3_600.0
_WORDS = ("secondary rate", "rate limit", "abuse detection", "submitted too quickly")


def wait_seconds(status: int, headers: Mapping[str, str], body: Any) -> float | None:
    """None if an answer is no rate limit.

    Documented are 403 and 429 with retry-after, with x-ratelimit-remaining 0 and a time of reset, or with neither; seen in the
    wild is 422 with the code 'abuse'. GraphQL answers 200 with an error of the type RATE_LIMITED.
    """
    if not _is_limit(status, headers, body):
        return None
    told = headers.get("retry-after", "")
    if told.isdigit():
        return min(float(told), LONGEST_SECONDS)
    if headers.get("x-ratelimit-remaining") == "0":
        return _until_reset(headers)
    return SECONDARY_SECONDS


def _is_limit(status: int, headers: Mapping[str, str], body: Any) -> bool:
    said = str(body.get("message", "")).lower() if isinstance(body, dict) else ""
    if status == 200:
        errors = body.get("errors") if isinstance(body, dict) else None
        return any(isinstance(e, dict) and e.get("type") in ("RATE_LIMITED", "RATE_LIMIT") for e in errors or ())
    if status == 429:
        return True
    if status == 403:
        return (
            "retry-after" in headers
            or headers.get("x-ratelimit-remaining") == "0"
            or any(word in said for word in _WORDS)
        )
    if status == 422:
        errors = body.get("errors") if isinstance(body, dict) else None
        coded = any(isinstance(e, dict) and e.get("code") == "abuse" for e in errors or ())
        return coded or "submitted too quickly" in str(body).lower()
    return False


def _until_reset(headers: Mapping[str, str]) -> float:
    """By the forge's own clock. A time in the past, in milliseconds or years away is not believed."""
    try:
        now = parsedate_to_datetime(headers["date"]).timestamp()
        seconds = float(headers["x-ratelimit-reset"]) - now
    except (KeyError, ValueError):
        return SECONDARY_SECONDS
    if seconds > 2 * LONGEST_SECONDS:
        return SECONDARY_SECONDS
    return min(max(seconds, 1.0) + 1.0, LONGEST_SECONDS)
