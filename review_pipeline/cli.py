"""The command line: the same workflows as in Dagster, for people and scripts. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 try again later;
`review` also: 4 findings, 5 incomplete."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from review_pipeline import cli_backlog, cli_documents, cli_github, cli_plan, cli_review, cli_status
from review_pipeline.core.audit import Cell, State, Submission
from review_pipeline.core.routing import Workload, route
from review_pipeline.core.workloads import BACKLOG, DOCUMENTS, QUALITY, WORKLOADS, BatchWorkload, parsed_audit
from review_pipeline.ports import InDoubt, Refused, Unavailable
from review_pipeline.settings import Config, Settings
from review_pipeline.wiring import Pipeline, nonce, utc_now
from review_pipeline.workflows.submission import Verdict

app = typer.Typer(
    name="review-pipeline",
    help="Reviews a team's code with Claude: in batches at half the price what can wait, at once what blocks a merge.\n\n"
    "Start with `review-pipeline demo` (no key needed), then `review-pipeline doctor`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Into a pipe or a file rich would fold everything to 80 columns.
out = Console(width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 120)

app.command("review")(cli_review.review)
app.command("plan")(cli_plan.plan)
app.command("status")(cli_status.status)
app.command("webhook")(cli_github.webhook)
app.command("criteria")(cli_review.criteria)
app.command("workflow")(cli_review.workflow)
app.add_typer(cli_review.triage, name="triage")
app.add_typer(cli_documents.documents, name="documents")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
RepoName = Annotated[
    str, typer.Argument(help="A name of review_pipeline.yaml: of a repository, or of a set of documents.")
]
Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day of the audit; today (UTC) if not given.")
]


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


def _day(day: datetime | None) -> date:
    return day.date() if day else utc_now().date()


@app.command()
def audit(
    name: RepoName,
    day: Day = None,
    workload: Annotated[str, typer.Option(help=f"What to ask: {' or '.join(WORKLOADS)}.")] = QUALITY.name,
    wait: Annotated[bool, typer.Option(help="Poll until everything is collected.")] = False,
) -> None:
    """Plan and send today's audit of one repository or set of documents. Run it twice and nothing is sent twice."""
    pipeline = Pipeline.from_environment()
    if workload not in WORKLOADS:
        raise typer.BadParameter(f"{workload!r} is not one of {', '.join(WORKLOADS)}", param_hint="--workload")
    asked = WORKLOADS[workload]
    if asked is BACKLOG:
        raise Refused(f"{workload} reads pull requests, not files. Run: review-pipeline backlog {name}")
    pipeline.settings.key()  # said before work is put into a plan
    _audit(pipeline, asked, name, pipeline.cell(pipeline.audited(asked, name), _day(day), asked), wait=wait)


@cli_documents.documents.command("demo")
def documents_demo(
    folder: Annotated[Path, typer.Argument(help="The documents; nothing is changed in it.")] = Path(),
    policy: Annotated[Path, typer.Option(help="The policy, Markdown or YAML.")] = cli_documents.EXAMPLE_POLICY,
    matrix: cli_documents.MatrixFile = None,
) -> None:
    """Check the documents of a folder without a key: the real trip, with an offline analyser in the model's place."""
    with cli_documents.offline_set(folder, policy) as (pipeline, name):
        err.print("offline analyser, no model is called", highlight=False)
        _audit(pipeline, DOCUMENTS, name, cli_documents.next_cell(pipeline, name), wait=True)
        cli_documents.tell(pipeline, name, matrix)


