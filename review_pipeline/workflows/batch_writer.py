"""Requests packed into the bodies of one round's batches, with the most that each batch can cost."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from review_pipeline.core.audit import Cell, State, Submission
from review_pipeline.core.planning import Limits, Packer
from review_pipeline.core.prompt import written_bytes
from review_pipeline.core.spending import Reserve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from review_pipeline.core.cost import PriceTable
    from review_pipeline.ports import BatchBody, PlanFolder


class BatchWriter:
    """Grows on disk as requests come; nothing counts before the ledger has the submissions."""

    def __init__(
        self, cell: Cell, round_: int, model: str, folder: PlanFolder, limits: Limits, prices: PriceTable, day: date
    ) -> None:
        self._cell, self._round, self._model, self._folder = cell, round_, model, folder
        self._packer = Packer(limits)
        self._reserve = Reserve(prices, model, day)
        self._bodies: list[BatchBody] = []
        self._bytes: list[int] = []
        self._most_usd: list[Decimal] = []

    def add(self, params: dict[str, Any], row: Mapping[str, object]) -> str:
        """The submission that the request went into. params: of the Messages API. row: of the manifest, with its custom_id."""
        request = orjson.dumps({"custom_id": row["custom_id"], "params": params})
        if self._packer.starts_new_batch(len(request)) or not self._bodies:
            self._close_last()
            self._bodies.append(self._folder.batch(len(self._bodies)))
        self._bodies[-1].add(request, row)
        self._reserve.add(len(request), params["max_tokens"], written_bytes(params))
        return self._id(len(self._bodies) - 1)

    def close(self, now: datetime) -> tuple[Submission, ...]:
        """Everything is on disk for good; what was written is intended to be sent."""
        self._close_last()
        closed = zip(self._bodies, self._bytes, self._most_usd, strict=True)
        return tuple(
            Submission(
                self._id(number),
                str(self._cell),
                self._round,
                State.INTENDED,
                body.name,
                size,
                body.requests,
                self._model,
                planned_at=now,
                most_usd=str(most_usd),
            )
            for number, (body, size, most_usd) in enumerate(closed)
        )

    def _close_last(self) -> None:
        if self._bodies:
            self._bytes.append(self._bodies[-1].close())
            self._most_usd.append(self._reserve.taken_usd())

    def _id(self, number: int) -> str:
        return f"{self._cell}/r{self._round}-{number:03d}"
