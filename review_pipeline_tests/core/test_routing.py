from dataclasses import replace

import pytest

from review_pipeline.core.routing import Path, Workload, refusal, route, worst_case_hours

AUDIT = Workload("nightly", needs_tools=False, is_blocking=False, sla_hours=30, submit_every_hours=4)


def test_work_that_can_wait_goes_into_a_batch():
    decided = route(AUDIT)
    assert decided.path is Path.BATCH
    assert decided.reason == "no tools, nobody waits, and 30 h at worst is within its SLA of 30 h: half the price"
    assert refusal(AUDIT) is None


@pytest.mark.parametrize(
    ("workload", "reason"),
    [
        (replace(AUDIT, needs_tools=True), "it needs tools, and a batch request cannot use ours"),
        (replace(AUDIT, is_blocking=True), "a person or a merge waits for it, and a batch promises no latency"),
        (
            replace(AUDIT, sla_hours=24),
            (
                "its SLA is 24 h, but at worst a batch takes 30 h: 4 h to the next submission + 24 h in the batch + "
                "5 min to notice + 10 min to ingest + 1.75 h margin"
            ),
        ),
        (
            replace(AUDIT, submit_every_hours=4.5),
            (
                "its SLA is 30 h, but at worst a batch takes 30.5 h: 4.5 h to the next submission + 24 h in the batch + "
                "5 min to notice + 10 min to ingest + 1.75 h margin"
            ),
        ),
    ],
    ids=["tools", "blocking", "short SLA", "rare submissions"],
)
def test_work_that_cannot_wait_is_refused_with_the_reason(workload, reason):
    assert route(workload).path is Path.SYNC
    assert (
        refusal(workload) == f"workload 'nightly' is declared for batches but belongs on the synchronous path: {reason}"
    )


def test_tools_weigh_more_than_a_waiting_person_and_both_more_than_the_sla():
    everything = Workload("w", needs_tools=True, is_blocking=True, sla_hours=1, submit_every_hours=4)
    assert "tools" in route(everything).reason
    assert "waits for it" in route(replace(everything, needs_tools=False)).reason


def test_a_sla_that_is_met_to_the_minute_is_met():
    """26 hours are the batch's day, noticing, ingesting and margin: no rounding may tip the scale."""
    for minutes in range(1, 48 * 60):
        exactly = replace(AUDIT, submit_every_hours=minutes / 60, sla_hours=26 + minutes / 60)
        assert refusal(exactly) is None, minutes
        assert refusal(replace(exactly, sla_hours=exactly.sla_hours - 1 / 60)) is not None, minutes


def test_the_worst_case_is_the_sum_that_the_sentence_shows():
    assert worst_case_hours(4) == pytest.approx(4 + 24 + 5 / 60 + 10 / 60 + 1.75)
