"""What every answer of this API looks like on the wire: JSON bodies, error bodies, timestamps and identifiers."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

JsonObject = dict[str, Any]

STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The inner object of an error, the same in an HTTP answer and in a result line."""

    type: str
    message: str
    details: Mapping[str, object] | None = None

    @property
    def status(self) -> int:
        return STATUS_OF_ERROR.get(self.type, 500)


@dataclass
class ApiError(Exception):
    """Raised by an endpoint to answer with an error."""

    body: ErrorBody
    headers: dict[str, str] = field(default_factory=dict)
    # None: the status that belongs to the error's type.
    status: int | None = None


def invalid_request(message: str) -> ApiError:
    return ApiError(ErrorBody("invalid_request_error", message))


def not_found(message: str) -> ApiError:
    return ApiError(ErrorBody("not_found_error", message))


def error_json(error: ErrorBody, request_id: str | None) -> JsonObject:
    inner: JsonObject = {"type": error.type, "message": error.message}
    if error.details is not None:
        inner["details"] = dict(error.details)
    return {"type": "error", "error": inner, "request_id": request_id}


class JsonResponse(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def error_response(error: ApiError, request_id: str) -> Response:
    status = error.status if error.status is not None else error.body.status
    return JsonResponse(error_json(error.body, request_id), status_code=status, headers=error.headers)


def rfc3339(epoch_seconds: float | None) -> str | None:
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_identifier(prefix: str) -> str:
    return f"{prefix}_01" + "".join(secrets.choice(_BASE62) for _ in range(22))


def derived_identifier(prefix: str, *parts: str) -> str:
    """The same parts give the same identifier, so work that is redone after a crash answers as before."""
    return f"{prefix}_{hashlib.blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"
