"""The ASGI application: which path leads where."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from review_pipeline.simulator.admin_api import AdminApi
from review_pipeline.simulator.batches_api import BatchesApi
from review_pipeline.simulator.gate import ConnectionDropped, Gate, api_error, dropped, routing_error
from review_pipeline.simulator.messages_api import MessagesApi
from review_pipeline.simulator.service import Service
from review_pipeline.simulator.wire import ApiError


def make_app(service: Service) -> ASGIApp:
    # Batches first: /v1/messages/batches must not be taken for anything below /v1/messages.
    routes = [*BatchesApi(service).routes(), *MessagesApi(service).routes(), *AdminApi(service).routes()]
    handlers = {ApiError: api_error, ConnectionDropped: dropped, HTTPException: routing_error}
    return Gate(Starlette(routes=routes, exception_handlers=handlers), service)
