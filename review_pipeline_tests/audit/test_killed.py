"""kill -9 between any two lines: nothing paid twice, nothing lost, nothing counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from review_pipeline_tests.audit.world import DAY, GO, PYTHON, World
from review_pipeline_tests.crashes.killable import trips

Trip = Callable[[World, int], dict[str, Any]]
NEVER = 0


@pytest.fixture(scope="module")
def run() -> Iterator[Trip]:
    """Runs an audit in a process of its own; the second argument is the step before which it is killed."""
    with trips() as run_apart:
        yield lambda world, fatal: run_apart(world.environment(), DAY, fatal)


# Scripts for one file each: one round of failures of three kinds, and a billing problem that pauses everything.
FAILURES = (
    {"effect": "error", "error": "overloaded", "contains": "main.go", "times": 1},
    {"effect": "bad_json", "contains": "one.py", "times": 1},
)
BILLING = ({"effect": "error", "error": "credit_balance", "contains": "main.go", "times": 1},)
NO_RECEIPT = ({"on": "create", "effect": "accept_then_drop", "times": 1},)


def small(make: Callable[..., World], name: str, rules: tuple[dict[str, Any], ...]) -> World:
    world = make(name, batches={"poll_seconds": 5, "reconcile_grace_seconds": 0.3})
    world.commit({"one.py": PYTHON, "two.py": PYTHON.replace("read", "load"), "main.go": GO})
    world.api.clear_scripts()
    world.script(*rules)
    return world


def end_of(world: World) -> list[Any]:
    tables = (
        "SELECT path, round, change, attempt, start_line, end_line, class, cost_usd FROM requests JOIN outcomes USING (custom_id) ORDER BY ALL",
        "SELECT path, state, reason FROM coverage ORDER BY ALL",
        "SELECT event, count(*) FROM finding_events GROUP BY ALL ORDER BY ALL",
        "SELECT round, requests FROM batches ORDER BY ALL",
    )
    return [world.findings(), *(world.query(table) for table in tables)]


def assert_no_part_is_referenced(world: World) -> None:
    for event in world.ledger.events(after=0):
        assert ".part" not in json.dumps(dict(event.payload))
    for submission in world.ledger.submissions():
        assert ".part" not in submission.folder
        assert world.pipeline.spool.body(submission.folder).exists()


# The strides together meet every kind of step; the folder crashes/ goes through every single step of a trip.
@pytest.mark.parametrize(
    ("rules", "creations", "stride"),
    [(FAILURES, [3, 2], 3), (BILLING, [3, 1], 5), (NO_RECEIPT, [3], 6)],
    ids=["failures", "billing", "no_receipt"],
)
@pytest.mark.trap("appended_download")
def test_an_audit_killed_at_any_step_ends_like_one_that_was_not(
    make: Callable[..., World], run: Trip, rules: tuple[dict[str, Any], ...], creations: list[int], stride: int
) -> None:
    calm = small(make, "calm", rules)
    steps = run(calm, NEVER)["steps"]
    undisturbed = end_of(calm)
    assert calm.accepted() == creations
    assert len(steps) >= 20
    broken = []
    for fatal in range(2, len(steps) + 1, stride):
        world = small(make, f"killed-{fatal}", rules)
        assert run(world, fatal)["killed"]
        run(world, NEVER)
        if (world.accepted(), end_of(world)) != (creations, undisturbed):
            broken.append((fatal, world.accepted()))
        world.assert_all_counted()
        assert_no_part_is_referenced(world)
    assert broken == []


def test_an_audit_killed_again_and_again_ends_all_the_same(make: Callable[..., World], run: Trip) -> None:
    world = small(make, "often", FAILURES)
    kills = sum(run(world, fatal)["killed"] for fatal in (3, 9, 5, 14, 7, 2, 11, 6))
    run(world, NEVER)
    assert kills >= 5
    assert world.accepted() == [3, 2]
    assert world.coverage() == {"reviewed": 3}
    world.assert_all_counted()
