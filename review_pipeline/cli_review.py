"""Commands about changes: review, triage, criteria, workflow."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from review_pipeline.ports import Refused
from review_pipeline.settings import RepositoryEntry, Settings
from review_pipeline.wiring import Pipeline, default_criteria, utc_now

if TYPE_CHECKING:
    from review_pipeline.report.review import ReviewPage

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
FINDINGS_EXIT, INCOMPLETE_EXIT = 4, 5

out = Console(width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 120)

RepoPath = Annotated[
    Path, typer.Option("--repo", help="A git repository on this machine; only what is committed is read.")
]


class Output(StrEnum):
    MARKDOWN = "markdown"
    JSON = "json"
    SARIF = "sarif"


class FailOn(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


def review(
    repo: RepoPath = Path(),
    base: Annotated[
        str | None, typer.Option(help="What the change is to be merged into; main or master if not given.")
    ] = None,
    head: Annotated[str, typer.Option(help="The change: a branch, a tag or a commit.")] = "HEAD",
    number: Annotated[
        str | None, typer.Option(help="Of the pull request: by it an earlier review is found. The branch if not given.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without a key: an offline analyser answers in the model's place.")
    ] = False,
    github: Annotated[
        str | None,
        typer.Option(help="owner/name on GitHub, or its name in the configuration: reviews the pull request --number."),
    ] = None,
    post: Annotated[bool, typer.Option("--post", help="With --github: post the review there, too.")] = False,
    form: Annotated[Output, typer.Option("--format", help="What is printed.")] = Output.MARKDOWN,
    output: Annotated[Path | None, typer.Option(help="Write it to this file instead.")] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit with 4 if the author has open findings of this severity or worse.")
    ] = FailOn.CRITICAL,
) -> None:
    """Review what a branch changes in three passes of `claude -p`: files alone, files together, summary.

    Run it again after a push: only what changed is paid for. Exit codes: 0 reviewed, 4 findings at or above --fail-on,
    5 incomplete (something was not reviewed), 1 refused, 3 try again later.
    """
    if github is not None and not (number or "").isdigit():
        raise Refused("--github needs --number, the number of the pull request.")
    if github is not None and offline:
        raise Refused("--github reads from GitHub, which --offline does without. Leave one of them out.")
    if post and github is None:
        raise Refused("--post needs --github: a branch on this machine has no pull request to post on.")
    path = repo.resolve()
    if output is not None and not output.absolute().parent.is_dir():  # said before anything is paid for
        raise Refused(
            f"{output} cannot be written: there is no folder {output.absolute().parent}. Make it, or give another file."
        )
    with _pipeline(offline=offline) as pipeline:
        page = _reviewed(pipeline, path, base, head, number) if github is None else _on_github(pipeline, github, int(number or 0), posts=post)  # fmt: skip
        text = _rendered(page, form)
        _publish(pipeline)
        _write(text, output)
    code = exit_code(page, fail_on)
    told = f"{page.review.state.replace('_', ' ')}: {len(page.open('developer'))} finding(s) for the author, {len(page.open('human'))} for a human"
    err.print(f"{told}; exit code {code}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{output} cannot be written: {error.strerror}. Give another file; the same command tells it again at no cost."
        ) from error


def exit_code(page: ReviewPage, fail_on: FailOn) -> int:
    if page.review.state not in ("reviewed", "nothing_to_review"):
        return INCOMPLETE_EXIT
    order = ["critical", "warning", "info"]
    if fail_on is FailOn.NEVER:
        return 0
    bad = order[: order.index(fail_on.value) + 1]
    return FINDINGS_EXIT if any(row.severity in bad for row in page.open("developer")) else 0


def _reviewed(pipeline: Pipeline, path: Path, base: str | None, head: str, number: str | None) -> ReviewPage:
    pipeline.settings.key()  # said before anything is read
    entry = entry_for(pipeline.settings, path)
    changes = pipeline.changes(path)
    base_ref = base or changes.default_base()
    reviewing = pipeline.review(entry, base_ref)
    branch = changes.branch(head)
    target = replace(reviewing.planner.target(entry.name, base_ref, head, number or branch), head_ref=branch)
    pipeline.desks.sweep()
    with err.status(f"reading what {escape(target.number)} changes") as status:
        row = reviewing.run(target, _telling(status.update))
    return pipeline.page(row)


def _on_github(pipeline: Pipeline, name: str, number: int, *, posts: bool) -> ReviewPage:
    from review_pipeline.cli_github import entry_on_github, reviewed_on_github

    pipeline.settings.key()
    entry = entry_on_github(pipeline, name)
    pipeline.desks.sweep()
    with err.status(f"reading {escape(name)}#{number}") as status:
        return reviewed_on_github(pipeline, entry, number, _telling(status.update), posts=posts)


def _telling(update: Callable[[str], None]) -> Callable[[str, str, str], None]:
    waiting: dict[str, str] = {}

    def tell(pass_name: str, what: str, how: str) -> None:
        shown = what if len(what) < 80 else f"{what[:76]} ..."
        if how == "asked":
            waiting[f"{pass_name} {what}"] = shown
        else:
            waiting.pop(f"{pass_name} {what}", None)
            err.print(f"  [green]{pass_name:>7}[/] {escape(shown)}: {escape(how)}", highlight=False, soft_wrap=True)
        update(f"{len(waiting)} call(s) under way: {escape(next(iter(waiting.values()), ''))}")

    return tell


def _rendered(page: ReviewPage, form: Output) -> str:
    from review_pipeline.report.review import as_json, markdown
    from review_pipeline.report.sarif import sarif

    match form:
        case Output.MARKDOWN:
            return markdown(page)
        case Output.JSON:
            return json.dumps(as_json(page), indent=2, ensure_ascii=False) + "\n"
        case Output.SARIF:
            return json.dumps(sarif(page), indent=2, ensure_ascii=False) + "\n"


def entry_for(settings: Settings, path: Path) -> RepositoryEntry:
    """As configured if it is, else under the name of its folder."""
    for entry in settings.config.repositories:
        if settings.repository_path(entry).resolve() == path:
            return entry
    name = _NOT_IN_NAMES.sub("-", path.name).strip("-._")[:64] or "repository"
    return RepositoryEntry(name=name, path=path)


@contextmanager
def _pipeline(*, offline: bool) -> Iterator[Pipeline]:
    """Yours, or one on data of its own with the offline API beside it."""
    if not offline:
        pipeline = Pipeline.from_environment()
        _keep_out_of_git(pipeline.home)
        yield pipeline
        return
    from review_pipeline.demo import demo_home
    from review_pipeline.offline import offline_api

    home = demo_home()
    _keep_out_of_git(home.path)
    err.print("offline analyser, no model is called", highlight=False)
    with offline_api(home) as base_url:
        yield _offline_pipeline(base_url)


def _offline_pipeline(base_url: str) -> Pipeline:
    """On the demo's data; before a demo there is no configuration of its own."""
    from review_pipeline.demo import demo_home

    home = demo_home()
    environment = home.environment(base_url)
    if not home.config.exists():
        environment.pop("REVIEW_PIPELINE_CONFIG")
    return Pipeline(Settings.read(environment))


