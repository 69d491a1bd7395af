"""The loop through Dagster: schedule, submission, sensor, collection, resubmission, history, report."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from review_pipeline.definitions import defs
from review_pipeline.defs.open_batches import open_batches
from review_pipeline.simulator import Simulator

DAY = datetime(2026, 11, 18, 1, 0, tzinfo=UTC)
CELL = "nightly-acme|2026-11-18"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def run(instance: dg.DagsterInstance, request: dg.RunRequest, job: str) -> dg.ExecuteInProcessResult:
    """As the daemon would: the requested job, partition and tags."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=request.partition_key, tags=dict(request.tags), raise_on_error=False
    )


def scheduled(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    schedule = defs.get_repository_def().get_schedule_def("nightly_audits")
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=DAY)
    return [request for request in schedule(context) if isinstance(request, dg.RunRequest)]


def tick(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    outcome = open_batches(dg.build_sensor_context(instance=instance))
    if isinstance(outcome, dg.SkipReason):
        return []
    assert isinstance(outcome, dg.SensorResult)
    for added in outcome.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(added.partitions_def_name, added.partition_keys)
    return list(outcome.run_requests or [])


def run_until_quiet(instance: dg.DagsterInstance, rounds: int = 12) -> list[str]:
    """Ticks and runs what the sensor asks for; the jobs in order."""
    jobs = []
    for _ in range(rounds):
        requests = tick(instance)
        for request in requests:
            assert request.job_name is not None
            assert run(instance, request, request.job_name).success
            jobs.append(request.job_name)
        if not requests and not _open_submissions():
            return jobs
        time.sleep(0.1)
    raise AssertionError(f"never quiet: {jobs}")


def _open_submissions() -> bool:
    from review_pipeline.core.audit import State
    from review_pipeline.wiring import Pipeline

    ledger = Pipeline.from_environment().ledger
    return any(submission.state is not State.COLLECTED for submission in ledger.submissions()) or bool(
        ledger.weeks_to_report()
    )


def creations(api: Simulator) -> int:
    return sum(call.accepted for call in api.journal("create"))


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "findings.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def test_a_scheduled_audit_ends_in_findings_and_a_report_without_anybody_waiting(
    home: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,) = scheduled(instance)
    assert str(request.partition_key) == CELL
    assert run(instance, request, "submit_audit").success
    jobs = run_until_quiet(instance)
    assert jobs == ["collect_batches", "weekly_report"]
    assert creations(api) == 1
    assert query(home, "SELECT state, count(*) FROM coverage GROUP BY state") == [("reviewed", 3)]
    assert query(home, "SELECT count(*) > 0, count(*) FILTER (anchor <> 'exact') FROM findings") == [(True, 0)]
    assert (home / "reports" / "weekly-2026-11-16.html").exists()


def test_failures_go_round_through_the_same_assets_until_they_succeed(
    home: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    api.script({"effect": "error", "error": "overloaded", "via": "batch", "times": 1})
    (request,) = scheduled(instance)
    assert run(instance, request, "submit_audit").success
    jobs = run_until_quiet(instance)
    assert jobs == ["collect_batches", "collect_batches", "weekly_report"]
    assert query(home, "SELECT round, requests FROM batches ORDER BY round") == [(0, 3), (1, 1)]
    assert query(home, "SELECT state, count(*) FROM coverage GROUP BY state") == [("reviewed", 3)]


def test_a_second_run_of_the_same_cell_creates_nothing(
    home: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,) = scheduled(instance)
    for _ in range(3):
        assert run(instance, request, "submit_audit").success
    assert creations(api) == 1


def test_a_failed_collect_run_is_asked_for_again_under_another_key(
    home: Path, instance: dg.DagsterInstance, api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("review_pipeline.defs.open_batches.FIRST_PAUSE_SECONDS", 0.0)
    (request,) = scheduled(instance)
    assert run(instance, request, "submit_audit").success
    time.sleep(0.5)
    api.script({"on": "results", "effect": "overloaded", "times": 20})
    (first,) = tick(instance)
    assert not run(instance, first, "collect_batches").success
    (second,) = tick(instance)
    assert first.run_key != second.run_key
    assert first.tags == second.tags


def test_a_missing_key_fails_the_run_with_one_sentence(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    (request,) = scheduled(instance)
    result = run(instance, request, "submit_audit")
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert failure.step_failure_data.user_failure_data is not None
    assert "ANTHROPIC_API_KEY is not set" in str(failure.step_failure_data.user_failure_data.description)


def test_a_quiet_tick_says_why_it_skips(home: Path, instance: dg.DagsterInstance) -> None:
    outcome = open_batches(dg.build_sensor_context(instance=instance))
    assert isinstance(outcome, dg.SensorResult)
    assert outcome.skip_reason == dg.SkipReason("no open batches")


@pytest.mark.trap("poll_error_is_no_failure", "404_after_create")
def test_a_poll_without_an_answer_is_not_a_failed_batch(
    home: Path, instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,) = scheduled(instance)
    assert run(instance, request, "submit_audit").success
    api.script({"on": "retrieve", "effect": "not_found", "calls": 1})
    assert tick(instance) == []
    assert run_until_quiet(instance) == ["collect_batches", "weekly_report"]
    assert creations(api) == 1
