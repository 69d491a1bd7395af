"""Sends what was planned: intent, effect, receipt. What is in doubt is looked for, never sent again on a guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Batch, Cell, State, Submission
from review_pipeline.ports import InDoubt, Refused, Unavailable

if TYPE_CHECKING:
    from review_pipeline.ports import Batches, Ledger, Results, Spool

CLOCK_SKEW = timedelta(minutes=5)

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs. grace: how long the API may take to list a batch that it has accepted."""

    api: Batches
    ledger: Ledger
    spool: Spool
    results: Results
    clock: Clock
    grace: timedelta

    def send_due(self, cell: Cell) -> tuple[Submission, ...]:
        """All submissions of a cell, those that were still only intended having been sent. Raises Unavailable or Refused."""
        for submission in self.ledger.submissions(cell=cell, states=(State.SENDING,)):
            self.reconcile(submission)
        for submission in self.ledger.submissions(cell=cell, states=(State.INTENDED,)):
            self._refuse_while_paused()
            self._send(submission)
        return self.ledger.submissions(cell=cell)

    def reconcile(self, submission: Submission) -> Submission:
        """Looks for the batch of a submission in doubt: adopts it, releases the submission, or leaves it in doubt with a note."""
        with self.spool.sending(submission.folder) as nobody_sends:
            if nobody_sends:
                self._look_for(submission)
        return next(row for row in self.ledger.submissions() if row.id == submission.id)

    def _look_for(self, submission: Submission) -> None:
        assert submission.sent_at is not None
        candidates = self._candidates(submission)
        ours, others = self._told_apart(submission, candidates)
        undecided = [batch for batch in candidates if batch.id not in others]
        if ours or (len(undecided) == 1 and not undecided[0].has_ended):
            self.ledger.confirm(submission.id, ours or undecided[0])
        elif undecided:
            names = ", ".join(batch.id for batch in undecided)
            self.ledger.note(submission.id, f"in doubt between {names}: waiting until they end and can be read", others)
        elif self.clock() - submission.sent_at > self.grace:
            self.ledger.release(
                submission.id,
                f"the API listed no such batch for {self.grace.total_seconds():.0f} s: it was not accepted",
            )
        else:
            until = submission.sent_at + self.grace
            self.ledger.note(
                submission.id,
                f"in doubt: not listed by the API yet; counts as not accepted after {until:%H:%M:%S} UTC",
                others,
            )

    def _send(self, submission: Submission) -> None:
        with self.spool.sending(submission.folder) as nobody_sends:
            fence = next((batch.id for batch in self.api.newest()), "")
            if not (nobody_sends and self.ledger.begin(submission.id, self.clock(), fence)):
                raise Unavailable(
                    f"submission {submission.id}: another run sends it, or one of the same size ({submission.requests} requests) is in doubt "
                    "and the two could not be told apart. It is tried again when that one is settled."
                )
            doubt = self._create(submission)
        if doubt:
            self._settle_doubt(submission.id, doubt)

    def _create(self, submission: Submission) -> InDoubt | None:
        try:
            batch = self.api.create(self.spool.body(submission.folder))
        except (Unavailable, Refused) as error:
            self.ledger.release(submission.id, str(error))
            raise
        except InDoubt as error:
            self.ledger.note(submission.id, str(error))
            return error
        self.ledger.confirm(submission.id, batch)
        return None

    def _settle_doubt(self, submission_id: str, doubt: InDoubt) -> None:
        submission = next(row for row in self.ledger.submissions(states=(State.SENDING,)) if row.id == submission_id)
        if self.reconcile(submission).state is not State.IN_PROGRESS:
            raise Unavailable(
                f"submission {submission_id} is in doubt: {doubt}. It is looked for at every sensor tick and not sent again before that is settled."
            ) from doubt

    def _refuse_while_paused(self) -> None:
        for scope, reason, since in self.ledger.pauses():
            raise Refused(
                f"submissions ({scope}) are paused since {since}: {reason}. Settle that, then run: review-pipeline resume"
            )

    def _candidates(self, submission: Submission) -> list[Batch]:
        """Batches nobody claims that hold as many requests and are newer than the fence, whatever either clock says.

        Where the fence itself was deleted meanwhile, the server's creation times decide, with room for skew.
        """
        assert submission.sent_at is not None
        earliest = submission.sent_at - CLOCK_SKEW
        taken = self.ledger.claimed_batches() | set(submission.not_batches)
        newer: list[Batch] = []
        for batch in self.api.newest():
            if batch.id == submission.fence:
                return newer
            if batch.requests == submission.requests and batch.id not in taken:
                newer.append(batch)
        return newer if not submission.fence else [batch for batch in newer if batch.created_at >= earliest]

    def _told_apart(self, submission: Submission, candidates: list[Batch]) -> tuple[Batch | None, tuple[str, ...]]:
        """The ended candidate whose results carry our ids, if any, and those that are certainly not ours."""
        others = list(submission.not_batches)
        for batch in candidates:
            if batch.has_ended:
                if self._is_ours(submission, batch):
                    return batch, tuple(others)
                others.append(batch.id)
        return None, tuple(others)

    def _is_ours(self, submission: Submission, batch: Batch) -> bool:
        files = self.spool.result_files(submission.folder, batch.id)
        try:
            self.api.download(batch.id, files.part)
            check = self.results.check(files.part, files.manifest)
        finally:
            files.part.unlink(missing_ok=True)
        return check.lines > 0 and check.unknown < check.lines
