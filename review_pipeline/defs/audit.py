"""Audits in Dagster: submissions, results, resubmissions. Each asset returns at once; nothing waits for a batch."""

from collections.abc import Iterator

import dagster as dg

from review_pipeline.core.audit import Cell, PlannedCell, State
from review_pipeline.core.workloads import BACKLOG
from review_pipeline.defs import metadata
from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.partitions import audit_days, cell_of
from review_pipeline.settings import RepositoryEntry
from review_pipeline.wiring import Pipeline, nonce, utc_now
from review_pipeline.wiring_backlog import BacklogWiring
from review_pipeline.wiring_forge import ForgeWiring
from review_pipeline.workflows.audit import plan_audit
from review_pipeline.workflows.resubmission import plan_resubmission

GROUP = "audits"


@dg.asset(partitions_def=audit_days, group_name=GROUP, kinds={"anthropic", "git"})
def batch_submissions(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """The files of one repository, or set of documents, on one day, as Message Batches: planned and written down first, then sent, each once.

    Run it again at any time: a plan that exists is kept, a batch that exists is not created again.
    """
    pipeline, cell = Pipeline.from_environment(), cell_of(context)
    with told_as_failure():
        plan = _planned(pipeline, cell)
        submissions = pipeline.ledger.submissions(cell=cell)
        if any(submission.state in (State.INTENDED, State.SENDING) for submission in submissions):
            submissions = pipeline.sender.send_due(cell)
    context.log.info(metadata.sentence_of_plan(plan))
    return dg.MaterializeResult(metadata=metadata.of_submissions(plan, submissions))


def _planned(pipeline: Pipeline, cell: Cell) -> PlannedCell:
    workload, entry = pipeline.asked_by(cell)
    pipeline.settings.key()  # said before work is put into a plan
    if workload is BACKLOG:
        assert isinstance(entry, RepositoryEntry)
        return BacklogWiring(pipeline, entry).plan(cell)
    entry = ForgeWiring(pipeline).fetched(entry)
    return plan_audit(
        pipeline.audit(entry, workload),
        cell,
        pipeline.repository(entry),
        pipeline.ledger,
        pipeline.spool,
        cut_costs=pipeline.cut_costs,
        nonce=nonce(),
        now=utc_now(),
        reading=pipeline.reading(entry),
    )


@dg.asset(
    partitions_def=audit_days,
    group_name=GROUP,
    deps=[batch_submissions],
    kinds={"anthropic", "duckdb"},
    check_specs=[
        dg.AssetCheckSpec("every_request_is_accounted_for", asset="batch_results", blocking=True),
        dg.AssetCheckSpec("ids_in_are_ids_out", asset="batch_results", blocking=True),
    ],
)
def batch_results(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Results of every batch of the cell that has ended, raw into the spool, classified into exactly one outcome a request."""
    pipeline, cell = Pipeline.from_environment(), cell_of(context)
    with told_as_failure():
        collected = (
            pipeline.collector.collect_cell(cell)
            if pipeline.ledger.submissions(cell=cell, states=(State.ENDED,))
            else ()
        )
        submissions = pipeline.ledger.submissions(cell=cell)
        standing = pipeline.ledger.outcomes(cell)
    yield dg.MaterializeResult(
        metadata=metadata.of_results(submissions, standing, collected),
        check_results=[metadata.accounted_for(submissions, standing), metadata.ids_agree(submissions, standing)],
    )


@dg.asset(partitions_def=audit_days, group_name=GROUP, deps=[batch_results], kinds={"anthropic"})
def failure_resubmissions(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Only what failed goes out again, changed by why it failed; it comes back through batch_results like every other batch."""
    pipeline, cell = Pipeline.from_environment(), cell_of(context)
    with told_as_failure():
        done = plan_resubmission(
            cell,
            pipeline.ledger,
            pipeline.spool,
            cut_costs=pipeline.cut_costs,
            limits=pipeline.limits,
            prices=pipeline.prices,
            nonce=nonce(),
            clock=utc_now,
        )
        submissions = pipeline.ledger.submissions(cell=cell, states=(State.INTENDED, State.SENDING))
        if submissions:
            pipeline.sender.send_due(cell)
    return dg.MaterializeResult(metadata=metadata.of_resubmissions(done, pipeline.ledger.submissions(cell=cell)))
