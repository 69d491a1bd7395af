"""The sensor that sees new heads of branches, and asks for one review of each that stays."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from review_pipeline.defs.asking import TAG, run_key
from review_pipeline.defs.pull_request import review_pull_request
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.wiring import Pipeline
from review_pipeline.workflows.new_heads import Head, heads_to_review

CHANGE_TAG = "review_pipeline/change"
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
    """One run of a change at a time."""
    unit = f"review {head.change} {head.commit} {head.base_commit[:12]}"
    same = {CHANGE_TAG: head.change}
    asked = run_key(context, unit, same, most_runs=MOST_RUNS, first_pause_seconds=FIRST_PAUSE_SECONDS)
    if asked is not None:
        tags = {TAG: unit, **same, "repo": head.repo, "number": head.branch, "head": head.commit[:12]}
        config = {"repo": head.repo, "head": head.commit, "number": head.branch, "base": head.base}
        yield dg.RunRequest(run_key=asked, tags=tags, run_config={"ops": {"plan_review": {"config": config}}})
