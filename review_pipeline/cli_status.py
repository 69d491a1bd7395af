"""The command `status`: a live table of what is in flight."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from review_pipeline.core.audit import State
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.status import Flight, Status, in_flight

out = Console(width=None if sys.stdout.isatty() else 160)


def status(
    watch: Annotated[bool, typer.Option(help="Go on until nothing is in flight, or Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks of --watch.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Show the batches in flight: age, counts, likely end, deadline, reserved money, and what holds the rest up.

    It reads the ledger alone: no key, no network, and nothing is changed. The likely end is that of earlier batches of the same model
    and about the same size. With --json, --watch prints one document a line.

    Exit codes: 0; 1 if submissions are paused or held back.
    """
    pipeline = Pipeline.from_environment()
    if not pipeline.has_ledger():
        out.print_json('{"in_flight": []}') if as_json else out.print(
            "Nothing yet: there is no ledger in " + escape(str(pipeline.home)) + ". The first audit makes it.",
            soft_wrap=True,
        )
        return
    seen = _watched(pipeline, every, as_json) if watch else _once(pipeline, as_json)
    if seen.held:
        raise typer.Exit(1)


def _look(pipeline: Pipeline) -> Status:
    return in_flight(pipeline.ledger, pipeline.caps, pipeline.policy, utc_now())


def _once(pipeline: Pipeline, as_json: bool) -> Status:
    seen = _look(pipeline)
    if as_json:
        out.print_json(json.dumps(seen.as_row()))
    else:
        out.print(drawn(seen))
    return seen


def _watched(pipeline: Pipeline, every: float, as_json: bool) -> Status:
    seen = _look(pipeline)
    with Live(drawn(seen), console=out, auto_refresh=False, transient=as_json) as live:
        while True:
            if as_json:
                print(json.dumps(seen.as_row()), flush=True)
            else:
                live.update(drawn(seen), refresh=True)
            if not seen.flights:
                return seen
            time.sleep(every)
            seen = _look(pipeline)


def drawn(seen: Status) -> RenderableType:
    parts: list[RenderableType] = [_flights(seen) if seen.flights else Text("Nothing is in flight.")]
    parts += [Text(f"! {told}", style="yellow") for told in seen.held]
    parts += [_month(seen)] if seen.spent else []
    if not seen.is_published:
        parts.append(
            Text("The findings history is behind the ledger; findings_history brings it up to date.", style="dim")
        )
    return Group(*parts)


def _flights(seen: Status) -> Table:
    table = Table(title=f"In flight at {seen.at:%Y-%m-%d %H:%M:%S} UTC", title_justify="left")
    table.add_column("audit", overflow="fold")
    table.add_column("batch", no_wrap=True)
    for name in ("state", "age", "requests", "likely end (UTC)", "deadline (UTC)", "up to USD"):
        table.add_column(name, justify="right" if name in ("age", "up to USD") else "left", overflow="fold")
    for flight in seen.flights:
        one = flight.submission
        table.add_row(
            escape(one.cell) + (f" round {one.round}" if one.round else ""),
            escape(one.batch_id or ("one by one" if one.is_sync else "not created yet")),
            _state(flight),
            _age(flight.age),
            _counts(flight),
            str(flight.ends) if flight.ends else "",
            _deadline(flight),
            f"{Decimal(one.most_usd):.4f}",
        )
    table.caption = f"${seen.reserved_usd:.4f} is reserved for what was sent" if seen.reserved_usd else None
    return table


def _state(flight: Flight) -> str:
    one = flight.submission
    names = {
        State.INTENDED: "waits to be sent",
        State.SENDING: "[yellow]in doubt[/]",
        State.ENDED: "ended, to be collected",
    }
    if one.is_sync and one.state is State.SENDING:
        return "asked one by one"
    if one.state is State.IN_PROGRESS:
        return "being canceled" if one.cancel_asked_at else "in progress"
    return names[one.state]


def _counts(flight: Flight) -> str:
    counted = {name: count for name, count in flight.submission.counts.items() if count}
    told = ", ".join(f"{count:,} {name}" for name, count in counted.items())
    return told or f"{flight.submission.requests:,}"


def _deadline(flight: Flight) -> str:
    if flight.deadline_at is None:
        return ""
    told = f"{flight.deadline_at:%m-%d %H:%M}"
    if flight.is_in_time is False and flight.decision is not None:
        return f"[yellow]{told}, cut at {flight.decision.cut_at:%H:%M}[/]"
    return told


def _age(age: timedelta) -> str:
    minutes, seconds = divmod(int(age.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _month(seen: Status) -> Table:
    table = Table("workload", title=f"Money in {seen.at:%B %Y} (UTC)", title_justify="left")
    for name in ("settled USD", "reserved USD", "cap USD"):
        table.add_column(name, justify="right")
    for name, one in sorted(seen.spent.items()):
        cap = seen.caps.workload_usd.get(name)
        table.add_row(
            escape(name), f"{one.settled_usd:.4f}", f"{one.reserved_usd:.4f}", f"{cap:.2f}" if cap else "none"
        )
    if seen.caps.month_usd is not None:
        settled = sum((one.settled_usd for one in seen.spent.values()), Decimal(0))
        table.add_row("all batches", f"{settled:.4f}", f"{seen.reserved_usd:.4f}", f"{seen.caps.month_usd:.2f}")
    return table
