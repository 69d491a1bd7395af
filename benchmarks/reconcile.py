"""One submission in doubt beside many known batches: how much of the API's list it takes to find its batch."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from benchmarks import data
from benchmarks.child import Timed


def found(scratch: str, known: int) -> Timed:
    """facts: list calls that finding it took, and those of the whole list."""
    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.cutting import cut_costs
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.simulator import Simulator
    from review_pipeline.wiring import utc_now
    from review_pipeline.workflows.audit import plan_audit
    from review_pipeline.workflows.submission import Sender, Verdict

    home = Path(scratch)
    ledger, spool = AuditLedger(LedgerDatabase(home / "ledger.sqlite")), Spool(home / "spool")
    with Simulator(home / "api", batch_seconds=3_600) as server:
        api = AnthropicBatches("none", server.base_url)
        _fill(home / "api" / "simulator.sqlite", home / "ledger.sqlite", ledger, known)
        plan_audit(
            data.audit(),
            data.CELL,
            data.GeneratedRepository(3),
            ledger,
            spool,
            cut_costs=cut_costs,
            nonce="nonce",
            now=utc_now(),
        )
        (submission,) = ledger.submissions(cell=data.CELL)
        assert ledger.begin(submission.id, utc_now(), next(batch.id for batch in api.newest()))
        created = api.create(spool.body(submission.folder))  # and no receipt
        sender = Sender(api, ledger, spool, BatchResults(PriceTable(())), utc_now, timedelta(minutes=5))
        before = len(server.journal("list"))
        started = perf_counter()
        settled = sender.reconcile(submission)
        seconds = perf_counter() - started
        between = len(server.journal("list"))
        everything = sum(1 for _ in api.newest())
        after = len(server.journal("list"))
    assert (settled.verdict, settled.submission.batch_id) == (Verdict.ADOPTED, created.id), settled
    assert everything == known + 1
    return Timed(seconds, {"calls": between - before, "calls_of_all": after - between, "listed": settled.listed})


def _fill(api: Path, ledger_path: Path, ledger: object, known: int) -> None:
    """Batches that ended, each with its receipt in the ledger; not through either, which would take minutes."""
    ledger.submissions()  # type: ignore[attr-defined]
    now, moment = time.time(), data.NOW.isoformat()
    names = [f"msgbatch_known_{number:06d}" for number in range(known)]
    with sqlite3.connect(api) as db:
        db.executemany(
            "INSERT INTO batches (id, created_at, batch_seconds, total, version, ended_at, succeeded) VALUES (?, ?, 0, 3, '', ?, 3)",
            [(name, now, now) for name in names],
        )
    with sqlite3.connect(ledger_path) as db:
        db.execute(
            "INSERT INTO cells (cell, audit, audit_date, workload, repo, revision, model, prompt_version, route_reason, counts, planned_at)"
            " VALUES ('known|2026-01-05', 'known', '2026-01-05', 'w', 'r', 'c', 'm', 'v', 'why', '{}', ?)",
            (moment,),
        )
        db.executemany(
            "INSERT INTO submissions (submission, cell, round, state, folder, body_bytes, requests, model, batch_id, counts, planned_at)"
            " VALUES (?, 'known|2026-01-05', 0, 'collected', 'f', 1, 3, 'm', ?, '{}', ?)",
            [(f"known-{name}", name, moment) for name in names],
        )
