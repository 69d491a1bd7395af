"""How long small transactions of the ledger take while another process collects large batches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import quantiles
from time import perf_counter, sleep

from benchmarks import data
from benchmarks.child import ROOT, Timed

PAUSE_SECONDS = 0.005  # as many small transactions as many reviews at once make


def prepare(home: str, results: int, batches: int) -> Timed:
    """A cell whose batches have ended and are downloaded: all that is left is to read and to record them."""
    from review_pipeline.adapters.cutting import cut_costs
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.audit import Batch
    from review_pipeline.core.planning import Limits
    from review_pipeline.workflows.audit import plan_audit

    root, started = Path(home), perf_counter()
    ledger, spool = AuditLedger(LedgerDatabase(root / "ledger.sqlite")), Spool(root / "spool")
    limits = Limits(requests=results // batches)
    repository = data.GeneratedRepository(results)
    plan_audit(
        data.audit(limits), data.CELL, repository, ledger, spool, cut_costs=cut_costs, nonce="nonce", now=data.NOW
    )
    submissions = ledger.submissions(cell=data.CELL)
    for submission in submissions:
        files = spool.result_files(submission.folder, f"msgbatch_{submission.folder[-3:]}")
        data.write_results(files.manifest, files.raw)
        batch = Batch(
            f"msgbatch_{submission.folder[-3:]}", "ended", data.NOW, data.NOW, {"succeeded": submission.requests}
        )
        assert ledger.begin(submission.id, data.NOW, "")
        ledger.confirm(submission.id, batch)
        ledger.record_end(submission.id, batch, data.NOW)
    return Timed(perf_counter() - started, {"batches": len(submissions)})


def collect(home: str) -> Timed:
    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.settings import shipped_prices
    from review_pipeline.workflows.collection import Collector

    root = Path(home)
    ledger, spool = AuditLedger(LedgerDatabase(root / "ledger.sqlite")), Spool(root / "spool")
    api = AnthropicBatches("none", "http://127.0.0.1:9")  # nothing is asked: everything is there
    collector = Collector(api, ledger, spool, BatchResults(PriceTable(shipped_prices())), lambda: data.NOW)
    started = perf_counter()
    collected = collector.collect_cell(data.CELL)
    return Timed(perf_counter() - started, {"results": sum(found.requests for _, found in collected)})


def small_transactions(home: str) -> Timed:
    """facts: p95 and the longest in microseconds, alone and beside a collection in another process."""
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase

    ledger = AuditLedger(LedgerDatabase(Path(home) / "ledger.sqlite"))
    name = ledger.submissions(cell=data.CELL)[0].id
    command = (sys.executable, "-m", "benchmarks.child", "ledger_during_ingest:collect", f'["{home}"]')
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as ingest:
        started = perf_counter()
        beside = _taken(ledger, name, lambda: ingest.poll() is None)
        seconds = perf_counter() - started
    assert ingest.returncode == 0
    alone = _taken(ledger, name, lambda: perf_counter() - started < 2 * seconds, most=len(beside))
    return Timed(
        seconds,
        {
            "transactions": len(beside),
            "alone_us": _p95_us(alone),
            "beside_us": _p95_us(beside),
            "longest_us": int(1e6 * max(beside)),
        },
    )


def _taken(ledger: object, name: str, goes_on: Callable[[], bool], most: int | None = None) -> list[float]:
    def one() -> float:
        started = perf_counter()
        ledger.note(name, f"at {started}")  # type: ignore[attr-defined]
        taken = perf_counter() - started
        sleep(PAUSE_SECONDS)
        return taken

    return list(islice(iter(lambda: one() if goes_on() else -1.0, -1.0), most))


def _p95_us(seconds: list[float]) -> int:
    return int(1e6 * quantiles(seconds, n=20)[-1])
