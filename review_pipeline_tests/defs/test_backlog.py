"""The overnight backlog through Dagster and on the command line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from review_pipeline.definitions import defs
from review_pipeline.simulator import Simulator
from review_pipeline_tests.audit.world import git
from review_pipeline_tests.defs.test_loop import DAY, creations, query, run, run_until_quiet

FAULTY = "def read(path, seen=[]):\n    return eval(path)\n"
CELL = "backlog-acme|2026-11-18"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def branches(home: Path, repository: Path, tmp_path: Path) -> Path:
    """Of one repository that has open branches, beside one that has none."""
    config = tmp_path / "review_pipeline.yaml"
    declared = yaml.safe_load(config.read_text())
    declared["repositories"][0]["pull_requests"] = {"base": "main"}
    declared["repositories"].append({"name": "other", "path": str(repository)})
    config.write_text(yaml.safe_dump(declared))
    git(repository, "branch", "-M", "main")
    for name in ("first", "second"):
        git(repository, "checkout", "-q", "-b", name, "main")
        (repository / f"{name}.py").write_text(FAULTY)
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "-m", name)
    git(repository, "checkout", "-q", "main")
    return repository


def scheduled(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    schedule = defs.get_repository_def().get_schedule_def("overnight_backlog")
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=DAY)
    return [request for request in schedule(context) if isinstance(request, dg.RunRequest)]


def test_a_scheduled_night_ends_in_reviews_in_the_history_without_anybody_waiting(
    branches: Path, home: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,) = scheduled(instance)  # the other repository has no pull requests
    assert str(request.partition_key) == CELL
    assert run(instance, request, "submit_audit").success
    jobs = run_until_quiet(instance)
    assert (jobs[0], set(jobs[1:])) == ("collect_batches", {"weekly_report"})  # of the night's week, and of this one
    assert creations(api) == 1
    assert query(home, "SELECT number, state FROM reviews ORDER BY 1") == [
        ("first", "reviewed"),
        ("second", "reviewed"),
    ]
    assert query(home, "SELECT DISTINCT workload FROM findings") == [("pull_request_review",)]
    told = instance.fetch_materializations(dg.AssetKey("pull_request_reviews"), limit=5).records
    assert len(told) == 2
    (night,) = instance.fetch_materializations(dg.AssetKey("overnight_reviews"), limit=5).records
    assert "| reviewed | 2 |" in str(night.asset_materialization.metadata["pull_requests"].value)  # type: ignore[union-attr]


def test_a_night_without_questions_is_ended_by_the_sensor_alone(
    branches: Path, home: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    git(branches, "branch", "-D", "first", "second")
    git(branches, "checkout", "-q", "-b", "empty")
    git(branches, "commit", "-q", "--allow-empty", "-m", "nothing")
    (request,) = scheduled(instance)
    assert run(instance, request, "submit_audit").success
    assert run_until_quiet(instance)[0] == "collect_batches"
    assert creations(api) == 0
    assert query(home, "SELECT number, state FROM reviews") == [("empty", "nothing_to_review")]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from review_pipeline.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_the_command_reviews_a_night_and_tells_each_pull_request_as_a_table_and_as_json(branches: Path) -> None:
    done = command("backlog", "acme", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    pulls = {pull["number"]: pull for pull in json.loads(done.stdout)["pull_requests"]}
    assert {(pull["state"], pull["note"], pull["calls"]) for pull in pulls.values()} == {("reviewed", "reviewed", 1)}
    assert all(float(pull["batch_usd"]) > 0 and pull["findings"]["new"] >= 1 for pull in pulls.values())
    shown = command("backlog", "acme")
    assert shown.returncode == 0, shown.stderr
    assert "first" in shown.stdout
    assert "reviewed" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backlog", "other"], "pull_requests"),
        (["audit", "acme", "--workload", "pull_request_backlog"], "review-pipeline backlog acme"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(branches: Path, arguments: list[str], words: str) -> None:
    done = command(*arguments)
    assert done.returncode == 1
    assert words in " ".join(done.stderr.split())
