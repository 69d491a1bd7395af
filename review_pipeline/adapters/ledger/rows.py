"""What the parts of the ledger share: the database, and how rows are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from review_pipeline.core.audit import NewEvent, PlannedRequest, Submission

if TYPE_CHECKING:
    from review_pipeline.adapters.ledger.database import LedgerDatabase

_ROWS_AT_ONCE = 5_000
_REQUEST_COLUMNS = tuple(field.name for field in fields(PlannedRequest))


class Part:
    """One part of the ledger."""

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database


def insert(db: Connection, table: str, row: Mapping[str, object]) -> None:
    db.execute(
        text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"), dict(row)
    )


def insert_submissions(db: Connection, submissions: tuple[Submission, ...]) -> None:
    for submission in submissions:
        insert(
            db,
            "submissions",
            {
                "submission": submission.id, "cell": submission.cell, "round": submission.round, "state": submission.state.value,
                "folder": submission.folder, "body_bytes": submission.body_bytes, "requests": submission.requests,
                "model": submission.model, "planned_at": submission.planned_at.isoformat(),
                "most_usd": submission.most_usd,
            },
        )  # fmt: skip


def in_portions(requests: Iterable[PlannedRequest]) -> Iterator[list[PlannedRequest]]:
    waiting = iter(requests)
    while rows := list(islice(waiting, _ROWS_AT_ONCE)):
        yield rows


def request_row(request: PlannedRequest) -> dict[str, object]:
    """By the hundred thousand: dataclasses.asdict would copy every value deeply."""
    return {name: getattr(request, name) for name in _REQUEST_COLUMNS}


def insert_requests(db: Connection, requests: list[PlannedRequest]) -> None:
    db.execute(
        text(
            "INSERT INTO requests (custom_id, submission, parent, root, content_key, attempt, history)"
            " VALUES (:custom_id, :submission, :parent, :root, :content_key, :attempt, :history)"
        ),
        [{**request_row(request), "history": ",".join(request.history)} for request in requests],
    )


def add_event(db: Connection, event: NewEvent, now: datetime) -> None:
    row = {
        "key": event.key,
        "kind": event.kind,
        "audit_date": event.payload.get("audit_date"),
        "payload": json.dumps(dict(event.payload)),
        "created_at": now.isoformat(),
    }
    insert(db, "outbox", row)
