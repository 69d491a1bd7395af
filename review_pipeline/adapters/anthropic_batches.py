"""The Message Batches API through the official SDK, without what the SDK does too much of: retried creates, typed results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from review_pipeline.core.audit import Batch
from review_pipeline.core.failures import Outcome, Reply, classify
from review_pipeline.ports import InDoubt, OutOfCredit, Refused, Unavailable

if TYPE_CHECKING:
    import anthropic
    from anthropic.types.messages import MessageBatch

_PORTION_BYTES = 1 << 20
_BATCHES = "/v1/messages/batches"
# Certainly turned away at the door. 408, 409 and every 5xx (529 too) were seen after the batch had been accepted.
_TURNED_AWAY = range(400, 500)
_UNCLEAR = {408, 409, 499}
# What the SDK lets through when an answer is no JSON, or none of this API.
_UNREADABLE = (AttributeError, TypeError, ValueError)


class AnthropicBatches:
    """Implements the port Batches. The SDK is imported at the first call: it costs more than all of ours."""

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url

    @cached_property
    def _client(self) -> anthropic.Anthropic:
        import anthropic

        return anthropic.Anthropic(api_key=self._api_key, base_url=self._base_url)

    def create(self, body: Path) -> Batch:
        """Streams the file in one attempt: a retried create is a second batch, and the API knows no idempotency key."""
        import anthropic
        from anthropic.types.messages import MessageBatch
        from httpx2 import ConnectError, ConnectTimeout

        try:
            size = body.stat().st_size
        except OSError as error:
            raise Refused(
                f"cannot read {body}: {error.strerror}. Nothing was sent; put the spool back where it was, below REVIEW_PIPELINE_HOME."
            ) from error
        headers = {"Content-Length": str(size), "Content-Type": "application/json"}
        try:
            answer = self._client.post(
                _BATCHES, cast_to=MessageBatch, content=_portions(body), options={"headers": headers, "max_retries": 0}
            )
            return _batch(answer)
        except anthropic.APIStatusError as error:
            if error.status_code in _TURNED_AWAY and error.status_code not in _UNCLEAR:
                self._explain(error, f"the batch {body.parent.name} was not accepted")
            raise InDoubt(
                f"the API answered {error.status_code} to a batch creation; it may have been accepted all the same"
            ) from error
        except anthropic.APIConnectionError as error:
            if isinstance(error.__cause__, (ConnectError, ConnectTimeout)):
                raise Unavailable(
                    f"cannot reach {self._client.base_url}: {error.__cause__}. Check ANTHROPIC_BASE_URL and the network; nothing was sent."
                ) from error
            raise InDoubt(f"the connection broke during a batch creation: {error.__cause__ or error}") from error
        except (anthropic.AnthropicError, *_UNREADABLE) as error:
            raise InDoubt(f"the answer to a batch creation cannot be read: {error}") from error

    def retrieve(self, batch_id: str) -> Batch:
        with self._translated(f"batch {batch_id}"):
            return _batch(self._client.with_options(timeout=20.0, max_retries=1).messages.batches.retrieve(batch_id))

    def cancel(self, batch_id: str) -> Batch:
        """Asked again it changes nothing; a batch that has ended meanwhile is told as it is."""
        import anthropic

        try:
            with self._translated(f"canceling batch {batch_id}"):
                return _batch(self._client.with_options(timeout=20.0, max_retries=1).messages.batches.cancel(batch_id))
        except Refused as error:
            if isinstance(error.__cause__, anthropic.BadRequestError):
                return self.retrieve(batch_id)
            raise

    def newest(self) -> Iterator[Batch]:
        with self._translated("the list of batches"):
            for batch in self._client.with_options(timeout=60.0).messages.batches.list(limit=100):
                yield _batch(batch)

    def download(self, batch_id: str, to: Path) -> None:
        """Bytes as they come. The URL is our own: results_url may name any host, and the key would be sent there."""
        from httpx2 import HTTPError

        try:
            with self._translated(f"the results of batch {batch_id}"), to.open("wb") as file:
                for portion in self._stream(f"{_BATCHES}/{batch_id}/results"):
                    file.write(portion)
                file.flush()
                os.fsync(file.fileno())
        except HTTPError as error:
            raise Unavailable(
                f"the download of batch {batch_id} broke off: {error}. It will be started again."
            ) from error
        except OSError as error:
            raise Unavailable(
                f"cannot write {to}: {error.strerror}. Free some space and run the same command again; the results stay at the API for 29 days."
            ) from error

    def _stream(self, path: str) -> Iterator[bytes]:
        from anthropic._constants import RAW_RESPONSE_HEADER
        from anthropic._response import APIResponse

        headers = {"Accept": "application/binary", RAW_RESPONSE_HEADER: "stream"}
        response = self._client.get(path, cast_to=APIResponse[bytes], options={"headers": headers})
        try:
            yield from response.iter_bytes(_PORTION_BYTES)
        finally:
            response.close()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        import anthropic

        try:
            yield
        except anthropic.APIStatusError as error:
            self._explain(error, what)
        except (anthropic.AnthropicError, *_UNREADABLE) as error:
            raise Unavailable(
                f"{what}: no usable answer from {self._client.base_url}: {error.__cause__ or error}. Check ANTHROPIC_BASE_URL and the network; it will be asked again."
            ) from error

    def _explain(self, error: anthropic.APIStatusError, what: str) -> NoReturn:
        said = f"{what}: the API answered {error.status_code} {error.type or ''}: {error.message}"
        if is_about_money(error):
            raise OutOfCredit(said) from error
        match error.status_code:
            case 401 | 403:
                raise Refused(f"{said}. Check ANTHROPIC_API_KEY and the workspace's permissions.") from error
            case 404:
                # After a create this is seen for minutes, and at times again later: it does not mean that there is no batch.
                raise Unavailable(
                    f"{said}. A 404 for a batch that was created is transient; it will be asked again."
                ) from error
            case 408 | 409 | 429 | 500 | 502 | 503 | 504 | 529:
                raise Unavailable(f"{said}. It will be asked again.") from error
            case _:
                raise Refused(f"{said}. Nothing will change until the request or the setting does.") from error


def _portions(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while portion := file.read(_PORTION_BYTES):
            yield portion


def is_about_money(error: anthropic.APIStatusError) -> bool:
    """By the same table as results: such errors come as 400, 402, 403 and 429."""
    body = error.body if isinstance(error.body, dict) else {}
    said = body.get("error")
    details = said.get("details") if isinstance(said, dict) else None
    code = details.get("error_code") if isinstance(details, dict) else None
    reply = Reply("errored", error_type=error.type, error_message=error.message, error_code=code)
    return classify(reply) is Outcome.BILLING


def _batch(answer: MessageBatch) -> Batch:
    return Batch(
        answer.id,
        answer.processing_status,
        answer.created_at,
        answer.ended_at,
        {name: int(count) for name, count in answer.request_counts.model_dump().items() if isinstance(count, int)},
    )
