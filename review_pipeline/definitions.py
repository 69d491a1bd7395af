"""What Dagster loads. Nothing here does I/O beyond reading the configuration; heavy libraries are imported by the steps that use them."""

from __future__ import annotations

import dagster as dg

from review_pipeline.core.workloads import BACKLOG, DOCUMENTS, QUALITY, SECURITY
from review_pipeline.defs.audit import batch_results, batch_submissions, failure_resubmissions
from review_pipeline.defs.backlog import overnight_reviews
from review_pipeline.defs.findings_history import findings_history
from review_pipeline.defs.github_pull_requests import github_pull_requests
from review_pipeline.defs.jobs import (
    audit_schedule,
    collect_batches,
    monday_report,
    refresh_history,
    submit_audit,
    weekly_report,
)
from review_pipeline.defs.new_heads import new_heads
from review_pipeline.defs.open_batches import open_batches
from review_pipeline.defs.preload import PRELOAD
from review_pipeline.defs.pull_request import pull_request_reviews, review_pull_request
from review_pipeline.defs.review_feedback import hear_feedback, hourly_feedback, review_feedback
from review_pipeline.defs.weekly_report import weekly_quality_report
from review_pipeline.wiring import Pipeline

_declared = Pipeline.from_environment().declared

defs = dg.Definitions(
    assets=[
        batch_submissions,
        batch_results,
        failure_resubmissions,
        overnight_reviews,
        findings_history,
        weekly_quality_report,
        pull_request_reviews,
        review_feedback,
    ],
    jobs=[submit_audit, collect_batches, refresh_history, weekly_report, review_pull_request, hear_feedback],
    schedules=[
        audit_schedule("nightly_audits", QUALITY, _declared(QUALITY).schedule),
        audit_schedule("weekly_security_audits", SECURITY, _declared(SECURITY).schedule),
        audit_schedule("overnight_backlog", BACKLOG, _declared(BACKLOG).schedule),
        audit_schedule("document_checks", DOCUMENTS, _declared(DOCUMENTS).schedule),
        monday_report,
        hourly_feedback,
    ],
    sensors=[open_batches, new_heads, github_pull_requests],
    executor=dg.multiprocess_executor.configured(
        {"max_concurrent": 4, "start_method": {"forkserver": {"preload_modules": PRELOAD}}}
    ),
)
