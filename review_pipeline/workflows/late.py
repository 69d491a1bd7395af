"""Keeps deadlines: cuts batches that would end too late, and asks what is left one by one at the synchronous price."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Batch, State, Submission
from review_pipeline.core.deadlines import Decision, Group, Policy, Step, decide
from review_pipeline.ports import OutOfCredit, Refused, Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from review_pipeline.core.cost import PriceTable
    from review_pipeline.ports import AnswerBook, Batches, Clock, Ledger, Messages, Spool


_OPEN = (State.INTENDED, State.SENDING, State.IN_PROGRESS)


def decisions(ledger: Ledger, clock: Clock, policy: Policy) -> dict[str, Decision]:
    """What is to be done about each open submission that has a deadline."""
    deadlines = ledger.deadlines()
    groups = [
        _group(submission, deadlines) for submission in ledger.submissions(states=_OPEN) if submission.cell in deadlines
    ]
    return {decision.group.id: decision for decision in decide(clock(), groups, policy)}


def _group(submission: Submission, deadlines: dict[str, datetime]) -> Group:
    since = None if submission.is_sync else submission.created_at or submission.sent_at
    is_canceling = submission.cancel_asked_at is not None
    return Group(submission.id, submission.requests, deadlines[submission.cell], since, is_canceling)


def cut_late_batches(
    api: Batches, ledger: Ledger, clock: Clock, policy: Policy, has_time: Callable[[], bool]
) -> tuple[tuple[str, str], ...]:
    """Cancels what could not end in time; returns what was said of each. poll() repeats a cancellation that did not arrive."""
    told = []
    open_ = {submission.id: submission for submission in ledger.submissions(states=(State.IN_PROGRESS,))}
    for decision in decisions(ledger, clock, policy).values():
        submission = open_.get(decision.group.id)
        if decision.step is not Step.CUT or submission is None or not has_time():
            continue
        assert submission.batch_id is not None
        ledger.ask_cancel(submission.id, clock(), decision.reason)
        told.append((submission.batch_id, decision.reason))
        try:
            api.cancel(submission.batch_id)
        except (Unavailable, Refused) as error:
            told.append((submission.batch_id, str(error)))
    return tuple(told)


@dataclass(frozen=True, slots=True)
class LatePath:
    """Asks the requests of a submission one by one. at_once: how many side by side."""

    messages: Messages
    ledger: Ledger
    spool: Spool
    clock: Clock
    prices: PriceTable
    policy: Policy
    at_once: int

    def takes(self, submission: Submission) -> Decision | None:
        """The decision that this submission has no time for a batch, or None."""
        decision = decisions(self.ledger, self.clock, self.policy).get(submission.id)
        return decision if decision is not None and decision.step is Step.SYNC else None

    def escalate(self, submission: Submission, decision: Decision) -> None:
        """From now on it goes this way, and reserves what that costs."""
        price = self.prices.price(submission.model, self.clock().date(), 0)
        most_usd = Decimal(submission.most_usd) / price.batch_share
        self.ledger.escalate(submission.id, str(most_usd), decision.reason)

    def ask(self, submission: Submission) -> None:
        """Asks what has no answer yet. Every answer is on disk before the next step; a second run goes on from there.

        Raises Unavailable, Refused or OutOfCredit when it cannot go on; what was answered is kept.
        """
        with self.spool.sending(submission.folder) as nobody_asks:
            if not nobody_asks:
                return  # another process is at it
            batch_id = "sync_" + sha256(submission.id.encode()).hexdigest()[:24]
            files = self.spool.result_files(submission.folder, batch_id)
            if not files.raw.exists():
                with self.spool.answer_book(submission.folder) as book:
                    if book.lost:
                        note = f"{book.lost} request(s) were asked when a process stopped: they may be paid twice"
                        self.ledger.note(submission.id, note)
                    self._ask_all(submission, book)
                    counts = book.finish(files.raw)
            else:
                with self.spool.answer_book(submission.folder) as book:
                    counts = book.counts()
            now = self.clock()
            self.ledger.record_asked(submission.id, Batch(batch_id, "ended", submission.sent_at or now, now, counts))

    def _ask_all(self, submission: Submission, book: AnswerBook) -> None:
        """A window of requests at a time: a billing problem must not meet a queue of thousands."""
        waiting = iter(book.unanswered(self.spool.requests(submission.folder)))
        with ThreadPoolExecutor(self.at_once) as pool:
            asked = {pool.submit(self._ask_one, book, *one) for one in islice(waiting, self.at_once)}
            while asked:
                done, asked = wait(asked, return_when=FIRST_COMPLETED)
                self._raise_trouble(done)
                asked |= {pool.submit(self._ask_one, book, *one) for one in islice(waiting, len(done))}

    def _ask_one(self, book: AnswerBook, custom_id: str, params: dict[str, object]) -> None:
        book.asking(custom_id)
        try:
            result = self.messages.ask(params)
        except (Unavailable, Refused):
            book.not_asked(custom_id)
            raise
        book.answered(custom_id, result)

    def _raise_trouble(self, done: set[Future[None]]) -> None:
        for future in done:
            error = future.exception()
            if isinstance(error, OutOfCredit):
                self.ledger.pause("billing", str(error), self.clock())
            if error is not None:
                raise error
