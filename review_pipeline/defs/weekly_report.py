"""The weekly quality report in Dagster."""

from __future__ import annotations

import base64

import dagster as dg

from review_pipeline.defs.audit import batch_results
from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.findings_history import findings_history
from review_pipeline.defs.partitions import week_of, weeks
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.workflows.weekly_report import covers_week, write_weekly_report

# Results that come late refresh the week they belong to; the running week is kept fresh the same way.
late_results = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
)


@dg.asset(
    partitions_def=weeks,
    group_name="reports",
    deps=[batch_results, findings_history],
    kinds={"duckdb", "html"},
    automation_condition=late_results,
    check_specs=[dg.AssetCheckSpec("report_covers_the_week", asset="weekly_quality_report")],
)
def weekly_quality_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """One self-contained HTML page a week: trends, hot files, severity, new and fixed, failures and coverage, cost and saving."""
    pipeline, week = Pipeline.from_environment(), week_of(context.partition_key)
    now = utc_now()
    with told_as_failure():
        report = write_weekly_report(
            week, pipeline.analyst, pipeline.reports, now=now, offline=pipeline.settings.is_offline
        )
    missing = covers_week(report, week, now)
    return dg.MaterializeResult(
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
