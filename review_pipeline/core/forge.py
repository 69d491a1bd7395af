"""Pull requests as a forge tells of them, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Actor:
    """login: without the '[bot]' that some answers add; '' for an account that is gone. kind: User, Bot, Mannequin or ''."""

    login: str
    id: int | None = None
    kind: str = ""

    def is_same(self, other: Actor) -> bool:
        """By id where both are known: a login can be given up and taken by another."""
        if self.id is not None and other.id is not None:
            return self.id == other.id
        return bool(self.login) and self.login.lower() == other.login.lower()


@dataclass(frozen=True, slots=True)
class Slug:
    """owner/name."""

    owner: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Slug:
        """Raises ValueError."""
        owner, slash, name = text.partition("/")
        if not (owner and slash and name) or "/" in name:
            raise ValueError(f"{text!r} is not of the form owner/name")
        return cls(owner, name)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class SeenHead:
    """What a look at many pull requests tells of one. Another head, base, draft state or state is another reason to look at it."""

    repo: str
    number: int
    head: str
    base_ref: str
    head_ref: str
    state: str
    is_draft: bool
    is_fork: bool
    author: Actor
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueuedMerge:
    """An entry of a merge queue: the commit that is tested, and the pull request at the head that went in."""

    repo: str
    commit: str
    number: int
    head: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at many repositories tells. answered: those that are there; complete: those of which every open pull request is told."""

    heads: tuple[SeenHead, ...]
    merges: tuple[QueuedMerge, ...]
    answered: frozenset[str]
    complete: frozenset[str]


@dataclass(frozen=True, slots=True)
class PullRequest:
    """state: open, closed or merged; head_repo: None once the fork is gone; clone_url: of the repository it is to be merged into."""

    slug: Slug
    number: int
    title: str
    state: str
    is_draft: bool
    is_locked: bool
    is_archived: bool
    head: str
    head_ref: str
    base: str
    base_ref: str
    author: Actor
    head_repo: str | None
    clone_url: str
    url: str

    @property
    def is_fork(self) -> bool:
        return self.head_repo is None or self.head_repo.lower() != str(self.slug).lower()


@dataclass(frozen=True, slots=True)
class InlineComment:
    """One comment to post at lines of a diff. start_line: None for a single line."""

    post: str
    path: str
    side: str
    line: int
    start_line: int | None
    body: str


@dataclass(frozen=True, slots=True)
class PostedReview:
    """state: PENDING, COMMENTED, APPROVED, CHANGES_REQUESTED or DISMISSED."""

    id: int
    state: str
    body: str
    author: Actor
    url: str


@dataclass(frozen=True, slots=True)
class PostedComment:
    id: int
    body: str
    url: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """content: THUMBS_DOWN, THUMBS_UP, ..."""

    content: str
    by: Actor


@dataclass(frozen=True, slots=True)
class ThreadComment:
    id: int
    body: str
    author: Actor
    reactions: tuple[Reaction, ...] = ()


@dataclass(frozen=True, slots=True)
class Thread:
    """comments: all of them, the first one began it. resolved_by: None while it is open, or if nobody knows."""

    id: str
    is_resolved: bool
    is_outdated: bool
    can_resolve: bool
    resolved_by: Actor | None
    comments: tuple[ThreadComment, ...]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """level: failure, warning or notice."""

    path: str
    start_line: int
    end_line: int
    level: str
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a check or a status says of one commit. conclusion: success, neutral, failure, or '' while the review runs."""

    conclusion: str
    title: str
    summary: str
    url: str = ""
    annotations: tuple[Annotation, ...] = ()
    is_incomplete: bool = False
