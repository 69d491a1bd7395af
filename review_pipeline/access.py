"""Who we are on GitHub, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from review_pipeline.ports import Refused

GITHUB_API = "https://api.github.com"


@dataclass(frozen=True, slots=True)
class GitHubAccess:
    """Where GitHub is and who we are there. Secrets stay out of what is printed."""

    api_url: str = GITHUB_API
    token: str | None = field(default=None, repr=False)
    app_id: str | None = None
    private_key: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> GitHubAccess:
        return cls(
            api_url=(environment.get("GITHUB_API_URL") or GITHUB_API).rstrip("/"),
            token=environment.get("GITHUB_TOKEN") or None,
            app_id=environment.get("GITHUB_APP_ID") or None,
            private_key=_private_key(environment),
            webhook_secret=environment.get("GITHUB_WEBHOOK_SECRET") or None,
        )

    @property
    def is_app(self) -> bool:
        return bool(self.app_id and self.private_key)

    @property
    def is_on_this_machine(self) -> bool:
        return urlsplit(self.api_url).hostname in ("127.0.0.1", "::1", "localhost")

    def check(self) -> None:
        """Raises Refused if nothing is set, or half of it."""
        if self.app_id and not self.private_key:
            raise Refused(
                "GITHUB_APP_ID is set, but no key: set GITHUB_APP_PRIVATE_KEY to the PEM text, or GITHUB_APP_PRIVATE_KEY_FILE to its file."
            )
        if not self.is_app and not self.token:
            raise Refused(
                "nobody is logged in to GitHub: set GITHUB_TOKEN, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY_FILE, in the environment (for Dagster: of its daemon)."
            )
        parts = urlsplit(self.api_url)
        if parts.scheme != "https" and not self.is_on_this_machine:
            raise Refused(f"GITHUB_API_URL is {self.api_url}; a token is sent over https only.")


def _private_key(environment: Mapping[str, str]) -> str | None:
    text = environment.get("GITHUB_APP_PRIVATE_KEY")
    if text:
        return text.replace("\\n", "\n")  # as .env files hold it
    path = environment.get("GITHUB_APP_PRIVATE_KEY_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"GITHUB_APP_PRIVATE_KEY_FILE names {path}, which cannot be read ({error}). Correct the name, or let this user read it."
        ) from error
