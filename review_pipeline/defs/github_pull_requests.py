"""The sensor that sees new heads of pull requests on GitHub, and asks for one review of each that stays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import dagster as dg

from review_pipeline.core.forge import QueuedMerge
from review_pipeline.core.head_queue import QueuedHead, has_settled
from review_pipeline.defs.asking import TAG, UNFINISHED, run_key
from review_pipeline.defs.new_heads import CHANGE_TAG
from review_pipeline.defs.pull_request import review_pull_request
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.wiring_forge import ForgeWiring, lasting_credentials, slug_of

MOST_REVIEWS = 6  # runs for one head; after that a person has to look
MOST_POSTS = 60  # runs that only post what is reviewed: a forge may be down for half a day
HELD_RUNS = 2  # so often an incomplete review is completed before it is posted as it is
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 900.0
MOST_WAITING = 500  # heads that are looked at in one tick, those that wait the longest first
MOST_REQUESTS = 50  # runs that one tick asks for
MOST_MERGES = 10  # commits of merge queues that one tick answers for


@dg.sensor(job=review_pull_request, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def github_pull_requests(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Pull requests of repositories that say `github:`. New heads, other bases, drafts that are ready, and reopened ones are reviewed."""
    wiring = ForgeWiring(Pipeline.from_environment(), lasting_credentials)
    if not wiring.entries:
        return dg.SkipReason("no repository says `github:` in the configuration")
    repositories = {entry.name: slug_of(entry) for entry in wiring.entries}
    try:
        looked = wiring.watch().look(repositories, _first_batch(context.cursor))
    except (Refused, Unavailable) as error:
        return dg.SkipReason(str(error))
    for trouble in looked.troubles:
        context.log.warning(trouble)
    for trouble in _answered(wiring, looked.merges):
        context.log.warning(trouble)
    asking = _Asking(context, wiring)
    for queued in wiring.pipeline.ledger.wanted_heads(MOST_WAITING):
        if queued.seen.repo in repositories and len(asking.requests) < MOST_REQUESTS:
            asking.look(queued)
    cursor = json.dumps({"v": 1, "batch": looked.next_batch})
    told = f"{looked.pulls} open pull requests of {looked.repositories} repositories, {looked.changes} changed; {asking.waiting} wait"
    if not asking.requests:
        context.update_cursor(cursor)
        return dg.SkipReason("; ".join([told, *looked.troubles])[:1_000])
    context.log.info(told)
    return dg.SensorResult(run_requests=asking.requests, cursor=cursor)


def _first_batch(cursor: str | None) -> int:
    try:
        told = json.loads(cursor or "{}")
        return max(0, int(told.get("batch", 0)))
    except (ValueError, TypeError, AttributeError):
        return 0


@dataclass(slots=True)
class _Asking:
    context: dg.SensorEvaluationContext
    wiring: ForgeWiring
    requests: list[dg.RunRequest] = field(default_factory=list)
    waiting: int = 0

    def look(self, queued: QueuedHead) -> None:
        """Settles a head that is reviewed and told; asks for one run for any other that has stayed."""
        seen, pipeline = queued.seen, self.wiring.pipeline
        row = self.wiring.last_review(seen.repo, seen.number, seen.head, seen.base_ref)
        is_complete = row is not None and row.state in ("reviewed", "nothing_to_review")
        if row is not None and row.finished_at is not None and (is_complete or row.finished_at >= queued.seen_at):
            publisher = self.wiring.publisher(pipeline.settings.repository(seen.repo))
            if publisher.is_published(row):
                pipeline.ledger.settle_head(queued, f"{row.state} and told")
                return
        self.waiting += 1
        if not has_settled(queued, utc_now(), pipeline.settings.config.github.settle_seconds):
            return
        if row is not None and is_complete:
            self._ask(queued, f"post {row.key}", MOST_POSTS)
        else:
            self._ask(queued, f"review {queued.change} {seen.head} {seen.base_ref} {queued.seen_at:%Y%m%dT%H%M%S%f}", MOST_REVIEWS)  # fmt: skip

    def _ask(self, queued: QueuedHead, unit: str, most_runs: int) -> None:
        seen, instance = queued.seen, self.context.instance
        runs = instance.get_run_records(dg.RunsFilter(tags={TAG: unit}))
        if len(runs) >= most_runs and not any(record.dagster_run.status in UNFINISHED for record in runs):
            note = f"given up after {len(runs)} runs; look at the last one, then launch it by hand"
            self.context.log.error(f"{queued.change}: {note}")
            self.wiring.pipeline.ledger.settle_head(queued, note)
            return
        same = {CHANGE_TAG: queued.change}
        key = run_key(
            self.context, unit, same, most_runs=most_runs, first_pause_seconds=FIRST_PAUSE_SECONDS, longest_pause_seconds=LONGEST_PAUSE_SECONDS,
        )  # fmt: skip
        if key is None:
            return
        tags = {TAG: unit, **same, "repo": seen.repo, "number": str(seen.number), "head": seen.head[:12]}
        change = {"repo": seen.repo, "head": seen.head, "number": str(seen.number), "base": seen.base_ref}
        telling = {"holds_incomplete": len(runs) < HELD_RUNS}
        config = {"ops": {"plan_review": {"config": change}, "post_review": {"config": telling}}}
        self.requests.append(dg.RunRequest(run_key=key, tags=tags, run_config=config))


def _answered(wiring: ForgeWiring, merges: list[QueuedMerge]) -> list[str]:
    troubles = []
    for merge in merges[:MOST_MERGES]:
        entry = wiring.pipeline.settings.repository(merge.repo)
        if trouble := wiring.merge_queue(entry).answer(merge):
            troubles.append(trouble)
    return troubles
