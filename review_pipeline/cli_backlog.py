"""The part of the command `backlog` that plans, ends and shows a night of pull requests."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from review_pipeline.core.audit import Cell
from review_pipeline.core.backlog import BacklogPull, PullState
from review_pipeline.settings import RepositoryEntry
from review_pipeline.wiring import Pipeline
from review_pipeline.wiring_backlog import BacklogWiring, conclude


def submit(pipeline: Pipeline, entry: RepositoryEntry, cell: Cell, out: Console) -> None:
    with out.status(f"planning {cell}") as status:
        plan = BacklogWiring(pipeline, entry).plan(
            cell, lambda what, done, of: status.update(f"{what}: {done} of {of}")
        )
    for state, count in sorted(plan.counts.items()):
        out.print(f"  {count:>6} {state}", highlight=False)
    for submission in pipeline.sender.send_due(cell) if pipeline.ledger.submissions(cell=cell) else ():
        out.print(f"  batch {submission.batch_id or '(in doubt)'}: {submission.requests} requests, {submission.state.value}", highlight=False)  # fmt: skip
    end(pipeline, cell, out)  # what needs no answer, or has had all of them


def end(pipeline: Pipeline, cell: Cell, out: Console) -> None:
    for pull in conclude(pipeline, cell):
        out.print(f"  {pull.number}: {pull.state.value}, {pull.note}", highlight=False, soft_wrap=True, markup=False)


def show(pipeline: Pipeline, cell: Cell, out: Console, *, as_json: bool) -> None:
    rows = [_row(pipeline, pull) for pull in pipeline.ledger.backlog(cell)]
    if as_json:
        out.print_json(json.dumps({"cell": str(cell), "pull_requests": rows}))
        return
    table = Table("pull request", "head", "state", "calls", "findings", "batch_usd", "note", title=str(cell))
    for row in rows:
        findings = ", ".join(f"{count} {kind}" for kind, count in row["findings"].items())
        cells = (row["number"], row["head"][:12], row["state"], row["calls"], findings, row["batch_usd"], row["note"])
        table.add_row(*(escape(str(value)) for value in cells))
    out.print(table)


def _row(pipeline: Pipeline, pull: BacklogPull) -> dict[str, Any]:
    """findings: by what became of them; batch_usd: of all its requests, failed ones included."""
    review = pipeline.ledger.review(pull.review) if pull.state is PullState.REVIEWED else None
    calls = [end for _, end in pipeline.ledger.calls(pull.review) if end.batch_id] if pull.calls else []
    spent = sum((end.cost_usd for end in calls if end.cost_usd is not None), Decimal(0))
    return {
        "number": pull.number, "head": pull.head, "state": pull.state.value, "note": pull.note, "review": pull.review,
        "calls": len(pull.calls), "findings": dict(review.counts) if review else {}, "batch_usd": str(spent),
    }  # fmt: skip
