"""Makes what the overnight backlog needs, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_pipeline.core import routing
from review_pipeline.core.audit import Cell, PlannedCell
from review_pipeline.core.backlog import BacklogPull
from review_pipeline.core.review_record import ReviewRow
from review_pipeline.core.workloads import BACKLOG
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.settings import PullRequestsEntry, RepositoryEntry, declared
from review_pipeline.wiring import Pipeline, nonce, utc_now
from review_pipeline.wiring_forge import ForgeWiring, slug_of
from review_pipeline.workflows.backlog import Backlog, OpenPull, Progress, plan_backlog

if TYPE_CHECKING:
    from review_pipeline.core.head_queue import QueuedHead
    from review_pipeline.core.pull_request import Target
    from review_pipeline.workflows.backlog_end import BacklogEnd
    from review_pipeline.workflows.new_heads import Head
    from review_pipeline.workflows.pull_request import Planner


def silent(_what: str, _done: int, _of: int) -> None:
    return


@dataclass(frozen=True)
class BacklogWiring:
    """The backlog of one repository."""

    pipeline: Pipeline
    entry: RepositoryEntry

    def plan(self, cell: Cell, progress: Progress = silent) -> PlannedCell:
        """Nothing is sent. Raises Refused for a repository without pull requests."""
        pipeline = self.pipeline
        if pipeline.ledger.planned(cell) is None:
            pulls: tuple[OpenPull, ...] = tuple(self._pulls())
        else:
            pulls = ()
        return plan_backlog(
            self._backlog, cell, pulls, pipeline.ledger, pipeline.spool, nonce=nonce(), now=utc_now(), progress=progress
        )

    def conclude(self, cell: Cell) -> tuple[BacklogPull, ...]:
        """Those that it has brought to their end; see BacklogEnd."""
        return self.end.conclude_cell(cell)

    @property
    def end(self) -> BacklogEnd:
        from review_pipeline.workflows.backlog_end import BacklogEnd

        pipeline = self.pipeline
        return BacklogEnd(pipeline.ledger, pipeline.spool, pipeline.results, utc_now, self._planner_of, self._publish)

    @property
    def _backlog(self) -> Backlog:
        config, entry = self.pipeline.settings.config, self.pipeline.declared(BACKLOG)
        return Backlog(
            self.entry.name, config.workloads.pull_request_review.model, entry.max_tokens, self.pipeline.limits, self.pipeline.prices,
            entry.sla_hours, routing.route(declared(BACKLOG.name, entry)).reason, config.batches.expected_cache_hits,
        )  # fmt: skip

    def _pulls(self) -> Iterator[OpenPull]:
        return self._pulls_of_forge() if self.entry.github else self._branches()

    def _branches(self) -> Iterator[OpenPull]:
        from review_pipeline.workflows.new_heads import open_heads

        pipeline = self.pipeline
        if self.entry.pull_requests is None:
            raise no_pull_requests(self.entry)
        rules: PullRequestsEntry = self.entry.pull_requests
        changes = pipeline.changes(pipeline.settings.repository_path(self.entry))
        for head in open_heads(self.entry.name, rules.base, rules.branches, changes, pipeline.ledger):
            yield OpenPull(head.branch, head.commit, "", head.is_reviewed, self._of_branch(head))

    def _of_branch(self, head: Head) -> Callable[[], tuple[Planner, Target]]:
        def prepare() -> tuple[Planner, Target]:
            planner = self.pipeline.planner(self.entry, head.base)
            return planner, planner.target(head.repo, head.base, head.commit, head.branch)

        return prepare

    def _pulls_of_forge(self) -> Iterator[OpenPull]:
        """As the sensor sees them; looked at anew, because it may be off. Those it has settled are known by what was reviewed."""
        wiring, ledger = self._forge, self.pipeline.ledger
        if troubles := wiring.watch().look({self.entry.name: slug_of(self.entry)}).troubles:
            raise Unavailable("; ".join(troubles))
        for queued in sorted(ledger.known_heads([self.entry.name]).values(), key=lambda queued: queued.seen.number):
            seen = queued.seen
            last = wiring.last_review(seen.repo, seen.number, seen.head, seen.base_ref)
            is_reviewed = last is not None and last.state in ("reviewed", "nothing_to_review")
            yield OpenPull(
                str(seen.number), seen.head, wiring.policy.refusal(seen), is_reviewed, self._of_forge(wiring, queued)
            )

    def _of_forge(self, wiring: ForgeWiring, queued: QueuedHead) -> Callable[[], tuple[Planner, Target]]:
        def prepare() -> tuple[Planner, Target]:
            target = wiring.pulls(self.entry).prepare(queued.seen.number, queued.seen.head)
            return self._planner_of(target.base, target.number), target

        return prepare

    @property
    def _forge(self) -> ForgeWiring:
        return ForgeWiring(self.pipeline)

    def _planner_of(self, base: str, number: str) -> Planner:
        return self.pipeline.planner(self.entry, base, on_forge=self.pipeline.is_on_forge(self.entry, number))

    def _publish(self, row: ReviewRow) -> None:
        if self.pipeline.is_on_forge(self.entry, row.target.number):
            publisher = self._forge.publisher(self.entry)
            if not publisher.is_published(row):
                publisher.publish(row)


def conclude(pipeline: Pipeline, cell: Cell) -> tuple[BacklogPull, ...]:
    """Pull requests of a cell that it has brought to their end; none for cells of other workloads."""
    workload, entry = pipeline.asked_by(cell)
    if workload is not BACKLOG:
        return ()
    assert isinstance(entry, RepositoryEntry)
    return BacklogWiring(pipeline, entry).conclude(cell)


def no_pull_requests(entry: RepositoryEntry) -> Refused:
    return Refused(
        f"repository {entry.name!r} has no pull requests to look at: give it `pull_requests:` or `github:` in the configuration."
    )
