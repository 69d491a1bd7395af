"""The sensor that closes the loop: it looks at everything unfinished in the ledger and asks for the runs that go on with it."""

import time
from collections.abc import Iterator

import dagster as dg

from review_pipeline.defs.asking import TAG, run_key
from review_pipeline.defs.in_flight import observed
from review_pipeline.defs.jobs import collect_batches, refresh_history, submit_audit, weekly_report
from review_pipeline.defs.partitions import PARTITION_TAG, audits, key_of
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.open_work import Work, look_around

POLL_SECONDS = 40.0  # a tick is cut off at 60
MOST_RUNS = 12  # of one unit of work; after that a person has to look
FIRST_PAUSE_SECONDS = 15.0  # doubled after each failed run: the last pause is some four hours


@dg.sensor(
    jobs=[submit_audit, collect_batches, refresh_history, weekly_report],
    minimum_interval_seconds=Pipeline.from_environment().settings.config.batches.poll_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def open_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Polls open batches, settles doubtful submissions, and requests runs for whatever is due. The ledger is the only truth.

    What is in flight is observed at batch_results, when it has changed; the cursor holds what was last told there, and nothing else.
    """
    started = time.monotonic()
    pipeline = Pipeline.from_environment()
    try:
        work = look_around(
            pipeline.ledger,
            lambda: pipeline.sender,
            utc_now,
            pipeline.caps,
            has_time=lambda: time.monotonic() - started < POLL_SECONDS,
        )
    except (Unavailable, Refused) as error:
        return dg.SkipReason(str(error))
    for one in work.settled:
        context.log.info(f"{one.submission.id}: {one.verdict.value}. {one.why}")
    for name, trouble in work.troubled:
        context.log.warning(f"{name}: {trouble}")
    for told in work.held:
        context.log.warning(told)
    requests = list(_requests(context, work))
    observations, cursor = observed(pipeline, context.cursor)
    if not requests:
        return dg.SensorResult(skip_reason=work.sentence, asset_events=observations, cursor=cursor)
    cells = sorted({cell.audit for cell in (*work.to_submit, *work.to_collect)})
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[audits.build_add_request(cells)] if cells else [],
        asset_events=observations,
        cursor=cursor,
    )


def _requests(context: dg.SensorEvaluationContext, work: Work) -> Iterator[dg.RunRequest]:
    for cell in work.to_submit:
        yield from _request(context, submit_audit.name, f"submit {cell} {work.marks.get(cell, 0)}", key_of(cell))
    for cell in work.to_collect:
        yield from _request(context, collect_batches.name, f"collect {cell} {work.marks.get(cell, 0)}", key_of(cell))
    if work.unpublished:
        yield from _request(context, refresh_history.name, f"history {work.unpublished}", None)
    for week, newest in work.to_report.items():
        yield from _request(context, weekly_report.name, f"report {week} {newest}", week.isoformat())


def _request(context: dg.SensorEvaluationContext, job: str, unit: str, key: str | None) -> Iterator[dg.RunRequest]:
    same_part = {PARTITION_TAG: key} if key else {TAG: unit}
    asked = run_key(context, unit, same_part, most_runs=MOST_RUNS, first_pause_seconds=FIRST_PAUSE_SECONDS)
    if asked is not None:
        tags = {TAG: unit, **({PARTITION_TAG: key} if key else {})}
        yield dg.RunRequest(run_key=asked, job_name=job, partition_key=key, tags=tags)
