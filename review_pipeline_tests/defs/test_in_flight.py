"""The UI shows what is in flight: observations of batch_results, told when something changes."""

from collections.abc import Iterator

import dagster as dg
import pytest

from review_pipeline.defs.open_batches import open_batches
from review_pipeline.simulator import Simulator
from review_pipeline_tests.defs.test_loop import CELL, run, scheduled


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def api() -> Iterator[Simulator]:
    with Simulator(batch_seconds=3_600) as running:
        yield running


def tick(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    result = open_batches(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result


@pytest.mark.usefixtures("home")
def test_what_is_in_flight_is_observed_once_and_again_when_it_changes(
    instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,) = scheduled(instance)
    assert run(instance, request, "submit_audit").success
    first = tick(instance, None)
    (told,) = first.asset_events
    assert isinstance(told, dg.AssetObservation)
    assert (told.asset_key.to_user_string(), str(told.partition)) == ("batch_results", CELL)
    assert told.metadata["requests"].value == 3
    assert float(str(told.metadata["reserved_usd"].value)) > 0
    assert "in_progress" in str(told.metadata["in_flight"].value)
    quiet = tick(instance, first.cursor)
    assert (quiet.asset_events, quiet.cursor) == ([], first.cursor)
    api.advance(3_700)
    ended = tick(instance, quiet.cursor)
    assert [request.job_name for request in ended.run_requests or []] == ["collect_batches"]
    (told,) = ended.asset_events
    assert "ended" in str(told.metadata["in_flight"].value)


@pytest.mark.usefixtures("home")
def test_a_lost_cursor_repeats_one_observation(instance: dg.DagsterInstance) -> None:
    (request,) = scheduled(instance)
    assert run(instance, request, "submit_audit").success
    first, again = tick(instance, None), tick(instance, None)
    assert len(first.asset_events) == len(again.asset_events) == 1
    assert first.cursor == again.cursor


@pytest.mark.usefixtures("home")
def test_nothing_in_flight_is_not_told(instance: dg.DagsterInstance) -> None:
    assert tick(instance, None).asset_events == []
