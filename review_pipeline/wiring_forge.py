"""Makes what talks to the forge, from the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from review_pipeline.access import GitHubAccess
from review_pipeline.core.feedback import FeedbackRules
from review_pipeline.core.forge import PullRequest, QueuedMerge, Slug
from review_pipeline.core.head_queue import HeadPolicy
from review_pipeline.core.posting import conclusion
from review_pipeline.core.review_record import ReviewRow
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.settings import RepositoryEntry
from review_pipeline.wiring import Audited, Pipeline, utc_now

if TYPE_CHECKING:
    from review_pipeline.adapters.github.client import Credentials, GitHubClient
    from review_pipeline.adapters.github.forge import GitHubForge
    from review_pipeline.adapters.mirror import GitMirror
    from review_pipeline.report.review import ReviewPage
    from review_pipeline.workflows.feedback import Feedback, FileNow, HeardAll
    from review_pipeline.workflows.forge_pull import ForgePulls
    from review_pipeline.workflows.merge_queue import MergeQueue
    from review_pipeline.workflows.publishing import Publisher
    from review_pipeline.workflows.pull_heads import PullWatch

_ALONE_SECONDS = 600
# A sensor's tick must end within a minute, whatever the forge does.
_WATCH_TIMEOUT_SECONDS, _WATCH_TRIES, _WATCH_PATIENCE_SECONDS = 10.0, 2, 4.0


def credentials(access: GitHubAccess) -> Credentials:
    """Raises Refused if nobody is logged in."""
    from review_pipeline.adapters.github.auth import AppCredentials, TokenCredentials

    access.check()
    if access.app_id and access.private_key:
        return AppCredentials(access.api_url, access.app_id, access.private_key)
    return TokenCredentials(access.token or "")


@lru_cache(maxsize=4)
def lasting_credentials(access: GitHubAccess) -> Credentials:
    """For what asks again and again in one process: a token of an App is good for an hour, and a tick must not make one each time."""
    return credentials(access)


@dataclass(frozen=True)
class ForgeWiring:
    """One for each piece of work: it holds the connection and the tokens."""

    pipeline: Pipeline
    made: Callable[[GitHubAccess], Credentials] = credentials

    @cached_property
    def credentials(self) -> Credentials:
        """Raises Refused if nobody is logged in."""
        return self.made(self.pipeline.settings.github)

    @cached_property
    def forge(self) -> GitHubForge:
        from review_pipeline.adapters.github.client import GitHubClient

        return self._forge(GitHubClient(self.pipeline.settings.github.api_url, self.credentials))

    @cached_property
    def _watching(self) -> GitHubForge:
        from review_pipeline.adapters.github.client import GitHubClient

        client = GitHubClient(
            self.pipeline.settings.github.api_url, self.credentials, patience_seconds=_WATCH_PATIENCE_SECONDS,
            timeout_seconds=_WATCH_TIMEOUT_SECONDS, read_tries=_WATCH_TRIES,
        )  # fmt: skip
        return self._forge(client)

    def _forge(self, client: GitHubClient) -> GitHubForge:
        from review_pipeline.adapters.github.forge import GitHubForge

        return GitHubForge(client, has_checks=self.pipeline.settings.github.is_app)

    @property
    def entries(self) -> tuple[RepositoryEntry, ...]:
        return tuple(entry for entry in self.pipeline.settings.config.repositories if entry.github)

    @property
    def policy(self) -> HeadPolicy:
        rules = self.pipeline.settings.config.github
        return HeadPolicy(rules.drafts, rules.forks, rules.skip_authors, rules.bases)

    def watch(self) -> PullWatch:
        from review_pipeline.workflows.pull_heads import PullWatch

        rules = self.pipeline.settings.config.github
        return PullWatch(self._watching, self.pipeline.ledger, self.policy, utc_now, time.monotonic, rules.merge_queue)

    def mirror(self, entry: RepositoryEntry) -> GitMirror:
        from review_pipeline.adapters.mirror import GitMirror

        slug = slug_of(entry)
        return GitMirror(
            self.pipeline.settings.mirror_path(entry),
            lambda: self.credentials.token("read", slug),
            on_this_machine=self.pipeline.settings.github.is_on_this_machine,
        )

    def fetched(self, entry: Audited) -> Audited:
        """Ready to be audited: what is on the forge alone is fetched first, and pinned to the newest commit of its ref."""
        if not isinstance(entry, RepositoryEntry) or entry.path is not None:
            return entry
        url = self.forge.clone_url(slug_of(entry))
        return entry.model_copy(update={"ref": self.mirror(entry).fetch_branch(url, entry.ref)})

    def publisher(self, entry: RepositoryEntry) -> Publisher:
        from review_pipeline.workflows.posting_review import ReviewPoster
        from review_pipeline.workflows.publishing import PostingRules, Publisher
        from review_pipeline.workflows.threads import Threads

        rules, ledger, slug = self.pipeline.settings.config.github, self.pipeline.ledger, slug_of(entry)
        changes = self.pipeline.changes(self.pipeline.settings.mirror_path(entry))
        poster = ReviewPoster(
            self.forge, ledger, changes, slug, utc_now, self._save_removed, rules.most_inline, rules.dedicated_account,
            self.pipeline.settings.config.workloads.pull_request_review.max_diff_bytes,
        )  # fmt: skip
        return Publisher(
            self.forge, ledger, slug,
            PostingRules(rules.block_on, rules.label, rules.reviewers, rules.teams, rules.resolve_threads, rules.sarif),
            poster, Threads(self.forge, ledger, changes, slug, utc_now), self.pipeline.page, _sarif, self._alone, utc_now,
        )  # fmt: skip

    def feedback(self, entry: RepositoryEntry) -> Feedback:
        from review_pipeline.workflows.feedback import Feedback

        rules = self.pipeline.settings.config.github
        return Feedback(
            self.forge, self.pipeline.ledger, entry.name, slug_of(entry), FeedbackRules(rules.dismissing_words, rules.reactions), utc_now
        )  # fmt: skip

    def hear(self, most: int) -> HeardAll:
        """What developers made of findings, on every repository of the forge."""
        from review_pipeline.workflows.feedback import HeardAll

        heard = HeardAll()
        for entry in self.entries:
            self.feedback(entry).hear_all(heard, most, self._file_now(entry))
        return heard

    def _file_now(self, entry: RepositoryEntry) -> FileNow:
        """Each branch is fetched once, and only if one of its files is asked for."""
        changes = self.pipeline.changes(self.pipeline.settings.mirror_path(entry))
        tips: dict[str, str] = {}

        def file_now(pull: PullRequest, path: str) -> str | None:
            if pull.base_ref not in tips:
                tips[pull.base_ref] = self.mirror(entry).fetch_branch(pull.clone_url, pull.base_ref)
            return changes.file(tips[pull.base_ref], path)

        return file_now

    def pulls(self, entry: RepositoryEntry) -> ForgePulls:
        from review_pipeline.workflows.forge_pull import ForgePulls

        return ForgePulls(
            entry.name, slug_of(entry), self.forge, self.mirror(entry), self.pipeline.changes(self.pipeline.settings.mirror_path(entry)),
            self.publisher(entry), self.feedback(entry), self.pipeline.ledger.reviews,
        )  # fmt: skip

    def merge_queue(self, entry: RepositoryEntry) -> MergeQueue:
        from review_pipeline.workflows.merge_queue import MergeQueue

        block_on = self.pipeline.settings.config.github.block_on

        def verdict(merge: QueuedMerge) -> str:
            rows = self.pipeline.ledger.reviews(merge.repo, str(merge.number))
            row = next((row for row in rows if row.is_finished and row.target.head == merge.head), None)
            return conclusion(row.state, self.pipeline.page(row).findings, block_on) if row else ""

        return MergeQueue(self._watching, self.pipeline.ledger, slug_of(entry), verdict, block_on != "never", utc_now)

    def last_review(self, repo: str, number: int, head: str, base_ref: str) -> ReviewRow | None:
        """The newest that has ended, of this head against this base."""
        rows = self.pipeline.ledger.reviews(repo, str(number))
        return next((row for row in rows if row.is_finished and (row.target.head, row.target.base_ref) == (head, base_ref)), None)  # fmt: skip

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One process of this machine posts on a pull request at a time; the marks keep others from doing it twice."""
        folder = self.pipeline.home / "posting"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock")
        try:
            lock.acquire(timeout=_ALONE_SECONDS)
        except Timeout as error:
            raise Unavailable(f"another process has been posting on {name} for {_ALONE_SECONDS} s. Try again later.") from error  # fmt: skip
        try:
            yield
        finally:
            lock.release()

    def _save_removed(self, text: str) -> None:
        folder = self.pipeline.home / "removed"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{utc_now():%Y%m%dT%H%M%S%f}.md").write_text(text, encoding="utf-8")


def slug_of(entry: RepositoryEntry) -> Slug:
    if entry.github is None:
        raise Refused(
            f"repository {entry.name!r} is on no forge: it has no `github: owner/name` in the configuration. Add it there."
        )
    return Slug.parse(entry.github)


def _sarif(page: ReviewPage) -> str:
    from review_pipeline.report.sarif import sarif

    return json.dumps(sarif(page))
