"""What workflows ask of a forge, and of what is kept about it. How a forge says no stands in ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from review_pipeline.core.audit import NewEvent
    from review_pipeline.core.forge import (
        Actor,
        Conclusion,
        InlineComment,
        Look,
        PostedComment,
        PostedReview,
        PullRequest,
        Slug,
        Thread,
    )
    from review_pipeline.core.head_queue import QueuedHead
    from review_pipeline.core.posts import FindingOutcome, Post


class Posts(Protocol):
    """Everything that is to appear on a forge: intent, then what came of it."""

    def marker_key(self) -> str: ...

    def plan_posts(self, posts: Iterable[Post], now: datetime) -> None: ...

    def ask_posts(self, ids: Iterable[str], now: datetime) -> None: ...

    def end_posts(self, posts: Iterable[Post], now: datetime) -> None: ...

    def post(self, post: str) -> Post | None: ...

    def posts(
        self, repo: str | None = None, number: str | None = None, review: str | None = None, kind: str | None = None
    ) -> tuple[Post, ...]: ...


class FindingOutcomes(Protocol):
    def pulls_to_hear(self, repo: str, limit: int) -> tuple[int, ...]: ...

    def record_heard(self, repo: str, number: int, now: datetime, *, settled: bool) -> None: ...

    def outcomes_of(self, repo: str, number: str) -> tuple[FindingOutcome, ...]: ...

    def record_outcomes(
        self, outcomes: Iterable[FindingOutcome], event: NewEvent | None, now: datetime
    ) -> tuple[FindingOutcome, ...]: ...


class HeadQueue(Protocol):
    """What was last seen of each pull request."""

    def known_heads(self, repos: Iterable[str]) -> dict[tuple[str, int], QueuedHead]: ...

    def put_heads(self, heads: Iterable[QueuedHead], delivery: str = "", now: datetime | None = None) -> bool: ...

    def wanted_heads(self, limit: int = 500) -> tuple[QueuedHead, ...]: ...

    def settle_head(self, queued: QueuedHead, note: str) -> None: ...

    def close_head(self, repo: str, number: int, note: str) -> None: ...

    def forget_heads(self, gone: Iterable[tuple[str, int]]) -> None: ...

    def repository_ids(self) -> dict[str, str]: ...

    def forget_repository_ids(self, slugs: Iterable[str]) -> None: ...

    def put_repository_ids(self, ids: dict[str, str], now: datetime) -> None: ...


class PullRequests(Protocol):
    """A forge, read. Raises Unavailable, Refused, Forbidden or Gone."""

    def us(self, slug: Slug) -> Actor: ...

    def pull(self, slug: Slug, number: int) -> PullRequest: ...

    def threads(self, slug: Slug, number: int) -> tuple[Thread, ...]: ...

    def thread(self, slug: Slug, thread: str) -> Thread | None: ...

    def permission(self, slug: Slug, login: str) -> str:
        """admin, write, read or none."""
        ...


class HeadWatch(Protocol):
    """A forge, looked at for new heads."""

    def repository_ids(self, slugs: Iterable[Slug]) -> dict[str, str]:
        """Those that exist and may be seen."""
        ...

    def look(
        self, nodes: Mapping[str, str], known: Mapping[str, datetime], slug: Slug, *, with_queue: bool = False
    ) -> Look:
        """nodes: names by node ids, all of one owner. known: up to when each has been read; pages further back are left out."""
        ...


class ReviewPosts(Protocol):
    """Reviews on a forge. Raises also Unprocessable, AnchorRefused, PendingReview and InDoubt."""

    def reviews(self, slug: Slug, number: int) -> tuple[PostedReview, ...]: ...

    def begin(
        self, slug: Slug, number: int, commit: str, body: str, comments: tuple[InlineComment, ...]
    ) -> PostedReview:
        """Seen by this account only, until it is submitted."""
        ...

    def submit(self, slug: Slug, number: int, review: int) -> None: ...

    def discard(self, slug: Slug, number: int, review: int) -> None: ...

    def comments(self, slug: Slug, number: int, review: int) -> tuple[PostedComment, ...]: ...


class ThreadPosts(Protocol):
    def reply(self, slug: Slug, number: int, comment: int, body: str) -> PostedComment: ...

    def resolve(self, slug: Slug, thread: str) -> None: ...


class Checks(Protocol):
    """What stands beside a commit. Each can be said again without harm."""

    def conclude(
        self, slug: Slug, commit: str, conclusion: Conclusion, mark: str, *, was_begun: bool
    ) -> tuple[str, str]:
        """was_begun: something with this mark may stand there already, and is gone on with. Returns its id and address."""
        ...

    def label(self, slug: Slug, number: int, label: str) -> None: ...

    def request_reviewers(self, slug: Slug, number: int, logins: tuple[str, ...], teams: tuple[str, ...]) -> None: ...

    def upload_sarif(self, slug: Slug, number: int, commit: str, document: str) -> str: ...


class Forge(PullRequests, ReviewPosts, ThreadPosts, Checks, Protocol):
    """All that publishing asks of a forge."""


class Mirror(Protocol):
    """A copy of a forge's repository on this machine."""

    def fetch_pull(self, url: str, head: str, base: str, base_ref: str, number: int) -> str:
        """Fetches both ends and returns the newest commit of the base. Raises Unavailable while the forge does not have them (yet)."""
        ...

    def fetch_branch(self, url: str, ref: str) -> str:
        """Its newest commit."""
        ...
