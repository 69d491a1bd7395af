"""Talks HTTP with GitHub: reads are repeated, writes are sent once, and every answer becomes a value or one of our errors."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol
from urllib.parse import urljoin, urlsplit

import httpx2

from review_pipeline.adapters.github.limits import wait_seconds
from review_pipeline.core.forge import Slug
from review_pipeline.core.redaction import redact
from review_pipeline.ports import (
    AnchorRefused,
    Forbidden,
    Gone,
    InDoubt,
    PendingReview,
    Refused,
    Unavailable,
    Unprocessable,
)

API_VERSION = "2022-11-28"  # the one that github.com and every Enterprise Server in support know
_LIMIT_TRIES = 3
_MOST_REDIRECTS = 3
_MOST_PAGES = 200
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
# Of a 422. The forge says these words; which comment it means it does not say.
_ANCHOR = re.compile(
    r"must be part of the (?:diff|same hunk)|must precede the end line|diff hunk can't be blank|(?:path|line) could not be resolved|(?:line|path|position|start_line|start_side|review comments?|review threads?) is invalid|Pull request review thread",
    re.IGNORECASE,
)
_PENDING = re.compile(r"pending review", re.IGNORECASE)


class Credentials(Protocol):
    """stage: what the token has to be able to do; slug: where."""

    def token(self, stage: str, slug: Slug | None) -> str: ...

    def login(self) -> str:
        """'' if only the forge knows."""
        ...

    def renew(self, stage: str, slug: Slug | None) -> bool:
        """False if there is no other token to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    next_page: str | None = None


