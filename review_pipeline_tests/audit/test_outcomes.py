"""Every way in which a request can end, scripted at the API and seen through the real SDK: what is sent again, how, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from review_pipeline.core.audit import State
from review_pipeline.core.failures import REMEDIES, Outcome
from review_pipeline.ports import Refused
from review_pipeline_tests.audit.world import PYTHON, World, long_python, without_ids

MAIN = {"contains": "main.go"}


@pytest.fixture(autouse=True)
def every_request_is_counted(world: World) -> Any:
    yield
    world.assert_all_counted()


TRANSIENT = (
    {"effect": "error", "error": "overloaded"},
    {"effect": "error", "error": "api_error"},
    {"effect": "error", "error": "timeout"},
    {"effect": "error", "error": "rate_limit"},
    {"effect": "error", "error": {"type": "a_new_error", "message": "never seen"}},
    {"effect": "expired"},
)


def scripted(world: World, rules: tuple[dict[str, Any], ...], **more: Any) -> None:
    """One more file for each rule, which strikes it."""
    world.commit({f"f{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(len(rules))})
    world.script(*({**rule, "contains": f"f{n}.py", **more} for n, rule in enumerate(rules)))


def test_what_passes_is_sent_again_unchanged_and_nothing_else_is(world: World) -> None:
    scripted(world, TRANSIENT, times=1)
    world.audit()
    assert world.accepted() == [3 + 6, 6]
    first, second = world.ledger.submissions()
    assert set(without_ids(world.sent(second))) < set(without_ids(world.sent(first)))
    for n in range(6):
        assert [change for change, _ in world.attempts(f"f{n}.py")] == ["first", "unchanged"]
    assert world.coverage() == {"reviewed": 9, "skipped": 1}
    assert world.query(
        "SELECT count(DISTINCT n) FROM (SELECT count(*) AS n FROM findings WHERE path LIKE 'f%' GROUP BY path)"
    ) == [(1,)]


def _too_long(world: World, rule: dict[str, Any]) -> None:
    world.commit({"one.py": None, "two.py": None, "main.go": None, "long.py": long_python(5)})
    undisturbed = "SELECT start_line, category, issue FROM findings ORDER BY ALL"
    world.script({**rule, "contains": 'lines="1-20"'})
    world.audit()
    disturbed = world.query(undisturbed)
    assert [change for change, _ in world.attempts()] == ["first", "chunked", "chunked"]
    assert world.coverage() == {"reviewed": 1, "skipped": 1}
    # The analyser names three of a kind for each prompt; line 11 lies in both halves.
    assert [line for line, category, _ in disturbed if category == "security"] == [3, 7, 11, 15, 19]
    assert len(disturbed) == len(set(disturbed))
    assert world.query("SELECT count(*) FROM findings WHERE anchor <> 'exact'") == [(0,)]


@pytest.mark.parametrize("error", ["too_long", "too_long_with_max_tokens"])
@pytest.mark.trap("too_long_by_text")
def test_what_is_too_long_is_halved_and_its_findings_merge_without_loss_or_double(world: World, error: str) -> None:
    _too_long(world, {"effect": "error", "error": error})


def test_an_answer_that_left_the_context_window_is_halved(world: World) -> None:
    _too_long(world, {"effect": "context_window"})


def test_a_single_line_that_is_too_long_is_a_failure_with_its_name(world: World) -> None:
    world.script({"effect": "error", "error": "too_long", "contains": "one.py"})
    world.commit({"one.py": "value = eval(input())"})
    world.audit()
    ((state, reason),) = world.query("SELECT state, reason FROM coverage WHERE path = 'one.py'")
    assert state == "failed"
    assert "too_long" in reason
    assert world.audit(day=1).counts["skipped: given_up"] == 1
    ((reason,),) = world.query("SELECT reason FROM coverage WHERE path = 'one.py' AND state = 'skipped'")
    assert "line 1 alone" in reason


def test_halving_that_leads_nowhere_ends_with_single_lines(world: World) -> None:
    world.script({"effect": "error", "error": "too_long", "contains": "one.py"})
    world.audit()
    assert world.query("SELECT state FROM coverage WHERE path = 'one.py'") == [("failed",)]
    ((least, most),) = world.query(
        "SELECT min(end_line - start_line), max(attempt) FROM requests WHERE path = 'one.py'"
    )
    assert least == 0
    assert most <= REMEDIES[Outcome.TOO_LONG].attempts + 1


def test_a_cut_answer_gets_more_room_and_then_less_code(world: World) -> None:
    world.script({"effect": "max_tokens", "contains": 'path="one.py" language="python" lines="1-8"'})
    world.audit()
    assert world.attempts("one.py")[:2] == [("first", "truncated"), ("larger_max_tokens", "truncated")]
    assert {change for change, _ in world.attempts("one.py")[2:]} == {"chunked"}
    room = [world.sent(one)[0]["params"]["max_tokens"] for one in world.ledger.submissions()]
    assert room[:2] == [8_000, 16_000]
    assert world.coverage() == {"reviewed": 3, "skipped": 1}


def test_a_paused_turn_goes_on_from_where_it_was(world: World) -> None:
    world.script({**MAIN, "effect": "pause_turn", "times": 2})
    world.audit()
    assert world.attempts("main.go") == [("first", "paused"), ("continued", "paused"), ("continued", "ok")]
    first, second, third = [
        next(request["params"]["messages"] for request in world.sent(one) if "main.go" in str(request))
        for one in world.ledger.submissions()
    ]
    said = second[1]["content"]
    assert [turn["role"] for turn in second] == [turn["role"] for turn in third] == ["user", "assistant"]
    assert second[0] == third[0] == first[0]
    assert said == third[1]["content"][: len(said)]
    assert len(third[1]["content"]) == 2 * len(said)
    assert world.coverage() == {"reviewed": 3, "skipped": 1}


UNREADABLE = (
    {"effect": "bad_json"},
    {"effect": "bad_schema"},
    {"effect": "text", "text": "I could not find\u2028anything."},
    {"effect": "text", "text": '{"findings": [{"anchor": "1#0000"}]}'},
    {"effect": "stop_reason", "stop_reason": "a_new_reason"},
)


def test_an_answer_that_cannot_be_read_is_repaired_by_one_request_that_carries_it(world: World) -> None:
    scripted(world, UNREADABLE, times=1)
    world.audit()
    assert world.accepted() == [3 + 5, 5]
    for request in world.sent(world.ledger.submissions()[1]):
        question, answer, wish = request["params"]["messages"]
        (n,) = [n for n in range(5) if f"f{n}.py" in question["content"]]
        assert world.attempts(f"f{n}.py") == [("first", "bad_output"), ("repaired", "ok")]
        assert answer["role"] == "assistant"
        assert answer["content"] == UNREADABLE[n].get("text", answer["content"])
        assert "valid JSON" in wish["content"]
    assert world.coverage() == {"reviewed": 8, "skipped": 1}


def test_one_repair_is_all_there_is(world: World) -> None:
    world.script({"effect": "bad_json", **MAIN})
    world.audit()
    assert world.attempts("main.go") == [("first", "bad_output"), ("repaired", "bad_output")]
    assert world.coverage() == {"reviewed": 2, "failed": 1, "skipped": 1}


def test_a_refusal_is_recorded_once_and_paid_once(world: World) -> None:
    world.script({"effect": "refusal", **MAIN})
    world.audit()
    assert world.accepted() == [3]
    assert world.attempts("main.go") == [("first", "refusal")]
    assert world.query("SELECT billed, action FROM failures") == [(True, "given up")]


def test_an_invalid_request_is_never_sent_again(world: World) -> None:
    errors = ("invalid", "not_found", "permission", "authentication")
    scripted(world, tuple({"effect": "error", "error": error} for error in errors))
    world.audit()
    assert world.accepted() == [3 + 4]
    assert world.query("SELECT class, billed, cost_usd FROM failures") == [("invalid", False, 0)] * 4


def test_a_canceled_request_is_left_to_the_next_audit(world: World) -> None:
    world.script({"effect": "canceled", **MAIN, "times": 1})
    world.audit()
    assert world.accepted() == [3]
    assert world.audit(day=1).counts["submitted"] == 1


@pytest.mark.parametrize("error", ["credit_balance", "spend_cap"])
@pytest.mark.trap("billing_as_invalid")
def test_a_billing_problem_stops_all_submissions_until_somebody_resumes_them(world: World, error: str) -> None:
    world.script({"effect": "error", "error": error, **MAIN, "times": 1})
    world.submit()
    with pytest.raises(Refused, match="review-pipeline resume"):
        world.finish()
    world.commit({"new.py": PYTHON})
    world.plan(day=1)
    with pytest.raises(Refused, match="paused"):
        world.send(day=1)
    work = world.look()
    assert work.to_submit == ()
    assert "submissions are paused" in work.sentence  # what the sensor says in the UI
    assert world.accepted() == [3]
    assert world.ledger.resume() == 1
    world.move_clock(60)
    world.finish()
    world.send(day=1)
    world.finish()
    first, second, *_ = world.ledger.submissions()
    assert set(without_ids(world.sent(second))) < set(without_ids(world.sent(first)))
    assert world.accepted() == [3, 1, 1]
    assert world.coverage() == {"reviewed": 3, "skipped": 1}


@pytest.mark.trap("missing_ids")
def test_a_lost_line_is_looked_for_again_and_then_sent_again(world: World) -> None:
    world.script({"effect": "missing", **MAIN, "times": 1})
    world.audit()
    assert world.calls("results") == 3 + 1
    assert world.attempts("main.go") == [("first", "missing"), ("unchanged", "ok")]
    assert world.accepted() == [3, 1]


@pytest.mark.parametrize("effect", ["duplicate", "unknown_id"])
@pytest.mark.trap("duplicate_ids", "unknown_ids")
def test_lines_too_many_count_once(world: World, effect: str) -> None:
    world.script({"effect": effect, **MAIN, "times": 1})
    world.audit()
    assert world.accepted() == [3]
    assert world.coverage() == {"reviewed": 3, "skipped": 1}
    assert world.query("SELECT count(*) FROM findings WHERE path = 'main.go'") == [(1,)]


ENDLESS = {
    Outcome.TRANSIENT: {"effect": "error", "error": "overloaded"},
    Outcome.EXPIRED: {"effect": "expired"},
    Outcome.MISSING: {"effect": "missing"},
    Outcome.PAUSED: {"effect": "pause_turn"},
}


@pytest.mark.trap("endless_resubmission")
def test_what_always_fails_is_given_up_after_its_attempts_and_each_of_them_is_a_row(world: World) -> None:
    scripted(world, tuple(ENDLESS.values()))
    world.audit()
    limits = [REMEDIES[outcome].attempts + 1 for outcome in ENDLESS]
    for n, (outcome, attempts) in enumerate(zip(ENDLESS, limits, strict=True)):
        assert [found for _, found in world.attempts(f"f{n}.py")] == [outcome] * attempts
    assert sum(world.accepted()) == 3 + sum(limits)
    standing = world.ledger.outcomes(world.cell())
    assert standing == {"ok": 3, "replaced": sum(limits) - 4, **{outcome.value: 1 for outcome in ENDLESS}}
    assert world.coverage() == {"reviewed": 3, "failed": 4, "skipped": 1}


def test_failures_of_many_kinds_in_one_batch_each_get_their_own_remedy(world: World) -> None:
    world.commit({f"f{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(8)})
    world.script(
        {"effect": "error", "error": "overloaded", "contains": "f0.py", "times": 1},
        {"effect": "refusal", "contains": "f1.py"},
        {"effect": "bad_json", "contains": "f2.py", "times": 1},
        {"effect": "max_tokens", "contains": "f3.py", "times": 1},
        {"effect": "error", "error": "too_long", "contains": "f4.py", "times": 1},
        {"effect": "missing", "contains": "f5.py", "times": 1},
        {"effect": "expired", "contains": "f6.py", "times": 1},
        {"effect": "error", "error": "invalid", "contains": "f7.py"},
    )
    world.audit()
    assert world.accepted() == [11, 7]
    assert world.coverage() == {"reviewed": 9, "failed": 2, "skipped": 1}
    assert [one.state for one in world.ledger.submissions()] == [State.COLLECTED] * 2
