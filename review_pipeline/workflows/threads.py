"""Threads of earlier findings: resolved when all agree that they are settled, answered once when they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from review_pipeline.core.forge import Actor, Slug, Thread
from review_pipeline.core.marker import marks, post_id
from review_pipeline.core.posting import MOST_REPLIES, Telling, may_resolve, spoke_last
from review_pipeline.core.posts import Post
from review_pipeline.core.review_record import FindingRow
from review_pipeline.forge_ports import Forge, Posts
from review_pipeline.ports import Changes, InDoubt, Refused, Unavailable
from review_pipeline.report.posted import reply_body
from review_pipeline.report.review import ReviewPage
from review_pipeline.workflows.review_passes import prior_name

_MOST_DIFF_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class OurThread:
    """A thread that one of our comments began. told_head: the commit that the comment is about."""

    finding: str
    comment: int
    told_head: str
    thread: Thread


def our_threads(posts: Iterable[Post], threads: Iterable[Thread]) -> dict[str, OurThread]:
    """By finding. Known by the ids that the ledger holds: a mark in a text can be copied, and a text can be edited."""
    by_comment = {thread.comments[0].id: thread for thread in threads if thread.comments}
    found: dict[str, OurThread] = {}
    for post in posts:
        if post.kind == "comment" and post.state == "done" and post.remote_id.isdigit():
            comment = int(post.remote_id)
            if comment in by_comment:
                found[post.finding] = OurThread(post.finding, comment, post.head, by_comment[comment])
    return found


def our_comments(posts: Iterable[Post]) -> frozenset[int]:
    return frozenset(
        int(post.remote_id) for post in posts if post.kind in ("comment", "reply") and post.remote_id.isdigit()
    )


def said_resolved(page: ReviewPage) -> frozenset[str]:
    """Names under which the reviewer of this head said, without contradiction, that findings are resolved."""
    said: dict[str, set[str]] = {}
    for _, end in page.calls:
        for row in (end.answer or {}).get("prior_findings", ()):
            said.setdefault(str(row.get("id", "")), set()).add(str(row.get("status", "")))
    return frozenset(name for name, statuses in said.items() if statuses == {"resolved"})


@dataclass(frozen=True, slots=True)
class Threads:
    forge: Forge
    ledger: Posts
    changes: Changes
    slug: Slug
    clock: Callable[[], datetime]

    def resolve(
        self, page: ReviewPage, telling: Telling, us: Actor, *, enabled: bool
    ) -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:
        """Findings whose threads are resolved now, and those whose threads stay open, with why. Resolved first, told afterwards."""
        fixed = [row for row in telling.ended if row.status == "fixed"]
        posts = self.ledger.posts(page.review.target.repo, page.review.target.number)
        if not fixed or not any(post.kind == "comment" for post in posts):
            return frozenset(), ()
        threads = our_threads(posts, self.forge.threads(self.slug, int(page.review.target.number)))
        ours, agreed = our_comments(posts), said_resolved(page)
        closed: set[str] = set()
        kept: list[tuple[str, str]] = []
        for row in fixed:
            known = threads.get(row.finding)
            if known is None:
                continue
            resolved = [
                post for post in posts if (post.kind, post.finding, post.state) == ("resolve", row.finding, "done")
            ]
            if resolved and known.thread.is_resolved:
                closed.add(row.finding)
                continue
            if resolved:
                kept.append((row.finding, "somebody opened it again after it had been resolved"))
                continue
            if not enabled:
                kept.append((row.finding, "resolving threads is switched off"))
                continue
            why = self._resolve_one(page, row, known, us, ours, agrees=prior_name(UUID(row.finding)) in agreed)
            if why:
                kept.append((row.finding, why))
            else:
                closed.add(row.finding)
        return frozenset(closed), tuple(kept)

    def _resolve_one(
        self, page: ReviewPage, row: FindingRow, known: OurThread, us: Actor, ours: frozenset[int], *, agrees: bool
    ) -> str:
        changed = self._has_changed(known.told_head, page.review.target.head, row.path)
        # Whether we may is only seen with the token that may; here it was listed with the one for reading.
        listed = replace(known.thread, can_resolve=True)
        if why := may_resolve(listed, us, ours, code_changed=changed, model_agrees=agrees):
            return why
        now = self.forge.thread(self.slug, known.thread.id)  # somebody may have answered a moment ago
        if now is None:
            return "it is gone"
        if why := may_resolve(now, us, ours, code_changed=changed, model_agrees=agrees):
            return why
        post = self._planned(page, "resolve", row.finding)
        if post.state == "refused":
            return post.note
        if post.state == "done":
            return ""
        self.ledger.ask_posts([post.id], self.clock())
        try:
            self.forge.resolve(self.slug, known.thread.id)
        except InDoubt as error:
            again = self.forge.thread(self.slug, known.thread.id)
            if again is None or not again.is_resolved:
                raise Unavailable(f"{error}. The next run looks whether it was resolved.") from error
        except Refused as error:
            self.ledger.end_posts([replace(post, state="refused", note=str(error))], self.clock())
            return str(error)
        self.ledger.end_posts([replace(post, state="done", remote_id=known.thread.id)], self.clock())
        return ""

    def reply(self, page: ReviewPage, telling: Telling, us: Actor) -> None:
        """Once for each thread, ever, and only where the code has changed since: who has not touched it needs no reminder."""
        target = page.review.target
        posts = self.ledger.posts(target.repo, target.number)
        answered = {post.finding for post in posts if post.kind == "reply" and post.state in ("done", "refused")}
        rows = [row for row in telling.earlier if row.finding not in answered and row.last_review == page.review.key]
        if not rows or not any(post.kind == "comment" for post in posts):
            return
        threads = our_threads(posts, self.forge.threads(self.slug, int(target.number)))
        ours = our_comments(posts)
        replied = 0
        for row in rows:
            known = threads.get(row.finding)
            if known is None or known.thread.is_resolved or known.told_head == target.head or replied >= MOST_REPLIES:
                continue
            post = self._planned(page, "reply", row.finding, per_review=False)
            if self._is_there(known.thread, post):
                continue
            if not spoke_last(known.thread, us, ours) or not self._has_changed(known.told_head, target.head, row.path):
                continue
            self._say(page, row, known, post)
            replied += 1

    def _is_there(self, thread: Thread, post: Post) -> bool:
        """Said before a crash and not written down: then it is written down now."""
        for comment in thread.comments:
            if post.id in marks(comment.body):
                self.ledger.end_posts([replace(post, state="done", remote_id=str(comment.id))], self.clock())
                return True
        return post.has_ended

    def _say(self, page: ReviewPage, row: FindingRow, known: OurThread, post: Post) -> None:
        self.ledger.ask_posts([post.id], self.clock())
        body = reply_body(row, page.review.target.head, post.id)
        try:
            told = self.forge.reply(self.slug, int(page.review.target.number), known.comment, body)
        except InDoubt as error:
            now = self.forge.thread(self.slug, known.thread.id)
            if now is None or not self._is_there(now, post):
                raise Unavailable(f"{error}. The next run looks whether the reply stands there.") from error
        except Refused as error:
            self.ledger.end_posts([replace(post, state="refused", note=str(error))], self.clock())
        else:
            self.ledger.end_posts([replace(post, state="done", remote_id=str(told.id), url=told.url)], self.clock())

    def _has_changed(self, before: str, now: str, path: str) -> bool:
        """A commit that a force-push has thrown away may be gone; then everything may have changed."""
        if before == now:
            return False
        try:
            differences = self.changes.difference(before, now, _MOST_DIFF_BYTES)
        except Refused:
            return True
        return any(path in (difference.path, difference.old_path) for difference in differences)

    def _id(self, page: ReviewPage, kind: str, finding: str, *, per_review: bool = True) -> str:
        target = page.review.target
        scope = page.review.key if per_review else f"{target.repo}#{target.number}"
        return post_id(self.ledger.marker_key(), scope, kind, finding)

    def _planned(self, page: ReviewPage, kind: str, finding: str, *, per_review: bool = True) -> Post:
        target = page.review.target
        post = Post(
            self._id(page, kind, finding, per_review=per_review), target.repo, target.number, page.review.key, target.head, kind, finding,
        )  # fmt: skip
        self.ledger.plan_posts([post], self.clock())
        return self.ledger.post(post.id) or post
