"""A pull request of a forge on its way to a review: fetched, pinned, and with what people have answered so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from review_pipeline.core.forge import PullRequest, Slug
from review_pipeline.core.pull_request import Target
from review_pipeline.core.review_record import ReviewRow
from review_pipeline.forge_ports import Forge, Mirror
from review_pipeline.ports import Changes, Gone
from review_pipeline.workflows.feedback import Feedback
from review_pipeline.workflows.publishing import Publisher


@dataclass(frozen=True, slots=True)
class ForgePulls:
    """Pull requests of one repository. changes: of the mirror that fetches."""

    repo: str
    slug: Slug
    forge: Forge
    mirror: Mirror
    changes: Changes
    publisher: Publisher
    feedback: Feedback
    reviews: Callable[[str, str], Iterable[ReviewRow]]

    def prepare(self, number: int, head: str | None = None) -> Target:
        """Ends what earlier reviews have left half posted, hears what people said, and pins both ends.

        head: as it was seen; a push since is another review's. Raises Gone for what is not open any more.
        """
        pull = self._open(number)
        self._finish_earlier(number, head or pull.head)
        self.feedback.hear(number)
        return self._pinned(pull, head)

    def pinned(self, number: int) -> Target:
        """Both ends fetched; nothing is written on the forge."""
        return self._pinned(self._open(number), None)

    def _open(self, number: int) -> PullRequest:
        pull = self.forge.pull(self.slug, number)
        if pull.state != "open":
            raise Gone(f"{self.slug}#{number} is {pull.state}; only open pull requests are reviewed.")
        return pull

    def _pinned(self, pull: PullRequest, head: str | None) -> Target:
        pinned = head or pull.head
        base = self.mirror.fetch_pull(pull.clone_url, pinned, pull.base, pull.base_ref, pull.number)
        merge_base = self.changes.merge_base(base, pinned)
        return Target(
            self.repo, str(pull.number), pull.base_ref, pull.head_ref or f"pull/{pull.number}", base, pinned, merge_base, pull.title, pull.author.login
        )  # fmt: skip

    def _finish_earlier(self, number: int, head: str) -> None:
        """Each review that was finished is told about the head it has read, before another one is begun. Not of this head: it may be gone on with."""
        rows = [
            row
            for row in self.reviews(self.repo, str(number))
            if row.is_finished and row.state in ("reviewed", "incomplete") and row.target.head != head
        ]
        for row in sorted(rows, key=lambda row: row.planned_at):
            if not self.publisher.is_published(row):
                self.publisher.publish(row)
