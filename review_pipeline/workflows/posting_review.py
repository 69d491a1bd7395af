"""One review on the forge, exactly once: begun where only we see it, submitted as a whole, read back on every doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from review_pipeline.core.fix import replacement
from review_pipeline.core.forge import InlineComment, PostedReview, Slug
from review_pipeline.core.marker import content_id, mark, marks, post_id
from review_pipeline.core.posting import Commentable, Telling, Told, telling
from review_pipeline.core.posts import Post
from review_pipeline.core.review_record import FindingRow
from review_pipeline.forge_ports import Forge, Posts
from review_pipeline.ports import (
    AnchorRefused,
    Changes,
    Forbidden,
    Gone,
    InDoubt,
    PendingReview,
    Refused,
    Unavailable,
    Unprocessable,
)
from review_pipeline.report.posted import Posting, comment_body, review_body
from review_pipeline.report.review import ReviewPage

_ROUNDS = 5  # of reading back and trying again, before a later run goes on
_MOST_TESTS = 48  # requests to find out which comments the forge refuses
_ONLY_A_TEST = "0" * 12


@dataclass(frozen=True, slots=True)
class ReviewPoster:
    """most_inline: comments at lines; account_is_ours: no person writes reviews with it by hand.

    save_removed: keeps the text of somebody's unfinished review that had to make room.
    """

    forge: Forge
    ledger: Posts
    changes: Changes
    slug: Slug
    clock: Callable[[], datetime]
    save_removed: Callable[[str], object]
    most_inline: int = 40
    account_is_ours: bool = True
    most_diff_bytes: int = 64_000_000

    def telling(self, page: ReviewPage) -> Telling:
        """What this review itself has asked for counts as still to be told: it may have to be made again."""
        target = page.review.target
        posts = self.ledger.posts(target.repo, target.number)
        earlier = [post for post in posts if post.review != page.review.key and post.state == "done"]
        told = frozenset(post.finding for post in earlier if post.kind in ("comment", "body"))
        asked = frozenset(post.finding for post in earlier if post.kind == "doubt")
        own = [post for post in posts if post.review == page.review.key and post.kind == "comment"]
        refused = frozenset(post.finding for post in own if post.state == "refused")
        try:
            where = Commentable.of(self.changes.difference(target.merge_base, target.head, self.most_diff_bytes))
        except Refused:
            where = Commentable({})  # everything goes into the body
        return telling(page.findings, page.review.key, target.head, told, asked, where, refused, self.most_inline)

    def plan(self, posting: Posting) -> Post:
        """Everything that the review is to consist of is written down before the first call."""
        page = posting.page
        self.ledger.plan_posts(
            (self._row(page, kind, finding) for kind, finding in _parts(posting.telling)), self.clock()
        )
        review = self.ledger.post(self.id_of(page, "review"))
        assert review is not None
        return review

    def id_of(self, page: ReviewPage, kind: str, finding: str = "") -> str:
        return self.id_of_review(page.review.key, kind, finding)

    def id_of_review(self, review: str, kind: str, finding: str) -> str:
        return post_id(self.ledger.marker_key(), review, kind, finding)

    def _row(self, page: ReviewPage, kind: str, finding: str = "") -> Post:
        target = page.review.target
        return Post(
            self.id_of(page, kind, finding), target.repo, target.number, page.review.key, target.head, kind, finding
        )

    def post(self, posting: Posting) -> Post:
        """Returns the review's row: done, refused or superseded. Raises Unavailable where only a later run can go on."""
        review = self.plan(posting)
        number = posting.pull.number
        trouble: Exception | None = None
        for _ in range(_ROUNDS):
            if review.has_ended:
                return review
            mine = self.forge.reviews(self.slug, number)
            done = next((r for r in mine if r.state != "PENDING" and review.id in marks(r.body)), None)
            if done is not None:
                return self._receipt(posting, review, done)
            try:
                if not self._submitted(posting, review, next((r for r in mine if r.state == "PENDING"), None)):
                    posting = replace(posting, telling=self.telling(posting.page))
                    self.plan(posting)
            except (InDoubt, PendingReview) as error:
                trouble = error
            except (Forbidden, Gone) as error:
                return self.end(review, "refused", f"the review may not be posted: {error}")
            except Refused as error:
                return self._not_taken(posting, review, error)
        raise Unavailable(
            f"{self.slug}#{number}: after {_ROUNDS} tries it is not known whether the review stands there ({trouble}). Nothing is posted twice: the next run reads back first."
        ) from trouble

    def _submitted(self, posting: Posting, review: Post, pending: PostedReview | None) -> bool:
        """False if the forge refused some places: what stood there goes into the body of the next try."""
        number = posting.pull.number
        if pending is not None and marks(pending.body).get(review.id) == self._content(posting, review):
            self.forge.submit(self.slug, number, pending.id)
            return True
        if pending is not None:
            self._make_room(number, pending)
        self.ledger.ask_posts([self.id_of(posting.page, *part) for part in _parts(posting.telling)], self.clock())
        begun = self._begun(posting, review)
        if begun is None:
            return False
        self.forge.submit(self.slug, number, begun.id)
        return True

    def end(self, post: Post, state: str, note: str) -> Post:
        """A review that is not posted takes all of its parts with it, so that a later one tells what they held."""
        rest = [part for part in self.ledger.posts(review=post.review) if part.kind in ("comment", "body", "doubt")]
        self.ledger.end_posts([replace(part, state=state, note=note) for part in (post, *rest) if not part.has_ended], self.clock())  # fmt: skip
        return self.ledger.post(post.id) or post

    def _content(self, posting: Posting, review: Post) -> str:
        return content_id([review_body(posting, review.id, ""), *(comment.body for comment in self._comments(posting))])

    def _comments(self, posting: Posting) -> tuple[InlineComment, ...]:
        found = []
        for told in posting.telling.inline:
            assert told.lines is not None
            start, line = told.lines
            post = self.id_of(posting.page, "comment", told.first.finding)
            body = comment_body(told, posting, post, self._before(posting, told.first))
            found.append(InlineComment(post, told.first.path, told.first.side, line, start, body))
        return tuple(found)

    def _before(self, posting: Posting, row: FindingRow) -> list[str]:
        """The file as it is, where a finding comes with new text for its lines."""
        if replacement(row.suggestion) is None:
            return []
        return (self.changes.file(posting.page.review.target.head, row.path) or "").split("\n")

    def _begun(self, posting: Posting, review: Post) -> PostedReview | None:
        number, head = posting.pull.number, posting.page.review.target.head
        body = review_body(posting, review.id, self._content(posting, review))
        comments = self._comments(posting)
        try:
            return self.forge.begin(self.slug, number, head, body, comments)
        except Unprocessable as error:
            # Words that are not known may be about a line or about anything else: without comments it shows.
            if not comments or not (isinstance(error, AnchorRefused) or self._is_taken(posting, review, ())):
                raise Refused(str(error)) from error
            bad = self._bad_ones(posting, review, comments)
            if len(bad) == len(comments) and self.forge.pull(self.slug, number).head != head:
                raise Refused(f"commit {head[:12]} is no longer part of the pull request") from error
            note = f"the forge takes no comment there: {error}"
            rows = [self._row(posting.page, "comment", row.finding) for told in bad for row in told.findings]
            self.ledger.end_posts((replace(row, state="refused", note=note) for row in rows), self.clock())
            return None

    def _bad_ones(self, posting: Posting, review: Post, comments: tuple[InlineComment, ...]) -> list[Told]:
        """A forge refuses all for one and does not say which, so halves are tried, and each that is taken is removed again."""
        bad: list[Told] = []
        waiting = [tuple(zip(posting.telling.inline, comments, strict=True))]
        tests = 0
        while waiting:
            some = waiting.pop(0)
            if tests:  # of the whole it is known
                if tests > _MOST_TESTS:
                    bad += [told for told, _ in some]
                    continue
                if self._is_taken(posting, review, tuple(comment for _, comment in some)):
                    tests += 1
                    continue
            tests += 1
            if len(some) == 1:
                bad.append(some[0][0])
            else:
                waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
        return bad

    def _is_taken(self, posting: Posting, review: Post, comments: tuple[InlineComment, ...]) -> bool:
        """With a mark, so that one which a crash leaves behind is known for what it is."""
        number = posting.pull.number
        try:
            taken = self.forge.begin(
                self.slug, number, posting.page.review.target.head, mark(review.id, _ONLY_A_TEST), comments
            )
        except Unprocessable:
            return False
        self.forge.discard(self.slug, number, taken.id)
        return True

    def _not_taken(self, posting: Posting, review: Post, error: Refused) -> Post:
        """A commit that a force-push has thrown away takes no review: the head that came instead gets one."""
        if self.forge.pull(self.slug, posting.pull.number).head != posting.page.review.target.head:
            return self.end(review, "superseded", f"the branch was rewritten while the review ran: {error}")
        return self.end(review, "refused", f"the forge does not take the review: {error}")

    def _make_room(self, number: int, pending: PostedReview) -> None:
        """A forge takes one unfinished review of an account. Ours is begun anew; somebody's is kept on disk first, or left alone."""
        if not any(self.ledger.post(post) is not None for post in marks(pending.body)):
            if not self.account_is_ours:
                raise Unavailable(
                    f"{self.slug}#{number}: this account has an unfinished review there that is not ours. Submit or discard it in the browser; until then nothing can be posted."
                )
            comments = self.forge.comments(self.slug, number, pending.id)
            self.save_removed("\n\n".join([f"{self.slug}#{number}", pending.body, *(c.body for c in comments)]))
        self.forge.discard(self.slug, number, pending.id)

    def _receipt(self, posting: Posting, review: Post, posted: PostedReview) -> Post:
        """With the comments' ids: by them our threads are known for good, whatever becomes of their text or of our name."""
        remote: dict[str, tuple[int, str]] = {}
        for comment in self.forge.comments(self.slug, posting.pull.number, posted.id):
            remote |= dict.fromkeys(marks(comment.body), (comment.id, comment.url))
        beside = {row.finding: told.first.finding for told in posting.telling.inline for row in told.findings}
        ended = [replace(review, state="done", remote_id=str(posted.id), url=posted.url)]
        for part in self.ledger.posts(review=posting.page.review.key):
            if part.has_ended or part.kind not in ("comment", "body", "doubt"):
                continue
            first = self.id_of(posting.page, "comment", beside.get(part.finding, part.finding))
            comment_id, url = remote.get(first, (0, posted.url)) if part.kind == "comment" else (0, posted.url)
            # What was planned and never asked for is in no review; what was asked for may since have been deleted by a human.
            state = "done" if part.state == "asked" or comment_id else "superseded"
            ended.append(replace(part, state=state, remote_id=str(comment_id or ""), url=url))
        self.ledger.end_posts(ended, self.clock())
        return self.ledger.post(review.id) or review


def _parts(telling: Telling) -> Iterable[tuple[str, str]]:
    yield "review", ""
    yield from (("comment", row.finding) for told in telling.inline for row in told.findings)
    yield from (("body", row.finding) for told in telling.body for row in told.findings)
    yield from (("doubt", row.finding) for row in telling.doubtful)
