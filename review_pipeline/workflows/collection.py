"""Polls open batches and collects those that have ended: every request that was sent comes out in exactly one counted state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import orjson

from review_pipeline.core.audit import Cell, NewEvent, State, Submission
from review_pipeline.core.failures import Outcome
from review_pipeline.core.workloads import WORKLOADS
from review_pipeline.ports import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from review_pipeline.ports import Batches, Clock, Collected, IdCheck, Ledger, ResultFiles, Results, Spool

MOST_DOWNLOADS = 3
# A stream that was cut between two lines looks like lost lines, and what is believed lost is sent, and paid, again: only a few are, or after a day.
FEW_LINES = 10
LOST_FOR_GOOD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Polled:
    """One look at all open batches. troubled: those that gave no answer this time, with what was said; they go on being polled."""

    ended: tuple[Submission, ...]
    in_progress: int
    troubled: tuple[tuple[str, str], ...]
    not_reached: int = 0


def poll(api: Batches, ledger: Ledger, clock: Clock, has_time: Callable[[], bool] = lambda: True) -> Polled:
    """Asks about every batch in progress, the oldest first, while there is time. No answer is not a failure of the batch."""
    open_ = ledger.submissions(states=(State.IN_PROGRESS,))
    troubled, in_progress, reached = [], 0, 0
    for submission in open_:
        if not has_time():
            break
        reached += 1
        assert submission.batch_id is not None
        try:
            batch = api.retrieve(submission.batch_id)
            if submission.cancel_asked_at is not None and batch.status == "in_progress":
                batch = api.cancel(submission.batch_id)  # the process that meant to stopped before it did
        except (Unavailable, Refused) as error:
            troubled.append((submission.batch_id, str(error)))
            ledger.note(submission.id, str(error))
            continue
        if batch.has_ended:
            ledger.record_end(submission.id, batch, clock())
        else:
            in_progress += 1
    ended = ledger.submissions(states=(State.ENDED,))
    return Polled(ended, in_progress, tuple(troubled), len(open_) - reached)


@dataclass(frozen=True, slots=True)
class Collector:
    api: Batches
    ledger: Ledger
    spool: Spool
    results: Results
    clock: Clock

    def collect_cell(self, cell: Cell) -> tuple[tuple[Submission, Collected], ...]:
        """Every ended batch of the cell that was not collected yet. Raises Unavailable when results cannot be had now."""
        ended = self.ledger.submissions(cell=cell, states=(State.ENDED,))
        return tuple((one, found) for one in ended if (found := self._collect(one)) is not None)

    def _collect(self, submission: Submission) -> Collected | None:
        assert submission.batch_id is not None
        plan = self.ledger.planned(Cell.parse(submission.cell))
        assert plan is not None
        files = self.spool.result_files(submission.folder, submission.batch_id)
        if not files.raw.exists() and not self._download(submission, files):
            return None
        collected = self.results.read(
            files,
            plan.repo,
            submission.model,
            _priced_on(submission),
            WORKLOADS[plan.workload],
            is_sync=submission.is_sync,
        )
        now = self.clock()
        event = self._event(submission, files, collected)
        if broke := [request for request in collected.failed if request.outcome == Outcome.BILLING]:
            # First: once it is collected, nobody would look at these failures again before sending.
            self.ledger.pause("billing", broke[0].error_message or "the API refused to bill", now)
        return collected if self.ledger.record_collection(submission, collected, event, now) else None

    def _download(self, submission: Submission, files: ResultFiles) -> bool:
        """Into the spool, once it is complete. False if the batch turns out to be somebody else's."""
        assert submission.batch_id is not None
        try:
            check = self._downloaded(submission, files)
            if _is_foreign(submission, check):
                others = (*submission.not_batches, submission.batch_id)
                self.ledger.disown(submission.id, others, f"batch {submission.batch_id} holds other requests than ours")
                return False
            if not check.is_complete:
                _keep_first_lines_of_ours(files.part, files.manifest)
            files.part.replace(files.raw)
        finally:
            files.part.unlink(missing_ok=True)
        return True

    def _downloaded(self, submission: Submission, files: ResultFiles) -> IdCheck:
        """What was downloaded, against what was sent; what is not complete is believed only if it comes the same each time."""
        assert submission.batch_id is not None
        checks: list[IdCheck] = []
        trouble: Unavailable | None = None
        for _ in range(MOST_DOWNLOADS):
            try:
                self.api.download(submission.batch_id, files.part)
                checks.append(self.results.check(files.part, files.manifest))
            except Unavailable as error:
                trouble = error
                continue
            if checks[-1].is_complete:
                return checks[-1]
        if trouble is None and len(set(checks)) == 1 and self._is_believed(submission, checks[0]):
            return checks[0]
        why = (
            trouble
            or f"{checks[-1].missing} of {submission.requests} results of batch {submission.batch_id} are missing."
        )
        raise Unavailable(
            f"{why} After {MOST_DOWNLOADS} tries nothing of it was collected; the results stay at the API for 29 days: run the same command again."
        ) from trouble

    def _is_believed(self, submission: Submission, check: IdCheck) -> bool:
        is_few = check.lines > check.unknown and check.missing <= max(FEW_LINES, submission.requests // 100)
        if is_few or _is_foreign(submission, check):
            return True
        return submission.ended_at is not None and self.clock() - submission.ended_at > LOST_FOR_GOOD

    def _event(self, submission: Submission, files: ResultFiles, collected: Collected) -> NewEvent:
        plan = self.ledger.planned(Cell.parse(submission.cell))
        assert plan is not None
        assert submission.created_at is not None
        counts = {name: submission.counts.get(name, 0) for name in ("succeeded", "errored", "canceled", "expired")}
        payload = {
            "batch_id": submission.batch_id,
            "submission": submission.id,
            "route": "sync" if submission.is_sync else "batch",
            "surcharge_usd": str(collected.surcharge_usd),
            "cell": submission.cell,
            "audit_date": plan.cell.day.isoformat(),
            "workload": plan.workload,
            "repo": plan.repo,
            "round": submission.round,
            "model": submission.model,
            "prompt_version": plan.prompt_version,
            "requests": submission.requests,
            **counts,
            "created_at": submission.created_at.isoformat(),
            "ended_at": submission.ended_at.isoformat() if submission.ended_at else None,
            "collected_at": self.clock().isoformat(),
            "outcomes": self.spool.relative(files.outcomes),
            "findings": self.spool.relative(files.findings),
        }
        return NewEvent(f"batch_collected {submission.batch_id}", WORKLOADS[plan.workload].event, payload)


def _is_foreign(submission: Submission, check: IdCheck) -> bool:
    """Only a batch that was adopted without a receipt can be, and only if all of its lines came."""
    return submission.doubted_at is not None and check.lines == check.unknown == submission.requests


def _priced_on(submission: Submission) -> date:
    """Prices of the day on which the batch was created."""
    assert submission.created_at is not None
    return submission.created_at.date()


def _keep_first_lines_of_ours(raw: Path, manifest: Path) -> None:
    """Lines that came twice, or that nobody asked for, are dropped; requests without a line will be counted as missing."""
    with manifest.open("rb") as rows:
        waiting = {orjson.loads(row)["custom_id"] for row in rows}
    kept = raw.with_name(raw.name + ".kept")
    with raw.open("rb") as lines, kept.open("wb") as file:
        for line in lines:
            if line.strip() and (custom_id := orjson.loads(line).get("custom_id")) in waiting:
                waiting.remove(custom_id)
                file.write(line if line.endswith(b"\n") else line + b"\n")
    kept.replace(raw)
