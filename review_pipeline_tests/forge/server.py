"""A forge on a port of this machine: REST and GraphQL as GitHub describes them, git over HTTP, and faults by script.

It remembers what it was asked in a journal, and checks every request and every answer of its own against GitHub's description.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import socket
import subprocess
import threading
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from review_pipeline_tests.forge.asked import Said, refuse
from review_pipeline_tests.forge.graph import Graph
from review_pipeline_tests.forge.rest import Rest
from review_pipeline_tests.forge.state import Token, World

DESCRIBED = json.loads((Path(__file__).parent / "described" / "openapi.json").read_text(encoding="utf-8"))
_HOST = "https://api.github.com"
LIMITS: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {
    "secondary": (403, {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}, {}),
    "secondary, told": (403, {"message": "You have exceeded a secondary rate limit."}, {"retry-after": "1"}),
    "too many": (429, {"message": "Too many requests"}, {"retry-after": "1"}),
    "primary": (403, {"message": "API rate limit exceeded for installation ID 1."}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
    "primary in milliseconds": (403, {"message": "API rate limit exceeded"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1999999999000"}),
    "abuse": (422, {"message": "Validation Failed", "errors": [{"resource": "PullRequestReview", "code": "abuse", "field": "base"}]}, {}),
    "too quickly": (422, {"message": "Validation Failed", "errors": ["was submitted too quickly"]}, {}),
    "graph": (200, {"data": None, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}, {}),
}  # fmt: skip


@dataclass
class Fault:
    """kind: answer (nothing is done), after (it is done, then another answer), drop (nothing is done), lose (it is done, no answer), slow."""

    method: str
    path: str
    kind: str
    status: int = 502
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    times: int = 1

    def takes(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("*", method) and re.search(self.path, path) is not None


@dataclass(frozen=True)
class Entry:
    at: float
    method: str
    path: str
    status: int
    body: Any
    login: str
    fault: str


@dataclass
class Forge:
    """prefix: /api/v3 for an Enterprise Server."""

    root: Path
    prefix: str = ""
    app_key: str = ""
    checks: bool = True
    journal: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    expected: list[Entry] = field(default_factory=list)
    chance: random.Random | None = None
    fault_rate: float = 0.0

    def __post_init__(self) -> None:
        self.world = World(self.root)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.api = self.url + self.prefix
        self.rest = Rest(self.world, DESCRIBED, self.api, self.app_key)
        self.graph = Graph(self.world)
        self._described = _description() if self.checks else None
        self._lock = threading.Lock()

    def __enter__(self) -> Forge:
        config = uvicorn.Config(
            self._application, log_level="critical", interface="asgi3", lifespan="off", timeout_keep_alive=60
        )
        config.load()  # in this thread: two that import at once see half of a module
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    # For tests.

    def token(self, login: str = "reviewer", secret: str = "") -> str:
        """Of a person's account. Its rights are the account's."""
        secret = secret or f"ghp_{login}{'x' * (36 - len(login))}"
        self.world.tokens[secret] = Token(self.world.account(login))
        return secret

    def fault(self, method: str, path: str, kind: str, **how: Any) -> Fault:
        self.faults.append(Fault(method, path, kind, **how))
        return self.faults[-1]

    def limit(self, method: str, path: str, name: str, times: int = 1) -> None:
        status, body, headers = LIMITS[name]
        self.fault(method, path, "answer", status=status, body=body, headers=headers, times=times)

    def writes(self) -> list[Entry]:
        return [e for e in self.journal if (e.method != "GET" and not e.path.endswith("/graphql") and ".git/" not in e.path and "access_tokens" not in e.path) or _is_mutation(e)]  # fmt: skip

    def caused_4xx(self) -> list[Entry]:
        """Refusals that no script asked for."""
        return [e for e in self.journal if 400 <= e.status < 500 and not e.fault]

    # The server.

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        content = b""
        while True:
            message = await receive()
            content += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, body, headers = await asyncio.to_thread(self._serve, scope, content)
        if status == 0:  # the connection breaks within the answer
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b"{"})
            return
        told = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": body})

    def _serve(self, scope: Any, content: bytes) -> tuple[int, bytes, dict[str, str]]:
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode()
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        if ".git/" in path:
            return self._git(method, path, query, headers, content)
        fault = self._fault(method, path)
        if fault is not None and fault.seconds:
            time.sleep(fault.seconds)
        with self._lock:
            status, body, extra = self._handled(method, path, query, headers, content, fault)
            self._note(method, path, status, content, headers, fault)
        if status == 0:
            return 0, b"", {}
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return (
            status,
            b"" if status == 204 else json.dumps(body).encode(),
            {"content-type": "application/json; charset=utf-8", "date": date, **extra},
        )

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.takes(method, path):
                fault.times -= 1
                return fault
        if self.chance is not None and self.chance.random() < self.fault_rate:
            kind = self.chance.choice(["after", "lose", "drop", "answer", "answer"])
            if kind == "answer" and self.chance.random() < 0.5:
                status, body, headers = LIMITS[self.chance.choice(["secondary, told", "too many", "primary", "abuse"])]
                return Fault(method, path, "answer", status, body, headers)
            return Fault(method, path, kind, self.chance.choice([500, 502, 503]))
        return None

    def _handled(
        self, method: str, path: str, query: str, headers: dict[str, str], content: bytes, fault: Fault | None
    ) -> tuple[int, Any, dict[str, str]]:  # fmt: skip
        if fault is not None and fault.kind == "drop":
            return 0, None, {}
        if fault is not None and fault.kind == "answer":
            return fault.status, fault.body or {"message": "Server Error"}, fault.headers
        try:
            status, body, extra = self._answered(method, path, query, headers, content)
        except Said as said:
            status, body, extra = said.status, said.body, said.headers
        except Exception:  # noqa: BLE001  a fault of the forge itself must be seen by the test
            self.violations.append(traceback.format_exc())
            status, body, extra = 500, {"message": "the test forge is broken"}, {}
        if fault is not None and fault.kind == "lose":
            return 0, None, {}
        if fault is not None and fault.kind == "after":
            return fault.status, fault.body or {"message": "Server Error"}, fault.headers
        return status, body, extra

    def _answered(
        self, method: str, path: str, query: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        token = self._valid(bearer)
        if path == (f"{self.prefix.removesuffix('/v3')}/graphql" if self.prefix else "/graphql"):
            if token is None:
                raise refuse(401, "Bad credentials")
            return 200, self.graph.answer(json.loads(content), token), {}
        if not path.startswith(self.prefix):
            raise refuse(404, "Not Found")
        inner = path.removeprefix(self.prefix)
        try:
            status, body, extra = self.rest.answer(
                method, inner, query, content, bearer if token or inner.startswith("/app") else ""
            )
        except Said as said:
            if said.status != 404:
                self._check_request(method, inner, query, headers, content)
            raise
        self._check_request(method, inner, query, headers, content)
        self._check_answer(method, inner, query, headers, content, status, body)
        return status, body, extra

    def _valid(self, bearer: str) -> Token | None:
        token = self.world.tokens.get(bearer)
        return None if token is None or (token.ends is not None and token.ends < self.world.clock()) else token

    def _asked(self, method: str, path: str, query: str, headers: dict[str, str], content: bytes) -> MockRequest:
        args = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
        kind = headers.get("content-type", "application/json").split(";")[0]
        return MockRequest(
            _HOST, method.lower(), path, args=args, headers=headers, data=content or None, content_type=kind
        )

    def _check_request(self, method: str, path: str, query: str, headers: dict[str, str], content: bytes) -> None:
        if self._described is None:
            return
        try:
            self._described.validate_request(self._asked(method, path, query, headers, content))
        except Exception as error:  # noqa: BLE001  every kind of it is a fault of ours
            self.violations.append(f"request {method} {path}: {_whole(error)}")

    def _check_answer(
        self, method: str, path: str, query: str, headers: dict[str, str], content: bytes, status: int, body: Any
    ) -> None:
        if self._described is None or status == 204:
            return
        try:
            answer = MockResponse(json.dumps(body).encode(), status_code=status, content_type="application/json")
            self._described.validate_response(self._asked(method, path, query, headers, content), answer)
        except Exception as error:  # noqa: BLE001
            self.violations.append(f"answer {method} {path} {status}: {_whole(error)}")

    def _note(
        self, method: str, path: str, status: int, content: bytes, headers: dict[str, str], fault: Fault | None
    ) -> None:
        token = self.world.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        try:
            body = json.loads(content) if content else None
        except ValueError:
            body = None
        self.journal.append(
            Entry(
                time.time(),
                method,
                path,
                status,
                body,
                token.account.login if token else "",
                fault.kind if fault else "",
            )
        )

    def _git(
        self, method: str, path: str, query: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        """git's own server behind a token."""
        kind, _, secret = headers.get("authorization", "").partition(" ")
        bearer = base64.b64decode(secret).decode().partition(":")[2] if kind == "Basic" else ""
        token = self._valid(bearer)
        if token is None:
            return 401, b"", {"www-authenticate": 'Basic realm="forge"'}
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "REQUEST_METHOD": method,
            "QUERY_STRING": query, "CONTENT_TYPE": headers.get("content-type", ""), "CONTENT_LENGTH": str(len(content)),
            "GIT_PROTOCOL": headers.get("git-protocol", ""), "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""), "REMOTE_USER": token.account.login,
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=content, capture_output=True, env=environment, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        told = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(told.pop("Status", "200").split()[0])
        self.journal.append(Entry(time.time(), method, path, status, None, token.account.login, ""))
        return status, body, {name.lower(): value for name, value in told.items()}


@cache
def _description() -> OpenAPI:
    """Read once: it takes a third of a second."""
    return OpenAPI.from_dict({**DESCRIBED, "servers": [{"url": _HOST}]})


def _is_mutation(entry: Entry) -> bool:
    return isinstance(entry.body, dict) and str(entry.body.get("query", "")).startswith("mutation")


def _whole(error: BaseException) -> str:
    """openapi-core tells the reason in the causes."""
    parts: list[str] = []
    seen: Iterable[BaseException] = [error]
    while seen:
        parts += [str(one)[:300] for one in seen]
        seen = [
            cause for one in seen for cause in (one.__cause__, *getattr(one, "schema_errors", ())) if cause is not None
        ]
    return " <- ".join(parts)[:1_200]
