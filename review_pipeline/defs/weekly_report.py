"""The weekly quality report in Dagster."""

import base64
from collections.abc import Iterator

import dagster as dg

from review_pipeline.defs.audit import batch_results
from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.findings_history import findings_history
from review_pipeline.defs.partitions import week_of, weeks
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.weekly_report import covers_week, write_weekly_report


@dg.asset(
    partitions_def=weeks,
    group_name="reports",
    deps=[batch_results, findings_history],
    kinds={"duckdb", "html"},
    check_specs=[dg.AssetCheckSpec("report_covers_the_week", asset="weekly_quality_report")],
)
def weekly_quality_report(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """One self-contained HTML page a week: trends, hot files, severity, new and fixed, failures and coverage, cost and saving."""
    pipeline, week = Pipeline.from_environment(), week_of(context.partition_key)
    now = utc_now()
    with told_as_failure():
        told = pipeline.ledger.published()
        report = write_weekly_report(
            week, pipeline.analyst, pipeline.reports, now=now, offline=pipeline.settings.is_offline
        )
        pipeline.ledger.record_report(week, told)
    missing = covers_week(report, week, now)
    yield dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.url(report.path.as_uri()),
            "summary": dg.MetadataValue.md(report.summary_md),
            "trend": dg.MetadataValue.md(
                f"![trend](data:image/png;base64,{base64.b64encode(report.plot_png).decode()})"
            ),
            "open_findings": report.open_findings,
            "opened": report.opened,
            "fixed": report.fixed,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="report_covers_the_week",
                passed=not missing,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"not_covered": "; ".join(missing) or "nothing"},
            )
        ],
    )
