"""Deadlines: cheap as long as possible, and never late where it could have been met."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review_pipeline.core.deadlines import Group, Policy, Step, decide, submission_interval_hours

START = datetime(2026, 11, 16, tzinfo=UTC)
POLICY = Policy()
TICK = timedelta(minutes=5)  # the poll that the SLA's arithmetic counts with


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def waiting(deadline: float, requests: int = 10, name: str = "g") -> Group:
    return Group(name, requests, START + hours(deadline))


def in_batch(deadline: float, since: float, *, is_canceling: bool = False) -> Group:
    return Group("g", 10, START + hours(deadline), START + hours(since), is_canceling)


@pytest.mark.parametrize(("sla", "interval"), [(30, 4), (27, 1), (50, 24), (26, None), (38, 12), (34, 8), (29, 3)])
def test_submissions_come_as_seldom_as_the_sla_allows(sla, interval):
    assert submission_interval_hours(sla) == interval


@pytest.mark.parametrize(
    ("group", "step"),
    [
        (waiting(30), Step.BATCH),
        (waiting(4), Step.BATCH),
        (waiting(3), Step.SYNC),
        (waiting(-1), Step.SYNC),
        (in_batch(30, -1), Step.WAIT),
        (in_batch(2, -20), Step.CUT),
        (in_batch(2, -20, is_canceling=True), Step.WAIT),
        (in_batch(2, -24.1), Step.WAIT),  # it has expired: the next poll sees its end
    ],
)
def test_the_step_follows_from_the_time_that_is_left(group, step):
    (decision,) = decide(START, [group], POLICY)
    assert decision.step is step


def test_the_reason_says_when_it_is_due_and_what_is_left():
    (decision,) = decide(START, [waiting(2)], POLICY)
    assert decision.reason == "due 2026-11-16 02:00 UTC: only 0.0 h for a batch, so it is asked at once"
    (late,) = decide(START, [waiting(-2)], POLICY)
    assert "cannot be met any more" in late.reason


def test_many_that_are_due_together_are_cut_earlier_because_they_are_asked_one_after_the_other():
    alone, *_ = decide(START, [waiting(30, 3_000, "a")], POLICY)
    together, *_ = decide(START, [waiting(30, 3_000, "a"), waiting(30, 9_000, "b")], POLICY)
    assert alone.cut_at - together.cut_at == hours(3)


@dataclass
class Asked:
    """One group on its way: what is left of it, and where it is."""

    group: Group
    arrives_at: datetime
    is_slow: bool
    left: int = 0
    done_at: datetime | None = None
    ends_at: datetime | None = None  # of its batch
    cut_at: datetime | None = None
    sync_since: datetime | None = None
    cost: float = 0.0
    cuts: int = 0
    steps: list[Step] = field(default_factory=list)


class Month:
    """Batches that take as long as they like, up to their expiry; a synchronous API that asks one after the other at its rate."""

    def __init__(self, asked: list[Asked], seed: int) -> None:
        self.asked, self.random, self.now = asked, Random(seed), START
        self.sync_free_at = START

    def run(self) -> None:
        while any(one.done_at is None for one in self.asked):
            self._end_batches()
            self._decide()
            self.now += TICK
            assert self.now < START + timedelta(days=60), "never done"

    def _end_batches(self) -> None:
        for one in self.asked:
            if one.sync_since and one.sync_since <= self.now and one.done_at is None:
                one.cost += one.left * 1.0
                one.left, one.done_at = 0, one.sync_since
            if one.ends_at is not None and one.ends_at <= self.now:
                canceled = one.cut_at is not None
                # A batch that was cut short, or that failed in part, has answered some; only those are billed.
                answered = self.random.randint(0, one.left) if canceled or one.is_slow else one.left - self._failed(one)
                one.cost += answered * 0.5
                one.left -= answered
                one.ends_at = one.cut_at = None
                if one.left == 0:
                    one.done_at = self.now
                one.group = Group(one.group.id, max(1, one.left), one.group.deadline_at)

    def _failed(self, one: Asked) -> int:
        return self.random.choice([0, 0, 0, 1, one.left // 2, one.left])

    def _decide(self) -> None:
        here = {
            one.group.id: one
            for one in self.asked
            if one.arrives_at <= self.now and one.done_at is None and not one.sync_since
        }
        for decision in decide(self.now, [one.group for one in here.values()], POLICY):
            one = here[decision.group.id]
            match decision.step:
                case Step.BATCH:
                    hours_needed = 24.0 if one.is_slow else self.random.choice([0.1, 0.5, 1, 5, 23, 24])
                    one.ends_at = self.now + hours(hours_needed)
                    one.group = Group(one.group.id, one.group.requests, one.group.deadline_at, self.now)
                case Step.SYNC:
                    begin = max(self.now, self.sync_free_at)
                    one.sync_since = self.sync_free_at = begin + POLICY.asking(one.left)
                case Step.CUT:
                    one.cuts += 1
                    one.cut_at = self.now
                    assert one.ends_at is not None
                    one.ends_at = min(one.ends_at, self.now + POLICY.cancel * self.random.random())
                    one.group = Group(
                        one.group.id, one.group.requests, one.group.deadline_at, one.group.batch_since, True
                    )
                case Step.WAIT:
                    pass
            one.steps.append(decision.step)


ARRIVALS = st.lists(
    st.tuples(st.floats(0, 72), st.floats(0, 60), st.integers(1, 400), st.booleans()), min_size=1, max_size=8
)


def month(arrivals: list[tuple[float, float, int, bool]], seed: int) -> Month:
    asked = []
    for number, (arrival, sla, requests, is_slow) in enumerate(arrivals):
        arrives_at = START + hours(arrival)
        asked.append(Asked(Group(str(number), requests, arrives_at + hours(sla)), arrives_at, is_slow, requests))
    made = Month(asked, seed)
    made.run()
    return made


@settings(max_examples=150, deadline=None)
@given(ARRIVALS, st.integers(0, 10_000))
def test_no_deadline_is_missed_that_asking_everything_at_once_would_have_met(arrivals, seed):
    made = month(arrivals, seed)
    everything = POLICY.asking(sum(requests for _, _, requests, _ in arrivals))
    for one in made.asked:
        assert one.done_at is not None
        # Whoever asks synchronously from the first tick on needs this long, behind all others, with our own margins.
        if one.arrives_at + TICK + everything + POLICY.settle <= one.group.deadline_at:
            assert one.done_at <= one.group.deadline_at - POLICY.settle, one.steps


@settings(max_examples=150, deadline=None)
@given(ARRIVALS, st.integers(0, 10_000))
def test_it_never_costs_more_than_asking_everything_at_once_and_nothing_is_cut_twice_in_one_batch(arrivals, seed):
    made = month(arrivals, seed)
    for one, (_, _, requests, _) in zip(made.asked, arrivals, strict=True):
        assert one.cost <= requests
        assert one.left == 0
        assert one.cuts <= one.steps.count(Step.BATCH)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 72), st.just(30.0), st.integers(1, 50), st.just(False)), min_size=1, max_size=6))
def test_what_is_in_time_goes_by_batch(arrivals):
    made = month(arrivals, 0)
    for one in made.asked:
        assert one.steps[0] is Step.BATCH
