"""Puts a finished review on the forge: the review, what became of earlier threads, whom to call, and the verdict beside the commit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime

from review_pipeline.core.forge import Conclusion, PullRequest, Slug
from review_pipeline.core.posting import conclusion
from review_pipeline.core.posts import Post
from review_pipeline.core.review_record import ReviewRow
from review_pipeline.forge_ports import Forge, Posts
from review_pipeline.ports import InDoubt, Refused, Unavailable
from review_pipeline.report.posted import Posting, begun, concluded
from review_pipeline.report.review import ReviewPage
from review_pipeline.workflows.posting_review import ReviewPoster
from review_pipeline.workflows.threads import Threads

_TOLD = ("reviewed", "incomplete")  # what is neither is no review: the check alone says so


@dataclass(frozen=True, slots=True)
class PostingRules:
    """block_on: the mildest severity that stops a merge, or 'never'. label, reviewers, teams: for what needs a human."""

    block_on: str = "never"
    label: str = ""
    reviewers: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    resolves_threads: bool = True
    uploads_sarif: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """state: posted, superseded (a newer head is told instead), refused, or nothing (there is no review to post). inline: comments at lines."""

    state: str
    url: str = ""
    inline: int = 0
    verdict: str = ""
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Publisher:
    """alone: one process at a time posts on a pull request. page: all that the ledger holds of a review."""

    forge: Forge
    ledger: Posts
    slug: Slug
    rules: PostingRules
    poster: ReviewPoster
    threads: Threads
    page: Callable[[ReviewRow], ReviewPage]
    sarif: Callable[[ReviewPage], str]
    alone: Callable[[str], AbstractContextManager[None]]
    clock: Callable[[], datetime]

    def begin(self, row: ReviewRow) -> str:
        """Says beside the commit that a review is under way. Returns why that could not be said, or ''."""
        try:
            # Two that begin at once would make two check runs.
            with self.alone(f"{row.target.repo}-{row.target.number}"):
                self._check(self.page(row), "planned", begun())
        except (Refused, Unavailable) as error:
            return str(error)
        return ""

    def publish(self, row: ReviewRow) -> Published:
        """Can be run again at any time. Raises Unavailable where only a later run can go on."""
        with self.alone(f"{row.target.repo}-{row.target.number}"):
            return self._publish(self.page(row))

    def is_published(self, row: ReviewRow) -> bool:
        """Also when nothing could be posted, and that was said. Not while a pull request is closed that may be opened again."""
        kinds = [self._check_id(row, row.state)]
        kinds += [self.poster.id_of_review(row.key, "review", "")] if row.state in _TOLD else []
        posts = [self.ledger.post(post) for post in kinds]
        return all(post is not None and post.has_ended for post in posts)

    def _publish(self, page: ReviewPage) -> Published:
        number = int(page.review.target.number)
        pull = self.forge.pull(self.slug, number)
        posting = Posting(page, pull, self.poster.telling(page))
        troubles: list[str] = []
        review: Post | None = None
        if page.review.state in _TOLD:
            review = self._review(posting)
            troubles += [review.note] if review.state == "refused" else []
            if review.state == "done" and posting.telling.doubtful:
                troubles += self._call_a_human(page, pull)
        if self.rules.uploads_sarif and page.review.state != "failed":
            troubles += self._once(page, "sarif", lambda: self._upload(page))
        verdict = conclusion(page.review.state, page.findings, self.rules.block_on)
        url = (review.url if review else "") or pull.url
        try:
            self._check(page, page.review.state, concluded(posting, verdict, url, tuple(troubles)))
        except Refused as error:
            troubles.append(f"neither a check nor a status could be set: {error}")
        inline = sum(post.state == "done" for post in self.ledger.posts(review=page.review.key, kind="comment"))
        state = {"done": "posted"}.get(review.state, review.state) if review else "nothing"
        return Published(state, review.url if review else "", inline, verdict, tuple(troubles))

    def _review(self, posting: Posting) -> Post:
        """Threads are resolved first, so that what the review says of them is true."""
        review = self.poster.plan(posting)
        pull = posting.pull
        if not review.has_ended and pull.state != "open":  # opened again, it still gets its review
            return replace(
                review, state="refused", note=f"the pull request is {pull.state}; its findings are in the history"
            )
        if not review.has_ended and pull.is_archived:
            return self.poster.end(review, "refused", "the repository is archived; nothing can be posted there")
        us = self.forge.us(self.slug)
        if not review.has_ended:
            closed, kept = self.threads.resolve(posting.page, posting.telling, us, enabled=self.rules.resolves_threads)
            review = self.poster.post(replace(posting, closed=closed, kept=kept))
        if review.state == "done":
            self.threads.reply(posting.page, posting.telling, us)
        return review

    def _call_a_human(self, page: ReviewPage, pull: PullRequest) -> list[str]:
        rules, troubles = self.rules, []
        if rules.label:
            troubles += self._once(page, "label", lambda: self.forge.label(self.slug, pull.number, rules.label))
        logins = tuple(login for login in rules.reviewers if login.lower() != pull.author.login.lower())
        if logins or rules.teams:
            ask = self.forge.request_reviewers
            troubles += self._once(page, "reviewers", lambda: ask(self.slug, pull.number, logins, rules.teams))
        return troubles

    def _upload(self, page: ReviewPage) -> str:
        return self.forge.upload_sarif(
            self.slug, int(page.review.target.number), page.review.target.head, self.sarif(page)
        )

    def _once(self, page: ReviewPage, kind: str, do: Callable[[], str | None]) -> list[str]:
        """For what may be said again without harm: a doubt is settled by saying it again."""
        post = self._planned(page, kind, self.poster.id_of(page, kind))
        if post.has_ended:
            return [post.note] if post.state == "refused" else []
        self.ledger.ask_posts([post.id], self.clock())
        try:
            remote = do()
        except InDoubt as error:
            raise Unavailable(f"{error}. The next run says it again.") from error
        except Refused as error:
            note = f"{kind}: {error}"
            self.ledger.end_posts([replace(post, state="refused", note=note)], self.clock())
            return [note]
        self.ledger.end_posts([replace(post, state="done", remote_id=str(remote or ""))], self.clock())
        return []

    def _check(self, page: ReviewPage, state: str, told: Conclusion) -> None:
        """One check run of a review, told once for each state that the review gets into."""
        post = self._planned(page, "check", self._check_id(page.review, state))
        if post.has_ended:
            return
        mark = self.poster.id_of(page, "check")
        was_begun = any(p.state in ("asked", "done") for p in self.ledger.posts(review=page.review.key, kind="check"))
        self.ledger.ask_posts([post.id], self.clock())
        try:
            remote, url = self.forge.conclude(self.slug, page.review.target.head, told, mark, was_begun=was_begun)
        except InDoubt as error:
            raise Unavailable(f"{error}. The next run reads back and says it again.") from error
        except Refused as error:
            self.ledger.end_posts([replace(post, state="refused", note=str(error))], self.clock())
            raise
        self.ledger.end_posts([replace(post, state="done", remote_id=remote, url=url)], self.clock())

    def _check_id(self, row: ReviewRow, state: str) -> str:
        return self.poster.id_of_review(row.key, "check", state)

    def _planned(self, page: ReviewPage, kind: str, post: str) -> Post:
        target = page.review.target
        row = Post(post, target.repo, target.number, page.review.key, target.head, kind)
        self.ledger.plan_posts([row], self.clock())
        return self.ledger.post(post) or row
