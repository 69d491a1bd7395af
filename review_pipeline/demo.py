"""The first run, without a key: asks a real Dagster daemon for an audit, follows it, and shows what came of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from rich.markup import escape
from rich.table import Column, Table

from review_pipeline.adapters.git import GitRepository
from review_pipeline.core.audit import Cell, State
from review_pipeline.core.workloads import QUALITY, audit_name
from review_pipeline.example import review_example
from review_pipeline.offline import OfflineHome, beside_python, dagster_daemon, let_runs_finish, offline_api, running
from review_pipeline.ports import Refused
from review_pipeline.settings import Settings
from review_pipeline.wiring import Pipeline, utc_now

if TYPE_CHECKING:
    from rich.console import Console

    from review_pipeline.core.audit import Submission

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_STUCK_SECONDS = 180.0
QUERIES = (
    (
        "What to fix first",
        "SELECT severity, path || coalesce(':' || start_line, '') AS place, left(issue, 60) AS issue FROM open_findings WHERE repo = '{repo}' LIMIT 5",
    ),
    (
        "Which files gather findings",
        "SELECT path, count(*) AS findings, count(*) FILTER (severity = 'critical') AS critical FROM open_findings WHERE repo = '{repo}' GROUP BY path ORDER BY findings DESC, path LIMIT 5",
    ),
    (
        "What it cost",
        "SELECT cell, requests, input_tokens AS \"in\", output_tokens AS out, round(cost_usd, 4) AS usd, round(sync_cost_usd, 4) AS sync_usd FROM batch_costs WHERE split_part(cell, '|', 1) LIKE '%-{repo}' ORDER BY created_at DESC LIMIT 5",
    ),
)


def demo_home() -> OfflineHome:
    return OfflineHome(Path.cwd() / "var" / "demo")


def run_demo(repo: Path, out: Console) -> None:
    """Safe to stop at any point and to run again: it goes on where it stopped. Raises Refused."""
    home = demo_home()
    home.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home.path / "demo.lock", timeout=0):
            _run(home, repo.resolve(), out)
    except Timeout as error:
        raise Refused(f"another demo is running on {home.path}. Wait for it, or stop it.") from error


def _run(home: OfflineHome, repo: Path, out: Console) -> None:
    revision = GitRepository(repo).resolve("HEAD")
    name = home.add_repository(_NOT_IN_NAMES.sub("-", repo.name).strip("-._")[:48] or "repository", repo)
    home.prepare_dagster()
    out.print(
        f"Auditing [bold]{escape(str(repo))}[/] at {revision.commit[:12]}: committed files only, nothing is changed in it.",
        highlight=False,
    )
    out.print(
        "The offline API stands in for Anthropic's: [bold]offline analyser, no model is called[/].", highlight=False
    )
    with offline_api(home) as base_url:
        environment = home.environment(base_url)
        pipeline = Pipeline(Settings.read(environment))
        cell = _next_cell(pipeline, name, revision.commit)
        pipeline.ledger.ask(cell, utc_now())
        with dagster_daemon(home, environment) as daemon, out.status("starting the Dagster daemon") as status:
            for line in _Follower(pipeline, cell, home, daemon).follow(status.update):
                out.print(line, highlight=False, soft_wrap=True)
            status.update("letting the last run write down how it ended")
            let_runs_finish(home)
        _show(pipeline, cell, name, out)
        review_example(pipeline, home.path / "example", out)
    out.print("next:     [bold]make dev[/] opens the Dagster UI on this data", highlight=False)


def _next_cell(pipeline: Pipeline, name: str, commit: str) -> Cell:
    """Today's audit; another one today if that is done: further audits are numbered. An unfinished one is gone on with."""
    today = utc_now().date()
    cell = pipeline.cell(pipeline.settings.repository(name), today)
    number = 1
    while (plan := pipeline.ledger.planned(cell)) is not None:
        if plan.revision == commit and not _is_done(pipeline, cell):
            break
        number += 1
        cell = Cell(audit_name(QUALITY, name, number), today)
    return cell


