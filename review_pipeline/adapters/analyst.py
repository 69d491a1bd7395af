"""Reads the published findings history, as an analyst would: read-only, one short-lived connection a question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from review_pipeline.ports import Refused, Unavailable

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

_REPORT_SQL = resources.files("review_pipeline") / "sql" / "report"


class Analyst:
    """Implements the port HistoryReader over `findings.duckdb`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def frame(self, name: str, **parameters: object) -> pd.DataFrame:
        """Raises Refused without a history or with an outdated one, Unavailable while somebody writes into it."""
        import duckdb

        script = (_REPORT_SQL / f"{name}.sql").read_text(encoding="utf-8")
        with self._opened() as db:
            try:
                return db.execute(script, parameters or None).df()
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                raise Refused(
                    f"{self._path} was published by another version of this program: {_first_line(error)}. "
                    "Publish it again: materialize findings_history, or review-pipeline collect."
                ) from error

    def query(self, sql: str) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Column names and rows of a statement somebody typed. Raises Refused with DuckDB's words if it is wrong."""
        import duckdb

        with self._opened() as db:
            try:
                statements = db.extract_statements(sql)
                if len(statements) != 1:
                    raise Refused(
                        f"these are {len(statements)} statements; ask one at a time, all answers would be lost but the last."
                    )
                answer = db.execute(statements[0])
                return tuple(column[0] for column in answer.description or ()), answer.fetchall()
            except duckdb.Error as error:
                raise Refused(f"DuckDB refused the query: {error}\n`review-pipeline query` lists the views.") from error

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        if self._path.is_symlink() and not self._path.exists():
            raise Refused(f"{self._path} points to a copy that is gone. Publish it again: review-pipeline collect.")
        if not self._path.exists():
            raise Refused(
                f"there is no {self._path} yet. It is published after the first audit: make demo, or review-pipeline audit NAME."
            )
        try:
            db = duckdb.connect(str(self._path), read_only=True)
        except duckdb.IOException as error:
            raise Unavailable(
                f"cannot open {self._path}: {_first_line(error)}. Close the program that holds it for writing, and ask again."
            ) from error
        except duckdb.Error as error:
            raise Refused(
                f"cannot read {self._path}: {_first_line(error)}. Open it with the duckdb of requirements.lock, or publish it again."
            ) from error
        try:
            yield db
        finally:
            db.close()


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
