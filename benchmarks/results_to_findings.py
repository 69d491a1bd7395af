"""A batch's results become findings: our download, read and apply, against the SDK row by row and against one bare query."""

from __future__ import annotations

import shutil
from pathlib import Path
from time import perf_counter

from benchmarks import data
from benchmarks.child import Timed

_FINDINGS_COLUMNS = ("anchor", "end_line", "category", "severity", "confidence", "issue", "suggestion", "evidence")


def prepare(home: str, files: int) -> Timed:
    """A plan with its requests, the raw results of one batch as results.jsonl beside it, and the first of them as slice.jsonl."""
    from review_pipeline.adapters.cutting import cut_costs
    from review_pipeline.adapters.history import History
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.audit import Event
    from review_pipeline.workflows.audit import plan_audit

    root = Path(home)
    ledger = AuditLedger(LedgerDatabase(root / "ledger.sqlite"))
    spool, repository = Spool(root / "spool"), data.GeneratedRepository(files)
    started = perf_counter()
    plan_audit(data.audit(), data.CELL, repository, ledger, spool, cut_costs=cut_costs, nonce="nonce", now=data.NOW)
    (submission,) = ledger.submissions()
    written = data.write_results(spool.result_files(submission.folder, "none").manifest, root / "results.jsonl")
    with (root / "results.jsonl").open("rb") as lines, (root / "slice.jsonl").open("wb") as part:
        sliced = [line for line, _ in zip(lines, range(max(1, files // 20)), strict=False)]
        part.writelines(sliced)
    history = History(root, root / "spool", data.THRESHOLDS)
    history.apply((Event(1, "cell_planned", _planned(submission.folder), data.NOW),), data.NOW)
    facts = {name: int(getattr(written, name)) for name in written.__slots__}
    return Timed(perf_counter() - started, {**facts, "slice_results": len(sliced)})


def ours(home: str, base_url: str, scratch: str) -> Timed:
    """facts: the steps in microseconds, and what came out."""
    import duckdb

    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.history import History
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.audit import Event
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.ports import ResultFiles
    from review_pipeline.settings import shipped_prices

    spool, out = Path(home) / "spool", Path(scratch)
    folder = f"plans/{data.PLAN}/000"
    planned = Spool(spool).result_files(folder, "none")
    files = ResultFiles(
        planned.body, planned.manifest, out / "part", out / "raw.jsonl", out / "outcomes.parquet", out / "findings.parquet"
    )  # fmt: skip
    api = AnthropicBatches("none", base_url)
    api.retrieve("warm-up")
    shutil.copy(Path(home) / "history.duckdb", out)  # it knows the plan, and no findings yet
    history = History(out, spool, data.THRESHOLDS)
    results = BatchResults(PriceTable(shipped_prices()))

    marks = [perf_counter()]
    api.download("results", files.raw)
    marks.append(perf_counter())
    check = results.check(files.raw, files.manifest)
    marks.append(perf_counter())
    collected = results.read(files, data.REPO, data.MODEL, data.DAY)
    marks.append(perf_counter())
    payload = _collected(collected.requests, files.outcomes.resolve(), files.findings.resolve())
    history.apply((Event(2, "batch_collected", payload, data.NOW),), data.NOW)
    marks.append(perf_counter())

    with duckdb.connect(str(out / "history.duckdb"), read_only=True) as db:
        kept = db.execute("SELECT (SELECT count(*) FROM findings), (SELECT count(*) FROM outcomes)").fetchone()
    assert kept is not None
    steps = {
        f"{name}_us": int(1e6 * (marks[at + 1] - marks[at]))
        for at, name in enumerate(("download", "check", "read", "apply"))
    }
    return Timed(
        marks[-1] - marks[0],
        {**steps, "requests": collected.requests, "complete": check.is_complete, "failed": len(collected.failed), "findings": kept[0], "outcomes": kept[1], **collected.anchors},
    )  # fmt: skip


def bare_query(home: str, scratch: str) -> Timed:
    """What DuckDB needs at least: every column of every claim, unchecked, into a table on disk."""
    import duckdb

    query = """CREATE TABLE findings AS
        SELECT custom_id, unnest(claimed, recursive := true) FROM (
            SELECT custom_id, from_json(result.message.content[1].text::JSON, $shape).findings AS claimed
            FROM read_json($raw, format = 'newline_delimited', columns = {custom_id: 'VARCHAR',
                result: 'STRUCT(message STRUCT(content STRUCT("text" VARCHAR)[]))'}))"""
    shape = '{"findings":[{"anchor":"VARCHAR","end_line":"INTEGER","category":"VARCHAR","severity":"VARCHAR","confidence":"DOUBLE","issue":"VARCHAR","suggestion":"VARCHAR","evidence":"VARCHAR"}]}'
    started = perf_counter()
    with duckdb.connect(str(Path(scratch) / "bare.duckdb"), config=_settings()) as db:
        db.execute(query, {"raw": str(Path(home) / "results.jsonl"), "shape": shape})
    seconds = perf_counter() - started
    with duckdb.connect(str(Path(scratch) / "bare.duckdb"), read_only=True) as db:
        row = db.execute("SELECT count(*) FROM findings").fetchone()
    assert row is not None
    return Timed(seconds, {"claims": row[0]})


def sdk_row_by_row(base_url: str, scratch: str) -> Timed:
    """What one writes first: iterate the SDK's results, json.loads each text, executemany in one transaction."""
    import json

    import anthropic
    import duckdb

    client = anthropic.Anthropic(api_key="none", base_url=base_url)
    client.messages.batches.retrieve("warm-up")
    rows, results = [], 0
    started = perf_counter()
    for result in client.messages.batches.results("slice"):
        results += 1
        if result.result.type == "succeeded" and result.result.message.content[0].type == "text":
            claimed = json.loads(result.result.message.content[0].text)["findings"]
            rows += [[result.custom_id, *(claim[name] for name in _FINDINGS_COLUMNS)] for claim in claimed]
    with duckdb.connect(str(Path(scratch) / "rows.duckdb"), config=_settings()) as db:
        db.execute(
            "CREATE TABLE findings (custom_id VARCHAR, anchor VARCHAR, end_line INTEGER, category VARCHAR, severity VARCHAR,"
            " confidence DOUBLE, issue VARCHAR, suggestion VARCHAR, evidence VARCHAR)"
        )
        db.execute("BEGIN")
        db.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")
    return Timed(perf_counter() - started, {"results": results, "claims": len(rows)})


def _settings() -> dict[str, str | bool | int | float | list[str]]:
    return {"threads": "2", "preserve_insertion_order": "false"}


def _planned(folder: str) -> dict[str, object]:
    return {
        "cell": str(data.CELL),
        "audit": data.CELL.audit,
        "audit_date": data.DAY.isoformat(),
        "workload": data.WORKLOAD,
        "repo": data.REPO,
        "revision": data.COMMIT,
        "model": data.MODEL,
        "prompt_version": "v",
        "planned_at": data.NOW.isoformat(),
        "files": f"plans/{data.PLAN}/files.jsonl",
        "manifests": [["s", 0, folder]],
    }


def _collected(requests: int, outcomes: Path, findings: Path) -> dict[str, object]:
    moment = data.NOW.isoformat()
    counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
    files = {"outcomes": str(outcomes), "findings": str(findings)}  # absolute: beside this run's scratch, not the spool
    moments = {"created_at": moment, "ended_at": moment, "collected_at": moment}
    about = {"audit_date": data.DAY.isoformat(), "workload": data.WORKLOAD, "repo": data.REPO, "model": data.MODEL}
    numbers = {"round": 0, "requests": requests, **counts}
    return {
        "batch_id": "b",
        "submission": "s",
        "cell": str(data.CELL),
        "prompt_version": "v",
        **about,
        **numbers,
        **moments,
        **files,
    }
