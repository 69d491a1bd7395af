"""Killed at every step boundary of plan, submit, collect, resubmit, apply and publish, an audit ends as if nothing had happened."""

import os
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from review_pipeline.simulator import Simulator
from review_pipeline_tests.crashes.killable import Trip, trips

DAY = date(2026, 11, 18)
NEVER = 0
FEWEST_POINTS = 25
SOURCE = "def read{n}(path):\n    try:\n        return eval(path)\n    except:\n        pass\n"


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    with Simulator(batch_seconds=0) as running:
        yield running


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("acme")
    for number in range(3):
        (path / f"m{number}.py").write_text(SOURCE.format(n=number))
    git = ["git", "-C", str(path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return path


@pytest.fixture(scope="module", name="run_apart")
def runner() -> Iterator[Trip]:
    with trips() as run:
        yield run


class Place:
    """A home of its own for each trip; the API's journal is read from where it stood when the trip began."""

    def __init__(self, folder: Path, repository: Path, api: Simulator) -> None:
        self.home = folder / "home"
        config = folder / "review_pipeline.yaml"
        # Two requests a batch: two batches in the first round, and one for what failed.
        batches = {"reconcile_grace_seconds": 0.2, "max_requests": 2}
        config.parent.mkdir(parents=True)
        config.write_text(
            yaml.safe_dump({"repositories": [{"name": "acme", "path": str(repository)}], "batches": batches})
        )
        self.environment = {
            "PATH": os.environ["PATH"],
            "REVIEW_PIPELINE_HOME": str(self.home),
            "REVIEW_PIPELINE_CONFIG": str(config),
            "ANTHROPIC_API_KEY": "made-up",
            "ANTHROPIC_BASE_URL": api.base_url,
        }
        api.clear_scripts()
        api.script({"effect": "error", "error": "overloaded", "contains": "read1", "via": "batch", "times": 1})
        self._api = api
        self._calls_before = len(api.journal("create"))

    def creations(self) -> list[int]:
        calls = self._api.journal("create")[self._calls_before :]
        return sorted(call.custom_ids for call in calls if call.accepted)

    def end_state(self) -> list[object]:
        with duckdb.connect(str(self.home / "findings.duckdb"), read_only=True) as db:
            return [
                db.execute(
                    "SELECT path, start_line, category, severity, anchor, status, fingerprint FROM findings ORDER BY ALL"
                ).fetchall(),
                db.execute("SELECT event, count(*) FROM finding_events GROUP BY event ORDER BY ALL").fetchall(),
                db.execute("SELECT path, state FROM coverage ORDER BY ALL").fetchall(),
                db.execute("SELECT round, requests FROM batches ORDER BY ALL").fetchall(),
                db.execute("SELECT class, count(*) FROM outcomes GROUP BY class ORDER BY ALL").fetchall(),
                db.execute("SELECT count(*), count(DISTINCT custom_id) FROM requests").fetchall(),
                db.execute("SELECT sum(cost_usd) FROM outcomes").fetchall(),
            ]


def test_an_audit_killed_at_any_boundary_ends_as_if_it_had_not_been(
    tmp_path: Path, repository: Path, api: Simulator, run_apart: Trip
) -> None:
    calm = Place(tmp_path / "calm", repository, api)
    boundaries = run_apart(calm.environment, DAY, NEVER)["passed"]
    intended, undisturbed = calm.creations(), calm.end_state()
    assert intended == [1, 1, 2]
    assert boundaries >= 2 * FEWEST_POINTS
    failures = []
    for fatal in range(1, boundaries + 1):
        place = Place(tmp_path / str(fatal), repository, api)
        killed = run_apart(place.environment, DAY, fatal)["killed"]
        run_apart(place.environment, DAY, NEVER)
        if place.creations() != intended or place.end_state() != undisturbed:
            failures.append((fatal, killed, place.creations()))
    assert failures == []


def test_an_audit_killed_again_and_again_ends_all_the_same(
    tmp_path: Path, repository: Path, api: Simulator, run_apart: Trip
) -> None:
    place = Place(tmp_path / "often", repository, api)
    kills = 0
    for fatal in (3, 9, 14, 7, 21, 12, 5, 30, 17, 8, 40, 11, 26, 4, 33, 19):
        kills += run_apart(place.environment, DAY, fatal)["killed"]
    run_apart(place.environment, DAY, NEVER)
    assert kills >= 5
    assert place.creations() == [1, 1, 2]
    assert (place.end_state()[2]) == [("m0.py", "reviewed"), ("m1.py", "reviewed"), ("m2.py", "reviewed")]
