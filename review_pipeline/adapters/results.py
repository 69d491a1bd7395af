"""Raw batch results to outcomes and findings, in SQL over the saved file: 100,000 results in seconds, never row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from review_pipeline.adapters import verdicts
from review_pipeline.core.backlog import fitting_answer
from review_pipeline.core.caching import CacheUse
from review_pipeline.core.failures import REMEDIES, Reply, classify
from review_pipeline.core.finding import FAMILIES, Severity, ShownLine, normalised, verify_anchor
from review_pipeline.core.prompt import read_shown
from review_pipeline.core.workloads import BACKLOG, DOCUMENTS, QUALITY
from review_pipeline.ports import Collected, IdCheck, RequestOutcome, RequestUse, ResultFiles, Unavailable

if TYPE_CHECKING:
    import duckdb

    from review_pipeline.core.cost import PriceTable
    from review_pipeline.core.workloads import BatchWorkload

_SQL = resources.files("review_pipeline") / "sql" / "results"
_BEYOND_ANY_PROMPT = 2**53


class BatchResults:
    """Reads the results of one batch: every request in exactly one class, every claim with a checked anchor."""

    def __init__(self, prices: PriceTable, memory_limit: str = "350MB") -> None:
        self._prices = prices
        self._memory_limit = memory_limit

    def read(
        self,
        files: ResultFiles,
        repo: str,
        model: str,
        day: date,
        workload: BatchWorkload = QUALITY,
        *,
        is_sync: bool = False,
    ) -> Collected:
        """is_sync: asked one by one, at the synchronous price."""
        with self._database(files.raw) as db:
            self._run(db, "10_manifest", manifest=str(files.manifest))
            self._read_claims(db, files, workload)
            self._load_classes(db)
            self._load_prices(db, model, day)
            db.execute("SET VARIABLE is_sync = $is_sync", {"is_sync": is_sync})
            self._run(db, "40_outcomes")
            if workload == DOCUMENTS:
                verdicts.identify(db, files)
            else:
                self._identify(db, files, repo, workload)
            _write(db, "outcomes", files.outcomes)
            _write(db, "identified", files.findings)
            return _summary(db, files.findings)

    def _read_claims(self, db: duckdb.DuckDBPyConnection, files: ResultFiles, workload: BatchWorkload) -> None:
        """Tables `claims`, with a row at least for each answer, and `misfits`, the answers that break the schema's rules."""
        db.execute("SET VARIABLE raw = $raw", {"raw": str(files.raw)})
        self._run(db, "15_replies")
        if workload.name == BACKLOG.name:
            self._run(db, "21_review_answers")
            self._load_review_answers(db)
            return
        if workload == DOCUMENTS:
            verdicts.read_claims(db, files, workload)
            return
        self._run(db, "05_code")
        self._run(db, "20_claims", structure=workload.claim_structure)
        self._run(db, "25_weaknesses")
        self._load_families(db)
        self._run(db, "30_misfits", severities=[severity.value for severity in Severity])

    def _load_review_answers(self, db: duckdb.DuckDBPyConnection) -> None:
        """By the rules of the synchronous review, one by one: a night has thousands of them, not a hundred thousand."""
        asked = db.execute("SELECT custom_id, answer FROM claims WHERE answer IS NOT NULL").fetchall()
        read = [(custom_id, fitting_answer(answer)) for custom_id, answer in asked]
        counts = [len(answer["findings"]) if answer is not None else None for _, answer in read]
        self._run(db, "22_review_fits", ids=[custom_id for custom_id, _ in read], counts=counts)

    def _identify(self, db: duckdb.DuckDBPyConnection, files: ResultFiles, repo: str, workload: BatchWorkload) -> None:
        """View `identified`: what the answers that count say, with its place and its identity."""
        if workload.name == BACKLOG.name:  # the review that the answer belongs to tells its findings
            self._run(db, "51_nothing_identified")
            return
        self._run(db, "50_doubtful")
        self._take_second_looks(db, files.body)
        db.execute("SET VARIABLE repo = $repo", {"repo": repo})
        self._run(db, "60_identified")

    def used(self, outcomes: Path) -> dict[str, RequestUse]:
        with self._database(outcomes) as db:
            rows = db.execute(
                "SELECT custom_id, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens + cache_write_1h_tokens, cost_usd"
                " FROM read_parquet($1)",
                [str(outcomes)],
            ).fetchall()
        return {custom_id: RequestUse(*use) for custom_id, *use in rows}

    def check(self, raw: Path, manifest: Path) -> IdCheck:
        with self._database(raw) as db:
            try:
                row = db.execute(
                    (_SQL / "00_ids.sql").read_text(encoding="utf-8"), {"raw": str(raw), "manifest": str(manifest)}
                ).fetchone()
            except _duckdb_error() as error:
                raise Unavailable(
                    f"{raw.name} cannot be read as results: {_first_line(error)}. It will be downloaded again."
                ) from error
        assert row is not None
        return IdCheck(*row)

    @contextmanager
    def _database(self, raw: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._memory_limit,
            "temp_directory": str(raw.parent / "tmp"),
            "preserve_insertion_order": "false",
            "threads": "2",
            # Tables that live for seconds need no checkpoint; it would write the largest one all over again.
            "checkpoint_threshold": "1TB",
            # Joins as they are written, the small side last: nobody can guess how much a JSON file holds.
            "disabled_optimizers": "join_order,build_side_probe_side",
        }
        db = duckdb.connect(":memory:", config=settings)
        try:
            yield db
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise Unavailable(
                f"cannot make tables of {raw}: {_first_line(error)}. Free some space or memory and run the same command again."
            ) from error
        finally:
            db.close()

    def _run(self, db: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> None:
        db.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"), parameters or None)

    def _load_classes(self, db: duckdb.DuckDBPyConnection) -> None:
        """The one table in core/failures.py decides, once for each distinct kind of reply."""
        signatures = db.execute(
            "SELECT DISTINCT type, stop_reason, error_type, error_message, error_code, parsed AND misfits.custom_id IS NULL"
            " FROM claims LEFT JOIN misfits USING (custom_id) UNION SELECT 'missing', NULL, NULL, NULL, NULL, false"
        ).fetchall()
        db.execute(
            'CREATE TABLE classes ("type" VARCHAR, stop_reason VARCHAR, error_type VARCHAR, error_message VARCHAR,'
            " error_code VARCHAR, fits_schema BOOLEAN, class VARCHAR, billed BOOLEAN)"
        )
        rows = []
        for signature in signatures:
            outcome = classify(Reply(*signature))
            rows.append({"signature": signature, "class": outcome.value, "billed": REMEDIES[outcome].is_billed})
        db.execute(
            "INSERT INTO classes SELECT signature[1], signature[2], signature[3], signature[4], signature[5],"
            " signature[6] = 'true', class, billed FROM (SELECT unnest(from_json($rows::JSON,"
            ' \'[{"signature":["VARCHAR"],"class":"VARCHAR","billed":"BOOLEAN"}]\'), recursive := true))',
            {"rows": orjson.dumps(rows).decode()},
        )

    def _load_prices(self, db: duckdb.DuckDBPyConnection, model: str, day: date) -> None:
        db.execute(
            "CREATE TABLE prices (version VARCHAR, from_prompt_tokens BIGINT, up_to_prompt_tokens BIGINT,"
            " input_usd DECIMAL(18, 12), output_usd DECIMAL(18, 12), cache_read_usd DECIMAL(18, 12),"
            " cache_write_5m_usd DECIMAL(18, 12), cache_write_1h_usd DECIMAL(18, 12), batch_share DECIMAL(4, 3))"
        )
        million = Decimal(1_000_000)
        lower = 0
        bands = self._prices.bands(model, day)
        for price in bands:
            upper = price.up_to_prompt_tokens if price is not bands[-1] else None
            upper = upper or _BEYOND_ANY_PROMPT
            db.execute(
                "INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [price.version, lower, upper, *(rate / million for rate in price.rates), price.batch_share],
            )
            lower = upper + 1
        db.execute("SET VARIABLE model = $model", {"model": model})

    def _load_families(self, db: duckdb.DuckDBPyConnection) -> None:
        db.execute(
            "CREATE TABLE families AS SELECT unnest($categories) AS category, unnest($families) AS family",
            {"categories": [category.value for category in FAMILIES], "families": list(FAMILIES.values())},
        )

    def _take_second_looks(self, db: duckdb.DuckDBPyConnection, body: Path) -> None:
        """Anchors that did not prove themselves, against the lines that the request really showed."""
        db.execute(
            "CREATE TABLE second_looks (custom_id VARCHAR, nth BIGINT, line INTEGER, occurrence INTEGER, shown VARCHAR, code VARCHAR)"
        )
        shown: tuple[ShownLine, ...] = ()
        looked_at = ""
        looks = []
        for custom_id, nth, blob, claimed, evidence, offset, size, lines, numbers in db.execute(
            "FROM doubtful"
        ).fetchall():
            if custom_id != looked_at:
                shown, looked_at = _lines_shown(body, offset, size), custom_id
            anchored = verify_anchor(blob, claimed, evidence, shown)
            if anchored.start_line is not None:
                occurrence = dict(zip(lines, numbers, strict=True)).get(anchored.start_line, 1)
                text = next((line.text for line in shown if line.number == anchored.start_line), evidence)
                looks.append((custom_id, nth, anchored.start_line, occurrence, text, normalised(text)))
        if looks:  # as six lists: executemany would insert row by row
            columns = [list(column) for column in zip(*looks, strict=True)]
            db.execute(f"INSERT INTO second_looks SELECT {', '.join(f'unnest(${at})' for at in range(1, 7))}", columns)


def _duckdb_error() -> type[Exception]:
    import duckdb

    return duckdb.Error


def _first_line(error: Exception) -> str:
    """What DuckDB says; below it stand our own SQL and a marker."""
    return str(error).strip().partition("\n")[0].rstrip(" .")


def _lines_shown(body: Path, offset: int, size: int) -> tuple[ShownLine, ...]:
    return read_shown(verdicts.params_of(body, offset, size)["messages"][0]["content"])


def _write(db: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    beside = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")  # another process may make the same table
    db.execute(
        f"COPY {table} TO '{str(beside).replace(chr(39), chr(39) * 2)}' (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 20480)"
    )
    beside.replace(path)


def _summary(db: duckdb.DuckDBPyConnection, findings: Path) -> Collected:
    failed = db.execute(
        "SELECT custom_id, class, error_type, error_message FROM outcomes WHERE class <> 'ok'"
    ).fetchall()
    totals = db.execute(
        "SELECT count(*), coalesce(sum(cost_usd), 0)::DECIMAL(18, 9), coalesce(sum(sync_cost_usd), 0)::DECIMAL(18, 9),"
        " coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(output_tokens), 0)::BIGINT, count(*) FILTER (cache_read_tokens > 0),"
        " coalesce(sum(cache_read_tokens), 0)::BIGINT, coalesce(sum(cache_write_5m_tokens + cache_write_1h_tokens), 0)::BIGINT,"
        " coalesce(sum(cache_saved_usd), 0)::DECIMAL(18, 9), coalesce(sum(surcharge_usd), 0)::DECIMAL(18, 9) FROM outcomes"
    ).fetchone()
    anchors = db.execute("SELECT anchor, count(*) FROM read_parquet($1) GROUP BY anchor", [str(findings)]).fetchall()
    assert totals is not None
    requests, cost_usd, sync_cost_usd, input_tokens, output_tokens, *cached, surcharge_usd = totals
    outcomes = tuple(RequestOutcome(*row) for row in failed)
    return Collected(
        requests,
        outcomes,
        cost_usd,
        sync_cost_usd,
        input_tokens,
        output_tokens,
        dict(anchors),
        CacheUse(*cached),
        surcharge_usd,
    )
