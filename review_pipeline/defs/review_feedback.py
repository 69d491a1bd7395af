"""What developers made of findings, brought back into the history by the hour."""

import dagster as dg

from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.findings_history import WRITER_POOL
from review_pipeline.defs.metadata import table
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.wiring_forge import ForgeWiring
from review_pipeline.workflows.findings_history import bring_up_to_date

MOST_PULLS = 300  # of each repository in one hour, those that were not heard for the longest first


@dg.asset(
    group_name="reviews", deps=[dg.AssetKey("pull_request_reviews")], pool=WRITER_POOL, kinds={"github", "duckdb"}
)
def review_feedback(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Outcomes of told findings: resolved, dismissed with who and why, liked, fixed, merged with it open, fixed later. See the view acceptance."""
    pipeline = Pipeline.from_environment()
    wiring = ForgeWiring(pipeline)
    with told_as_failure():
        heard = wiring.hear(MOST_PULLS)
        bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)
        acceptance = pipeline.analyst.frame("acceptance")
    for trouble in heard.troubles:
        context.log.warning(trouble)
    rows = [tuple(row) for row in acceptance.itertuples(index=False)]
    return dg.MaterializeResult(
        metadata={
            "pull_requests": heard.pulls,
            "not_heard": dg.MetadataValue.md("\n".join(f"- {trouble}" for trouble in heard.troubles) or "none"),
            "new_outcomes": dg.MetadataValue.md(table(("outcome", "findings"), sorted(heard.outcomes.items()))),
            "acceptance": dg.MetadataValue.md(table(tuple(acceptance.columns), rows)),
        }
    )


hear_feedback = dg.define_asset_job("hear_feedback", selection=[review_feedback], executor_def=dg.in_process_executor)


@dg.schedule(
    job=hear_feedback,
    cron_schedule="7 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_feedback() -> dg.RunRequest | dg.SkipReason:
    """Only where a repository is on GitHub."""
    if not ForgeWiring(Pipeline.from_environment()).entries:
        return dg.SkipReason("no repository says `github:` in the configuration")
    return dg.RunRequest()
