"""Two processes at the same step of the same cell, with real files: one of them does it, and no row is there twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
from review_pipeline.ports import Unavailable
from review_pipeline_tests.audit.world import World


def at_once(*steps: Callable[[], Any]) -> list[Any]:
    """What each returned, or the Unavailable that it raised; any other exception fails the test."""
    ready = Barrier(len(steps))

    def run(step: Callable[[], Any]) -> Any:
        ready.wait()
        try:
            return step()
        except Unavailable as error:
            return error

    with ThreadPoolExecutor(len(steps)) as threads:
        return list(threads.map(run, steps))


def twice(step: Callable[[], Any]) -> list[Any]:
    return at_once(step, step)


def test_many_that_open_a_new_ledger_make_it_together(tmp_path: Path) -> None:
    for n in range(10):
        path = tmp_path / f"{n}.sqlite"
        opened = at_once(*[lambda path=path: AuditLedger(LedgerDatabase(path)).last_event()] * 6)  # type: ignore[misc]
        assert opened == [0] * 6


def test_two_plans_of_one_cell_are_one_plan(world: World) -> None:
    first, second = twice(world.plan)
    assert first == second
    world.send()
    world.finish()
    assert world.accepted() == [3]
    assert len(list((world.home / "spool" / "plans").iterdir())) == 1
    world.assert_all_counted()


def test_two_plans_of_two_cells_do_not_ask_the_same_twice(world: World) -> None:
    at_once(lambda: world.plan(day=0), lambda: world.plan(day=1))
    at_once(lambda: world.send(day=0), lambda: world.send(day=1))
    world.move_clock(400)
    world.finish()
    assert sum(world.accepted()) == 3


def test_two_senders_of_one_cell_create_one_batch(world: World) -> None:
    world.plan()
    twice(world.send)
    world.finish()
    assert world.accepted() == [3]


def test_two_senders_of_a_cell_with_many_batches_create_each_once(world: World) -> None:
    world.configure(batches={"max_requests": 1, "poll_seconds": 5})
    world.plan()
    for _ in range(4):
        twice(world.send)
    world.finish()
    assert world.accepted() == [1, 1, 1]


@pytest.mark.parametrize("_attempt", range(3))
def test_two_collectors_of_one_cell_collect_it_once(world: World, _attempt: int) -> None:
    world.submit()
    world.look()
    collected = twice(lambda: world.collector.collect_cell(world.cell()))
    assert sorted(len(one) for one in collected) == [0, 1]
    world.finish()
    world.assert_all_counted()
    assert world.coverage() == {"reviewed": 3, "skipped": 1}


def test_two_resubmissions_of_one_failure_are_one(world: World) -> None:
    world.script({"effect": "error", "error": "overloaded", "times": 3})
    world.submit()
    world.look()
    world.collector.collect_cell(world.cell())
    assert sorted(one.requests for one in twice(lambda: world.resubmit(world.cell()))) == [0, 3]
    world.move_clock(60)  # what a run leaves unsent is picked up after a moment
    world.finish()
    assert world.accepted() == [3, 3]
    world.assert_all_counted()


def test_two_that_settle_one_doubt_adopt_one_batch(world: World) -> None:
    world.script({"on": "create", "effect": "drop", "times": 1})
    world.plan()
    with pytest.raises(Unavailable):
        world.send()
    world.move_clock(301)
    (doubtful,) = world.ledger.submissions()
    twice(lambda: world.sender.reconcile(doubtful))
    twice(world.send)
    world.finish()
    assert world.accepted() == [3]


def test_two_appliers_apply_every_event_once(world: World) -> None:
    world.submit()
    world.look()
    world.collector.collect_cell(world.cell())
    twice(world.publish)
    assert world.query("SELECT count(*) FROM batches") == [(1,)]
    world.assert_all_counted()


def test_two_whole_steps_at_once_end_like_one(world: World) -> None:
    world.script({"effect": "error", "error": "overloaded", "contains": "main.go", "times": 1})
    at_once(world.submit, world.submit)
    for _ in range(3):
        world.api.settle()
        twice(world.step)
    world.finish()
    assert world.accepted() == [3, 1]
    world.assert_all_counted()
