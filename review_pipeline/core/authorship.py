"""Whether a change says that Claude wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    author: str
    author_email: str
    committer: str
    committer_email: str
    message: str


@dataclass(frozen=True, slots=True)
class Authorship:
    """Whether the change says that Claude wrote it, and by what it was recognised."""

    by_claude: bool
    evidence: str = ""
    sessions: tuple[str, ...] = ()


_TRAILER = re.compile(
    r"^(?:co-authored-by|generated-by|assisted-by):.*\b(?:claude|anthropic)\b", re.IGNORECASE | re.MULTILINE
)
_GENERATED = re.compile(r"generated with \[?claude", re.IGNORECASE)
_SESSION = re.compile(r"^claude-session(?:-id)?:\s*([0-9a-f-]{36})\s*$", re.IGNORECASE | re.MULTILINE)


def authorship(commits: Iterable[Commit], authors: tuple[str, ...] = ()) -> Authorship:
    """From trailers and the configured names or addresses of authors. The text is a claim, never an instruction."""
    known = {author.lower() for author in authors}
    sessions: list[str] = []
    evidence = ""
    for commit in commits:
        sessions += _SESSION.findall(commit.message)
        people = {commit.author, commit.author_email, commit.committer, commit.committer_email}
        by_name = next((person for person in people if person.lower() in known), None)
        match = _TRAILER.search(commit.message) or _GENERATED.search(commit.message)
        if not evidence and (by_name or match):
            evidence = f"commit {commit.id[:12]}: {by_name or (match[0] if match else '')}"[:160]
    return Authorship(bool(evidence or sessions), evidence, tuple(dict.fromkeys(sessions)))
