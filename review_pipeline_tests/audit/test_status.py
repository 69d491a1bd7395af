"""`status`: what is in flight, when it is likely to end, what it may cost, and what holds the rest up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import State
from review_pipeline.ports import Refused
from review_pipeline.simulator import Simulator
from review_pipeline.workflows.status import Status, in_flight
from review_pipeline_tests.audit.world import PYTHON, World

HOUR = 3_600.0
CLI = (str(Path(sys.executable).with_name("review-pipeline")),)
NO_CREDIT = {"effect": "error", "on": "create", "error": "credit_balance"}


@pytest.fixture
def slow(lone_api: Callable[..., Simulator], tmp_path: Path) -> World:
    """Batches take three hours; two requests go into each."""
    api = lone_api(state=tmp_path / "api", batch_seconds=3 * HOUR)
    world = World(tmp_path / "slow", api, AnthropicBatches("made-up", api.base_url))
    world.configure(batches={"max_requests": 2}, workloads={"nightly_quality_audit": {"most_usd_per_month": 5}})
    world.commit({f"{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(3)})
    return world


def later(world: World, hours: float) -> None:
    world.move_clock(hours * HOUR)
    world.api.advance(hours * HOUR)


def seen(world: World) -> Status:
    return in_flight(world.ledger, world.pipeline.caps, world.pipeline.policy, world.now())


def command(world: World, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {"PATH": os.environ["PATH"], **world.environment(), **environment}
    known.pop("ANTHROPIC_API_KEY")  # it needs none
    return subprocess.run(
        [*CLI, "status", *arguments], env=known, capture_output=True, text=True, timeout=60, check=False
    )


def test_each_open_batch_is_told_with_age_deadline_and_reserved_money(slow: World) -> None:
    slow.submit()
    later(slow, 1)
    status = seen(slow)
    assert [flight.submission.requests for flight in status.flights] == [2, 1]
    assert all(3_600 <= flight.age.total_seconds() < 3_660 for flight in status.flights)
    assert status.reserved_usd == sum(Decimal(flight.submission.most_usd) for flight in status.flights) > 0
    plan = slow.ledger.planned(slow.cell())
    assert plan is not None
    assert {flight.deadline_at for flight in status.flights} == {plan.deadline_at}
    assert all(flight.ends is not None and flight.ends.based_on == 0 for flight in status.flights)


def test_the_likely_end_is_learnt_from_batches_that_ended(slow: World) -> None:
    slow.submit()
    later(slow, 3.1)
    slow.finish()
    slow.commit({"new.py": PYTHON + "new = 1\n"})
    slow.submit(day=1)
    later(slow, 1)
    (flight,) = seen(slow).flights
    assert flight.ends is not None
    assert flight.submission.created_at is not None
    assert flight.ends.based_on == 2
    assert (flight.ends.likely_at - flight.submission.created_at).total_seconds() == pytest.approx(
        3.1 * HOUR, abs=60
    )  # seen to have ended when the clock was moved
    assert flight.is_in_time


def test_a_batch_that_was_cut_teaches_nothing(slow: World) -> None:
    slow.submit()
    for submission in slow.ledger.submissions():
        slow.ledger.ask_cancel(submission.id, slow.now(), "cut")
    slow.look()
    slow.look()
    assert {one.state for one in slow.ledger.submissions()} == {State.ENDED}
    assert slow.ledger.durations() == ()


def test_nothing_is_told_of_what_is_collected(slow: World) -> None:
    slow.submit()
    later(slow, 3.1)
    slow.finish()
    status = seen(slow)
    assert status.flights == ()
    assert status.is_published
    assert "Nothing is in flight" in command(slow).stdout


def test_a_pause_is_told_with_the_way_out_and_by_the_exit_code(slow: World) -> None:
    slow.script(NO_CREDIT)
    slow.plan()
    with pytest.raises(Refused):
        slow.send()
    done = command(slow, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert "review-pipeline resume" in told["held"][0]
    assert [(one["state"], one["reserved_usd"]) for one in told["in_flight"]] == [("intended", "0")] * 2


def test_the_table_and_the_document_say_the_same(slow: World) -> None:
    slow.submit()
    slow.look()
    done, table = command(slow, "--json"), command(slow).stdout
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0
    for one in told["in_flight"]:
        assert one["batch_id"] in table
        assert f"{one['requests']} processing" in table
    assert told["month"]["nightly_quality_audit"]["most_usd"] == "5"
    assert "nightly_quality_audit" in table


def test_watching_ends_when_nothing_is_in_flight(slow: World) -> None:
    slow.submit()
    later(slow, 3.1)
    slow.finish()
    done = command(slow, "--watch", "--every", "0.2")
    assert (done.returncode, done.stderr) == (0, "")


def test_before_the_first_audit_it_says_so(make: Callable[..., World]) -> None:
    world = make("empty")
    assert "there is no ledger" in command(world).stdout
    assert json.loads(command(world, "--json").stdout) == {"in_flight": []}
    assert not (world.home / "ledger.sqlite").exists()
