"""What is in flight, as observations of batch_results: told when something has changed, or an hour has passed, and not at each tick."""

import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby

import dagster as dg

from review_pipeline.core.audit import Cell
from review_pipeline.defs import metadata
from review_pipeline.defs.partitions import key_of
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.status import Flight, in_flight

ASSET = dg.AssetKey("batch_results")


def observed(pipeline: Pipeline, cursor: str | None) -> tuple[tuple[dg.AssetObservation, ...], str]:
    """Observations of the cells that have changed since the cursor, and the next cursor: cell -> digest of what was told.

    A lost cursor costs one repeated observation a cell.
    """
    status = in_flight(pipeline.ledger, pipeline.caps, pipeline.policy, utc_now())
    told: dict[str, str] = json.loads(cursor) if cursor else {}
    events, now = [], {}
    flights = sorted(status.flights, key=lambda flight: flight.submission.cell)
    for cell, group in groupby(flights, key=lambda flight: flight.submission.cell):
        of_cell = list(group)
        now[cell] = _digest(of_cell)
        if told.get(cell) != now[cell]:
            key = key_of(Cell.parse(cell))
            events.append(
                dg.AssetObservation(asset_key=ASSET, partition=key, metadata=metadata.of_flights(of_cell, status.held))
            )
    return tuple(events), json.dumps(now, sort_keys=True)


def _digest(flights: Sequence[Flight]) -> str:
    """What people would want to hear of: states, counts, a forecast that turns bad; and once an hour how old it is."""
    told = [
        (
            flight.submission.id,
            flight.submission.state.value,
            sorted(flight.submission.counts.items()),
            flight.submission.cancel_asked_at is not None,
            flight.is_in_time,
            int(flight.age.total_seconds() // 3600),
        )
        for flight in flights
    ]
    return sha256(json.dumps(told).encode()).hexdigest()[:16]
