"""The second audit of a repository in which one file in a hundred changed: what is asked again, in real git."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from benchmarks import data
from benchmarks.child import Timed
from review_pipeline.core.audit import Cell

ONE_IN = 100


def two_audits(scratch: str, files: int) -> Timed:
    """facts: requests and bytes of the first and of the second audit."""
    from review_pipeline.adapters.cutting import cut_costs
    from review_pipeline.adapters.git import GitRepository
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.workflows.audit import plan_audit

    home = Path(scratch)
    tree = home / "repository"
    _commit(tree, range(files), b"")
    ledger, spool, repository = (
        AuditLedger(LedgerDatabase(home / "ledger.sqlite")),
        Spool(home / "spool"),
        GitRepository(tree),
    )
    facts: dict[str, int] = {}
    started = perf_counter()
    for name, day in (("first", data.DAY), ("second", data.DAY + timedelta(days=1))):
        if name == "second":
            _answer_all(home / "ledger.sqlite")
            _commit(tree, range(0, files, ONE_IN), b"\n\nCHANGED = True\n")
        cell = Cell(f"nightly-{data.REPO}", day)
        plan_audit(data.audit(), cell, repository, ledger, spool, cut_costs=cut_costs, nonce=name, now=data.NOW)
        submissions = ledger.submissions(cell=cell)
        facts[f"{name}_requests"] = sum(submission.requests for submission in submissions)
        facts[f"{name}_bytes"] = sum(submission.body_bytes for submission in submissions)
    return Timed(perf_counter() - started, facts)


def _commit(tree: Path, numbers: range, addition: bytes) -> None:
    for number in numbers:
        path = tree / data.path_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.content_of(number) + addition)
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "files")):
        subprocess.run(("git", "-C", str(tree), *arguments), check=True, env=_environment())  # noqa: S607


def _environment() -> dict[str, str]:
    """No configuration of whoever runs this: it may sign commits, or call hooks."""
    person = {
        f"GIT_{role}_{what}": "bench@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **person}


def _answer_all(ledger: Path) -> None:
    with sqlite3.connect(ledger) as db:
        db.execute("UPDATE contents SET state = 'answered'")