def _is_done(pipeline: Pipeline, cell: Cell) -> bool:
    submissions = pipeline.ledger.submissions(cell=cell)
    return (
        all(submission.state is State.COLLECTED for submission in submissions)
        and cell not in pipeline.ledger.unsettled_cells()
    )


@dataclass(slots=True)
class _Follower:
    """Tells each step of the cell once, as the ledger shows it."""

    pipeline: Pipeline
    cell: Cell
    home: OfflineHome
    daemon: subprocess.Popen[bytes]
    told: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    last_news: float = field(default_factory=time.monotonic)

    def follow(self, status: Callable[[str], None]) -> Iterator[str]:
        while not (yield from self._news()):
            if self.daemon.poll() is not None:
                raise Refused(
                    f"the Dagster daemon stopped with exit code {self.daemon.returncode}. Its last words are in {self.home.log}."
                )
            if time.monotonic() - self.last_news > _STUCK_SECONDS:
                raise Refused(
                    f"nothing has happened for {_STUCK_SECONDS:.0f} s. Look into {self.home.log}, then run the same command again; it goes on from here."
                )
            status(self._waiting_for())
            time.sleep(0.3)

    def _waiting_for(self) -> str:
        seconds = time.monotonic() - self.started
        if self.pipeline.ledger.planned(self.cell) is None:
            what = "the daemon to start the run that plans and submits"
        elif _is_done(self.pipeline, self.cell):
            what = "the findings history and the weekly report"
        else:
            what = "the batch to end and the sensor to see it"
        return f"{seconds:.0f} s: waiting for {what}"

    def _news(self) -> Generator[str, None, bool]:
        """True once the report holds everything."""
        plan = self.pipeline.ledger.planned(self.cell)
        if plan is None:
            return False
        counts = ", ".join(f"{count} {state}" for state, count in sorted(plan.counts.items()))
        yield from self._tell("plan", f"planned by run [bold]submit_audit[/]: {escape(counts)}")
        if plan.caching:
            yield from self._tell("caching", f"prompt cache: {escape(plan.caching)}")
        submissions = self.pipeline.ledger.submissions(cell=self.cell)
        for submission in submissions:
            yield from self._tell(f"{submission.id} {submission.state}", escape(_step(submission)))
        if not _is_done(self.pipeline, self.cell) or self.pipeline.ledger.unpublished():
            return False
        yield from self._tell("history", "findings history applied and published")
        if self.pipeline.ledger.weeks_to_report():
            return False
        yield from self._tell("report", "weekly report written")
        return True

    def _tell(self, key: str, line: str) -> Iterator[str]:
        if key not in self.told:
            self.told.add(key)
            self.last_news = time.monotonic()
            yield f"  [green]{time.monotonic() - self.started:5.1f} s[/] {line}"


def _step(submission: Submission) -> str:
    again = f" (round {submission.round}: only what failed)" if submission.round else ""
    counts = ", ".join(f"{count} {state}" for state, count in submission.counts.items() if count)
    match submission.state:
        case State.INTENDED:
            return f"{submission.requests} requests written down{again}"
        case State.SENDING:
            return f"sending {submission.requests} requests{again}"
        case State.IN_PROGRESS:
            return f"batch {submission.batch_id} created: {submission.requests} requests{again}"
        case State.ENDED:
            return f"batch {submission.batch_id} ended: {counts}"
        case State.COLLECTED:
            return f"batch {submission.batch_id} collected: {counts}, ${submission.cost_usd}"


def _report_path(pipeline: Pipeline) -> Path:
    today: date = utc_now().date()
    return pipeline.reports / f"weekly-{today - timedelta(days=today.weekday())}.html"