def _audit(pipeline: Pipeline, asked: BatchWorkload, name: str, cell: Cell, *, wait: bool) -> None:
    from review_pipeline.wiring_forge import ForgeWiring
    from review_pipeline.workflows.audit import plan_audit

    entry = pipeline.audited(asked, name)
    if pipeline.history.exists():  # a ledger that does not belong to it would send again what was paid for
        pipeline.history.claim(pipeline.ledger.identity(), pipeline.ledger.last_event())
    with out.status(f"planning {cell}") as status:
        entry = ForgeWiring(pipeline).fetched(entry)
        plan = plan_audit(
            pipeline.audit(entry, asked), cell, pipeline.repository(entry), pipeline.ledger, pipeline.spool, cut_costs=pipeline.cut_costs, nonce=nonce(), now=utc_now(),
            progress=lambda what, done, of: status.update(f"{what}: {done} of {of}"), reading=pipeline.reading(entry),
        )  # fmt: skip
    for state, count in sorted(plan.counts.items()):
        out.print(f"  {count:>6} files {state}", highlight=False)
    if not plan.counts.get("submitted"):
        out.print("Nothing to submit: no file changed since it was last answered.")
    elif plan.caching:
        out.print(f"  prompt cache: {plan.caching}", highlight=False)
    for submission in pipeline.sender.send_due(cell) if pipeline.ledger.submissions(cell=cell) else ():
        out.print(
            f"  batch {submission.batch_id or '(in doubt)'}: {submission.requests} requests, {submission.state.value}",
            highlight=False,
        )
    if wait:
        _collect_until_done(pipeline, cell)
    _publish(pipeline)


