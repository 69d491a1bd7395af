"""Which pull requests wait for a review, from what was last seen of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from review_pipeline.core.forge import Actor, SeenHead


@dataclass(frozen=True, slots=True)
class QueuedHead:
    """seen_at: since when its head, base and draft state are as they are; note: why it is not wanted."""

    seen: SeenHead
    seen_at: datetime
    is_wanted: bool
    note: str = ""
    source: str = "sensor"

    @property
    def change(self) -> str:
        return f"{self.seen.repo}#{self.seen.number}"


@dataclass(frozen=True, slots=True)
class HeadPolicy:
    """skipped: accounts whose pull requests are not reviewed, by id, or by login for accounts of programs only.

    A person may take any free login; ids are given once.
    """

    reviews_drafts: bool = False
    reviews_forks: bool = True
    skipped: tuple[int | str, ...] = ()
    bases: tuple[str, ...] = ("*",)

    def refusal(self, seen: SeenHead) -> str:
        """'' if it is to be reviewed."""
        if seen.state != "open":
            return f"it is {seen.state}"
        if seen.is_draft and not self.reviews_drafts:
            return "it is a draft"
        if seen.is_fork and not self.reviews_forks:
            return "it comes from a fork"
        if not any(fnmatchcase(seen.base_ref, pattern) for pattern in self.bases):
            return f"nothing that goes into {seen.base_ref} is reviewed"
        if self._skips(seen.author):
            return f"pull requests of {seen.author.login} are not reviewed"
        return ""

    def _skips(self, author: Actor) -> bool:
        names = {str(name).lower().removesuffix("[bot]") for name in self.skipped if isinstance(name, str)}
        return author.id in self.skipped or (author.kind == "Bot" and author.login.lower() in names)


def _tuple(seen: SeenHead) -> tuple[object, ...]:
    """What has to differ for another look. Not the time of the last change: our own comments move it."""
    return seen.head, seen.base_ref, seen.is_draft, seen.state


def changed(
    seen: Iterable[SeenHead], known: Mapping[tuple[str, int], QueuedHead], policy: HeadPolicy, now: datetime, source: str = "sensor"
) -> list[QueuedHead]:  # fmt: skip
    """Rows to write: what is new, and what is not as it was."""
    found = []
    for head in seen:
        before = known.get((head.repo, head.number))
        if before is not None and _tuple(before.seen) == _tuple(head):
            continue
        if before is not None and _is_older(head, before):
            continue
        refusal = policy.refusal(head)
        found.append(QueuedHead(head, now, not refusal, refusal, source))
    return found


def _is_older(head: SeenHead, before: QueuedHead) -> bool:
    """What was asked before a newer notice came must not undo it: answers of a forge lag behind its own events."""
    return (
        head.updated_at is not None and before.seen.updated_at is not None and head.updated_at < before.seen.updated_at
    )


def has_settled(queued: QueuedHead, now: datetime, settle_seconds: float) -> bool:
    """No push for a moment, by our clock or by the forge's: ten pushes in a minute are one review."""
    moment = timedelta(seconds=settle_seconds)
    updated = queued.seen.updated_at
    return now - queued.seen_at >= moment or (updated is not None and moment <= now - updated)
