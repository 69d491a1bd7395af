"""Reviews through Dagster: the sensor sees new heads, the job's ops are the passes, and a run that is started again pays for nothing twice."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from review_pipeline.definitions import defs
from review_pipeline.defs.metadata import REVIEWS
from review_pipeline.defs.new_heads import new_heads
from review_pipeline.simulator import Simulator
from review_pipeline.wiring import Pipeline

FAULTY = "import json\n\n\ndef read(path, seen=[]):\n    return eval(path)\n"


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


def push(repository: Path, text: str) -> str:
    (repository / "one.py").write_text(text)
    git(repository, "commit", "-qam", "push")
    return git(repository, "rev-parse", "HEAD").strip()


@pytest.fixture
def change(home: Path, repository: Path, tmp_path: Path) -> Path:
    config = tmp_path / "review_pipeline.yaml"
    document = yaml.safe_load(config.read_text())
    document["repositories"][0]["pull_requests"] = {"base": "trunk", "branches": ["feature*"]}
    document["workloads"] = {"pull_request_review": {"settle_seconds": 0}}
    config.write_text(yaml.safe_dump(document))
    git(repository, "branch", "-m", "trunk")
    git(repository, "checkout", "-q", "-b", "feature")
    push(repository, FAULTY)
    return repository


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[list[dg.RunRequest], str | None]:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    outcome = new_heads(context)
    if isinstance(outcome, dg.SkipReason):
        return [], context.cursor
    assert isinstance(outcome, dg.SensorResult)
    return list(outcome.run_requests or []), outcome.cursor


def run(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("review_pull_request").execute_in_process(
        instance=instance, run_config=request.run_config, tags=dict(request.tags), raise_on_error=False
    )


def calls_of(api: Simulator) -> int:
    return len(api.journal("message"))


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(REVIEWS)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_new_head_is_reviewed_once_shown_in_the_graph_and_told_to_the_history(
    change: Path, instance: dg.DagsterInstance, api: Simulator, home: Path
) -> None:
    (request,), _ = tick(instance)
    assert {request.tags[name] for name in ("repo", "number")} == {"acme", "feature"}
    assert run(instance, request).success
    told = shown(instance)
    assert told["state"] == "reviewed"
    assert "`one.py:4`" in told["review"]
    assert told["cost_usd"] > 0
    assert tick(instance)[0] == []
    with duckdb.connect(str(home / "findings.duckdb"), read_only=True) as db:
        assert db.execute("SELECT repo, number, state FROM pull_requests").fetchall() == [
            ("acme", "feature", "reviewed")
        ]
    paid = calls_of(api)
    assert run(instance, request).success  # somebody launches it again
    assert calls_of(api) == paid


def test_a_step_that_runs_again_pays_for_nothing_twice(
    change: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,), _ = tick(instance)
    config = request.run_config["ops"]["plan_review"]["config"]
    pipeline = Pipeline.from_environment()
    review = pipeline.review(pipeline.settings.repository("acme"), "trunk")
    planned = review.planner.plan(review.planner.target("acme", "trunk", config["head"], "feature"))
    with review.open_desk(planned.key) as desk:
        review.first_pass(planned, desk)  # a run that was killed after its first pass
    before = calls_of(api)
    assert before == 1
    assert run(instance, request).success
    passes = [call.pass_name for call, _ in pipeline.ledger.calls(planned.key)]
    assert passes.count("file") == 1


def test_ten_pushes_within_a_moment_cost_one_review_of_the_last(
    change: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "review_pipeline.yaml"
    document = yaml.safe_load(config.read_text())
    document["workloads"]["pull_request_review"]["settle_seconds"] = 0.3
    config.write_text(yaml.safe_dump(document))
    cursor: str | None = None
    asked: list[dg.RunRequest] = []
    for number in range(10):
        head = push(change, f"{FAULTY}\nvalue = {number}\n")
        requests, cursor = tick(instance, cursor)
        asked += requests
    assert asked == []
    time.sleep(0.4)
    asked, cursor = tick(instance, cursor)
    assert [request.tags["head"] for request in asked] == [head[:12]]


def test_two_ticks_ask_for_a_head_under_one_key_and_not_while_it_runs(
    change: Path, instance: dg.DagsterInstance
) -> None:
    (first,), _ = tick(instance)
    (second,), _ = tick(instance)
    assert first.run_key == second.run_key
    instance.create_run_for_job(
        defs.resolve_job_def("review_pull_request"),
        run_config=first.run_config,
        tags=dict(first.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    assert tick(instance)[0] == []


def test_an_incomplete_review_fails_its_run_with_the_reason_and_is_asked_for_again(
    change: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    api.script({"on": "request", "effect": "error", "error": "too_long"})
    (request,), _ = tick(instance)
    result = run(instance, request)
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_key == "post_review"
    assert "the review of feature is failed" in str(failed.step_failure_data.user_failure_data.description)  # type: ignore[union-attr]
    assert shown(instance)["state"] == "failed"
    api.clear_scripts()
    assert run(instance, request).success
    assert shown(instance)["state"] == "reviewed"


def test_nothing_to_review_is_a_result_of_its_own(change: Path, instance: dg.DagsterInstance, api: Simulator) -> None:
    git(change, "checkout", "-q", "-b", "feature-docs", "trunk")
    (change / "notes.md").write_text("text\n")
    git(change, "add", "-A")
    git(change, "commit", "-qm", "notes")
    (request,) = [one for one in tick(instance)[0] if one.tags["number"] == "feature-docs"]
    assert run(instance, request).success
    assert shown(instance)["state"] == "nothing_to_review"
    assert calls_of(api) == 0


def test_a_repository_that_cannot_be_read_does_not_stop_the_others(
    change: Path, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    config = tmp_path / "review_pipeline.yaml"
    document = yaml.safe_load(config.read_text())
    document["repositories"].insert(0, {"name": "gone", "path": "nowhere", "pull_requests": {"base": "main"}})
    config.write_text(yaml.safe_dump(document))
    assert [request.tags["repo"] for request in tick(instance)[0]] == ["acme"]
