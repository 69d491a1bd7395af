"""Jobs and the schedules that start them."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from review_pipeline.core.workloads import DOCUMENTS, BatchWorkload
from review_pipeline.defs.audit import batch_results, batch_submissions, failure_resubmissions
from review_pipeline.defs.backlog import overnight_reviews
from review_pipeline.defs.findings_history import findings_history
from review_pipeline.defs.partitions import PARTITION_TAG, audit_days, audits, key_of, weeks
from review_pipeline.defs.weekly_report import weekly_quality_report
from review_pipeline.wiring import Pipeline

# One or two short steps each: a process for every step would cost more than the step.
_in_process = dg.in_process_executor

submit_audit = dg.define_asset_job(
    "submit_audit", selection=[batch_submissions, findings_history], partitions_def=audit_days, executor_def=_in_process
)
collect_batches = dg.define_asset_job(
    "collect_batches",
    selection=[batch_results, failure_resubmissions, overnight_reviews, findings_history],
    partitions_def=audit_days,
    executor_def=_in_process,
)
refresh_history = dg.define_asset_job("refresh_history", selection=[findings_history], executor_def=_in_process)
weekly_report = dg.define_asset_job(
    "weekly_report", selection=[weekly_quality_report], partitions_def=weeks, executor_def=_in_process
)


def audit_schedule(name: str, workload: BatchWorkload, cron: str) -> dg.ScheduleDefinition:
    """Every configured repository (or set of documents), whenever the workload is due. Stopped until somebody switches it on: it spends money."""

    @dg.schedule(
        name=name,
        job=submit_audit,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=f"{workload.name} of everything that is configured for it. It spends money: stopped until you switch it on.",
    )
    def due(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        pipeline = Pipeline.from_environment()
        day = context.scheduled_execution_time.date()
        cells = [pipeline.cell(entry, day, workload) for entry in pipeline.all_audited(workload)]
        if not cells:
            what = "sets of documents" if workload == DOCUMENTS else f"repositories for {workload.name}"
            yield dg.SkipReason(f"no {what} in {pipeline.settings.config_path}")
            return
        context.instance.add_dynamic_partitions(str(audits.name), [cell.audit for cell in cells])
        for cell in cells:
            key = key_of(cell)
            yield dg.RunRequest(run_key=f"{workload.prefix} {cell}", partition_key=key, tags={PARTITION_TAG: key})

    return due


@dg.schedule(job=weekly_report, cron_schedule="0 6 * * 1", execution_timezone="UTC")
def monday_report(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """The week that has just ended, every Monday at six."""
    monday = context.scheduled_execution_time.date() - timedelta(days=7)
    return dg.RunRequest(partition_key=monday.isoformat())
