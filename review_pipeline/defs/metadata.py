"""What an engineer wants to see beside a materialization, and the checks on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg

from review_pipeline.core.audit import PlannedCell, State, Submission

if TYPE_CHECKING:
    from review_pipeline.core.backlog import BacklogPull
    from review_pipeline.ports import Collected
    from review_pipeline.report.review import ReviewPage
    from review_pipeline.workflows.publishing import Published
    from review_pipeline.workflows.resubmission import Resubmitted
    from review_pipeline.workflows.status import Flight

Metadata = dict[str, dg.MetadataValue | str | int | float]

REVIEWS = dg.AssetKey("pull_request_reviews")


def sentence_of_plan(plan: PlannedCell) -> str:
    submitted = plan.counts.get("submitted", 0)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(plan.counts.items())) or "no files"
    if not submitted:
        return f"nothing to submit for {plan.cell}: {counts}"
    return f"{plan.cell} at {plan.revision[:12]}: {counts}"


def of_submissions(plan: PlannedCell, submissions: Sequence[Submission]) -> Metadata:
    return {
        "summary": sentence_of_plan(plan),
        "revision": plan.revision,
        "model": plan.model,
        "prompt_version": plan.prompt_version,
        "route": f"batch: {plan.route_reason}",
        "prompt_cache": plan.caching or "not decided: planned by an older version",
        "files": dg.MetadataValue.md(table(("plan", "files"), sorted(plan.counts.items()))),
        "requests": sum(submission.requests for submission in submissions),
        "body_megabytes": round(sum(submission.body_bytes for submission in submissions) / 1e6, 3),
        "batches": dg.MetadataValue.md(batchtable(submissions)),
    }


def of_flights(flights: Sequence[Flight], held: Sequence[str]) -> Metadata:
    """One cell's submissions that are not collected yet."""
    rows = [
        (
            one.batch_id or ("one by one" if one.is_sync else "not created yet"),
            "being canceled" if one.cancel_asked_at else one.state.value,
            ", ".join(f"{count} {name}" for name, count in one.counts.items() if count) or one.requests,
            str(flight.age).partition(".")[0],
            str(flight.ends) if flight.ends else "",
            f"{flight.deadline_at:%m-%d %H:%M}" if flight.deadline_at else "",
            one.most_usd,
            one.note or "",
        )
        for flight in flights
        for one in [flight.submission]
    ]
    head = ("batch", "state", "requests", "age", "likely end (UTC)", "deadline (UTC)", "up to USD", "note")
    sent = [flight.submission for flight in flights if flight.submission.state is not State.INTENDED]
    told: Metadata = {
        "in_flight": dg.MetadataValue.md(table(head, rows)),
        "batches": len(flights),
        "requests": sum(flight.submission.requests for flight in flights),
        "oldest_hours": round(max(flight.age.total_seconds() for flight in flights) / 3600, 2),
        "reserved_usd": float(sum(Decimal(one.most_usd) for one in sent)),
    }
    if ends := [flight.ends.late_at.timestamp() for flight in flights if flight.ends]:
        told["ended_9_of_10_by"] = dg.MetadataValue.timestamp(max(ends))
    if deadlines := [flight.deadline_at.timestamp() for flight in flights if flight.deadline_at]:
        told["deadline"] = dg.MetadataValue.timestamp(min(deadlines))
    if held:
        told["held_back"] = dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in held))
    return told


def of_results(
    submissions: Sequence[Submission], standing: Mapping[str, int], collected: Sequence[tuple[Submission, Collected]]
) -> Metadata:
    cost, sync_cost = money(submissions)
    anchors: dict[str, int] = {}
    for _, one in collected:
        for anchor, count in one.anchors.items():
            anchors[anchor] = anchors.get(anchor, 0) + count
    return {
        "collected_now": len(collected),
        "requests_by_state": dg.MetadataValue.md(table(("state", "requests"), sorted(standing.items()))),
        "findings_now": sum(anchors.values()),
        "anchors_now": dg.MetadataValue.md(table(("anchor", "findings"), sorted(anchors.items()))),
        "input_tokens_now": sum(one.input_tokens for _, one in collected),
        "output_tokens_now": sum(one.output_tokens for _, one in collected),
        "cache_hits_now": sum(one.cache.hits for _, one in collected),
        "cache_read_tokens_now": sum(one.cache.read_tokens for _, one in collected),
        "cache_written_tokens_now": sum(one.cache.written_tokens for _, one in collected),
        "cache_saved_usd_now": float(sum(one.cache.saved_usd for _, one in collected)),
        "cost_usd": float(cost),
        "sync_cost_usd": float(sync_cost),
        "saved_usd": float(sync_cost - cost),
        "batches": dg.MetadataValue.md(batchtable(submissions)),
    }


