"""A cell is one audit of one day; reports have Monday weeks."""

from __future__ import annotations

from datetime import date

import dagster as dg

from review_pipeline.core.audit import Cell

PARTITION_TAG = "review_pipeline/partition"  # Dagster's own tag may be missing in lists of sensor runs
FIRST_DAY = "2026-01-05"  # a Monday

# end_offset=1: today, and this week so far, exist as well.
days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)
audits = dg.DynamicPartitionsDefinition(name="audits")
audit_days = dg.MultiPartitionsDefinition({"audit": audits, "date": days})
weeks = dg.WeeklyPartitionsDefinition(start_date=FIRST_DAY, day_offset=1, end_offset=1)


def key_of(cell: Cell) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"audit": cell.audit, "date": cell.day.isoformat()})


def cell_of(context: dg.AssetExecutionContext) -> Cell:
    return Cell.parse(context.partition_key)


def week_of(key: str) -> date:
    return date.fromisoformat(key)
