"""Sends again what failed, and only that, changed by why it failed; what cannot be mended is given up by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from review_pipeline.core.audit import (
    Cell,
    FailedRequest,
    GivenUp,
    NewEvent,
    PlannedCell,
    PlannedRequest,
    Submission,
)
from review_pipeline.core.backlog import cut_costs_of_rows, narrowed_unit
from review_pipeline.core.failures import Change, Outcome
from review_pipeline.core.planning import Limits, Span, custom_id, halves
from review_pipeline.core.prompt import continued, narrowed, read_language, read_shown, repaired
from review_pipeline.core.remedy import GiveUp, SendAgain, remedy
from review_pipeline.workflows.batch_writer import BatchWriter

if TYPE_CHECKING:
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.ports import Clock, CutCosts, Ledger, Spool

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resubmitted:
    submissions: tuple[Submission, ...]
    requests: int
    given_up: tuple[GivenUp, ...]


NOTHING = Resubmitted((), 0, ())


def plan_resubmission(
    cell: Cell,
    ledger: Ledger,
    spool: Spool,
    *,
    cut_costs: CutCosts,
    limits: Limits,
    prices: PriceTable,
    nonce: str,
    clock: Clock,
) -> Resubmitted:
    """Replacements for the failed requests of a cell, written down and not sent. Nothing to do: nothing is written."""
    failed = ledger.failed_requests(cell)
    plan = ledger.planned(cell)
    if not failed or plan is None:
        return NOTHING
    round_ = ledger.next_round(cell)
    name = f"{str(cell).replace('|', '_')}.r{round_}.{nonce}"
    now = clock()
    with spool.new_plan(name) as folder:
        batches = BatchWriter(cell, round_, plan.model, folder, limits, prices, now.date())
        most_output_tokens = prices.price(plan.model, now.date(), 0).max_output_tokens
        writer = _Writer(plan, batches, cut_costs, nonce, most_output_tokens)
        for request, row in _with_rows(failed, spool):
            writer.take(request, row)
        submissions = batches.close(now)
    event = _event(plan, round_, nonce, submissions)
    if not ledger.record_resubmission(submissions, tuple(writer.requests), tuple(writer.given_up), event, now):
        spool.discard(folder.name)
        return NOTHING
    return Resubmitted(submissions, len(writer.requests), tuple(writer.given_up))


def _with_rows(failed: tuple[FailedRequest, ...], spool: Spool) -> list[tuple[FailedRequest, Row]]:
    rows: dict[str, Row] = {}
    for folder in sorted({request.folder for request in failed}):
        wanted = frozenset(request.custom_id for request in failed if request.folder == folder)
        rows |= spool.manifest_rows(folder, wanted)
    answered = [request for request in failed if request.outcome in (Outcome.BAD_OUTPUT, Outcome.PAUSED)]
    for batch_id in sorted({request.batch_id for request in answered}):
        wanted = frozenset(request.custom_id for request in answered if request.batch_id == batch_id)
        for custom_id_, answer in spool.answers(batch_id, wanted).items():
            rows[custom_id_]["answer"] = answer
    return [(request, rows[request.custom_id]) for request in failed]


class _Writer:
    def __init__(
        self, plan: PlannedCell, batches: BatchWriter, cut_costs: CutCosts, nonce: str, most_output_tokens: int
    ) -> None:
        self._plan, self._batches, self._cut_costs, self._nonce = plan, batches, cut_costs, nonce
        self._most_output_tokens = most_output_tokens
        self.requests: list[PlannedRequest] = []
        self.given_up: list[GivenUp] = []

    def take(self, failed: FailedRequest, row: Row) -> None:
        span = Span(row["start_line"], row["end_line"])
        outcome = Outcome(failed.outcome)
        content = row["params"]["messages"][0]["content"]
        in_two = partial(_unit_in_two if "review" in row else self._in_two, content)
        decided = remedy(
            outcome,
            failed.history,
            span,
            row["params"]["max_tokens"],
            self._most_output_tokens,
            in_two,
            was_cut=failed.was_cut,
        )
        if isinstance(decided, GiveUp):
            reason = decided.reason if failed.detail is None else f"{decided.reason} ({failed.detail})"
            self.given_up.append(GivenUp(failed.custom_id, failed.root, reason, decided.is_final))
            return
        for piece in decided.spans:
            self._add(failed, row, decided, piece)

    def _in_two(self, rendered: str, span: Span) -> tuple[Span, ...]:
        """Halves of what a prompt showed; the code is read from it, because its commit may be gone by now."""
        texts = tuple(line.text for line in read_shown(rendered))
        return halves(span, self._cut_costs(read_language(rendered), texts))

    def _add(self, failed: FailedRequest, row: Row, decided: SendAgain, piece: Span) -> None:
        new_id = custom_id(
            self._plan.workload, failed.content_key, piece, failed.attempt + 1, self._nonce, parent=failed.custom_id
        )
        params = _changed(row, decided, piece)
        repeated = [
            pair
            for pair in zip(row["repeat_lines"], row["repeat_numbers"], strict=True)
            if piece.first <= pair[0] <= piece.last
        ]
        submission = self._batches.add(
            params,
            {
                "custom_id": new_id,
                "parent": failed.custom_id,
                "root": failed.root,
                "path": row["path"],
                "blob": row["blob"],
                "start_line": piece.first,
                "end_line": piece.last,
                "attempt": failed.attempt + 1,
                "change": decided.change.value,
                "repeat_lines": [line for line, _ in repeated],
                "repeat_numbers": [nth for _, nth in repeated],
                **{name: row[name] for name in ("review", "unit", "page_lines") if name in row},
            },
        )
        history = (*failed.history, failed.outcome)
        self.requests.append(
            PlannedRequest(
                new_id,
                submission,
                failed.custom_id,
                failed.root,
                failed.content_key,
                row["path"],
                failed.attempt + 1,
                history,
            )
        )


def _unit_in_two(content: str, span: Span) -> tuple[Span, ...]:
    """Halves of what a call of a review showed: a span counts its rows."""
    return halves(span, cut_costs_of_rows(content))


def _changed(row: Row, decided: SendAgain, piece: Span) -> dict[str, object]:
    params: dict[str, Any] = {**row["params"], "max_tokens": decided.max_tokens}
    if decided.change is Change.CHUNKED:
        question, before = params["messages"][0], row["start_line"] - 1
        content = (
            narrowed_unit(question["content"], piece.first - before, piece.last - before)
            if "review" in row
            else narrowed(question["content"], piece.first, piece.last)
        )
        params["messages"] = [{**question, "content": content}]
    if decided.change is Change.REPAIRED:
        params = repaired(params, row.get("answer", []))
    if decided.change is Change.CONTINUED:
        params = continued(params, row.get("answer", []))
    return params


def _event(plan: PlannedCell, round_: int, nonce: str, submissions: tuple[Submission, ...]) -> NewEvent:
    payload = {
        "cell": str(plan.cell),
        "workload": plan.workload,
        "repo": plan.repo,
        "model": plan.model,
        "prompt_version": plan.prompt_version,
        "manifests": [[submission.id, submission.round, submission.folder] for submission in submissions],
    }
    return NewEvent(f"resubmission_planned {plan.cell} r{round_} {nonce}", "resubmission_planned", payload)
