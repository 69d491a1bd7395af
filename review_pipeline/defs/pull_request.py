"""Reviews of changes in Dagster: the passes are ops, and what one of them has paid for the next ones find in the ledger."""

from collections.abc import Iterator

import dagster as dg

from review_pipeline.defs import metadata
from review_pipeline.defs.failing import told_as_failure
from review_pipeline.defs.findings_history import WRITER_POOL
from review_pipeline.ports import Gone, Refused
from review_pipeline.settings import RepositoryEntry
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.wiring_forge import ForgeWiring
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline.workflows.pull_request import Planned
from review_pipeline.workflows.review import Progress, Review
from review_pipeline.workflows.review_end import Concluder, gather

POOL = "claude"  # one slot is one pass: it makes as many calls side by side as cores and memory allow


class Change(dg.Config):
    """A branch of a configured repository or a pull request of its forge, pinned to the head that was seen."""

    repo: str
    head: str
    number: str
    base: str


class Telling(dg.Config):
    """How the end is told. holds_incomplete: another run follows, so what is incomplete is not yet posted."""

    holds_incomplete: bool = False


@dg.op(out=dg.Out(str, is_required=False))
def plan_review(context: dg.OpExecutionContext, config: Change) -> Iterator[dg.Output[str]]:
    """Reads the change and writes the plan down; answers the key of the review, or nothing if there is nothing left to review."""
    pipeline = Pipeline.from_environment()
    with told_as_failure():
        pipeline.desks.sweep()
        entry = pipeline.settings.repository(config.repo)
        if pipeline.is_on_forge(entry, config.number):
            planned = _plan_of_pull(context, pipeline, entry, config)
        else:
            review = pipeline.review(entry, config.base)
            planned = review.planner.plan(review.planner.target(config.repo, config.base, config.head, config.number))
        if planned is None:
            return
        if planned.row.is_finished and planned.row.state in ("incomplete", "failed"):
            pipeline.ledger.reopen_review(planned.key, planned.passes)
    for part in planned.row.plan:
        context.log.info(f"{part.name}: {part.calls} call(s); {part.reason}")
    yield dg.Output(planned.key)


def _plan_of_pull(
    context: dg.OpExecutionContext, pipeline: Pipeline, entry: RepositoryEntry, change: Change
) -> Planned | None:
    """None if it is not open any more, which the queue then knows."""
    wiring = ForgeWiring(pipeline)
    try:
        target = wiring.pulls(entry).prepare(int(change.number), change.head)
    except Gone as error:
        context.log.warning(str(error))
        pipeline.ledger.close_head(entry.name, int(change.number), str(error))
        return None
    planned = pipeline.review(entry, target.base, on_forge=True).planner.plan(target)
    if not planned.row.is_finished and (trouble := wiring.publisher(entry).begin(planned.row)):
        context.log.warning(f"that the review is under way could not be told: {trouble}")
    return planned


@dg.op(pool=POOL)
def review_files(context: dg.OpExecutionContext, key: str) -> str:
    """Each unit of files alone, side by side. A call that fails is kept as a failure of its files; the other units go on."""
    review, planned = _planned(key)
    if not _is_done(planned):
        with told_as_failure(), review.open_desk(key) as desk:
            review.first_pass(planned, desk, _logging(context))
    return key


@dg.op(pool=POOL)
def review_across_files(context: dg.OpExecutionContext, key: str) -> str:
    """All files together, told what was found in each of them."""
    review, planned = _planned(key)
    if not _is_done(planned) and planned.outlines:
        with told_as_failure(), review.open_desk(key) as desk:
            first = review.first_pass(planned, desk, asks=False)
            review.second_pass(planned, first, desk, _logging(context))
    return key


def _logging(context: dg.OpExecutionContext) -> Progress:
    def tell(_pass_name: str, what: str, how: str) -> None:
        context.log.info(f"{what}: {how}")

    return tell


@dg.op(pool=POOL)
def summarise_review(context: dg.OpExecutionContext, key: str) -> str:
    """Merges, grades, routes, rules on earlier findings, and records the end of the review."""
    review, planned = _planned(key)
    if _is_done(planned):
        context.log.info(f"{key} is done: nothing is asked again")
        return key
    with told_as_failure(), review.open_desk(key) as desk:
        first = review.first_pass(planned, desk, asks=False)
        across = review.second_pass(planned, first, desk, asks=False)
        gathered = gather(planned, first, across, review.changes)
        summaries, troubles = review.third_pass(planned, gathered, desk)
        Concluder(review.ledger, utc_now).conclude(
            planned, first, tuple(result for result, _ in across), gathered, summaries, troubles
        )
    return key


@dg.op(pool=WRITER_POOL)
def publish_review(context: dg.OpExecutionContext, key: str) -> str:
    """Brings the findings history up to date, and shows the review where engineers look for it."""
    pipeline = Pipeline.from_environment()
    with told_as_failure():
        row = pipeline.ledger.review(key)
        assert row is not None
        page = pipeline.page(row)
        bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)
    context.log_event(dg.AssetMaterialization(metadata.REVIEWS, metadata=metadata.of_review(page)))
    return key


@dg.op
def post_review(context: dg.OpExecutionContext, config: Telling, key: str) -> None:
    """Tells the developer, where the change is on a forge. A review that is not complete fails the run here, after all of it is kept."""
    pipeline = Pipeline.from_environment()
    with told_as_failure():
        row = pipeline.ledger.review(key)
        assert row is not None
        entry = pipeline.settings.repository(row.target.repo)
        is_incomplete = row.state in ("incomplete", "failed")
        if pipeline.is_on_forge(entry, row.target.number) and not (is_incomplete and config.holds_incomplete):
            published = ForgeWiring(pipeline).publisher(entry).publish(row)
            for trouble in published.troubles:
                context.log.warning(trouble)
            context.add_output_metadata(metadata.of_posting(published))
    if is_incomplete:
        raise dg.Failure(
            description=f"the review of {row.target.number} is {row.state}: {'; '.join(row.troubles)[:600]}. "
            "What was answered is kept; the sensor asks for the rest.",
            allow_retries=False,
        )


def _planned(key: str) -> tuple[Review, Planned]:
    pipeline = Pipeline.from_environment()
    with told_as_failure():
        row = pipeline.ledger.review(key)
        if row is None:
            raise Refused(
                f"no review {key} is in the ledger. Start the job from its sensor, or with the config of plan_review."
            )
        entry = pipeline.settings.repository(row.target.repo)
        review = pipeline.review(entry, row.target.base, on_forge=pipeline.is_on_forge(entry, row.target.number))
        return review, review.planner.plan(row.target)


def _is_done(planned: Planned) -> bool:
    return planned.row.is_finished


@dg.job(
    # Six short steps around calls that wait: a process for each step would take longer than all of our own work.
    executor_def=dg.in_process_executor,
    description="One review of one head of one change, in three passes of `claude -p`. Run it again at any time: what was answered is not asked again.",
)
def review_pull_request() -> None:
    post_review(publish_review(summarise_review(review_across_files(review_files(plan_review())))))


pull_request_reviews = dg.AssetSpec(
    metadata.REVIEWS,
    group_name="reviews",
    description="One materialization for each finished review of a head, with the review as developers read it.",
    kinds={"git", "anthropic"},
)