def _keep_out_of_git(home: Path) -> None:
    """A home inside of the checkout that is reviewed must not turn up in its next commit."""
    marker = home / ".gitignore"
    try:
        if not marker.exists():
            home.mkdir(parents=True, exist_ok=True)
            marker.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"cannot write to {home}: {error.strerror}. Change to a folder of your own, or set REVIEW_PIPELINE_HOME."
        ) from error


def _publish(pipeline: Pipeline) -> None:
    from review_pipeline.workflows.findings_history import bring_up_to_date

    bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)


triage = typer.Typer(help="Decide on findings that are too doubtful for a developer.", no_args_is_help=True)
Offline = Annotated[bool, typer.Option("--offline", help="On the data of `review --offline` and of the demo.")]
FindingId = Annotated[str, typer.Argument(help="A finding's id, or its first characters.")]


@contextmanager
def _ledger_pipeline(*, offline: bool) -> Iterator[Pipeline]:
    yield _offline_pipeline("http://127.0.0.1:9") if offline else Pipeline.from_environment()


@triage.command("list")
def triage_list(
    repo: Annotated[str | None, typer.Option(help="Only of this repository.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what developers have, and what has ended.")] = False,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Show what waits for a decision, the worst first."""
    from review_pipeline.workflows.triage import waiting

    with _ledger_pipeline(offline=offline) as pipeline:
        rows = waiting(pipeline.ledger, repo, everything=everything)
    if as_json:
        told = [
            {"finding": r.finding, "repo": r.repo, "number": r.number, "where": r.where, "severity": r.severity, "category": r.category,
             "confidence": r.confidence, "route": r.route, "status": r.status, "issue": r.issue}
            for r in rows
        ]  # fmt: skip
        out.print_json(json.dumps(told))
        return
    if not rows:
        out.print("Nothing waits for a decision.")
        return
    table = Table("finding", "repository", "change", "where", "severity", "sure", "issue")
    for row in rows:
        cells = (
            row.finding[:8],
            row.repo,
            row.number,
            row.where,
            row.severity,
            f"{row.confidence:.0%}",
            row.issue[:80],
        )
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)


@triage.command("show")
def triage_show(finding: FindingId, offline: Offline = False) -> None:
    """Show one finding with all that is known of it."""
    from review_pipeline.workflows.triage import one

    with _ledger_pipeline(offline=offline) as pipeline:
        row = one(pipeline.ledger, finding)
    facts = {
        "where": row.where, "repository": row.repo, "change": row.number, "severity": row.severity, "category": row.category,
        "confidence": f"{row.confidence:.0%}", "because": row.reason, "issue": row.issue, "code": row.evidence, "do": row.suggestion,
        "another pass disagrees": row.disputed, "status": f"{row.status} {row.status_reason}".strip(), "goes to": row.route,
        "first seen": f"{row.first_seen_at:%Y-%m-%d %H:%M} UTC", "id": row.finding,
    }  # fmt: skip
    for name, value in facts.items():
        if value:
            out.print(f"[bold]{name:>22}[/] {escape(value)}", highlight=False, soft_wrap=True)


@triage.command("accept")
def triage_accept(
    finding: FindingId,
    reason: Annotated[str, typer.Option(help="Why, for those who read it later.")] = "",
    offline: Offline = False,
) -> None:
    """It is right: the developer gets it."""
    from review_pipeline.workflows.triage import accept

    with _ledger_pipeline(offline=offline) as pipeline:
        row = accept(pipeline.ledger, finding, reason, utc_now())
        _publish(pipeline)
    out.print(f"accepted: {escape(row.where)} goes to the developer", highlight=False)


@triage.command("dismiss")
def triage_dismiss(
    finding: FindingId,
    reason: Annotated[
        str, typer.Option(help="Why it is wrong or not worth it. It holds against other words for the same code.")
    ],
    offline: Offline = False,
) -> None:
    """It is wrong, or not worth it: nobody hears of it again while the code stays as it is."""
    from review_pipeline.workflows.triage import dismiss

    with _ledger_pipeline(offline=offline) as pipeline:
        row = dismiss(pipeline.ledger, finding, reason, utc_now())
        _publish(pipeline)
    out.print(f"dismissed: {escape(row.where)} ({escape(row.status_reason)})", highlight=False)


def criteria(
    repo: RepoPath = Path(),
    write: Annotated[
        bool, typer.Option("--write", help="Put it into CLAUDE.md of the work tree; commit it yourself.")
    ] = False,
) -> None:
    """Print the 'Review criteria' section for a repository's CLAUDE.md, which reviews and audits go by."""
    from review_pipeline.core.criteria import with_section

    path = repo.resolve()
    entry = entry_for(Settings.read(), path)
    file = path / "CLAUDE.md"
    if write and (file.is_symlink() or not path.is_dir()):
        raise Refused(
            f"{file} is a link or {path} is no folder. Write it by hand: review-pipeline criteria > CLAUDE.md"
        )
    before = file.read_text(encoding="utf-8") if write and file.exists() else ""
    try:
        text = with_section(before, entry.criteria or default_criteria())
    except ValueError as error:
        raise Refused(f"{file}: {error}, which already counts. Edit it there.") from error
    if write:
        file.write_text(text, encoding="utf-8")
        err.print(
            f"{file} written; commit it on the base branch, that is where it counts", highlight=False, soft_wrap=True
        )
    else:
        sys.stdout.write(text)


def workflow() -> None:
    """Print a GitHub Actions file that runs `review-pipeline review` on pull requests, hardened as the pipeline itself."""
    from importlib.resources import files

    sys.stdout.write((files("review_pipeline") / "prompts" / "workflow.yml").read_text(encoding="utf-8"))
