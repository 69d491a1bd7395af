"""The findings history in Dagster: one applier, alone in its pool."""

from collections.abc import Iterator

import dagster as dg

from review_pipeline.defs.audit import batch_results, batch_submissions, failure_resubmissions
from review_pipeline.defs.backlog import overnight_reviews
from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.metadata import table
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.findings_history import bring_up_to_date, inspect

WRITER_POOL = "findings_writer"


@dg.asset(
    group_name="history",
    deps=[
        batch_submissions,
        batch_results,
        failure_resubmissions,
        overnight_reviews,
        dg.AssetKey("pull_request_reviews"),
    ],
    pool=WRITER_POOL,
    kinds={"duckdb"},
    check_specs=[
        dg.AssetCheckSpec("anchors_are_verified_or_say_so", asset="findings_history"),
        dg.AssetCheckSpec("fingerprints_are_unique", asset="findings_history"),
        dg.AssetCheckSpec("every_file_is_in_one_state", asset="findings_history"),
        dg.AssetCheckSpec("reviewers_are_independent", asset="findings_history"),
    ],
)
def findings_history(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """What happened in the ledger, applied to the history in order; `findings.duckdb` is what analysts open."""
    pipeline = Pipeline.from_environment()
    with told_as_failure():
        applied = bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)
        seen = inspect(pipeline.analyst)
    context.log.info(f"applied {applied.events} events up to {applied.up_to}")
    yield dg.MaterializeResult(
        metadata={
            "applied_events": applied.events,
            "up_to_event": applied.up_to,
            "findings.duckdb": dg.MetadataValue.path(str(applied.published)),
            "open_findings": seen.open_findings,
            "by_severity": dg.MetadataValue.md(
                table(("category", "critical", "warning", "info", "total"), seen.by_severity)
            ),
            "top_findings": dg.MetadataValue.md(
                table(("severity", "confidence", "place", "category", "issue"), seen.worst)
            ),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=check.name,
                passed=not check.violations,
                metadata={"violations": check.violations, "means": check.meaning},
            )
            for check in seen.checks
        ],
    )
