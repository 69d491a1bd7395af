"""Reads pull requests, their threads, and who may write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from review_pipeline.adapters.github import documents
from review_pipeline.adapters.github.client import GitHubClient
from review_pipeline.core.forge import (
    Actor,
    Look,
    PullRequest,
    QueuedMerge,
    Reaction,
    SeenHead,
    Slug,
    Thread,
    ThreadComment,
)
from review_pipeline.ports import Gone, Refused, Unavailable

_HEADS_AT_ONCE = 20
_IDS_AT_ONCE = 50
_MOST_PAGES = 100


@dataclass
class Reading:
    """Implements the ports PullRequests and HeadWatch."""

    client: GitHubClient
    _us: Actor | None = None

    def us(self, slug: Slug) -> Actor:
        if self._us is None:
            try:
                viewer = self.client.query(documents.VIEWER, {}, slug).get("viewer") or {}
            except Refused:  # not every server tells an App who it is
                viewer = {"login": self.client.credentials.login()}
            self._us = Actor(_login(viewer.get("login")), viewer.get("databaseId"))
        return self._us

    def pull(self, slug: Slug, number: int) -> PullRequest:
        """What is missing for ghosts, deleted forks and older servers stays empty."""
        told = self.client.get(f"repos/{slug}/pulls/{number}", slug).body
        try:
            base, head = told["base"], told["head"]
            repository = base.get("repo") or {}
            return PullRequest(
                slug=slug, number=int(told["number"]), title=told.get("title") or "",
                state="merged" if told.get("merged") or told.get("merged_at") else str(told["state"]),
                is_draft=bool(told.get("draft")), is_locked=bool(told.get("locked")), is_archived=bool(repository.get("archived")),
                head=head["sha"], head_ref=head.get("ref") or "", base=base["sha"], base_ref=base["ref"], author=rest_actor(told.get("user")),
                head_repo=(head.get("repo") or {}).get("full_name"), clone_url=repository.get("clone_url") or "", url=told.get("html_url") or "",
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"{slug}#{number}: the forge's answer lacks {error}. Try again later.") from error

    def clone_url(self, slug: Slug) -> str:
        return str(self.client.get(f"repos/{slug}", slug).body.get("clone_url") or "")

    def threads(self, slug: Slug, number: int) -> tuple[Thread, ...]:
        found: list[Thread] = []
        after: str | None = None
        for _ in range(_MOST_PAGES):
            variables = {"owner": slug.owner, "name": slug.name, "number": number, "after": after}
            repository = self.client.query(documents.THREADS, variables, slug).get("repository") or {}
            pull = repository.get("pullRequest")
            if pull is None:
                raise Gone(f"{slug}#{number} is not there, or this account may not see it.")
            found += [_thread(node) for node in pull["reviewThreads"]["nodes"] if node]
            page = pull["reviewThreads"]["pageInfo"]
            if not page["hasNextPage"]:
                return tuple(found)
            after = page["endCursor"]
        raise Refused(f"{slug}#{number} has more than {50 * _MOST_PAGES} threads.")

    def thread(self, slug: Slug, thread: str) -> Thread | None:
        """As the account sees it that resolves threads: what it may do is part of the answer."""
        node = self.client.query(documents.THREAD, {"id": thread}, slug, "resolve").get("node")
        return _thread(node) if node else None

    def permission(self, slug: Slug, login: str) -> str:
        """admin, write, read or none; 'maintain' is told as write, 'triage' as read, as the forge itself sums them up."""
        if not login:
            return "none"
        try:
            told = self.client.get(f"repos/{slug}/collaborators/{quote(login, safe='')}/permission", slug).body
        except Gone:
            return "none"
        return str(told.get("permission") or "none")

    def repository_ids(self, slugs: Iterable[Slug]) -> dict[str, str]:
        found: dict[str, str] = {}
        waiting = iter(slugs)
        while some := list(islice(waiting, _IDS_AT_ONCE)):
            variables = {f"o{n}": slug.owner for n, slug in enumerate(some)} | {
                f"n{n}": slug.name for n, slug in enumerate(some)
            }
            try:
                told = self.client.query(documents.repository_ids(len(some)), variables, some[0], "watch")
            except Gone:  # none of them
                continue
            for n, slug in enumerate(some):
                if told.get(f"r{n}"):
                    found[str(slug)] = told[f"r{n}"]["id"]
        return found

    def look(
        self, nodes: Mapping[str, str], known: Mapping[str, datetime], slug: Slug, *, with_queue: bool = False
    ) -> Look:
        """Pages further back than what is known are left out: a pull request without a change since is as it was."""
        variables = {"ids": list(nodes), "first": _HEADS_AT_ONCE}
        told = self.client.query(documents.heads(with_queue=with_queue), variables, slug, "watch")
        heads: list[SeenHead] = []
        merges: list[QueuedMerge] = []
        answered, complete = set(), set()
        for node in told.get("nodes") or ():
            if not node or "pullRequests" not in node:
                continue  # deleted, or taken from our sight
            repo = nodes[node["id"]]
            answered.add(repo)
            merges += _merges(repo, node)
            seen, is_complete = self._pages(repo, node, known.get(repo), slug)
            heads += seen
            complete |= {repo} if is_complete else set()
        return Look(tuple(heads), tuple(merges), frozenset(answered), frozenset(complete))

    def _pages(
        self, repo: str, node: Mapping[str, Any], known: datetime | None, slug: Slug
    ) -> tuple[list[SeenHead], bool]:
        pulls = node["pullRequests"]
        seen: list[SeenHead] = []
        for _ in range(_MOST_PAGES):
            heads = [_seen(repo, entry) for entry in pulls["nodes"] if entry]
            seen += heads
            if not pulls["pageInfo"]["hasNextPage"]:
                return seen, True
            if _reaches(heads, known):
                return seen, False
            variables = {"id": node["id"], "after": pulls["pageInfo"]["endCursor"]}
            answer = self.client.query(documents.MORE_HEADS, variables, slug, "watch").get("node")
            if not answer:
                return seen, False
            pulls = answer["pullRequests"]
        return seen, False


def _merges(repo: str, node: Mapping[str, Any]) -> Iterator[QueuedMerge]:
    for entry in ((node.get("mergeQueue") or {}).get("entries") or {}).get("nodes") or ():
        if entry and entry.get("headCommit") and entry.get("pullRequest"):
            pull = entry["pullRequest"]
            yield QueuedMerge(repo, entry["headCommit"]["oid"], pull["number"], pull["headRefOid"])


def _reaches(heads: list[SeenHead], known: datetime | None) -> bool:
    """At or before it: times of a forge are whole seconds, so what is just as old may still be new."""
    last = heads[-1].updated_at if heads else None
    return known is not None and last is not None and last < known


def _seen(repo: str, entry: Mapping[str, Any]) -> SeenHead:
    return SeenHead(
        repo=repo, number=entry["number"], head=entry["headRefOid"], base_ref=entry["baseRefName"], head_ref=entry["headRefName"],
        state=str(entry.get("state") or "OPEN").lower(), is_draft=bool(entry.get("isDraft")), is_fork=bool(entry.get("isCrossRepository")),
        author=_actor(entry.get("author")), updated_at=_moment(entry.get("updatedAt")),
    )  # fmt: skip


def _thread(node: Mapping[str, Any]) -> Thread:
    comments = node["comments"]
    told = tuple(_comment(comment) for comment in comments["nodes"] if comment)
    resolver = node.get("resolvedBy")
    return Thread(
        id=node["id"], is_resolved=bool(node["isResolved"]), is_outdated=bool(node["isOutdated"]),
        can_resolve=bool(node.get("viewerCanResolve")), resolved_by=Actor(_login(resolver["login"])) if resolver else None,
        comments=told, has_more=comments["totalCount"] > len(told),
    )  # fmt: skip


def _comment(node: Mapping[str, Any]) -> ThreadComment:
    reactions = tuple(
        Reaction(str(entry["content"]), Actor(_login((entry.get("user") or {}).get("login")), (entry.get("user") or {}).get("databaseId")))
        for entry in (node.get("reactions") or {}).get("nodes") or ()
        if entry
    )  # fmt: skip
    return ThreadComment(node["databaseId"], node.get("body") or "", _actor(node.get("author")), reactions)


def _actor(node: Mapping[str, Any] | None) -> Actor:
    if not node:
        return Actor("")
    return Actor(_login(node.get("login")), node.get("databaseId"), str(node.get("__typename") or ""))


def rest_actor(user: Mapping[str, Any] | None) -> Actor:
    if not user:
        return Actor("")
    return Actor(_login(user.get("login")), user.get("id"), str(user.get("type") or ""))


def _login(login: object) -> str:
    """REST says 'x[bot]' where GraphQL says 'x' and the kind."""
    return str(login or "").removesuffix("[bot]")


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
