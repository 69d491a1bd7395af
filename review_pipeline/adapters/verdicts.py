"""Verdicts about documents, read from a batch's results: whole answers, and each quoted passage looked for in what its request showed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from review_pipeline.core.compliance import QUOTING, Verdict, rules_asked
from review_pipeline.core.passages import ShownText
from review_pipeline.core.prompt import read_shown

if TYPE_CHECKING:
    import duckdb

    from review_pipeline.core.workloads import BatchWorkload
    from review_pipeline.ports import ResultFiles

_SQL = resources.files("review_pipeline") / "sql" / "results"


def read_claims(db: duckdb.DuckDBPyConnection, files: ResultFiles, workload: BatchWorkload) -> None:
    """Tables `claims`, with a row at least for each answer, and `misfits`, the answers that are not whole."""
    _run(db, "20_verdicts", structure=workload.claim_structure)
    first = db.execute("SELECT body_offset, body_bytes FROM manifest ORDER BY body_offset LIMIT 1").fetchone()
    assert first is not None
    # As they were asked: the policy may have been changed since. All requests of a batch share one.
    rules = rules_asked(params_of(files.body, *first)["output_config"]["format"]["schema"])
    _run(
        db,
        "30_verdict_misfits",
        rules=list(rules),
        verdicts=[verdict.value for verdict in Verdict],
        quoting=[verdict.value for verdict in QUOTING],
    )


def identify(db: duckdb.DuckDBPyConnection, files: ResultFiles) -> None:
    """View `identified`: what the answers that count say, with the place of each passage."""
    db.execute(
        "CREATE TABLE places (custom_id VARCHAR, nth BIGINT, anchor VARCHAR, start_line INTEGER, end_line INTEGER)"
    )
    _run(db, "50_quoting")
    shown, looked_at = ShownText(()), ""
    found = []
    for custom_id, nth, anchor, passage, offset, size in db.execute("FROM quoting").fetchall():
        if custom_id != looked_at:
            content = params_of(files.body, offset, size)["messages"][0]["content"]
            shown, looked_at = ShownText(read_shown(content)), custom_id
        place = shown.place(anchor, passage)
        found.append((custom_id, nth, place.anchor.value, place.first, place.last))
    if found:  # as five lists: executemany would insert row by row
        columns = [list(column) for column in zip(*found, strict=True)]
        db.execute(f"INSERT INTO places SELECT {', '.join(f'unnest(${at})' for at in range(1, 6))}", columns)
    _run(db, "60_verdicts")


def params_of(body: Path, offset: int, size: int) -> dict[str, Any]:
    """Of one request, as it was sent."""
    with body.open("rb") as file:
        file.seek(offset)
        params: dict[str, Any] = orjson.loads(file.read(size))["params"]
    return params


def _run(db: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> None:
    db.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"), parameters or None)
