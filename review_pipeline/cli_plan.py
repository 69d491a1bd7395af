"""The command `plan`: how often batches are submitted for an SLA, when they are cut, and what that costs, with the arithmetic."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from review_pipeline.core.cost import UnknownPrice, Usage, batch_cost_usd, sync_cost_usd
from review_pipeline.core.deadlines import Decision, Policy, cron_line, submission_interval_hours
from review_pipeline.core.routing import BATCH_HOURS, Path, Workload, route, worst_case_hours, worst_case_terms
from review_pipeline.core.workloads import WORKLOADS
from review_pipeline.ports import Refused
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.late import decisions

EXAMPLE = Usage(input_tokens=10_000, output_tokens=1_000)
REQUESTS = 1_000  # of the batch whose cut is worked out

out = Console(width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True, slots=True)
class Frequency:
    """What an SLA makes of a workload. every_hours: None where no interval lets batches hold it; refusal says why."""

    workload: str
    model: str
    sla_hours: float
    every_hours: int | None
    refusal: str | None
    cut_hours: float
    batch_usd: Decimal
    sync_usd: Decimal

    def as_row(self) -> dict[str, object]:
        every = self.every_hours
        return {
            "workload": self.workload,
            "sla_hours": self.sla_hours,
            "submit_every_hours": every,
            "cron": cron_line(every) if every else None,
            "worst_case_hours": round(worst_case_hours(every), 4) if every else None,
            "worst_case_terms": list(worst_case_terms(every)) if every else [],
            "cut_after_hours": round(self.cut_hours, 4),
            "model": self.model,
            "example": {"input_tokens": EXAMPLE.input_tokens, "output_tokens": EXAMPLE.output_tokens},
            "batch_usd": str(self.batch_usd),
            "sync_usd": str(self.sync_usd),
            "refusal": self.refusal,
        }


def plan(
    sla_hours: Annotated[
        float | None, typer.Option(min=0, help="Ask for this SLA instead of those in review_pipeline.yaml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Show how often batches have to be submitted for an SLA, when one is cut, what that costs, and what is decided about those in flight.

    At worst a request waits for the next submission, then 24 h in its batch, and its answer has to be noticed and ingested: the longest
    interval with which all that fits the SLA is taken (30 h: every 4 h). A batch that is too slow is canceled while there is still time to ask
    the rest one by one; what is canceled is not billed, so a cut costs the difference to the synchronous price and nothing twice.

    Exit codes: 0; 1 if batches cannot hold an SLA.
    """
    pipeline = Pipeline.from_environment()
    frequencies = list(_frequencies(pipeline, sla_hours))
    decided = list(decisions(pipeline.ledger, utc_now, pipeline.policy).values()) if pipeline.has_ledger() else []
    if as_json:
        rows = {"workloads": [one.as_row() for one in frequencies], "in_flight": [_row(one) for one in decided]}
        out.print_json(json.dumps(rows))
    else:
        for one in frequencies:
            out.print(_drawn(one, pipeline.policy), highlight=False)
        for decision in decided:
            out.print(
                f"{escape(decision.group.id)}: [bold]{decision.step.value}[/], {escape(decision.reason)}",
                soft_wrap=True,
            )
    if any(one.refusal for one in frequencies):
        raise typer.Exit(1)


def _frequencies(pipeline: Pipeline, sla_hours: float | None) -> Iterator[Frequency]:
    for name, entry in pipeline.settings.config.workloads.batched().items():
        model = pipeline.model_of(WORKLOADS[name])
        asked = entry.sla_hours if sla_hours is None else sla_hours
        try:
            price = pipeline.prices.price(model, utc_now().date(), EXAMPLE.prompt_tokens)
        except UnknownPrice as error:
            raise Refused(f"workload {name!r}: {error}. Add it under 'prices' in the configuration.") from error
        every = submission_interval_hours(asked)
        decided = route(Workload(name, entry.needs_tools, entry.blocking, asked, every or 1))
        yield Frequency(
            workload=name,
            model=model,
            sla_hours=asked,
            every_hours=every,
            refusal=None if decided.path is Path.BATCH else decided.reason,
            cut_hours=asked - pipeline.policy.before_deadline(REQUESTS).total_seconds() / 3600,
            batch_usd=batch_cost_usd(EXAMPLE, price),
            sync_usd=sync_cost_usd(EXAMPLE, price),
        )


def _drawn(one: Frequency, policy: Policy) -> Table | str:
    if one.every_hours is None:
        return f"[red]{escape(one.workload)}[/]: not by batch. {escape(one.refusal or '')}"
    table = Table(title=f"{one.workload}: SLA {one.sla_hours:g} h", title_justify="left", show_header=False)
    table.add_row("submit", f"every {one.every_hours} h; as a cron line: {cron_line(one.every_hours)}")
    terms = "\n+ ".join(worst_case_terms(one.every_hours))
    table.add_row("at worst", f"  {terms}\n= {worst_case_hours(one.every_hours):.4g} h, within {one.sla_hours:g} h")
    table.add_row("cut", _cut(one, policy))
    example = f"{EXAMPLE.input_tokens:,} tokens in and {EXAMPLE.output_tokens:,} out, {one.model}"
    table.add_row(
        "one request",
        f"{example}: ${one.batch_usd.normalize():f} by batch, ${one.sync_usd.normalize():f} one by one;\n"
        f"a cut costs ${(one.sync_usd - one.batch_usd).normalize():f} more for each request that it sends again",
    )
    return table


def _cut(one: Frequency, policy: Policy) -> str:
    terms = (
        (policy.settle, "to ingest, and margin"),
        (
            policy.asking(REQUESTS),
            f"to ask {REQUESTS:,} requests one by one, {policy.sync_requests_per_hour:,.0f} an hour",
        ),
        (policy.notice, "to notice that it is time, and that it has ended"),
        (policy.cancel, "to cancel"),
    )
    told = "".join(f"\n- {span.total_seconds() / 60:.0f} min {what}" for span, what in terms)
    in_batch = one.cut_hours - (one.every_hours or 0)
    meaning = (
        f"no batch is cut: it ends or expires after {BATCH_HOURS} h"
        if in_batch >= BATCH_HOURS
        else f"a batch that was sent at the last moment is cut after {in_batch:.4g} h"
    )
    return f"  {one.sla_hours:g} h{told}\n= {one.cut_hours:.4g} h after it was planned: {meaning}"


def _row(decision: Decision) -> dict[str, object]:
    return {
        "submission": decision.group.id,
        "requests": decision.group.requests,
        "deadline_at": decision.group.deadline_at.isoformat(),
        "cut_at": decision.cut_at.isoformat(),
        "step": decision.step.value,
        "reason": decision.reason,
    }
