"""The overnight backlog in Dagster: answers that came by batch end as reviews of pull requests."""

import dagster as dg

from review_pipeline.core.backlog import PullState
from review_pipeline.defs import metadata
from review_pipeline.defs.audit import GROUP, failure_resubmissions
from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.partitions import audit_days, cell_of
from review_pipeline.wiring import Pipeline
from review_pipeline.wiring_backlog import conclude


@dg.asset(
    partitions_def=audit_days,
    group_name=GROUP,
    deps=[failure_resubmissions],
    kinds={"git"},
)
def overnight_reviews(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Pull requests of a night whose answers are all there: concluded, and told on their forge. None for cells of audits; it ends all the same, because what follows it would be skipped."""
    pipeline, cell = Pipeline.from_environment(), cell_of(context)
    with told_as_failure():
        settled = conclude(pipeline, cell)
        pulls = pipeline.ledger.backlog(cell)
    for pull in settled:
        row = pipeline.ledger.review(pull.review)
        if row is not None and pull.state is PullState.REVIEWED:
            context.log_event(
                dg.AssetMaterialization(metadata.REVIEWS, metadata=metadata.of_review(pipeline.page(row)))
            )
    return dg.MaterializeResult(metadata=metadata.of_backlog(pulls))
