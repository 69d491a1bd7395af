"""The other half of the first run: a small change with seeded faults, reviewed by the real `claude` binary."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from review_pipeline.ports import Refused
from review_pipeline.report.review import markdown
from review_pipeline.settings import RepositoryEntry
from review_pipeline.wiring import utc_now
from review_pipeline.workflows.findings_history import bring_up_to_date

if TYPE_CHECKING:
    from rich.console import Console

    from review_pipeline.wiring import Pipeline

BRANCH = "discounts"
_BASE = {
    "shop/prices.py": '''"""Prices in cents."""


def total(cents: list[int]) -> int:
    return sum(cents)
''',
    "shop/orders.py": '''"""Orders of a small shop."""

from shop.prices import total


def describe(order: dict[str, list[int]]) -> str:
    return f"{total(order['lines'])} cents"
''',
    "README.md": "# shop\n",
}
_CHANGED = {
    "shop/prices.py": '''"""Prices in cents."""

import json


def load_discounts(path, cache={}):
    try:
        cache[path] = json.load(open(path))
    except:
        pass
    return cache.get(path)


def total(cents: list[int], discount: int) -> int:
    # rate = 0.5
    return sum(cents) - eval(str(discount))
''',
    "shop/orders.py": '''"""Orders of a small shop."""

from shop.prices import load_discounts, total


def describe(order: dict[str, list[int]], path) -> str:
    discount = load_discounts(path)
    if discount == None:
        discount = 0
    return f"{total(order['lines'], discount)} cents"
''',
}


def review_example(pipeline: Pipeline, folder: Path, out: Console) -> None:
    """In a repository of its own; nothing else is touched. The second time there is nothing to pay for. Raises Refused."""
    _make_repository(folder)
    out.print(
        f"\n[bold]A change that waits for its merge[/]: branch {BRANCH} of {escape(str(folder))}, reviewed by `claude -p` in three passes",
        highlight=False,
        soft_wrap=True,
    )
    entry = RepositoryEntry(name="example-shop", path=folder)
    reviewing = pipeline.review(entry, "main")
    row = reviewing.run(reviewing.planner.target(entry.name, "main", BRANCH), lambda *told: _tell(out, *told))
    bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)
    page = pipeline.page(row)
    for finding in page.open("developer"):
        out.print(
            f"  {finding.severity:>8} {escape(finding.where)}: {escape(finding.issue)}", highlight=False, soft_wrap=True
        )
    waiting = len(page.open("human"))
    out.print(
        f"  {waiting} more are for a human to decide; {len(page.calls)} calls, ${page.spent_usd:.4f}", highlight=False
    )
    path = pipeline.reports / f"review-{BRANCH}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(markdown(page), encoding="utf-8")
    out.print(f"review:   {path}", highlight=False, soft_wrap=True)


def _tell(out: Console, pass_name: str, what: str, how: str) -> None:
    if how != "asked":
        out.print(f"  [green]{pass_name:>8}[/] {escape(what)}: {escape(how)}", highlight=False, soft_wrap=True)


def _make_repository(folder: Path) -> None:
    """Always the same commits: dates and names are fixed, so a second run finds the review done."""
    if (folder / ".git" / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _git(folder, "init", "-q")
    _git(folder, "symbolic-ref", "HEAD", "refs/heads/main")
    _commit(folder, _BASE, "Begin")
    _git(folder, "checkout", "-q", "-B", BRANCH)
    _commit(folder, _CHANGED, "Give discounts")
    (folder / ".git" / "made").touch()


def _commit(folder: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "--allow-empty", "-m", message)


def _git(folder: Path, *arguments: str) -> None:
    settings = ("user.name=demo", "user.email=demo@example.invalid", "commit.gpgsign=false", "core.hooksPath=/dev/null")
    options = [word for setting in settings for word in ("-c", setting)]
    when = "2026-11-02T09:00:00Z"
    environment = {
        "GIT_AUTHOR_DATE": when,
        "GIT_COMMITTER_DATE": when,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(
        ["git", *options, "-C", str(folder), *arguments],  # noqa: S607  the same git as everywhere
        capture_output=True, check=False, env=_with_path(environment)
    )  # fmt: skip
    if done.returncode:
        raise Refused(
            f"git {arguments[0]} failed in {folder}: {done.stderr.decode(errors='replace').strip()}. Remove that folder and try again."
        )


def _with_path(environment: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, **environment}
