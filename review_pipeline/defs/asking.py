"""How sensors ask for runs: one at a time for the same thing, again after a failure with growing pauses, and not for ever."""

import time
from collections.abc import Mapping

import dagster as dg

TAG = "review_pipeline/unit"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def run_key(
    context: dg.SensorEvaluationContext,
    unit: str,
    same: Mapping[str, str],
    *,
    most_runs: int,
    first_pause_seconds: float,
    longest_pause_seconds: float = 86_400.0,
) -> str | None:
    """The key for one more run of a unit of work, or None for now. same: tags of runs that must not run beside it.

    A run key is remembered for ever, also of a failed run: it carries how many runs of this unit have finished.
    """
    instance = context.instance
    if instance.get_runs(dg.RunsFilter(tags=dict(same), statuses=UNFINISHED), limit=1):
        return None
    records = instance.get_run_records(dg.RunsFilter(tags={TAG: unit}))
    if len(records) >= most_runs:
        context.log.error(
            f"{unit}: {len(records)} runs did not finish this; look at the last one, then launch it by hand"
        )
        return None
    last_end = max((record.end_time or 0.0 for record in records), default=0.0)
    if time.time() - last_end < min(first_pause_seconds * 2 ** (len(records) - 1), longest_pause_seconds):
        return None
    return f"{unit}:{len(records)}"
