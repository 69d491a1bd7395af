"""The sensor looks around when nothing is open: over a year's ledger against an empty one, and with batches to ask about."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.child import Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from review_pipeline.adapters.ledger import AuditLedger
    from review_pipeline.workflows.open_work import Work
    from review_pipeline.workflows.submission import Sender

TICKS = 9
OPEN_BATCHES = 10


def quiet(scratch: str, submissions: int, requests: int) -> Timed:
    """The median of several ticks over a ledger in which everything is collected, published and reported."""
    from review_pipeline.workflows.open_work import look_around

    ledger = _ledger(Path(scratch))
    _fill(Path(scratch) / "ledger.sqlite", submissions, requests)
    seconds, work = _ticks(lambda: look_around(ledger, _no_sender, lambda: data.NOW))
    assert not any((work.to_submit, work.to_collect, work.unpublished, work.to_report)), work
    return Timed(seconds, {"submissions": len(ledger.submissions())})


def with_open_batches(scratch: str) -> Timed:
    """The same with batches in progress at the simulator of the offline mode, each asked about once a tick."""
    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.cutting import cut_costs
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.core.planning import Limits
    from review_pipeline.simulator import Simulator
    from review_pipeline.wiring import utc_now
    from review_pipeline.workflows.audit import plan_audit
    from review_pipeline.workflows.open_work import look_around
    from review_pipeline.workflows.submission import Sender

    home = Path(scratch)
    ledger, spool = _ledger(home), Spool(home / "spool")
    with Simulator(batch_seconds=3_600) as simulator:
        api = AnthropicBatches("none", simulator.base_url)
        sender = Sender(api, ledger, spool, BatchResults(PriceTable(())), utc_now, timedelta(minutes=5))
        one_each = Limits(requests=1)
        repository = data.GeneratedRepository(OPEN_BATCHES)
        plan_audit(
            data.audit(one_each),
            data.CELL,
            repository,
            ledger,
            spool,
            cut_costs=cut_costs,
            nonce="nonce",
            now=utc_now(),
        )
        sender.send_due(data.CELL)
        seconds, work = _ticks(lambda: look_around(ledger, lambda: sender, utc_now))
    assert work.sentence.startswith(f"{OPEN_BATCHES} batch(es) in progress"), work
    return Timed(seconds, {"open": OPEN_BATCHES})


def _no_sender() -> Sender:
    raise AssertionError("nothing is open: there is nothing to ask the API")


def _ticks(tick: Callable[[], Work]) -> tuple[float, Work]:
    work = tick()
    seconds = []
    for _ in range(TICKS):
        started = perf_counter()
        work = tick()
        seconds.append(perf_counter() - started)
    return median(seconds), work


def _ledger(home: Path) -> AuditLedger:
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase

    ledger = AuditLedger(LedgerDatabase(home / "ledger.sqlite"))
    ledger.submissions()
    return ledger


def _fill(path: Path, submissions: int, requests: int) -> None:
    """Rows as a year of audits leaves them, four submissions a day; not through the ledger, which would sync each of them to disk."""
    each = requests // max(submissions, 1)
    with sqlite3.connect(path) as db:
        for number in range(submissions):
            day = (data.DAY - timedelta(days=number // 4)).isoformat()
            cell, moment, name = f"nightly-{number % 4}|{day}", f"{day}T03:00:00+00:00", f"s{number:06d}"
            db.execute(
                "INSERT INTO cells (cell, audit, audit_date, workload, repo, revision, model, prompt_version, route_reason, counts, planned_at)"
                " VALUES (?, ?, ?, 'w', 'r', 'c', 'm', 'v', 'why', '{}', ?)",
                (cell, cell[:9], day, moment),
            )
            db.execute(
                "INSERT INTO submissions (submission, cell, round, state, folder, body_bytes, requests, model, batch_id, counts, planned_at)"
                " VALUES (?, ?, 0, 'collected', 'f', 1, ?, 'm', ?, '{}', ?)",
                (name, cell, each, f"msgbatch_{name}", moment),
            )
            ids = [f"nightly-quality-audit_{number:08x}{at:08x}_1_nonce" for at in range(each)]
            db.executemany(
                "INSERT INTO requests (custom_id, submission, root, content_key, attempt, outcome) VALUES (?, ?, ?, ?, 1, 'ok')",
                [(one, name, one, one) for one in ids],
            )
            db.executemany(
                "INSERT INTO contents VALUES (?, 'w', 'r', ?, ?, ?, 'answered', NULL)",
                [(one, one, cell, one) for one in ids],
            )
            for kind in ("cell_planned", "batch_collected"):
                db.execute(
                    "INSERT INTO outbox (key, kind, audit_date, payload, created_at) VALUES (?, ?, ?, '{}', ?)",
                    (f"{kind} {name}", kind, day, moment),
                )
        db.execute("UPDATE published SET seq = (SELECT coalesce(max(seq), 0) FROM outbox)")
        db.execute(
            "INSERT INTO reports SELECT date(audit_date, '-6 days', 'weekday 1') AS week, max(seq) FROM outbox"
            " WHERE audit_date IS NOT NULL GROUP BY week"
        )
