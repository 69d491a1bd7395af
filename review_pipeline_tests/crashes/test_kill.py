"""Killed before any step of plan, submit, poll, cut, ask, collect, resubmit, apply and publish, an audit ends as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from review_pipeline.simulator import Simulator
from review_pipeline_tests.crashes.killable import NAMES, Trip, trips
from review_pipeline_tests.crashes.place import DAY, Place, made_repository

NEVER = 0
FEWEST_POINTS = 25
PARTS = 4  # of one kind's kills, so that several cores share them


@dataclass(frozen=True, slots=True)
class Kind:
    """An audit with its faults. creations: what is paid for as batches. asked: what is paid for one by one."""

    name: str
    rules: tuple[dict[str, object], ...]
    creations: tuple[int, ...]
    asked: int = 0
    batch_seconds: float = 0
    hours_late: float = 0


OVERLOADED = {"effect": "error", "error": "overloaded", "contains": "read1", "via": "batch", "times": 1}
KINDS = (
    Kind("resubmitted", (OVERLOADED,), (1, 1, 2)),
    Kind(
        "troubled",
        (
            {"on": "create", "effect": "accept_then_drop", "times": 1},
            {"on": "create", "effect": "drop", "times": 1},
            {"on": "create", "effect": "error", "error": "credit_balance", "times": 1},
            {"on": "retrieve", "effect": "not_found", "times": 1},
            {"on": "results", "effect": "cut_in_row", "times": 1},
        ),
        (1, 2),
    ),
    Kind("late", (), (1, 2), asked=3, batch_seconds=40 * 3_600, hours_late=10),
)


@contextmanager
def served(kind: Kind) -> Iterator[Simulator]:
    """Its clock stands where ours does when the plan is sent."""
    with Simulator(batch_seconds=kind.batch_seconds) as running:
        running.advance(kind.hours_late * 3_600)
        yield running


@pytest.fixture(scope="module", name="run_apart")
def runner() -> Iterator[Trip]:
    with trips() as run:
        yield run


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_repository(tmp_path_factory.mktemp("acme"))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@pytest.fixture
def api(kind: Kind) -> Iterator[Simulator]:
    with served(kind) as running:
        yield running


@pytest.mark.parametrize("part", range(PARTS))
def test_an_audit_killed_before_any_step_ends_as_if_it_had_not_been(
    tmp_path: Path, repository: Path, api: Simulator, run_apart: Trip, kind: Kind, part: int
) -> None:
    calm = Place(tmp_path / "calm", repository, api, kind.rules)
    steps = run_apart(calm.environment, DAY, NEVER, kind.hours_late)["steps"]
    intended, undisturbed = calm.creations(), calm.end_state()
    assert tuple(intended) == kind.creations
    assert calm.asked() == kind.asked
    failures = []
    for fatal in range(1 + part, len(steps) + 1, PARTS):
        place = Place(tmp_path / str(fatal), repository, api, kind.rules)
        killed = run_apart(place.environment, DAY, fatal, kind.hours_late)["killed"]
        run_apart(place.environment, DAY, NEVER, kind.hours_late)
        again = place.asked() - kind.asked  # only a question whose answer died with the process, and that is said
        if (
            place.creations() != intended
            or place.end_state() != undisturbed
            or again > (steps[fatal - 1] == "AnswerBook.answered")
        ):
            failures.append((steps[fatal - 1], fatal, killed, place.creations(), again))
    assert failures == []


def test_every_step_is_begun_in_one_of_these_audits(tmp_path: Path, repository: Path, run_apart: Trip) -> None:
    begun = set()
    for kind in KINDS:
        with served(kind) as api:
            place = Place(tmp_path / kind.name, repository, api, kind.rules)
            begun |= set(run_apart(place.environment, DAY, NEVER, kind.hours_late)["steps"])
    assert begun == set(NAMES) - {"Spool.discard"}  # only where two processes plan the same
    assert len(begun) >= FEWEST_POINTS


def test_an_audit_killed_again_and_again_ends_all_the_same(
    tmp_path: Path, repository: Path, api: Simulator, run_apart: Trip, kind: Kind
) -> None:
    place = Place(tmp_path / "often", repository, api, kind.rules)
    order = random.Random(kind.name)
    kills = sum(run_apart(place.environment, DAY, order.randint(1, 20), kind.hours_late)["killed"] for _ in range(12))
    run_apart(place.environment, DAY, NEVER, kind.hours_late)
    assert kills >= 4
    assert tuple(place.creations()) == kind.creations
    assert place.reviewed() == ["m0.py", "m1.py", "m2.py"]
