"""Hidden marks in what is posted, by which it is known again. They are keyed: who reads the source cannot make one."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

_MARK = re.compile(r"<!-- review_pipeline:(?P<post>[0-9a-f]{32})(?: (?P<content>[0-9a-f]{12}))? -->")


def post_id(key: str, *parts: str) -> str:
    """The same parts give the same id, so that what is planned twice is posted once."""
    return hmac.digest(key.encode(), "\x1f".join(parts).encode(), "sha256").hex()[:32]


def content_id(parts: Iterable[str]) -> str:
    """Of everything that a review consists of: one that was only begun is another one."""
    return hmac.digest(b"content", "\x1f".join(parts).encode(), "sha256").hex()[:12]


def mark(post: str, content: str = "") -> str:
    return f"<!-- review_pipeline:{post}{f' {content}' if content else ''} -->"


def marks(body: str) -> dict[str, str]:
    """Ids of posts in a text, each with the content that it was made of, or ''. Whether they are ours, the ledger knows."""
    return {match["post"]: match["content"] or "" for match in _MARK.finditer(body)}
