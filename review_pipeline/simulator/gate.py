"""The door of the server: request ids, authentication, versions, error bodies, the journal and dropped connections."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from review_pipeline.simulator.service import Service
from review_pipeline.simulator.store import Call
from review_pipeline.simulator.wire import (
    ApiError,
    ErrorBody,
    error_response,
    invalid_request,
    new_identifier,
    not_found,
)

_OPERATIONS = {
    ("POST", "batches"): "create",
    ("GET", "batches"): "list",
    ("GET", "batch"): "retrieve",
    ("DELETE", "batch"): "delete",
    ("GET", "results"): "results",
    ("POST", "cancel"): "cancel",
    ("POST", "messages"): "message",
    ("POST", "count_tokens"): "count_tokens",
}


# An ASGI message of our own: close the connection here and now.
DROP: Message = {"type": "simulator.drop"}


class ConnectionDropped(Exception):
    """Close the connection without an answer."""


class DroppedConnection(Response):
    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send(DROP)


class Gate:
    """Outermost, because only here the server's own `send` is at hand, through which a connection can be cut."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_identifier("req")
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "simulator.drop":
                await self._record(scope, None)
                await _cut(send)
                return
            if message["type"] == "http.response.start":
                # Before the client can see the answer: whoever has it finds the call in the journal.
                await self._record(scope, message["status"])
                message["headers"] = [*message.get("headers", ()), (b"request-id", request_id.encode())]
            await send(message)

        await self._answer(scope, receive, send_with_id, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        try:
            _check_headers(Request(scope))
            await self._app(scope, receive, send)
        except ApiError as error:
            await error_response(error, request_id)(scope, receive, send)
        except Exception:  # noqa: BLE001 (a fault of ours is an answer with status 500, too)
            traceback.print_exc(file=sys.stderr)
            ours = ApiError(ErrorBody("api_error", "Internal server error"))
            await error_response(ours, request_id)(scope, receive, send)

    async def _record(self, scope: Scope, status: int | None) -> None:
        operation = operation_of(scope["method"], scope["path"])
        # An accepted creation is journalled in the transaction that accepts it.
        if operation is None or scope["state"].get("is_journalled"):
            return
        scope["state"]["is_journalled"] = True
        batch_id = scope.get("path_params", {}).get("batch_id")
        accepted = False if operation == "create" else None
        custom_ids = scope["state"].get("custom_ids")
        call = Call(
            self._service.clock.now(), operation, scope["method"], scope["path"], status, batch_id, custom_ids, accepted
        )
        await asyncio.to_thread(self._service.store.record, call)


def operation_of(method: str, path: str) -> str | None:
    match path.strip("/").split("/"):
        case ["v1", "messages"]:
            kind = "messages"
        case ["v1", "messages", "count_tokens"]:
            kind = "count_tokens"
        case ["v1", "messages", "batches"]:
            kind = "batches"
        case ["v1", "messages", "batches", _]:
            kind = "batch"
        case ["v1", "messages", "batches", _, ("results" | "cancel") as last]:
            kind = last
        case _:
            return None
    return _OPERATIONS.get((method, kind))


def _check_headers(request: Request) -> None:
    if not request.url.path.startswith("/v1/"):
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not request.headers.get("x-api-key") and not (scheme.lower() == "bearer" and token.strip()):
        raise ApiError(ErrorBody("authentication_error", "x-api-key header is required"))
    if not request.headers.get("anthropic-version"):
        raise invalid_request("anthropic-version: header is required")


async def _cut(send: Send) -> None:
    """uvicorn hands out a bound method of its request cycle, the only way to the connection below ASGI."""
    cycle: Any = getattr(send, "__self__", None)
    cycle.transport.close()
    while not cycle.disconnected:
        await asyncio.sleep(0.005)


async def dropped(_request: Request, _error: Exception) -> Response:
    return DroppedConnection()


async def api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error, request.state.request_id)


async def routing_error(request: Request, error: Exception) -> Response:
    """A path or method that this API does not have."""
    assert isinstance(error, HTTPException)
    missing = not_found(f"{request.method} {request.url.path}: Not found")
    missing.status = error.status_code
    return error_response(missing, request.state.request_id)
