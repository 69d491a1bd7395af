"""The sensor that sees new heads of branches, and asks for one review of each that stays."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from review_pipeline.defs.pull_request import review_pull_request
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.wiring import Pipeline
from review_pipeline.workflows.new_heads import Head, heads_to_review

TAG = "review_pipeline/unit"
CHANGE_TAG = "review_pipeline/change"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
MOST_RUNS = 6  # of one head; after that a person has to look
FIRST_PAUSE_SECONDS = 30.0  # doubled after each run


@dg.sensor(job=review_pull_request, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def new_heads(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Branches of repositories that say `pull_requests:` in the configuration. A head is reviewed once it has stayed for a moment."""
    pipeline = Pipeline.from_environment()
    seen = _Seen.read(context.cursor)
    requests: list[dg.RunRequest] = []
    troubles: list[str] = []
    for entry in pipeline.settings.config.repositories:
        if entry.pull_requests is None:
            continue
        try:
            for head in heads_to_review(entry.name, entry.pull_requests.base, entry.pull_requests.branches, pipeline.changes(pipeline.settings.repository_path(entry)), pipeline.ledger):  # fmt: skip
                if seen.has_settled(head, pipeline.settings.config.workloads.pull_request_review.settle_seconds):
                    requests += _request(context, head)
        except (Refused, Unavailable) as error:
            troubles.append(f"{entry.name}: {error}")
    for trouble in troubles:
        context.log.warning(trouble)
    cursor = seen.written()
    if not requests:
        context.update_cursor(cursor)
        return dg.SkipReason("; ".join(troubles) or "every head that has settled is reviewed")
    return dg.SensorResult(run_requests=requests, cursor=cursor)


@dataclass(slots=True)
class _Seen:
    """When each head was first seen: pushes within a moment cost one review, of the last of them."""

    before: dict[str, list[object]]
    now: dict[str, list[object]]

    @classmethod
    def read(cls, cursor: str | None) -> "_Seen":
        try:
            before = json.loads(cursor or "{}")
        except ValueError:
            before = {}
        return cls(before if isinstance(before, dict) else {}, {})

    def has_settled(self, head: Head, seconds: float) -> bool:
        known = self.before.get(head.change)
        since = known[1] if known and known[0] == head.commit else time.time()
        self.now[head.change] = [head.commit, since]
        return isinstance(since, int | float) and time.time() - since >= seconds

    def written(self) -> str:
        return json.dumps(self.now)


def _request(context: dg.SensorEvaluationContext, head: Head) -> Iterator[dg.RunRequest]:
    """One run of a change at a time; a run key is remembered for ever, so it carries how many runs of this head there were."""
    instance, unit = context.instance, f"review {head.change} {head.commit} {head.base_commit[:12]}"
    if instance.get_runs(dg.RunsFilter(tags={CHANGE_TAG: head.change}, statuses=UNFINISHED), limit=1):
        return
    records = instance.get_run_records(dg.RunsFilter(tags={TAG: unit}))
    if len(records) >= MOST_RUNS:
        context.log.error(
            f"{unit}: {len(records)} runs did not finish this; look at the last one, then launch it by hand"
        )
        return
    last_end = max((record.end_time or 0.0 for record in records), default=0.0)
    if records and time.time() - last_end < FIRST_PAUSE_SECONDS * 2 ** (len(records) - 1):
        return
    tags = {TAG: unit, CHANGE_TAG: head.change, "repo": head.repo, "number": head.branch, "head": head.commit[:12]}
    config = {"repo": head.repo, "head": head.commit, "number": head.branch, "base": head.base}
    yield dg.RunRequest(
        run_key=f"{unit}:{len(records)}", tags=tags, run_config={"ops": {"plan_review": {"config": config}}}
    )
