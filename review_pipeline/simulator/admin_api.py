"""The part that the real API does not have: clock, scripts and journal, under /_simulator/."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from review_pipeline.simulator.rules import IllegalRule, rule_from_json
from review_pipeline.simulator.service import Service
from review_pipeline.simulator.wire import JsonResponse, invalid_request, rfc3339

_ABOUT = (
    "The offline API of review_pipeline. It speaks the wire protocol of Anthropic's API and calls no model:\n"
    "answers come from static analysis of the code in the prompt. /_simulator/ holds clock, scripts and journal.\n"
)


class AdminApi:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/", self.about, methods=["GET", "HEAD"]),
            Route("/_simulator/clock", self.clock, methods=["GET"]),
            Route("/_simulator/clock", self.advance, methods=["POST"]),
            Route("/_simulator/scripts", self.scripts, methods=["GET"]),
            Route("/_simulator/scripts", self.add_scripts, methods=["POST"]),
            Route("/_simulator/scripts", self.clear_scripts, methods=["DELETE"]),
            Route("/_simulator/journal", self.journal, methods=["GET"]),
        ]

    async def about(self, _request: Request) -> Response:
        return PlainTextResponse(_ABOUT)

    async def clock(self, _request: Request) -> Response:
        clock = self._service.clock
        return JsonResponse({"now": rfc3339(clock.now()), "offset_seconds": clock.offset_seconds})

    async def advance(self, request: Request) -> Response:
        wish = await _json(request)
        seconds = wish.get("advance_seconds") if isinstance(wish, dict) else None
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
            raise invalid_request("advance_seconds: Input should be a number that is not negative")
        await asyncio.to_thread(self._service.advance, float(seconds))
        return await self.clock(request)

    def scripts(self, _request: Request) -> Response:
        return JsonResponse({"scripts": self._service.script.describe()})

    async def add_scripts(self, request: Request) -> Response:
        wish = await _json(request)
        try:
            rules = tuple(rule_from_json(rule) for rule in (wish if isinstance(wish, list) else [wish]))
        except (IllegalRule, TypeError) as error:
            raise invalid_request(str(error)) from error
        await asyncio.to_thread(self._service.script.add, rules)
        return self.scripts(request)

    def clear_scripts(self, request: Request) -> Response:
        self._service.script.clear()
        return self.scripts(request)

    def journal(self, request: Request) -> Response:
        operation = request.query_params.get("operation")
        calls = [call for call in self._service.store.journal() if operation in (None, call.operation)]
        return JsonResponse({"calls": [{**asdict(call), "at": rfc3339(call.at)} for call in calls]})


async def _json(request: Request) -> object:
    try:
        value: object = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise invalid_request(f"The request body is not valid JSON: {error}") from error
    return value