def of_resubmissions(done: Resubmitted, submissions: Sequence[Submission]) -> Metadata:
    given_up = [(request.custom_id, request.reason) for request in done.given_up]
    return {
        "resubmitted_requests": done.requests,
        "given_up_requests": len(given_up),
        "given_up": dg.MetadataValue.md(table(("request", "why"), given_up[:50])),
        "batches": dg.MetadataValue.md(batchtable(submissions)),
    }


def of_posting(published: Published) -> Metadata:
    told: Metadata = {
        "posted": published.state,
        "verdict": published.verdict,
        "comments_at_lines": published.inline,
        "not_posted": dg.MetadataValue.md("\n".join(f"- {trouble}" for trouble in published.troubles) or "nothing"),
    }
    if published.url:
        told["on_the_forge"] = dg.MetadataValue.url(published.url)
    return told


def of_review(page: ReviewPage) -> Metadata:
    from review_pipeline.report.review import markdown

    review, target = page.review, page.review.target
    return {
        "review": dg.MetadataValue.md(markdown(page, most=30_000)),
        "state": review.state,
        "repo": target.repo,
        "number": target.number,
        "head": target.head,
        "for_the_author": len(page.open("developer")),
        "for_a_human": len(page.open("human")),
        "findings": dg.MetadataValue.md(table(("what", "findings"), sorted(review.counts.items()))),
        "passes": dg.MetadataValue.md(
            table(("pass", "calls", "why"), [(p.name, p.calls, p.reason) for p in review.plan])
        ),
        "calls": len(page.calls),
        "input_tokens": sum(end.input_tokens + end.cache_read_tokens + end.cache_write_tokens for _, end in page.calls),
        "output_tokens": sum(end.output_tokens for _, end in page.calls),
        "cost_usd": float(page.spent_usd),
        "missing": "; ".join(review.troubles) or "nothing",
    }


def of_backlog(pulls: Sequence[BacklogPull]) -> Metadata:
    counts = Counter(pull.state.value for pull in pulls)
    rows = [(pull.number, pull.head[:12], pull.state.value, len(pull.calls), pull.note) for pull in pulls]
    return {
        "pull_requests": dg.MetadataValue.md(table(("state", "pull requests"), sorted(counts.items()))),
        "each": dg.MetadataValue.md(table(("pull request", "head", "state", "calls", "note"), rows)),
    }


def batchtable(submissions: Sequence[Submission]) -> str:
    rows = [
        (
            submission.batch_id or "not created yet",
            submission.round,
            submission.state.value,
            submission.requests,
            ", ".join(f"{count} {state}" for state, count in submission.counts.items() if count),
            submission.cost_usd or "",
            submission.note or "",
        )
        for submission in submissions
    ]
    return table(("batch", "round", "state", "requests", "API's counts", "USD", "note"), rows)


def money(submissions: Sequence[Submission]) -> tuple[Decimal, Decimal]:
    cost = sum((Decimal(submission.cost_usd or 0) for submission in submissions), Decimal(0))
    sync_cost = sum((Decimal(submission.sync_cost_usd or 0) for submission in submissions), Decimal(0))
    return cost, sync_cost


def accounted_for(submissions: Sequence[Submission], standing: Mapping[str, int]) -> dg.AssetCheckResult:
    """Every request of a collected batch has an outcome, and all requests of the cell are in exactly one state."""
    planned = sum(submission.requests for submission in submissions)
    open_ = sum(submission.requests for submission in submissions if submission.state is not State.COLLECTED)
    counted, waiting = sum(standing.values()), standing.get("waiting", 0)
    return dg.AssetCheckResult(
        check_name="every_request_is_accounted_for",
        passed=counted == planned and waiting == open_,
        metadata={"planned": planned, "counted": counted, "waiting": waiting, "in_open_batches": open_},
    )


def ids_agree(submissions: Sequence[Submission], standing: Mapping[str, int]) -> dg.AssetCheckResult:
    """Each collected batch has, by the API's own counts, as many requests as were sent; none is missing from complete results."""
    wrong = [
        f"{submission.batch_id}: sent {submission.requests}, the API counts {sum(submission.counts.values())}"
        for submission in submissions
        if submission.state is State.COLLECTED and sum(submission.counts.values()) != submission.requests
    ]
    return dg.AssetCheckResult(
        check_name="ids_in_are_ids_out",
        passed=not wrong,
        metadata={"differing_batches": "; ".join(wrong) or "none", "missing_lines": standing.get("missing", 0)},
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines) if rows else "none"


def _cell(value: object) -> str:
    """Text from outside must not end the cell, nor become markup."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
