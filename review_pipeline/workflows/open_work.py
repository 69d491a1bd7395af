"""One look at everything unfinished: polls open batches, settles doubts, and says which cells have to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Cell, State
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.workflows.collection import poll

if TYPE_CHECKING:
    from review_pipeline.ports import Ledger
    from review_pipeline.workflows.submission import Clock, Sender

# A run that has just written down its plan is about to send it; only what stays behind is picked up here.
LEFT_BEHIND = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Work:
    """Cells and weeks that need a run. marks: how far each cell has come, so that each of its steps is a unit of its own."""

    to_submit: tuple[Cell, ...]
    to_collect: tuple[Cell, ...]
    marks: Mapping[Cell, int]
    unpublished: int
    to_report: Mapping[date, int]
    troubled: tuple[tuple[str, str], ...]
    sentence: str


def look_around(
    ledger: Ledger, sender: Callable[[], Sender], clock: Clock, has_time: Callable[[], bool] = lambda: True
) -> Work:
    """sender is made only if there is something to ask the API. Raises Unavailable or Refused if the ledger cannot be read."""
    troubled = _settle_doubts(ledger, sender, has_time)
    in_progress = 0
    if ledger.submissions(states=(State.IN_PROGRESS,)):
        polled = poll(sender().api, ledger, clock, has_time)
        troubled += polled.troubled
        in_progress = polled.in_progress + len(polled.troubled) + polled.not_reached
    unfinished = ledger.submissions(states=(State.INTENDED, State.ENDED))
    ended = {Cell.parse(submission.cell) for submission in unfinished if submission.state is State.ENDED}
    behind = {
        Cell.parse(s.cell) for s in unfinished if s.state is State.INTENDED and clock() - s.planned_at > LEFT_BEHIND
    }
    to_submit = tuple(sorted({*ledger.asked(), *(behind if not ledger.pauses() else ())}, key=str))
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
        sentence=f"{in_progress} batch(es) in progress, none ended" if in_progress else "no open batches",
    )


def _settle_doubts(
    ledger: Ledger, sender: Callable[[], Sender], has_time: Callable[[], bool]
) -> tuple[tuple[str, str], ...]:
    troubled = []
    for submission in ledger.submissions(states=(State.SENDING,)):
        if not has_time():
            break
        try:
            sender().reconcile(submission)
        except (Unavailable, Refused) as error:
            troubled.append((submission.id, str(error)))
    return tuple(troubled)


def _marks(ledger: Ledger, cells: tuple[Cell, ...]) -> dict[Cell, int]:
    """Grows with every step that a cell makes."""
    steps = {state: step for step, state in enumerate(State)}
    return {cell: sum(1 + steps[submission.state] for submission in ledger.submissions(cell=cell)) for cell in cells}
