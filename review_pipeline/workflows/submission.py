"""Sends what was planned: intent, effect, receipt. What is in doubt is looked for, never sent again on a guess."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Batch, Cell, State, Submission
from review_pipeline.core.spending import UNCAPPED, Caps
from review_pipeline.ports import InDoubt, OutOfCredit, Refused, Unavailable

if TYPE_CHECKING:
    from review_pipeline.ports import Batches, Clock, Ledger, Results, Spool
    from review_pipeline.workflows.late import LatePath

CLOCK_SKEW = timedelta(minutes=5)


class Verdict(StrEnum):
    ADOPTED = "adopted"
    NOT_ACCEPTED = "not accepted"
    IN_DOUBT = "in doubt"
    ELSEWHERE = "settled elsewhere"  # another process sends it, or has settled it


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a submission in doubt, and why. listed: batches newer than the fence. candidates: those that may be it."""

    submission: Submission
    verdict: Verdict
    why: str
    listed: int = 0
    candidates: tuple[str, ...] = ()

    def as_row(self) -> dict[str, object]:
        one = self.submission
        return {
            "submission": one.id,
            "requests": one.requests,
            "verdict": self.verdict.value,
            "why": self.why,
            "batch_id": one.batch_id,
            "state": one.state.value,
            "listed": self.listed,
            "candidates": list(self.candidates),
        }