@app.command()
def backlog(
    name: RepoName,
    day: Day = None,
    wait: Annotated[bool, typer.Option(help="Poll until everything is collected and reviewed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Review one repository's open pull requests overnight: in batches, from their diffs alone. Run it twice and nothing is paid twice."""
    pipeline = Pipeline.from_environment()
    entry = pipeline.settings.repository(name)
    pipeline.settings.key()
    if pipeline.history.exists():
        pipeline.history.claim(pipeline.ledger.identity(), pipeline.ledger.last_event())
    cell = pipeline.cell(entry, _day(day), BACKLOG)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        cli_backlog.submit(pipeline, entry, cell, out)
        if wait:
            _collect_until_done(pipeline, cell)
        _publish(pipeline)
    cli_backlog.show(pipeline, cell, out, as_json=as_json)


@app.command()
def collect(wait: Annotated[bool, typer.Option(help="Poll until nothing is open.")] = False) -> None:
    """Poll open batches, collect what has ended, send again what failed, bring the history up to date."""
    pipeline = Pipeline.from_environment()
    try:
        _collect_until_done(pipeline, None) if wait else _collect_once(pipeline, None)
    finally:
        _publish(pipeline)  # what was collected is shown, also if another cell could not go on


def _collect_until_done(pipeline: Pipeline, cell: Cell | None) -> None:
    pause = pipeline.settings.config.batches.poll_seconds
    with out.status("waiting for batches (at most 24 h; Ctrl-C loses nothing)") as status:
        while open_ := _collect_once(pipeline, cell):
            if all(submission.state is State.INTENDED for submission in open_):
                _refuse_what_is_held_back(pipeline, open_)
            oldest = min(submission.created_at or submission.planned_at for submission in open_)
            status.update(f"{len(open_)} batch(es) open, the oldest for {str(utc_now() - oldest).split('.')[0]}")
            time.sleep(min(pause, 5) if pipeline.settings.is_offline else pause)


def _refuse_what_is_held_back(pipeline: Pipeline, waiting: tuple[Submission, ...]) -> None:
    from review_pipeline.workflows.open_work import held_back

    sendable, held = held_back(pipeline.ledger, waiting, pipeline.caps, utc_now)
    if held and not sendable:
        raise Refused("; ".join(held))


def _collect_once(pipeline: Pipeline, only: Cell | None) -> tuple[Submission, ...]:
    """One look around; returns the submissions that are still open."""
    from review_pipeline.workflows.open_work import look_around

    work = look_around(pipeline.ledger, lambda: pipeline.sender, utc_now, pipeline.caps)
    for name, trouble in work.troubled:
        err.print(f"[yellow]{escape(name)}[/]: {escape(trouble)}")
    for told in work.held:
        err.print(f"[yellow]held back[/]: {escape(told)}")
    for cell in work.to_collect:
        _collect_cell(pipeline, cell)
    for cell in work.to_submit:
        if pipeline.ledger.submissions(
            cell=cell
        ):  # one that was only asked for is planned by `audit`, or by the sensor
            pipeline.sender.send_due(cell)
    states = (State.INTENDED, State.SENDING, State.IN_PROGRESS, State.ENDED)
    return pipeline.ledger.submissions(cell=only, states=states)


def _collect_cell(pipeline: Pipeline, cell: Cell) -> None:
    from review_pipeline.workflows.resubmission import plan_resubmission

    for submission, collected in pipeline.collector.collect_cell(cell):
        named = parsed_audit(cell.audit)
        claims = "verdicts" if named and named[0] == DOCUMENTS else "findings"
        counts = (
            f"{collected.requests} results, {len(collected.failed)} failed, {sum(collected.anchors.values())} {claims}"
        )
        out.print(f"  {submission.batch_id}: {counts}", highlight=False)
    plan_resubmission(
        cell, pipeline.ledger, pipeline.spool, cut_costs=pipeline.cut_costs, limits=pipeline.limits, prices=pipeline.prices, nonce=nonce(), clock=utc_now
    )  # fmt: skip
    pipeline.sender.send_due(cell)
    cli_backlog.end(pipeline, cell, out)


def _publish(pipeline: Pipeline) -> None:
    from review_pipeline.workflows.findings_history import bring_up_to_date

    applied = bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)
    out.print(f"findings history: {applied.published}", highlight=False)


@app.command()
def report(
    week: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day of the week; this week if not given.")
    ] = None,
) -> None:
    """Write the weekly quality report and print where it lies."""
    from review_pipeline.workflows.weekly_report import write_weekly_report

    pipeline = _pipeline_with_history()
    day = _day(week)
    monday = day - timedelta(days=day.weekday())
    written = write_weekly_report(
        monday, pipeline.analyst, pipeline.reports, now=utc_now(), offline=pipeline.settings.is_offline
    )
    out.print(str(written.path), highlight=False, soft_wrap=True)


@app.command()
def query(
    sql: Annotated[str | None, typer.Argument(help="SQL for DuckDB; without it the views are listed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the findings history, one statement at a time; COPY (SELECT ...) TO 'file.csv' exports.

    The same file opens in any DuckDB: duckdb -readonly var/findings.duckdb
    """
    pipeline = _pipeline_with_history()
    columns, rows = pipeline.analyst.query(
        sql or "SELECT view_name AS view, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
    )
    if as_json:
        told = [dict(zip(columns, map(_told_in_json, row), strict=True)) for row in rows]
        out.print_json(json.dumps(told, default=str, allow_nan=False))
        return
    _print_table(columns, rows)


def _told_in_json(value: object) -> object:
    """JSON knows no infinity and no NaN, not in lists and structs either."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case list() | tuple():
            return [_told_in_json(part) for part in value]
        case dict():
            return {str(name): _told_in_json(part) for name, part in value.items()}
        case _:
            return value


def _pipeline_with_history() -> Pipeline:
    """Yours; before your first audit the demo's, and it says so."""
    from review_pipeline.demo import demo_home

    pipeline = Pipeline.from_environment()
    demo = demo_home().path
    if pipeline.history.published.exists() or "REVIEW_PIPELINE_HOME" in os.environ or not demo.exists():
        return pipeline
    err.print(f"[dim]No audit of your own yet: this is the demo's history ({escape(str(demo))}).[/]", soft_wrap=True)
    return Pipeline(Settings.read({**os.environ, "REVIEW_PIPELINE_HOME": str(demo), "REVIEW_PIPELINE_OFFLINE": "1"}))


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape("" if value is None else str(value)) for value in row))
    out.print(table)


@app.command("route")
def route_(
    needs_tools: Annotated[
        bool, typer.Option(help="Does it have to read files, trace imports or run anything?")
    ] = False,
    blocking: Annotated[bool, typer.Option(help="Is a person or a merge waiting for it?")] = False,
    sla_hours: Annotated[float, typer.Option(help="Within how many hours must it be done?")] = 30,
    submit_every_hours: Annotated[float, typer.Option(help="How long until the next submission, at most?")] = 4,
) -> None:
    """Say where a workload belongs, batch or synchronous, and why."""
    decided = route(Workload("this workload", needs_tools, blocking, sla_hours, submit_every_hours))
    out.print(f"{decided.path.value}: {decided.reason}", highlight=False, soft_wrap=True)


@app.command()
def reconcile(as_json: AsJson = False) -> None:
    """Look for batches whose creation got no answer, and show what was decided about each, and why.

    A submission is sent again only when the API has not listed a batch like it for reconcile_grace_seconds; while one may exist, it waits.

    Exit codes: 0 nothing is in doubt any more; 3 something still is: run it again later (the sensor does).
    """
    pipeline = Pipeline.from_environment()
    doubtful = [one for one in pipeline.ledger.submissions(states=(State.SENDING,)) if not one.is_sync]
    settled = [pipeline.sender.reconcile(submission) for submission in doubtful]
    if as_json:
        out.print_json(json.dumps([one.as_row() for one in settled]))
    elif not settled:
        out.print("Nothing is in doubt: every submission that was sent has its receipt.")
    else:
        looked = [
            (
                one.submission.id,
                one.submission.requests,
                one.verdict.value,
                one.listed,
                "\n".join(one.candidates),
                one.why,
            )
            for one in settled
        ]
        _print_table(("submission", "requests", "verdict", "newer batches", "candidates", "why"), looked)
    if any(one.verdict is Verdict.IN_DOUBT for one in settled):
        raise typer.Exit(3)


@app.command()
def resume() -> None:
    """Lift the pause that a billing problem put on submissions."""
    lifted = Pipeline.from_environment().ledger.resume()
    out.print(f"{lifted} pause(s) lifted; the sensor sends what is due" if lifted else "Nothing was paused.")


@app.command("config-schema")
def config_schema() -> None:
    """Print the JSON Schema of review_pipeline.yaml, for editors."""
    print(json.dumps(Config.model_json_schema(), indent=2))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check beforehand what would stop an audit: configuration, key, API, repositories, disk, ledger, history."""
    from review_pipeline.doctor import examine

    checks = examine()
    if as_json:
        out.print_json(json.dumps([check.as_row() for check in checks]))
    else:
        for check in checks:
            mark = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}[check.state]
            out.print(f"{mark} {escape(check.name)}: {escape(check.said)}", highlight=False, soft_wrap=True)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


@app.command()
def demo(
    repo: Annotated[
        Path, typer.Option(help="Any git repository on this machine; its committed HEAD is audited.")
    ] = Path(),
) -> None:
    """Audit a repository without a key: a real Dagster daemon, the real SDK, and the offline analyser in the model's place."""
    from review_pipeline.demo import run_demo

    run_demo(repo, out)


@app.command()
def dev(port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000) -> None:
    """Open the Dagster UI: on your data if ANTHROPIC_API_KEY is set, else on the demo's."""
    from review_pipeline.demo import run_dev

    run_dev(port, out)


def guarded(run: Callable[[], object]) -> int:
    """The only place that catches everything: two kinds of reader, two exit codes."""
    try:
        run()
    except (Unavailable, InDoubt) as error:
        err.print(f"[yellow]not now:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 3
    except Refused as error:
        err.print(f"[red]refused:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        err.print("stopped; run the same command again to go on")
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def main() -> None:
    sys.exit(guarded(app))