def _show(pipeline: Pipeline, cell: Cell, name: str, out: Console) -> None:
    plan = pipeline.ledger.planned(cell)
    assert plan is not None
    out.print(f"\n[bold]{escape(str(cell))}[/] at {plan.revision[:12]}")
    if not plan.counts:
        out.print("This commit has no files.")
    elif not plan.counts.get("submitted"):
        out.print("Nothing was submitted: every file was answered before and has not changed since.")
    _query(
        pipeline,
        out,
        "Files by state",
        f"SELECT CASE state WHEN 'skipped' THEN 'skipped: ' || split_part(reason, ':', 1) ELSE state END AS state, count(*) AS files FROM coverage WHERE cell = '{cell}' GROUP BY ALL ORDER BY files DESC",
    )
    _query(
        pipeline,
        out,
        f"Open findings of {name}",
        f"SELECT category, count(*) FILTER (severity = 'critical') AS critical, count(*) FILTER (severity = 'warning') AS warning, count(*) FILTER (severity = 'info') AS info, count(*) AS total FROM open_findings WHERE repo = '{name}' GROUP BY category ORDER BY total DESC",
    )
    _query(
        pipeline,
        out,
        "What this audit would have cost",
        f"SELECT coalesce(sum(requests), 0) AS requests, round(coalesce(sum(cost_usd), 0), 4) AS batch_usd, round(coalesce(sum(sync_cost_usd), 0), 4) AS synchronous_usd FROM batch_costs WHERE cell = '{cell}'",
    )
    out.print("\n[bold]Three queries to begin with[/]")
    for title, sql in QUERIES:
        statement = sql.format(repo=name)
        out.print(f"  [dim]{escape(statement)}[/]", highlight=False, soft_wrap=True)
        _query(pipeline, out, title, statement)
    out.print(
        f"findings: {pipeline.home / 'findings.duckdb'}   (duckdb -readonly, or: .venv/bin/review-pipeline query)",
        highlight=False,
        soft_wrap=True,
    )
    report = _report_path(pipeline)
    out.print(
        f"report:   {report if report.exists() else 'none yet: nothing was ever collected this week'}",
        highlight=False,
        soft_wrap=True,
    )


def _query(pipeline: Pipeline, out: Console, title: str, sql: str) -> None:
    columns, rows = pipeline.analyst.query(sql)
    table = Table(
        *(Column(name, overflow="fold") for name in columns), title=title, title_justify="left", title_style="bold"
    )
    for row in rows:
        table.add_row(*(escape("" if value is None else str(value)) for value in row))
    out.print(table if rows else f"{title}: none")


def run_dev(port: int, out: Console) -> None:
    """The UI until Ctrl-C. Raises Refused."""
    if os.environ.get("ANTHROPIC_API_KEY"):
        out.print(f"Dagster on your own data ({Settings.read().home}): http://127.0.0.1:{port}")
        environment = {**os.environ, "DAGSTER_HOME": os.environ.get("DAGSTER_HOME", str(Path.cwd()))}
        _serve(["-w", "workspace.yaml"], port, environment)
        return
    home = demo_home()
    if not home.config.exists():
        raise Refused("there is no ANTHROPIC_API_KEY and no demo data yet. Set the key, or run `make demo` first.")
    home.prepare_dagster()
    out.print(f"No ANTHROPIC_API_KEY: Dagster on the demo's data, with the offline analyser: http://127.0.0.1:{port}")
    with offline_api(home) as base_url:
        _serve(["-w", str(home.workspace)], port, home.environment(base_url))


def _serve(arguments: list[str], port: int, environment: dict[str, str]) -> None:
    command = [beside_python("dagster"), "dev", "-h", "127.0.0.1", "-p", str(port), *arguments]
    # In the background SIGINT comes ignored, and `dagster dev` could then not be stopped at all.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with running(command, environment, None) as server:
        if server.wait() not in (0, -signal.SIGINT):
            raise Refused(
                f"`dagster dev` ended with exit code {server.returncode}; its own words are above. Is port {port} taken? Try: review-pipeline dev --port {port + 1}"
            )
