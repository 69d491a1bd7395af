"""Which heads of a repository's branches have no finished review."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from review_pipeline.core.review_record import ReviewRow
from review_pipeline.ports import Refused, Revision


class Branches(Protocol):
    def branches(self) -> dict[str, str]: ...

    def resolve(self, ref: str) -> Revision: ...

    def merge_base(self, base: str, head: str) -> str: ...


class PastReviews(Protocol):
    def reviews(self, repo: str | None = None, number: str | None = None, limit: int = 50) -> tuple[ReviewRow, ...]: ...


@dataclass(frozen=True, slots=True)
class Head:
    repo: str
    branch: str
    base: str
    commit: str
    base_commit: str
    is_reviewed: bool = False

    @property
    def change(self) -> str:
        return f"{self.repo}#{self.branch}"


def heads_to_review(
    repo: str, base: str, patterns: tuple[str, ...], changes: Branches, ledger: PastReviews
) -> Iterator[Head]:
    """One whose review is incomplete is asked for again."""
    return (head for head in open_heads(repo, base, patterns, changes, ledger) if not head.is_reviewed)


def open_heads(
    repo: str, base: str, patterns: tuple[str, ...], changes: Branches, ledger: PastReviews
) -> Iterator[Head]:
    """A head that the base holds already is merged."""
    base_commit = changes.resolve(base).commit
    for branch, commit in sorted(changes.branches().items()):
        if branch == base or not any(fnmatchcase(branch, pattern) for pattern in patterns):
            continue
        try:
            merge_base = changes.merge_base(base_commit, commit)
        except Refused:
            continue  # no history in common: nothing that could be merged
        if merge_base == commit:
            continue
        done = any(
            row.target.head == commit
            and row.target.merge_base == merge_base
            and row.state in ("reviewed", "nothing_to_review")
            for row in ledger.reviews(repo, branch)
        )
        yield Head(repo, branch, base, commit, merge_base, done)
