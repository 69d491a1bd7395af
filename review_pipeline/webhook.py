"""Takes GitHub's webhooks into the queue of heads, so that a push is seen at once. The sensor remains the truth: without this, nothing is lost."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from review_pipeline.core.forge import Actor, SeenHead
from review_pipeline.core.head_queue import HeadPolicy, QueuedHead, changed
from review_pipeline.ports import Refused
from review_pipeline.wiring import Pipeline, utc_now

MOST_BYTES = 25_000_000  # GitHub sends no larger ones
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,64}")
_ACTIONS = ("opened", "synchronize", "reopened", "ready_for_review", "converted_to_draft", "edited", "closed")


def application(pipeline: Pipeline) -> Starlette:
    """An ASGI application with one address, /github. Raises Refused without a secret: who does not know it must not start reviews."""
    secret = pipeline.settings.github.webhook_secret
    if not secret:
        raise Refused(
            "GITHUB_WEBHOOK_SECRET is not set. Make one (openssl rand -hex 32), give it to the webhook's settings on GitHub and to this process."
        )
    receiver = Receiver(pipeline)

    async def receive(request: Request) -> JSONResponse:
        content = await _content(request)
        if content is None:
            return JSONResponse({"taken": False, "why": "larger than any webhook"}, 413)
        if not is_signed(content, request.headers.get("x-hub-signature-256", ""), secret):
            return JSONResponse({"taken": False, "why": "not signed with our secret"}, 401)
        event, delivery = request.headers.get("x-github-event", ""), request.headers.get("x-github-delivery", "")
        try:
            body = json.loads(content)
        except ValueError:
            return JSONResponse({"taken": False, "why": "no JSON; set the webhook's content type to application/json"}, 400)  # fmt: skip
        if not isinstance(body, dict) or not _DELIVERY.fullmatch(delivery):
            return JSONResponse({"taken": False, "why": "no webhook of GitHub"}, 400)
        said = await run_in_threadpool(receiver.take, event, delivery, body)
        return JSONResponse({"taken": not said, **({"why": said} if said else {})}, 202)

    return Starlette(routes=[Route("/github", receive, methods=["POST"])])


async def _content(request: Request) -> bytes | None:
    """Never more than is allowed, whatever the header says."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            return None
    return content


def is_signed(content: bytes, signature: str, secret: str) -> bool:
    expected = "sha256=" + hmac.digest(secret.encode(), content, "sha256").hex()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


class Receiver:
    """What a delivery changes in the queue. The same delivery a second time changes nothing."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._ledger = pipeline.ledger
        rules = pipeline.settings.config.github
        self._policy = HeadPolicy(rules.drafts, rules.forks, rules.skip_authors, rules.bases)
        self._names = {
            entry.github.lower(): entry.name for entry in pipeline.settings.config.repositories if entry.github
        }

    def take(self, event: str, delivery: str, body: Mapping[str, Any]) -> str:
        """Why it changes nothing, or ''. What is not known is no error: events and actions are added at any time."""
        repo = self._names.get(str((body.get("repository") or {}).get("full_name", "")).lower())
        if repo is None:
            return "the repository is not in the configuration"
        try:
            heads = self._heads(event, repo, body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return f"the payload lacks {error}; the sensor will see it"
        if heads is None:
            return f"nothing to do for {event} {body.get('action', '')}".strip()
        taken = self._ledger.put_heads(heads, delivery, utc_now())
        return "" if taken and heads else "it is known already"

    def _heads(self, event: str, repo: str, body: Mapping[str, Any]) -> list[QueuedHead] | None:
        known = self._ledger.known_heads([repo])
        if event == "pull_request" and body.get("action") in _ACTIONS:
            return changed([_seen(repo, body["pull_request"])], known, self._policy, utc_now(), "webhook")
        if event == "check_run" and body.get("action") == "rerequested":
            commit = str(body["check_run"]["head_sha"])
            return [replace(q, seen_at=utc_now(), is_wanted=True, source="webhook") for q in known.values() if q.seen.head == commit]  # fmt: skip
        return None


def _seen(repo: str, pull: Mapping[str, Any]) -> SeenHead:
    author, head, base = pull.get("user") or {}, pull["head"], pull["base"]
    source = (head.get("repo") or {}).get("full_name")
    return SeenHead(
        repo=repo, number=int(pull["number"]), head=str(head["sha"]), base_ref=str(base["ref"]), head_ref=str(head.get("ref") or ""),
        state="merged" if pull.get("merged") else str(pull["state"]), is_draft=bool(pull.get("draft")),
        is_fork=source is None or source.lower() != str(base["repo"]["full_name"]).lower(),
        author=Actor(str(author.get("login") or "").removesuffix("[bot]"), author.get("id"), str(author.get("type") or "")),
        updated_at=datetime.fromisoformat(str(pull["updated_at"])).astimezone(UTC),
    )  # fmt: skip
