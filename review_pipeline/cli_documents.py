"""Commands about documents: how a set stands against its policy, and a check of a folder without a key."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from review_pipeline.core.audit import Cell, State
from review_pipeline.core.workloads import DOCUMENTS, audit_name
from review_pipeline.offline import OfflineHome, offline_api
from review_pipeline.ports import Refused
from review_pipeline.settings import Settings
from review_pipeline.wiring import Pipeline, utc_now

if TYPE_CHECKING:
    from review_pipeline.report.compliance import Compliance

out = Console(width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
documents = typer.Typer(help="Documents against a policy: show a set's verdicts, or check a folder without a key.", no_args_is_help=True)  # fmt: skip

MatrixFile = Annotated[
    Path | None,
    typer.Option(help="Write documents and rules as a table, with the passages, to this .html or .md file."),
]
EXAMPLE_POLICY = Path("config/document_policy.example.md")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_SHOWN = 25
_MOST_PASSAGE = 160


@documents.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A set's name in review_pipeline.yaml.")],
    matrix: MatrixFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="On the data of `documents demo`.")] = False,
) -> None:
    """Show how a set stands: documents by state, verdicts by rule, and what is violated with the passage.

    Tables of all of it: review-pipeline query "FROM document_verdicts", or "FROM document_compliance".
    """
    settings = Settings.read(_demo_home().environment("http://127.0.0.1:9")) if offline else Settings.read()
    tell(Pipeline(settings), name, matrix, as_json=as_json)


def tell(pipeline: Pipeline, name: str, matrix: Path | None, *, as_json: bool = False) -> None:
    """Raises Refused for a set that is not configured or was never checked."""
    from review_pipeline.report.compliance import read_compliance

    pipeline.settings.document_set(name)
    found = read_compliance(pipeline.analyst, name)
    if not found.documents:
        raise Refused(
            f"nothing is known of the documents of {name!r}. Check them first: review-pipeline audit --workload document_compliance {name} --wait"
        )
    if as_json:
        rows = [asdict(document) for document in found.documents]
        out.print_json(json.dumps({"documents": rows, "verdicts": [asdict(one) for one in found.verdicts]}))
    else:
        _print(found)
    if matrix is not None:
        _write_matrix(found, matrix, offline=pipeline.settings.is_offline)
        err.print(f"matrix: {escape(str(matrix))}", highlight=False, soft_wrap=True)


def _print(found: Compliance) -> None:
    states = ", ".join(f"{count} {state}" for state, count in found.by_state.items() if count)
    out.print(f"{escape(found.document_set)}: {states}", highlight=False)
    table = Table("rule", "title", "met", "violated", "not found", "unclear", "unverified", "not appl.", "unread")
    for rule, title in found.rules.items():
        of = found.of_rule(rule)
        unread = of["incomplete"] + of["unread"] + of["waiting"]
        counts = (
            of["met"],
            of["violated"],
            of["not_found"],
            of["unclear"],
            of["unverified"],
            of["not_applicable"],
            unread,
        )
        table.add_row(escape(rule), escape(title), *map(str, counts))
    out.print(table)
    shown = [one for one in found.worth_a_look() if one.verdict in ("violated", "unverified")]
    if not shown:
        return
    table = Table(Column("violated", no_wrap=True), Column("document", overflow="fold"), Column("passage", overflow="fold"), title="Violated, or claimed without a passage that stands there", title_justify="left")  # fmt: skip
    for one in shown[:_MOST_SHOWN]:
        mark = one.rule if one.verdict == "violated" else f"{one.rule} (unverified)"
        passage = one.passage if len(one.passage) <= _MOST_PASSAGE else f"{one.passage[:_MOST_PASSAGE]} ..."
        table.add_row(escape(mark), escape(", ".join(filter(None, [one.document, one.place]))), escape(passage))
    out.print(table)
    if len(shown) > _MOST_SHOWN:
        out.print(f"and {len(shown) - _MOST_SHOWN} more; --matrix writes all of them", highlight=False)


def _write_matrix(found: Compliance, path: Path, *, offline: bool) -> None:
    from review_pipeline.report.compliance import compliance_html, compliance_md

    if path.suffix.lower() not in (".html", ".md"):
        raise Refused(f"{path} ends neither in .html nor in .md. Give the matrix one of these names.")
    render = compliance_html if path.suffix.lower() == ".html" else compliance_md
    try:
        path.write_text(render(found, utc_now(), offline=offline), encoding="utf-8")
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}. Give another place.") from error


def _demo_home() -> OfflineHome:
    return OfflineHome(Path.cwd() / "var" / "documents-demo")


@contextmanager
def offline_set(folder: Path, policy: Path) -> Iterator[tuple[Pipeline, str]]:
    """The folder as a set of its own beside the offline API, and the set's name."""
    home, folder, policy = _demo_home(), folder.resolve(), policy.resolve()
    name = _NOT_IN_NAMES.sub("-", folder.name).strip("-._")[:64] or "documents"
    # What programs keep beside documents is none, and the policy is no document of its own.
    exclude = ["/var/", ".venv/", "node_modules/", "__pycache__/", ".*_cache/"]
    if policy.is_relative_to(folder):
        exclude.append(f"/{policy.relative_to(folder)}")
    entry = {"name": name, "path": str(folder), "policy": str(policy), "exclude": exclude}
    home.path.mkdir(parents=True, exist_ok=True)
    config = {"document_sets": [entry], "batches": {"poll_seconds": 5, "reconcile_grace_seconds": 20}}
    home.config.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    with offline_api(home) as base_url:
        yield Pipeline(Settings.read(home.environment(base_url))), name


def next_cell(pipeline: Pipeline, name: str) -> Cell:
    """Today's; another one today if that is done. An unfinished one is gone on with."""
    today, ledger = utc_now().date(), pipeline.ledger
    for number in count(1):
        cell = Cell(audit_name(DOCUMENTS, name, number), today)
        submissions = ledger.submissions(cell=cell)
        is_done = all(one.state is State.COLLECTED for one in submissions) and cell not in ledger.unsettled_cells()
        if ledger.planned(cell) is None or not is_done:
            return cell
    raise AssertionError("numbers do not end")
