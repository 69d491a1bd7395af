"""The Messages API, for requests that a batch could not answer in time: each answer becomes what a batch's result line would hold."""

from __future__ import annotations

import random
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from review_pipeline.adapters.anthropic_batches import is_about_money
from review_pipeline.ports import OutOfCredit, Refused, Unavailable

if TYPE_CHECKING:
    import anthropic

_TRIES = 5
_LONGEST_PAUSE_SECONDS = 60.0
_BUSY = frozenset({429, 529})  # certainly turned away, so that asking again cannot be paid twice


class AnthropicMessages:
    """Implements the port Messages."""

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url

    @cached_property
    def _client(self) -> anthropic.Anthropic:
        import anthropic

        return anthropic.Anthropic(api_key=self._api_key, base_url=self._base_url)

    def ask(self, params: dict[str, object]) -> dict[str, object]:
        """{'type': 'succeeded', 'message': ...} or {'type': 'errored', 'error': ...}. The SDK retries nothing: it sends no idempotency key.

        Raises OutOfCredit, Refused where no request would pass, and Unavailable if nothing can be reached.
        """
        import anthropic
        from httpx2 import ConnectError, ConnectTimeout

        for attempt in range(1, _TRIES + 1):
            try:
                message: Any = self._client.post(
                    "/v1/messages", cast_to=object, body=params, options={"max_retries": 0}
                )
            except anthropic.APIStatusError as error:
                if is_about_money(error):
                    raise OutOfCredit(f"a request was refused: {error.message}") from error
                if error.status_code in (401, 403):
                    raise Refused(
                        f"the API answered {error.status_code}: {error.message}. Check ANTHROPIC_API_KEY and the workspace's permissions."
                    ) from error
                if error.status_code in _BUSY and attempt < _TRIES:
                    time.sleep(_pause_seconds(error, attempt))
                    continue
                return {"type": "errored", "error": _as_told(error)}
            except anthropic.APIConnectionError as error:
                if isinstance(error.__cause__, (ConnectError, ConnectTimeout)):
                    raise Unavailable(
                        f"cannot reach {self._client.base_url}: {error.__cause__}. Check ANTHROPIC_BASE_URL and the network; "
                        "what was answered so far is kept, and the rest is asked again."
                    ) from error
                said = f"the connection broke before the answer came, which may have been billed: {error.__cause__ or error}"
                return _errored("connection_error", said)
            except (anthropic.AnthropicError, ValueError) as error:
                return _errored("api_error", f"the answer cannot be read, and may have been billed: {error}")
            return {"type": "succeeded", "message": message}
        raise AssertionError("unreachable")


def _pause_seconds(error: anthropic.APIStatusError, attempt: int) -> float:
    asked: str = error.response.headers.get("retry-after", "")
    if asked.replace(".", "", 1).isdecimal():
        return min(float(asked), _LONGEST_PAUSE_SECONDS)
    return min(0.5 * 2.0**attempt, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1)  # noqa: S311 (a pause, not a secret)


def _as_told(error: anthropic.APIStatusError) -> object:
    if isinstance(error.body, dict) and isinstance(error.body.get("error"), dict):
        return error.body
    return {"type": "error", "error": {"type": error.type or "api_error", "message": error.message}}


def _errored(kind: str, message: str) -> dict[str, object]:
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": message}}}
