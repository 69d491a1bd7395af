"""What a forge remembers: accounts, repositories over real bare git, pull requests, reviews, threads, checks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from review_pipeline_tests.forge.bare import Bare


@dataclass
class Account:
    login: str
    id: int
    kind: str = "User"


@dataclass
class Token:
    """permissions: None for a person's token, which may do what the person may. repositories: None for all."""

    account: Account
    permissions: dict[str, str] | None = None
    repositories: frozenset[str] | None = None
    ends: datetime | None = None
    is_app: bool = False


@dataclass
class Comment:
    id: int
    author: Account | None
    body: str
    review: int
    reply_to: int | None = None
    reactions: list[tuple[str, Account]] = field(default_factory=list)


@dataclass
class Thread:
    id: str
    path: str
    side: str
    line: int
    start_line: int | None
    commit: str
    comments: list[Comment]
    is_resolved: bool = False
    resolved_by: Account | None = None


@dataclass
class Review:
    id: int
    author: Account
    body: str
    commit: str
    state: str = "PENDING"
    threads: list[Thread] = field(default_factory=list)


@dataclass
class CheckRun:
    id: int
    name: str
    head: str
    external_id: str
    status: str
    conclusion: str | None
    output: dict[str, Any]
    annotations: list[dict[str, Any]]


@dataclass
class Pull:
    number: int
    title: str
    author: Account | None
    head: str
    head_ref: str
    base_ref: str
    head_repo: str | None
    state: str = "open"
    is_draft: bool = False
    is_locked: bool = False
    updated_at: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    reviews: list[Review] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    pinned_base: str = ""

    def threads(self) -> Iterator[Thread]:
        for review in self.reviews:
            if review.state != "PENDING":
                yield from review.threads


@dataclass
class Repository:
    owner: str
    name: str
    node: str
    bare: Bare | None
    pulls: dict[int, Pull] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    checks: list[CheckRun] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    sarifs: list[dict[str, Any]] = field(default_factory=list)
    queue: list[tuple[str, int]] = field(default_factory=list)
    is_archived: bool = False
    scans_code: bool = True
    former_names: set[str] = field(default_factory=set)

    @property
    def slug(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass
class World:
    """now: moved by every change, never by reading."""

    root: Path
    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    def number(self) -> int:
        return next(self._numbers)

    def account(self, login: str, kind: str = "User") -> Account:
        if login not in self.accounts:
            self.accounts[login] = Account(login, self.number(), kind)
        return self.accounts[login]

    def repository(self, slug: str) -> Repository:
        """Made when it is first named."""
        if slug not in self.repositories:
            owner, _, name = slug.partition("/")
            made = Repository(owner, name, f"R_{self.number()}", Bare.made(self.root / f"{slug}.git"))
            self.repositories[slug] = made
        return self.repositories[slug]

    def touch(self, pull: Pull) -> None:
        self.now += timedelta(seconds=1)
        pull.updated_at = self.now

    # What people do.

    def open_pull(
        self, slug: str, head_ref: str, base_ref: str = "main", author: str = "dev", *, title: str = "A change", is_draft: bool = False,
        fork: str | None = None,
    ) -> Pull:  # fmt: skip
        repository = self.repository(slug)
        assert repository.bare is not None
        number = max(repository.pulls, default=0) + 1
        head = repository.bare.tip(f"refs/heads/{head_ref}")
        pull = Pull(number, title, self.account(author), head, head_ref, base_ref, fork or slug, is_draft=is_draft)
        repository.pulls[number] = pull
        repository.bare.point(f"refs/pull/{number}/head", head)
        self.touch(pull)
        return pull

    def push(
        self,
        slug: str,
        branch: str,
        files: dict[str, str | bytes | None],
        *,
        onto: str | None = None,
        message: str = "Change",
    ) -> str:
        """A commit on a branch; None removes a file. onto: the commit it is built on, which makes it a force-push."""
        repository = self.repository(slug)
        assert repository.bare is not None
        commit = repository.bare.commit(branch, files, onto=onto, message=message)
        for pull in repository.pulls.values():
            if pull.head_ref == branch and pull.state == "open":
                pull.head = commit
                repository.bare.point(f"refs/pull/{pull.number}/head", commit)
                self.touch(pull)
        return commit

    def merge(self, slug: str, number: int) -> None:
        repository = self.repository(slug)
        pull = repository.pulls[number]
        assert repository.bare is not None
        repository.bare.merge(pull.base_ref, pull.head)
        pull.state = "merged"
        self.touch(pull)

    def reply(self, pull: Pull, thread: Thread, login: str, body: str) -> None:
        thread.comments.append(Comment(self.number(), self.account(login), body, 0, thread.comments[0].id))
        self.touch(pull)

    def resolve(self, pull: Pull, thread: Thread, login: str, *, resolved: bool = True) -> None:
        thread.is_resolved, thread.resolved_by = resolved, self.account(login) if resolved else None
        self.touch(pull)
