"""Where a workload runs: three questions, and the answer with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BATCH_HOURS = 24  # a Message Batch expires after this time
POLL_HOURS = 5 / 60
INGEST_HOURS = 10 / 60
MARGIN_HOURS = 1.75


class Path(StrEnum):
    BATCH = "batch"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    needs_tools: bool
    is_blocking: bool
    sla_hours: float
    submit_every_hours: float


@dataclass(frozen=True, slots=True)
class Route:
    path: Path
    reason: str


def worst_case_hours(submit_every_hours: float) -> float:
    """Wait for the next submission + a batch's whole day + poll + ingest + margin."""
    return submit_every_hours + BATCH_HOURS + POLL_HOURS + INGEST_HOURS + MARGIN_HOURS


def worst_case_terms(submit_every_hours: float) -> tuple[str, ...]:
    """What worst_case_hours adds up, one by one, for people."""
    return (
        f"{submit_every_hours:g} h to the next submission",
        f"{BATCH_HOURS} h in the batch",
        f"{POLL_HOURS * 60:.0f} min to notice",
        f"{INGEST_HOURS * 60:.0f} min to ingest",
        f"{MARGIN_HOURS:g} h margin",
    )


def route(workload: Workload) -> Route:
    if workload.needs_tools:
        return Route(Path.SYNC, "it needs tools, and a batch request cannot use ours")
    if workload.is_blocking:
        return Route(Path.SYNC, "a person or a merge waits for it, and a batch promises no latency")
    worst = worst_case_hours(workload.submit_every_hours)
    if round(worst - workload.sla_hours, 6) > 0:  # a SLA met to the second must not fail by the rounding of a float
        return Route(
            Path.SYNC,
            f"its SLA is {workload.sla_hours:g} h, but at worst a batch takes {worst:.4g} h: "
            + " + ".join(worst_case_terms(workload.submit_every_hours)),
        )
    return Route(
        Path.BATCH,
        f"no tools, nobody waits, and {worst:.4g} h at worst is within its SLA of {workload.sla_hours:g} h: half the price",
    )


def refusal(workload: Workload) -> str | None:
    """Why a workload that is declared for batches must not be loaded, or None."""
    decided = route(workload)
    if decided.path is Path.BATCH:
        return None
    return f"workload {workload.name!r} is declared for batches but belongs on the synchronous path: {decided.reason}"
