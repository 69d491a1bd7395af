"""Deadlines that a batch would miss: it is cut, what it answered is kept, and the rest is asked one by one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import State
from review_pipeline.core.spending import Spending
from review_pipeline.ports import OutOfCredit, Refused, Unavailable
from review_pipeline.simulator import Simulator
from review_pipeline_tests.audit.world import PYTHON, World

HOUR = 3_600.0
FILES = 6
Slow = Callable[[float], World]


@pytest.fixture
def slow(lone_api: Callable[..., Simulator], tmp_path: Path) -> Slow:
    """A world whose batches take so long; its clock and the API's move together."""

    def one(batch_hours: float) -> World:
        api = lone_api(state=tmp_path / "api", batch_seconds=batch_hours * HOUR)
        made = World(tmp_path / "slow", api, AnthropicBatches("made-up", api.base_url))
        made.commit({f"{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(FILES)})
        return made

    return one


def later(world: World, hours: float) -> None:
    world.move_clock(hours * HOUR)
    world.api.advance(hours * HOUR)


def undisturbed(make: Callable[..., World]) -> World:
    world = make("undisturbed")
    world.commit({f"{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(FILES)})
    world.audit()
    return world


def routes(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT route, requests, succeeded, canceled FROM batches ORDER BY round")


def test_a_batch_that_is_in_time_is_left_alone(slow: Slow) -> None:
    world = slow(20)
    world.submit()
    later(world, 19)
    world.look()
    later(world, 2)
    world.finish()
    assert routes(world) == [("batch", FILES, FILES, 0)]
    assert world.query("SELECT is_met, surcharge_usd, cut_requests FROM deadlines") == [(True, Decimal(0), 0)]


def test_a_slow_batch_is_cut_what_it_answered_is_kept_and_the_rest_is_asked_in_time(
    slow: Slow, make: Callable[..., World]
) -> None:
    world = slow(40)
    world.plan()
    later(world, 10)  # held up: 20 hours are left, and no batch may take its whole day
    world.send()
    for _ in range(80):
        later(world, 0.25)
        world.step()
    world.finish()
    (batch, answered, canceled), (sync, *asked) = (row[0:1] + row[2:] for row in routes(world))
    assert (batch, sync) == ("batch", "sync")
    assert answered + canceled == FILES
    assert answered > 0
    assert asked == [canceled, 0]
    ((is_met, surcharge, cut),) = world.query("SELECT is_met, surcharge_usd, cut_requests FROM deadlines")
    assert (is_met, cut) == (True, canceled)
    ((extra,),) = world.query("SELECT sum(sync_cost_usd) * 0.5 FROM outcomes WHERE batch_id LIKE 'sync%'")
    assert surcharge == extra > 0
    assert world.findings() == undisturbed(make).findings()
    world.assert_all_counted()


def test_what_has_no_time_for_a_batch_is_asked_at_once_at_the_synchronous_price(slow: Slow) -> None:
    world = slow(40)
    world.plan()
    later(world, 27.5)
    world.send()
    assert world.accepted() == []
    assert world.calls("message") == FILES
    (sent,) = world.ledger.submissions()
    assert "only 0.0 h for a batch" in (sent.note or "")
    reserved = world.ledger.spent(world.now())["nightly_quality_audit"].reserved_usd
    assert reserved == Decimal(sent.most_usd)
    world.finish()
    ((cost, sync_cost),) = world.query("SELECT sum(cost_usd), sum(sync_cost_usd) FROM outcomes")
    assert cost == sync_cost > 0
    assert world.ledger.spent(world.now()) == {"nightly_quality_audit": Spending(settled_usd=cost)}
    assert world.query("SELECT is_met FROM deadlines") == [(True,)]
    assert world.coverage() == {"reviewed": FILES}


def test_what_expired_at_the_end_of_its_day_is_asked_one_by_one(slow: Slow) -> None:
    world = slow(30)
    world.plan()
    later(world, 3)
    world.send()
    for _ in range(52):
        later(world, 0.5)
        world.step()
    world.finish()
    assert [route for route, *_ in routes(world)] == ["batch", "sync"]
    assert world.query("SELECT is_met FROM deadlines") == [(True,)]
    world.assert_all_counted()


def test_a_cancellation_that_was_only_intended_is_made_up_for(slow: Slow) -> None:
    world = slow(40)
    world.submit()
    (sent,) = world.ledger.submissions()
    world.ledger.ask_cancel(sent.id, world.now(), "the process stopped here")
    assert world.calls("cancel") == 0
    world.look()
    assert world.calls("cancel") == 1
    for _ in range(30):
        later(world, 1)
        world.step()
    world.finish()
    assert world.coverage() == {"reviewed": FILES}


def test_a_batch_that_somebody_else_canceled_is_no_deadline_of_ours(slow: Slow) -> None:
    world = slow(40)
    world.submit()
    (sent,) = world.ledger.submissions()
    assert sent.batch_id is not None
    world.sdk.cancel(sent.batch_id)
    world.finish()
    assert world.coverage() == {"failed": FILES}
    assert world.calls("message") == 0


@pytest.fixture
def late(world: World) -> World:
    """Three requests that no batch can answer in time."""
    world.plan()
    world.move_clock(28.5 * HOUR)
    return world


def test_an_overloaded_api_is_asked_again_and_nothing_else_is(late: World) -> None:
    late.script({"on": "message", "effect": "overloaded", "times": 2})
    late.send()
    late.finish()
    assert late.calls("message") == 3 + 2
    assert late.coverage() == {"reviewed": 3, "skipped": 1}


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"effect": "error", "error": "too_long"}, "too_long"),
        ({"effect": "bad_json"}, "bad_output"),
        ({"effect": "error", "error": "api_error"}, "transient"),
        ({"on": "message", "effect": "drop"}, "transient"),
        ({"effect": "refusal"}, "refusal"),
    ],
)
def test_failures_have_the_same_classes_and_remedies_as_in_a_batch(
    late: World, rule: dict[str, Any], outcome: str
) -> None:
    late.script({**rule, "times": 1})
    late.send()
    late.finish()
    failed = late.query("SELECT class FROM outcomes WHERE class <> 'ok'")
    assert failed == [(outcome,)]
    assert late.accepted() == []  # what is sent again has no more time than before
    late.assert_all_counted()


def test_without_credit_it_stops_and_goes_on_with_what_is_left(late: World) -> None:
    late.script({"effect": "error", "error": "credit_balance", "contains": "main.go", "times": 1})
    with pytest.raises(OutOfCredit):
        late.send()
    assert [scope for scope, _, _ in late.ledger.pauses()] == ["billing"]
    with pytest.raises(Refused, match="paused"):
        late.send()
    assert late.look().to_submit == ()
    answered = late.calls("message") - 1
    late.ledger.resume()
    late.finish()
    assert late.calls("message") == 3 + 1
    assert answered <= 3
    assert "paid twice" not in (late.ledger.submissions()[0].note or "")
    assert late.coverage() == {"reviewed": 3, "skipped": 1}


def test_a_process_that_stops_in_the_middle_pays_for_no_answer_twice_that_is_on_disk(late: World) -> None:
    late.script({"on": "message", "effect": "error", "error": "authentication", "contains": "main.go", "times": 1})
    with pytest.raises(Refused, match="Check ANTHROPIC_API_KEY"):
        late.send()
    (sent,) = late.ledger.submissions()
    assert (sent.state, sent.is_sync) == (State.SENDING, True)
    book = late.home / "spool" / sent.folder / "answers.jsonl"
    book.write_bytes(book.read_bytes() + b'{"asking":"x"}\n{"custom_id":"torn')
    answered = late.calls("message")
    late.restart()
    assert [str(cell) for cell in late.look().to_submit] == [sent.cell]
    late.finish()
    assert late.calls("message") == answered + 1 + (3 - answered)
    assert late.coverage() == {"reviewed": 3, "skipped": 1}
    late.assert_all_counted()


def test_two_processes_ask_no_request_twice(late: World) -> None:
    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(late.send) for _ in range(2)]
    assert {type(end.exception()) for end in ends} <= {type(None), Unavailable}
    late.finish()
    assert late.calls("message") == 3
