"""Who we are on GitHub: a token, or an App that makes itself a token for each stage, able to do no more than that stage needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx2
import jwt

from review_pipeline.adapters.github.client import API_VERSION, Credentials
from review_pipeline.core.forge import Slug
from review_pipeline.ports import Forbidden, Refused, Unavailable

# What each stage may do, and nothing else. Resolving threads takes write access to contents, which nothing else here has.
STAGES: Mapping[str, Mapping[str, str]] = {
    "watch": {"metadata": "read", "pull_requests": "read", "merge_queues": "read"},
    "read": {"metadata": "read", "contents": "read", "pull_requests": "read", "merge_queues": "read"},
    "publish": {
        "metadata": "read",
        "pull_requests": "write",
        "checks": "write",
        "statuses": "write",
    },
    "resolve": {"metadata": "read", "pull_requests": "write", "contents": "write"},
    "sarif": {"metadata": "read", "security_events": "write"},
}
_EVERYWHERE = ("watch",)  # one question is about many repositories; all other tokens are good for one
_LEVELS = ("read", "write", "admin")
_EARLY_SECONDS = 300  # before its end a token is made anew: a fetch or a wait must not outlive it
_JWT_SECONDS = 540  # ten minutes are allowed
_LIST_SECONDS = 60  # before an account that was not among the installations is looked for again
_SKEW_SECONDS = 60  # the forge refuses what was issued in its future


@dataclass(frozen=True)
class TokenCredentials(Credentials):
    secret: str = field(repr=False)

    def token(self, stage: str, slug: Slug | None) -> str:  # noqa: ARG002
        return self.secret

    def login(self) -> str:
        return ""

    def renew(self, stage: str, slug: Slug | None) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class _Made:
    token: str = field(repr=False)
    ends: float


@dataclass(frozen=True, slots=True)
class _Installation:
    id: int
    granted: Mapping[str, str]


@dataclass
class AppCredentials(Credentials):
    """Tokens live in this process only."""

    api: str
    app_id: str
    private_key: str = field(repr=False)
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep
    _made: dict[tuple[int, str, str], _Made] = field(default_factory=dict, repr=False)
    _installations: dict[str, _Installation] | None = None
    _listed: float = 0.0
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def token(self, stage: str, slug: Slug | None) -> str:
        with self._lock:
            installation = self._installation(slug)
            key = (installation.id, stage, _place(stage, slug))
            made = self._made.get(key)
            if made is None or made.ends - _EARLY_SECONDS < self.clock():
                made = self._made[key] = self._make(installation, stage, key[2])
            return made.token

    def renew(self, stage: str, slug: Slug | None) -> bool:
        with self._lock:
            installation = self._installation(slug)
            return self._made.pop((installation.id, stage, _place(stage, slug)), None) is not None

    def login(self) -> str:
        """Of the account that the App acts as, where the forge does not say whom it sees."""
        return str(self._ask("GET", "/app", None)["slug"])

    def _installation(self, slug: Slug | None) -> _Installation:
        known = self._known()
        if slug is not None and slug.owner.lower() not in known and self.clock() - self._listed > _LIST_SECONDS:
            self._installations = None  # it may have been installed there since
            known = self._known()
        if slug is None:
            if len(known) != 1:
                raise Refused(
                    f"the App is installed at {len(known)} accounts; say of which repository the question is."
                )
            return next(iter(known.values()))
        found = known.get(slug.owner.lower())
        if found is None:
            raise Refused(
                f"the App is not installed at {slug.owner!r}, so {slug} cannot be read. Install it there, or take the repository out of the configuration."
            )
        return found

    def _known(self) -> dict[str, _Installation]:
        if self._installations is None:
            found: dict[str, _Installation] = {}
            for page in range(1, 101):
                listed = self._ask("GET", f"/app/installations?per_page=100&page={page}", None)
                for entry in listed:
                    if entry.get("suspended_at") is None and entry.get("account"):
                        found[str(entry["account"]["login"]).lower()] = _Installation(entry["id"], entry.get("permissions") or {})  # fmt: skip
                if len(listed) < 100:
                    break
            self._installations, self._listed = found, self.clock()
        return self._installations

    def _make(self, installation: _Installation, stage: str, place: str) -> _Made:
        """Asking for more than was granted is refused as a whole, so what is missing is left out; the call that needs it tells."""
        wanted = {name: level for name, level in STAGES[stage].items() if _has(installation.granted, name, level)}
        if not wanted:  # asking for nothing would give a token that may do everything
            raise Forbidden(
                f"GitHub App {self.app_id} was granted nothing of {', '.join(STAGES[stage])}. Grant it in the App's settings."
            )
        body: dict[str, object] = {"permissions": wanted}
        if place:
            body["repositories"] = [place]
        told = self._ask("POST", f"/app/installations/{installation.id}/access_tokens", body)
        ends = datetime.fromisoformat(str(told["expires_at"])).timestamp()
        return _Made(str(told["token"]), ends)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        url = f"{self.api.rstrip('/')}{path}"
        headers = {
            "Authorization": f"Bearer {self._jwt()}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "review-pipeline",
        }  # fmt: skip
        for tried in range(4):
            if tried:
                self.pause(0.5 * 2**tried)
            try:
                answer = httpx2.request(method, url, headers=headers, json=body, timeout=30.0)
            except httpx2.HTTPError:
                continue
            if answer.status_code < 300:
                return answer.json()
            if answer.status_code in (401, 403, 404, 422) and "rate limit" not in answer.text.lower():
                said = answer.json().get("message", "") if "json" in answer.headers.get("content-type", "") else ""
                kind = Forbidden if answer.status_code == 403 else Refused
                raise kind(
                    f"GitHub App {self.app_id}: {path.partition('?')[0]} answered {answer.status_code} ({said}). Check GITHUB_APP_ID, the private key and the installation."
                )
        raise Unavailable(f"GitHub App {self.app_id}: {path.partition('?')[0]} gave no answer. Try again later.")

    def _jwt(self) -> str:
        now = int(self.clock())
        claims = {"iat": now - _SKEW_SECONDS, "exp": now + _JWT_SECONDS - _SKEW_SECONDS, "iss": self.app_id}
        try:
            return jwt.encode(claims, self.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise Refused(
                "the App's private key cannot be read. GITHUB_APP_PRIVATE_KEY holds the PEM file's text, GITHUB_APP_PRIVATE_KEY_FILE its path."
            ) from error


def _has(granted: Mapping[str, str], name: str, level: str) -> bool:
    return name in granted and _LEVELS.index(granted[name]) >= _LEVELS.index(level)


def _place(stage: str, slug: Slug | None) -> str:
    """Name of the repository that a token is limited to."""
    return slug.name if slug is not None and stage not in _EVERYWHERE else ""
