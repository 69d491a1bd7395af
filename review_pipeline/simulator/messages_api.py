"""Endpoints of Messages, token counting and models."""

from __future__ import annotations

import asyncio

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from review_pipeline.simulator.answering import Question, all_text
from review_pipeline.simulator.catalogue import MODELS, listed_model, model_json
from review_pipeline.simulator.intake import body_too_large
from review_pipeline.simulator.rules import Asked, Rule
from review_pipeline.simulator.scripted_calls import fail_if_scripted
from review_pipeline.simulator.service import Service
from review_pipeline.simulator.streaming import message_events
from review_pipeline.simulator.usage import input_tokens
from review_pipeline.simulator.wire import (
    ApiError,
    ErrorBody,
    JsonObject,
    JsonResponse,
    invalid_request,
    new_identifier,
    not_found,
)


class MessagesApi:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/v1/messages", self.message, methods=["POST"]),
            Route("/v1/messages/count_tokens", self.count_tokens, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{name}", self.model, methods=["GET"]),
        ]

    async def message(self, request: Request) -> Response:
        params = await self._params(request)
        await asyncio.sleep(self._service.options.latency_seconds)
        message = await asyncio.to_thread(self._answered, params, request.headers["anthropic-version"])
        if params.get("stream") is True:
            return StreamingResponse(message_events(message), media_type="text/event-stream")
        return JsonResponse(message)

    def _answered(self, params: JsonObject, version: str) -> JsonObject:
        text = all_text(params)
        fail_if_scripted(self._service, "message", text=text)
        rule = self._request_rule(text)
        question = Question((new_identifier("key"),), params, version, in_batch=False, rule=rule)
        answer = self._service.responder.answer([question])[0]
        self._service.cache.save()
        if isinstance(answer, ErrorBody):
            headers = {} if rule is None or rule.retry_after is None else {"retry-after": str(rule.retry_after)}
            raise ApiError(answer, headers)
        self._service.store.remember_answer(self._service.clock.now(), answer["model"], answer["usage"])
        return answer

    def _request_rule(self, text: str) -> Rule | None:
        if not self._service.script.watches("request"):
            return None
        return self._service.script.applies(Asked("request", "messages", text=text))

    async def count_tokens(self, request: Request) -> Response:
        return JsonResponse({"input_tokens": input_tokens(await self._params(request))})

    async def _params(self, request: Request) -> JsonObject:
        body = bytearray()
        limit_bytes = self._service.options.max_message_bytes
        async for piece in request.stream():
            if len(body) <= limit_bytes:
                body += piece
        if len(body) > limit_bytes:
            raise body_too_large(limit_bytes)
        try:
            params = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise invalid_request(f"The request body is not valid JSON: {error}") from error
        if not isinstance(params, dict):
            raise invalid_request("The request body should be a JSON object")
        return params

    async def models(self, _request: Request) -> Response:
        now = self._service.clock.now()
        data = [model_json(model, now) for model in MODELS]
        return JsonResponse(
            {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]},
        )

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        model = listed_model(name)
        if model is None:
            raise not_found(f"model: {name}")
        return JsonResponse(model_json(model, self._service.clock.now()))
