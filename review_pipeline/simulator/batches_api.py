"""Endpoints of Message Batches."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from review_pipeline.simulator.gate import DROP, ConnectionDropped
from review_pipeline.simulator.intake import BodyIndex, body_too_large, index_body
from review_pipeline.simulator.lifecycle import batch_json, is_archived
from review_pipeline.simulator.rules import READY_MADE_ERRORS, Rule
from review_pipeline.simulator.scripted_calls import fail_if_scripted
from review_pipeline.simulator.service import Service
from review_pipeline.simulator.store import Batch, Call
from review_pipeline.simulator.wire import ApiError, JsonResponse, invalid_request, new_identifier, not_found

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 1_000
_JSONL = "application/x-jsonl"
_AFTER_ACCEPT = {
    "error_500_after_accept": READY_MADE_ERRORS["api_error"],
    "overloaded_after_accept": READY_MADE_ERRORS["overloaded"],
}


class BatchesApi:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        at = "/v1/messages/batches"
        return [
            Route(at, self.create, methods=["POST"]),
            Route(at, self.list, methods=["GET"]),
            Route(at + "/{batch_id}", self.retrieve, methods=["GET"]),
            Route(at + "/{batch_id}", self.delete, methods=["DELETE"]),
            Route(at + "/{batch_id}/results", self.results, methods=["GET"]),
            Route(at + "/{batch_id}/cancel", self.cancel, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        arrived = self._service.store.folder / "bodies" / f"arriving-{uuid.uuid4().hex}"
        try:
            await _receive_body(request, arrived, self._service.options.max_body_bytes)
            return await asyncio.to_thread(self._accept, request, arrived)
        finally:
            arrived.unlink(missing_ok=True)

    def _accept(self, request: Request, arrived: Path) -> Response:
        service = self._service
        rule = fail_if_scripted(service, "create")
        index = index_body(arrived, service.options.max_requests)
        batch = self._stored(request, arrived, index, rule)
        service.worker.wake()
        if rule is not None and rule.effect == "accept_then_drop":
            raise ConnectionDropped
        if rule is not None and rule.effect in _AFTER_ACCEPT:
            raise ApiError(_AFTER_ACCEPT[rule.effect])
        return self._described(request, batch)

    def _stored(self, request: Request, arrived: Path, index: BodyIndex, rule: Rule | None) -> Batch:
        store, batch_id = self._service.store, new_identifier("msgbatch")
        index.write(store.index_path(batch_id))
        arrived.replace(store.body_path(batch_id))
        now = self._service.clock.now()
        error = _AFTER_ACCEPT.get(rule.effect) if rule else None
        dropped = rule is not None and rule.effect == "accept_then_drop"
        status = None if dropped else error.status if error else 200
        batch = Batch(
            number=0,
            id=batch_id,
            created_at=now,
            batch_seconds=self._service.options.batch_seconds,
            total=len(index),
            version=request.headers["anthropic-version"],
        )
        call = Call(now, "create", request.method, request.url.path, status, batch_id, len(index), True)
        batch = store.accept(batch, call)
        request.state.is_journalled = True
        return batch

    def list(self, request: Request) -> Response:
        fail_if_scripted(self._service, "list")
        query = request.query_params
        limit = _limit(query.get("limit"))
        older_than = self._cursor(query.get("after_id"))
        newer_than = self._cursor(query.get("before_id"))
        if older_than is not None and newer_than is not None:
            raise invalid_request("after_id and before_id cannot be used together")
        page = self._service.store.newest_first(limit, older_than, newer_than)
        now, base_url = self._service.clock.now(), _base_url(request)
        return JsonResponse(
            {
                "data": [batch_json(batch, now, base_url) for batch in page.batches],
                "has_more": page.has_more,
                "first_id": page.batches[0].id if page.batches else None,
                "last_id": page.batches[-1].id if page.batches else None,
            }
        )

    def retrieve(self, request: Request) -> Response:
        return self._described(request, self._found(request, "retrieve"))

    def cancel(self, request: Request) -> Response:
        batch = self._found(request, "cancel")
        if batch.ended_at is not None:
            raise invalid_request(f"Batch {batch.id} cannot be canceled because it has already ended")
        self._service.store.request_cancel(batch.id, self._service.clock.now())
        canceling = self._service.store.find(batch.id) or batch
        self._service.worker.wake()
        return self._described(request, canceling)

    def delete(self, request: Request) -> Response:
        batch = self._found(request, "delete")
        if batch.ended_at is None:
            raise invalid_request(f"Batch {batch.id} cannot be deleted while it is processing; cancel it first")
        self._service.store.delete(batch.id)
        return JsonResponse({"id": batch.id, "type": "message_batch_deleted"})

    def results(self, request: Request) -> Response:
        batch = _batch_or_404(self._service, request)
        rule = fail_if_scripted(self._service, "results", batch.id)
        if batch.ended_at is None:
            raise invalid_request(f"Batch {batch.id} is still being processed; it has no results yet")
        if is_archived(batch, self._service.clock.now()):
            raise not_found(f"The results of batch {batch.id} are no longer available")
        path = self._service.store.results_path(batch.id)
        if rule is not None:
            return CutResults(path, rule)
        return FileResponse(path, media_type=_JSONL)

    def _found(self, request: Request, operation: str) -> Batch:
        batch = _batch_or_404(self._service, request)
        fail_if_scripted(self._service, operation, batch.id)
        return batch

    def _cursor(self, batch_id: str | None) -> int | None:
        if batch_id is None:
            return None
        batch = self._service.store.find(batch_id)
        if batch is None:
            raise invalid_request(f"{batch_id} is not the id of a batch")
        return batch.number

    def _described(self, request: Request, batch: Batch) -> Response:
        return JsonResponse(batch_json(batch, self._service.clock.now(), _base_url(request)))


async def _receive_body(request: Request, path: Path, limit_bytes: int) -> None:
    """Reads on after the limit without keeping anything, so that the client can finish writing and read the answer."""
    size_bytes = 0
    with path.open("wb") as file:
        async for piece in request.stream():
            size_bytes += len(piece)
            if size_bytes <= limit_bytes:
                file.write(piece)
    if size_bytes > limit_bytes:
        raise body_too_large(limit_bytes)


def _batch_or_404(service: Service, request: Request) -> Batch:
    batch_id = request.path_params["batch_id"]
    batch = service.store.find(batch_id)
    if batch is None:
        raise not_found(f"Batch {batch_id} not found")
    return batch


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_LIMIT:
        raise invalid_request(f"limit: Input should be an integer from 1 to {_MAX_LIMIT}")
    return int(text)


class CutResults(Response):
    """At a row boundary the stream ends as if all was well; in mid-row the connection breaks."""

    def __init__(self, path: Path, rule: Rule) -> None:
        super().__init__(media_type=_JSONL)
        del self.headers["content-length"]
        rows = path.read_bytes().splitlines(keepends=True)
        kept = len(rows) // 2 if rule.rows is None else rule.rows
        self._breaks = rule.effect == "cut_in_row"
        cut_row = rows[kept][: len(rows[kept]) // 2] if self._breaks and kept < len(rows) else b""
        self._sent = b"".join((*rows[:kept], cut_row))

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._sent, "more_body": self._breaks})
        if self._breaks:
            await send(DROP)