@dataclass(frozen=True, slots=True)
class _Found:
    """Batches newer than the fence: how many, those that may be ours, and those that another submission took on a guess."""

    listed: int
    free: list[Batch]
    guessed: list[Batch]


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs. grace: how long the API may take to list a batch that it has accepted."""

    api: Batches
    ledger: Ledger
    spool: Spool
    results: Results
    clock: Clock
    grace: timedelta
    caps: Caps = UNCAPPED
    late: LatePath | None = None

    def send_due(self, cell: Cell) -> tuple[Submission, ...]:
        """All submissions of a cell, those that were still only intended having been sent. Raises Unavailable or Refused."""
        for submission in self.ledger.submissions(cell=cell, states=(State.SENDING,)):
            if submission.is_sync:
                self._ask(submission)
            else:
                self.reconcile(submission)
        for submission in self.ledger.submissions(cell=cell, states=(State.INTENDED,)):
            self.refuse_while_paused()
            if self._has_no_time_for_a_batch(submission):
                self._ask(self._row(submission.id))
            else:
                self._send(submission)
        return self.ledger.submissions(cell=cell)

    def _has_no_time_for_a_batch(self, submission: Submission) -> bool:
        if self.late is None or submission.is_sync:
            return submission.is_sync
        if decision := self.late.takes(submission):
            self.late.escalate(submission, decision)
        return decision is not None

    def _ask(self, submission: Submission) -> None:
        """One by one, at the synchronous price; what another process asks already is left to it."""
        assert self.late is not None
        self.refuse_while_paused()
        if submission.state is State.SENDING or self.ledger.begin(submission.id, self.clock(), "", self.caps):
            self.late.ask(self._row(submission.id))

    def reconcile(self, submission: Submission) -> Settled:
        """Looks for the batch of a submission in doubt: adopts it, releases the submission, or leaves it in doubt with a note."""
        with self.spool.sending(submission.folder) as nobody_sends:
            if not nobody_sends:
                return Settled(self._row(submission.id), Verdict.ELSEWHERE, "another process is sending it")
            self.ledger.doubt(submission.id, self.clock())
            doubtful = self._row(submission.id)
            if doubtful.state is not State.SENDING:
                return Settled(doubtful, Verdict.ELSEWHERE, "another process has settled it")
            found = self._candidates(doubtful)
            verdict, why = self._decided(doubtful, found)
        candidates = tuple(batch.id for batch in (*found.free, *found.guessed))
        return Settled(self._row(submission.id), verdict, why, found.listed, candidates)

    def _row(self, submission_id: str) -> Submission:
        return next(row for row in self.ledger.submissions() if row.id == submission_id)

    def _decided(self, submission: Submission, found: _Found) -> tuple[Verdict, str]:
        """Written down, and told."""
        assert submission.doubted_at is not None
        ours, others = self._told_apart(submission, found.free)
        undecided = [batch for batch in found.free if batch.id not in others]
        if ours or (len(undecided) == 1 and not undecided[0].has_ended):
            self.ledger.confirm(submission.id, ours or undecided[0])
            proof = "its results carry our ids" if ours else "no other batch since then holds as many requests"
            return Verdict.ADOPTED, f"{(ours or undecided[0]).id}: {proof}"
        if not (undecided or found.guessed) and self.clock() - submission.doubted_at >= self.grace:
            why = f"the API listed no such batch for {self.grace.total_seconds():.0f} s: it was not accepted"
            self.ledger.release(submission.id, why)
            return Verdict.NOT_ACCEPTED, why
        if undecided:
            names = ", ".join(batch.id for batch in undecided)
            why = f"in doubt between {names}: waiting until they end and can be read"
        elif found.guessed:
            names = ", ".join(batch.id for batch in found.guessed)
            why = f"in doubt: {names} may be it, taken by another submission that cannot be sure until it ends"
        else:
            until = submission.doubted_at + self.grace
            why = f"in doubt: not listed by the API yet; counts as not accepted after {until:%H:%M:%S} UTC"
        self.ledger.note(submission.id, why, others)
        return Verdict.IN_DOUBT, why

    def _send(self, submission: Submission) -> None:
        with self.spool.sending(submission.folder) as nobody_sends:
            fence = next((batch.id for batch in self.api.newest()), "")
            if not (nobody_sends and self.ledger.begin(submission.id, self.clock(), fence, self.caps)):
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
            if isinstance(error, OutOfCredit):
                self.ledger.pause("billing", str(error), self.clock())
            raise
        except InDoubt as error:
            self.ledger.note(submission.id, str(error))
            return error
        self.ledger.confirm(submission.id, batch)
        return None

    def _settle_doubt(self, submission_id: str, doubt: InDoubt) -> None:
        if self.reconcile(self._row(submission_id)).submission.state in (State.INTENDED, State.SENDING):
            raise Unavailable(
                f"submission {submission_id} is in doubt: {doubt}. It is looked for at every sensor tick and not sent again before that is settled."
            ) from doubt

    def refuse_while_paused(self) -> None:
        for scope, reason, since in self.ledger.pauses():
            raise Refused(
                f"submissions ({scope}) are paused since {since}: {reason}. Settle that, then run: review-pipeline resume"
            )

    def _candidates(self, submission: Submission) -> _Found:
        """Batches that hold as many requests and are newer than the fence, whatever either clock says: those that nobody claims, and those that another submission took on a guess.

        Where the fence itself was deleted meanwhile, the server's creation times decide, with room for skew.
        """
        assert submission.sent_at is not None
        earliest = submission.sent_at - CLOCK_SKEW
        claimed = self.ledger.claimed_batches()
        on_a_guess = {
            other.batch_id
            for other in self.ledger.submissions(states=(State.IN_PROGRESS, State.ENDED))
            if other.doubted_at is not None
        }
        newer, has_fence = self._newer_than_fence(submission)
        possible = [
            batch
            for batch in newer
            if batch.requests == submission.requests
            and batch.id not in submission.not_batches
            and (has_fence or batch.created_at >= earliest)
        ]
        free = [batch for batch in possible if batch.id not in claimed]
        return _Found(len(newer), free, [batch for batch in possible if batch.id in on_a_guess])

    def _newer_than_fence(self, submission: Submission) -> tuple[list[Batch], bool]:
        newer: list[Batch] = []
        for batch in self.api.newest():
            if batch.id == submission.fence:
                return newer, True
            newer.append(batch)
        return newer, not submission.fence

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
        if check.unknown == check.lines and check.lines != batch.requests:
            raise Unavailable(
                f"submission {submission.id} is in doubt: of batch {batch.id}, which may be it, {check.lines} of {batch.requests} results came. It will be asked again."
            )
        return check.unknown < check.lines
