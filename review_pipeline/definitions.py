"""What Dagster loads. Nothing here does I/O beyond reading the configuration; heavy libraries are imported by the steps that use them."""

from __future__ import annotations

import dagster as dg

from review_pipeline.defs.audit import batch_results, batch_submissions, failure_resubmissions
from review_pipeline.defs.findings_history import findings_history
from review_pipeline.defs.jobs import (
    collect_batches,
    monday_report,
    nightly_schedule,
    refresh_history,
    submit_audit,
    weekly_report,
)
from review_pipeline.defs.open_batches import open_batches
from review_pipeline.defs.weekly_report import weekly_quality_report
from review_pipeline.wiring import Pipeline

# What a forked step would otherwise import by itself: a step costs 0.3 CPU-seconds with this list, 2 without.
# Python skips unknown names in silence, so a test imports each of them.
PRELOAD = [
    "dagster._cli",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.runs",
    "dagster._core.storage.schedules",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.storage.fs_io_manager",
    "dagster._core.execution.plan.execute_step",
    "sqlalchemy.dialects.sqlite",
]

defs = dg.Definitions(
    assets=[batch_submissions, batch_results, failure_resubmissions, findings_history, weekly_quality_report],
    jobs=[submit_audit, collect_batches, refresh_history, weekly_report],
    schedules=[nightly_schedule(Pipeline.from_environment().workload.schedule), monday_report],
    sensors=[open_batches],
    executor=dg.multiprocess_executor.configured(
        {"max_concurrent": 4, "start_method": {"forkserver": {"preload_modules": PRELOAD}}}
    ),
)
