"""How the requests of a night end: failures are sent again or make a review incomplete, and a crash anywhere changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from review_pipeline.core.review_record import Call
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.wiring_backlog import conclude
from review_pipeline_tests.audit.world import git
from review_pipeline_tests.backlog.world import FAULTY, Nights, identities

Make = Callable[..., Nights]
ONE = {"contains": "one.py"}


@pytest.fixture
def calm(make: Make) -> list[Any]:
    """What a night finds in which nothing goes wrong."""
    return identities(three(make, "calm"))


def three(make: Make, name: str, *rules: dict[str, Any]) -> list[Any]:
    world = make(name)
    for branch in ("one", "two", "three"):
        world.branch(branch, {f"{branch}.py": FAULTY.format(name=branch)})
    world.script(*rules)
    world.night()
    return [row for branch in ("one", "two", "three") for row in world.told(branch)]


@pytest.mark.parametrize(
    "rule",
    [
        {"effect": "error", "error": "overloaded", "times": 2},
        {"effect": "expired", "times": 1},
        {"effect": "missing", "times": 1},
        {"effect": "bad_json", "times": 1},
        {"effect": "bad_schema", "times": 1},
        {"effect": "max_tokens", "times": 1},
        {"effect": "text", "text": '{"findings": [], "prior_findings": [], "summary": "n/a"}', "times": 1},
    ],
    ids=lambda rule: str(rule.get("error") or rule["effect"]),
)
def test_what_fails_is_sent_again_and_the_night_finds_the_same(
    make: Make, calm: list[Any], rule: dict[str, Any]
) -> None:
    assert identities(three(make, "troubled", {**rule, **ONE})) == calm


def test_confidence_out_of_its_bounds_is_no_answer_though_the_api_takes_it(nights: Nights) -> None:
    finding = {
        "path": "one.py", "anchor": "1#0000", "end_line": 1, "category": "bug", "severity": "info", "confidence": 7, "issue": "It is so.",
        "suggestion": "Change it.", "evidence": "x",
    }  # fmt: skip
    answer = json.dumps({"findings": [finding], "prior_findings": []})
    nights.script({"effect": "text", "text": answer, "times": 1, **ONE})
    nights.night()
    assert nights.attempts("one/%") == [("first", "bad_output"), ("repaired", "ok")]


@pytest.mark.parametrize(
    "effect", [{"effect": "refusal"}, {"effect": "error", "error": "overloaded"}, {"effect": "expired"}]
)
def test_a_unit_without_an_answer_makes_its_review_incomplete_and_no_other(make: Make, effect: dict[str, Any]) -> None:
    world = make(workloads={"pull_request_review": {"unit_characters": 2_000}})
    filler = "".join(f"    # step {n}\n" for n in range(70))
    world.branch("one", {f"{name}/{name}.py": FAULTY.format(name=name) + filler for name in ("good", "bad")})
    world.branch("two", {"two.py": FAULTY.format(name="two")})
    world.script({**effect, "contains": "bad/bad.py"})
    world.night()
    assert world.states() == {"one": ("reviewed", "incomplete"), "two": ("reviewed", "reviewed")}
    files = {file.path: file.state.value for file in world.ledger.review_files(world.row("one").key)}
    assert files == {"good/good.py": "reviewed", "bad/bad.py": "failed"}
    assert {row.path for row in world.told("one")} == {"good/good.py"}
    assert any("bad/bad.py" in trouble for trouble in world.row("one").troubles)
    world.assert_all_counted()


def test_what_is_missing_is_asked_another_night_and_nothing_else(make: Make) -> None:
    world = make(workloads={"pull_request_review": {"unit_characters": 2_000}})
    filler = "".join(f"    # step {n}\n" for n in range(70))
    world.branch("one", {f"{name}/{name}.py": FAULTY.format(name=name) + filler for name in ("good", "bad")})
    world.script({"effect": "expired", "contains": "bad/bad.py"})
    world.night()
    paid = world.paid()
    world.api.clear_scripts()
    assert world.night(day=1)["one"].note == "reviewed"
    assert world.paid() == paid + 1
    assert {row.path for row in world.told("one")} == {"good/good.py", "bad/bad.py"}
    assert world.query("SELECT count(*) - count(DISTINCT fingerprint) FROM finding_events WHERE event = 'opened'") == [
        (0,)
    ]


def test_a_refused_unit_is_not_asked_again_while_it_is_unchanged(nights: Nights) -> None:
    nights.script({"effect": "refusal", **ONE})
    nights.night()
    assert nights.states()["one"] == ("reviewed", "failed")
    paid = nights.paid()
    again = nights.night(day=1)["one"]
    assert (again.state.value, again.note.split(":")[0]) == ("skipped", "given up")
    assert nights.paid() == paid


@pytest.mark.parametrize(
    "rule", [{"effect": "error", "error": "too_long"}, {"effect": "context_window"}], ids=["too_long", "context_out"]
)
def test_what_is_too_long_is_asked_in_halves_that_find_the_same(make: Make, rule: dict[str, Any]) -> None:
    def run(name: str, *rules: dict[str, Any]) -> Nights:
        world = make(name)
        world.branch("one", {f"{file}.py": FAULTY.format(name=file) for file in ("a", "b", "c", "d")})
        world.script(*rules)
        world.night()
        return world

    whole, halved = run("whole"), run("halved", {**rule, "contains": "a.py", "times": 1})
    assert halved.states()["one"] == ("reviewed", "reviewed")
    assert halved.attempts("one/%")[1:] == [("chunked", "ok"), ("chunked", "ok")]
    assert identities(halved.told("one")) == identities(whole.told("one"))


def test_a_run_that_stops_between_collecting_and_ending_is_gone_on_with(nights: Nights) -> None:
    nights.ask()
    nights.look()
    for cell in nights.look().to_collect:
        nights.collector.collect_cell(cell)
    assert {pull.state.value for pull in nights.pulls().values()} == {"asked"}
    paid = nights.paid()
    assert nights.look().to_collect == (nights.cell(),)  # nothing but the missing end asks for this
    nights.finish()
    assert set(nights.states().values()) == {("reviewed", "reviewed")}
    assert nights.paid() == paid
    assert nights.look().to_collect == ()


@pytest.mark.parametrize("step", ["record_calls", "record_review", "settle_pull"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_end_that_is_killed_at_any_step_is_made_once(nights: Nights, step: str, moment: str) -> None:
    nights.ask()
    for cell in nights.look().to_collect:
        nights.collector.collect_cell(cell)
    ledger = nights.pipeline.ledger
    done = getattr(ledger, step)

    def killed(*arguments: Any) -> Any:
        if moment == "after":
            done(*arguments)
        raise KeyboardInterrupt

    setattr(ledger, step, killed)
    with pytest.raises(KeyboardInterrupt):
        conclude(nights.pipeline, nights.cell())
    nights.restart()
    nights.finish()
    assert set(nights.states().values()) == {("reviewed", "reviewed")}
    assert nights.query("SELECT number, count(*) FROM reviews GROUP BY ALL ORDER BY ALL") == [
        ("one", 1),
        ("three", 1),
        ("two", 1),
    ]
    assert nights.query("SELECT count(*), count(DISTINCT session_id) FROM review_calls") == [(3, 3)]
    assert nights.query("SELECT count(*) - count(DISTINCT fingerprint) FROM finding_events WHERE event = 'opened'") == [
        (0,)
    ]


def test_a_synchronous_run_at_work_is_waited_for_and_one_that_was_killed_is_not(nights: Nights) -> None:
    nights.ask()
    review = nights.pulls()["one"].review
    nights.ledger.ask_call(Call("a-session", review, "across", "001", "key"), nights.now())
    for cell in nights.look().to_collect:
        nights.collector.collect_cell(cell)
    with pytest.raises(Unavailable, match="one: a synchronous run"):
        conclude(nights.pipeline, nights.cell())
    assert nights.states()["two"] == ("reviewed", "reviewed")
    nights.move_clock(3_600)
    replace(nights.wiring.end, clock=nights.now).conclude_cell(nights.cell())
    assert nights.states()["one"] == ("reviewed", "reviewed")


def test_a_night_that_waits_is_not_asked_about_by_the_next(nights: Nights) -> None:
    nights.ask()
    nights.push("one", {"one.py": "value = 2\n"})
    nights.ask(day=1)
    assert {pull.state.value for pull in nights.pulls(1).values()} == {"in_flight"}
    assert nights.accepted() == [3]
    nights.finish()
    assert set(nights.states().values()) == {("reviewed", "reviewed")}


def test_commits_that_are_gone_by_the_morning_are_told_and_hold_up_nobody(nights: Nights) -> None:
    nights.ask()
    moved = nights.repository.with_name("moved")
    nights.repository.rename(moved)
    nights.repository.mkdir()
    git(nights.repository, "init", "-q")
    nights.finish()
    assert {pull.state.value for pull in nights.pulls().values()} == {"lost"}
    assert all("cannot be read any more" in pull.note for pull in nights.pulls().values())


def test_a_configuration_that_changed_overnight_makes_the_next_night_ask_again(nights: Nights) -> None:
    nights.ask()
    nights.configure(workloads={"pull_request_review": {"unit_characters": 9_000}})
    nights.finish()
    assert {pull.state.value for pull in nights.pulls().values()} == {"superseded"}
    assert {pull.note for pull in nights.night(day=1).values()} == {"reviewed"}


def test_a_cap_holds_back_the_night_as_it_does_any_batch(make: Make) -> None:
    world = make(workloads={"pull_request_backlog": {"most_usd_per_month": "0.000001"}})
    world.branch("one", {"one.py": FAULTY.format(name="one")})
    with pytest.raises(Refused, match="pull_request_backlog"):
        world.ask()
    assert world.accepted() == []
    world.restart()
    world.configure(workloads={"pull_request_backlog": {"most_usd_per_month": "5"}})
    assert world.night()["one"].note == "reviewed"


def test_a_night_that_has_no_time_left_is_asked_one_by_one_and_ends_alike(make: Make, calm: list[Any]) -> None:
    world = make("late")
    for branch in ("one", "two", "three"):
        world.branch(branch, {f"{branch}.py": FAULTY.format(name=branch)})
    world.wiring.plan(world.cell())
    world.move_clock(29.5 * 3_600)
    world.sender.send_due(world.cell())
    world.finish()
    assert world.query("SELECT route, requests FROM batches") == [("sync", 3)]
    assert identities([row for branch in ("one", "two", "three") for row in world.told(branch)]) == calm
    assert world.query("SELECT sum(cost_usd) FROM outcomes") == [(world.bill(),)]