@dataclass
class GitHubClient:
    """api: base of the REST API. patience_seconds: the longest wait for a limit; a longer one is told as Unavailable."""

    api: str
    credentials: Credentials
    patience_seconds: float = 90.0
    write_pause_seconds: float = 1.0  # GitHub's guide: one write at a time, a second between them
    pause: Callable[[float], None] = time.sleep
    timeout_seconds: float = 30.0
    read_tries: int = 4
    _http: httpx2.Client | None = None
    _last_write: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.api = self.api.rstrip("/")

    @property
    def graphql_url(self) -> str:
        """Beside REST, as on github.com and on Enterprise Server."""
        if self.api.endswith("/api/v3"):
            return self.api.removesuffix("/v3") + "/graphql"
        return f"{self.api}/graphql"

    def get(self, path: str, slug: Slug | None = None, stage: str = "read") -> Answer:
        return self._read("GET", self._url(path), None, stage, slug)

    def pages(self, path: str, slug: Slug | None = None, stage: str = "read") -> Iterator[Any]:
        """Every page of a list, by the links that the answers give."""
        url: str | None = self._url(path)
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            answer = self._read("GET", url, None, stage, slug)
            yield answer.body
            url = answer.next_page
        raise Refused(f"{path}: more than {_MOST_PAGES} pages. That is more than a review can be posted on.")

    def write(
        self, method: str, path: str, body: Mapping[str, Any] | None, slug: Slug, stage: str = "publish"
    ) -> Answer:
        """Once. Raises InDoubt where nobody can know whether it was done: read it back, never just send it again."""
        return self._send_limited(method, self._url(path), body, stage, slug)

    def query(
        self, document: str, variables: Mapping[str, Any], slug: Slug | None = None, stage: str = "read"
    ) -> dict[str, Any]:
        """data of a GraphQL query. What is not there is null in it; raises if nothing could be read."""
        answer = self._read("POST", self.graphql_url, {"query": document, "variables": dict(variables)}, stage, slug)
        return _data(answer.body)

    def mutate(self, document: str, variables: Mapping[str, Any], slug: Slug, stage: str) -> dict[str, Any]:
        answer = self._send_limited(
            "POST", self.graphql_url, {"query": document, "variables": dict(variables)}, stage, slug
        )
        errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
        if errors:
            _raise_graphql(errors)
        return _data(answer.body)

    def _url(self, path: str) -> str:
        return path if path.startswith(self.api) else f"{self.api}/{path.lstrip('/')}"

    def _read(self, method: str, url: str, body: Mapping[str, Any] | None, stage: str, slug: Slug | None) -> Answer:
        trouble: Exception | None = None
        for tried in range(self.read_tries):
            if tried:
                self.pause(0.5 * 2 ** (tried - 1))
            try:
                return self._limited(method, url, body, stage, slug)
            except InDoubt as error:  # of a read: nothing was done that could be done twice
                trouble = error
            except _NotSent as error:
                trouble = error
        raise Unavailable(f"{_place(url)}: {trouble}. Tried {self.read_tries} times; try again later.") from trouble

    def _send_limited(self, method: str, url: str, body: Mapping[str, Any] | None, stage: str, slug: Slug) -> Answer:
        with self._lock:
            rest = self.write_pause_seconds - (time.monotonic() - self._last_write)
            if rest > 0:
                self.pause(rest)
            try:
                return self._limited(method, url, body, stage, slug)
            except _NotSent as error:
                raise Unavailable(f"{_place(url)}: {error}. Nothing was sent; try again later.") from error
            finally:
                self._last_write = time.monotonic()

    def _limited(self, method: str, url: str, body: Mapping[str, Any] | None, stage: str, slug: Slug | None) -> Answer:
        """A request that met a limit has certainly not been carried out: it may be sent again after the wait."""
        waited = 0.0
        for tried in range(_LIMIT_TRIES + 1):
            answer, headers = self._authorised(method, url, body, stage, slug)
            wait = wait_seconds(answer.status, headers, answer.body)
            if wait is None:
                return self._judged(answer, url)
            wait *= 1 if "retry-after" in headers else 2**tried
            if tried == _LIMIT_TRIES or waited + wait > self.patience_seconds:
                raise Unavailable(
                    f"{_place(url)}: the forge limits how fast this account may ask; it wants {wait:.0f} s of rest. Try again then."
                )
            self.pause(wait)
            waited += wait
        raise AssertionError("the last round returns or raises")

    def _authorised(
        self, method: str, url: str, body: Mapping[str, Any] | None, stage: str, slug: Slug | None
    ) -> tuple[Answer, Mapping[str, str]]:
        """A token can end between two requests; one that was just made anew and is refused is refused for good."""
        answer, headers = self._redirected(method, url, body, stage, slug)
        if answer.status == 401 and self.credentials.renew(stage, slug):
            answer, headers = self._redirected(method, url, body, stage, slug)
        if answer.status == 401:
            raise Refused(
                f"{_place(url)}: the forge does not accept the token ({_said(answer.body)}). It may have expired or been revoked; set a new GITHUB_TOKEN, or check the App's key."
            )
        return answer, headers

    def _redirected(
        self, method: str, url: str, body: Mapping[str, Any] | None, stage: str, slug: Slug | None
    ) -> tuple[Answer, Mapping[str, str]]:
        """Renamed repositories answer with another address; only one on the same host is followed, with the method as it was."""
        for _ in range(_MOST_REDIRECTS):
            answer, headers = self._once(method, url, body, self.credentials.token(stage, slug))
            target = headers.get("location")
            if answer.status not in (301, 302, 307, 308) or not target:
                return answer, headers
            if answer.status in (301, 302) and method != "GET":
                raise Refused(f"{_place(url)}: it has moved. Correct the repository's name in the configuration.")
            moved = urljoin(url, target)
            if urlsplit(moved)[:2] != urlsplit(url)[:2]:
                raise Refused(f"{_place(url)}: the forge points to another host, which gets no token of ours.")
            url = moved
        raise Refused(f"{_place(url)}: the forge points in circles.")

    def _once(
        self, method: str, url: str, body: Mapping[str, Any] | None, token: str
    ) -> tuple[Answer, Mapping[str, str]]:
        headers = {
            "Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "review-pipeline",
        }  # fmt: skip
        try:
            response = self._opened().request(
                method, url, headers=headers, json=dict(body) if body is not None else None
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _NotSent(f"no connection ({error})") from error
        except httpx2.HTTPError as error:
            raise InDoubt(f"{method} {_place(url)}: the connection broke ({type(error).__name__})") from error
        try:
            content = json.loads(response.content) if response.content else None
        except ValueError:
            content = None
        found = _NEXT.search(response.headers.get("link", ""))
        return Answer(response.status_code, content, found[1] if found else None), response.headers

    def _judged(self, answer: Answer, url: str) -> Answer:
        said = f"{_place(url)}: {_said(answer.body)}"
        if answer.status < 300:
            if answer.body is None and answer.status != 204:
                raise InDoubt(f"{said}: the answer cannot be read")
            return answer
        if answer.status >= 500 or answer.status == 408:
            raise InDoubt(f"{said}: HTTP {answer.status}")
        if answer.status == 403:
            raise Forbidden(f"{said}. Give the token or the App the permission that is missing.")
        if answer.status in (404, 410):
            raise Gone(f"{said}. It is not there, or this account may not see it.")
        if answer.status == 422:
            text = json.dumps(answer.body)
            if _PENDING.search(text):
                raise PendingReview(said)
            if _ANCHOR.search(text):
                raise AnchorRefused(said)
            raise Unprocessable(f"{said} (HTTP 422)")
        raise Refused(f"{said} (HTTP {answer.status})")

    def _opened(self) -> httpx2.Client:
        if self._http is None:
            # trust_env: proxies as the machine has them; a netrc must not add a token of its own.
            self._http = httpx2.Client(timeout=self.timeout_seconds, follow_redirects=False, auth=_no_auth)
        return self._http


class _NotSent(Exception):
    """Nothing of the request has left this machine."""


def _no_auth(request: httpx2.Request) -> httpx2.Request:
    return request


def _place(url: str) -> str:
    return urlsplit(url).path or "/"


def _said(body: Any) -> str:
    """What the forge says, cut short; an error page may quote what was sent."""
    if not isinstance(body, dict):
        return "no reason given"
    details = "; ".join(
        str(error.get("message") or error.get("code") or "") if isinstance(error, dict) else str(error)
        for error in body.get("errors") or ()
    )
    return redact(f"{body.get('message', 'no reason given')}{f' ({details})' if details else ''}")[:400]


def _data(body: Any) -> dict[str, Any]:
    """Partial data is data: a repository that is gone must not hide the others."""
    data = body.get("data") if isinstance(body, dict) else None
    errors = body.get("errors") if isinstance(body, dict) else None
    if isinstance(data, dict) and (not errors or any(value is not None for value in data.values())):
        return data
    return _raise_graphql(errors or [])


def _raise_graphql(errors: list[Any]) -> NoReturn:
    said = redact("; ".join(str(e.get("message", e)) if isinstance(e, dict) else str(e) for e in errors))[:400]
    kinds = {str(error.get("type", "")) for error in errors if isinstance(error, dict)}
    if "FORBIDDEN" in kinds or "INSUFFICIENT_SCOPES" in kinds:
        raise Forbidden(f"GraphQL: {said}")
    if "NOT_FOUND" in kinds:
        raise Gone(f"GraphQL: {said}")
    if not errors or not kinds - {""}:
        raise Unavailable(f"GraphQL: {said or 'an answer without data'}. Try again later.")
    raise Refused(f"GraphQL: {said}")
