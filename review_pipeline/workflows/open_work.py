"""One look at everything unfinished: polls open batches, settles doubts, and says which cells have to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Cell, State, Submission
from review_pipeline.core.spending import UNCAPPED, Caps
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.workflows.collection import poll
from review_pipeline.workflows.late import cut_late_batches

if TYPE_CHECKING:
    from review_pipeline.ports import Clock, Ledger
    from review_pipeline.workflows.submission import Sender, Settled

# A run that has just written down its plan is about to send it; only what stays behind is picked up here.
LEFT_BEHIND = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Work:
    """Cells and weeks that need a run. marks: how far each cell has come, so that each of its steps is a unit of its own.

    held: why something that is due is not sent, in sentences. settled: what this look made of submissions in doubt.
    """

    to_submit: tuple[Cell, ...]
    to_collect: tuple[Cell, ...]
    marks: Mapping[Cell, int]
    unpublished: int
    to_report: Mapping[date, int]
    troubled: tuple[tuple[str, str], ...]
    sentence: str
    held: tuple[str, ...] = ()
    settled: tuple[Settled, ...] = ()


def look_around(
    ledger: Ledger,
    sender: Callable[[], Sender],
    clock: Clock,
    caps: Caps = UNCAPPED,
    has_time: Callable[[], bool] = lambda: True,
) -> Work:
    """sender is made only if there is something to ask the API. Raises Unavailable or Refused if the ledger cannot be read."""
    settled, troubled = _settle_doubts(ledger, sender, has_time)
    in_progress = 0
    if ledger.submissions(states=(State.IN_PROGRESS,)):
        troubled += _cut_what_would_be_late(sender(), has_time)
        polled = poll(sender().api, ledger, clock, has_time)
        troubled += polled.troubled
        in_progress = polled.in_progress + len(polled.troubled) + polled.not_reached
    unfinished = ledger.submissions(states=(State.INTENDED, State.SENDING, State.ENDED))
    ended = {Cell.parse(submission.cell) for submission in unfinished if submission.state is State.ENDED}
    # Either way: what seems planned in the future was planned before the clock was put back.
    behind = [s for s in unfinished if s.state is State.INTENDED and abs(clock() - s.planned_at) > LEFT_BEHIND]
    due, held = held_back(ledger, behind, caps, clock)
    if not ledger.pauses():
        due |= {Cell.parse(s.cell) for s in unfinished if s.is_sync and s.state is State.SENDING}
    to_submit = tuple(sorted({*ledger.asked(), *due}, key=str))
    to_collect = tuple(sorted({*ended, *ledger.unsettled_cells()}, key=str))
    is_busy = bool(to_submit or to_collect or in_progress)
    return Work(
        to_submit,
        to_collect,
        _marks(ledger, (*to_submit, *to_collect)),
        unpublished=0 if to_submit or to_collect else ledger.unpublished(),
        # A report in the middle of a cell would be written again at once.
        to_report={} if is_busy else ledger.weeks_to_report(),
        troubled=troubled,
        sentence="; ".join(
            [f"{in_progress} batch(es) in progress, none ended" if in_progress else "no open batches", *held]
        ),
        held=held,
        settled=settled,
    )


def held_back(
    ledger: Ledger, waiting: Sequence[Submission], caps: Caps, clock: Clock
) -> tuple[set[Cell], tuple[str, ...]]:
    """Cells with something that may be sent now, and one sentence for each reason why something may not."""
    if pauses := ledger.pauses():
        return set(), tuple(
            f"submissions are paused since {since} ({scope}): {reason}; settle that, then run: review-pipeline resume"
            for scope, reason, since in pauses
        )
    spent = ledger.spent(clock()) if waiting else {}
    cells, held = set(), []
    for submission in waiting:
        cell = Cell.parse(submission.cell)
        plan = ledger.planned(cell)
        assert plan is not None
        if told := caps.refusal(plan.workload, Decimal(submission.most_usd), spent):
            held.append(f"{submission.id} is held back: {told}")
        else:
            cells.add(cell)
    return cells, tuple(held)


def _cut_what_would_be_late(sender: Sender, has_time: Callable[[], bool]) -> tuple[tuple[str, str], ...]:
    if sender.late is None:
        return ()
    return cut_late_batches(sender.api, sender.ledger, sender.clock, sender.late.policy, has_time)


def _settle_doubts(
    ledger: Ledger, sender: Callable[[], Sender], has_time: Callable[[], bool]
) -> tuple[tuple[Settled, ...], tuple[tuple[str, str], ...]]:
    settled, troubled = [], []
    for submission in ledger.submissions(states=(State.SENDING,)):
        if submission.is_sync:
            continue  # asked one by one: whoever goes on knows from its own file what was answered
        if not has_time():
            break
        try:
            settled.append(sender().reconcile(submission))
        except (Unavailable, Refused) as error:
            troubled.append((submission.id, str(error)))
    return tuple(settled), tuple(troubled)


def _marks(ledger: Ledger, cells: tuple[Cell, ...]) -> dict[Cell, int]:
    """Grows with every step that a cell makes."""
    steps = {state: step for step, state in enumerate(State)}
    return {cell: sum(1 + steps[submission.state] for submission in ledger.submissions(cell=cell)) for cell in cells}
