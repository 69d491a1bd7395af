"""What is kept of everything that is to appear on a forge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

ENDED = ("done", "refused", "superseded")


@dataclass(frozen=True, slots=True)
class Post:
    """kind: review, comment (at a line), body or doubt (sections of the review), reply, resolve, check, status, label, reviewers, sarif.

    state: planned, asked (it may have happened), done, refused, superseded (a newer head is told instead).
    """

    id: str
    repo: str
    number: str
    review: str
    head: str
    kind: str
    finding: str = ""
    state: str = "planned"
    remote_id: str = ""
    url: str = ""
    note: str = ""
    ended_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class FindingOutcome:
    """What a person or the code made of a told finding: resolved, dismissed, liked, disliked, fixed or merged_open."""

    repo: str
    number: str
    finding: str
    outcome: str
    actor: str
    why: str
