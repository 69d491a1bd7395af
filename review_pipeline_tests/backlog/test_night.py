"""A night of open pull requests: asked in one batch from their diffs, ended as reviews like any other."""

from __future__ import annotations

from collections.abc import Callable

from review_pipeline.core.review_record import DIFF_ONLY
from review_pipeline.workflows.triage import dismiss
from review_pipeline_tests.audit.world import git
from review_pipeline_tests.backlog.world import FAULTY, Nights, identities

Make = Callable[..., Nights]


def test_every_open_branch_is_reviewed_by_one_batch_and_run_twice_nothing_is_paid_again(nights: Nights) -> None:
    pulls = nights.night()
    assert {(pull.state.value, pull.note) for pull in pulls.values()} == {("reviewed", "reviewed")}
    assert nights.accepted() == [3]
    paid = nights.paid()
    assert paid == 3
    nights.night()  # the same cell
    again = nights.night(day=1)
    assert {pull.state.value for pull in again.values()} == {"already_reviewed"}
    assert nights.paid() == paid
    nights.assert_all_counted()
    assert nights.coverage() == {"reviewed": 3}


def test_the_review_says_that_it_saw_the_diff_only_and_which_passes_that_left_out(nights: Nights) -> None:
    nights.night()
    row = nights.row("one")
    assert (row.state, row.is_diff_only) == ("reviewed", True)
    passes = {planned.name: planned for planned in row.plan}
    assert passes["summary"].reason == DIFF_ONLY
    assert passes["file"].calls == 1
    assert passes["across"].reason != DIFF_ONLY  # one file: there was nothing to ask anyway


def test_a_branch_that_is_reviewed_is_not_asked_about_and_an_empty_one_has_nothing_to_review(nights: Nights) -> None:
    nights.review_now("one")
    nights.review_now("two")
    nights.branch("empty", {"new.py": "value = 2\n"})
    nights.push("empty", {"new.py": None})
    paid = nights.paid()
    assert {number: pull.state.value for number, pull in nights.night().items()} == {
        "one": "already_reviewed", "two": "already_reviewed", "three": "reviewed", "empty": "reviewed",
    }  # fmt: skip
    assert nights.pulls()["empty"].note == "nothing_to_review"
    assert nights.accepted() == [1]
    assert nights.paid() == paid + 1
    assert nights.coverage() == {"unchanged": 2, "reviewed": 1, "skipped": 1}


def test_it_tells_what_a_synchronous_first_pass_tells_of_the_same_head(make: Make) -> None:
    batched, at_once = make("batched"), make("at-once")
    for world in (batched, at_once):
        world.branch("one", {"one.py": FAULTY.format(name="one"), "two.py": "import os\n"})
    batched.night()
    review = at_once.pipeline.review(at_once.pipeline.settings.repository("acme"), "main")
    planned = review.planner.plan(review.planner.target("acme", "main", "one"))
    with review.open_desk(planned.key) as desk:
        first = review.first_pass(planned, desk)
    calls = {call.key: end.answer for call, end in batched.ledger.calls(batched.row("one").key)}
    assert calls == {call.key: end.answer for call, end in at_once.ledger.calls(planned.key)}
    assert len(batched.told("one")) == sum(len(one.answer["findings"]) for one in first.answers) >= 3


def test_a_synchronous_run_afterwards_pays_for_the_missing_passes_alone_and_tells_the_same(nights: Nights) -> None:
    nights.night()
    before = identities(nights.told("one"))
    answers = nights.ledger.calls(nights.row("one").key)
    row = nights.review_now("one")
    assert (row.state, row.is_diff_only) == ("reviewed", False)
    new = [
        call
        for call, _ in nights.ledger.calls(row.key)
        if call.session_id not in {old.session_id for old, _ in answers}
    ]
    assert [call.pass_name for call in new] == ["summary"]
    assert [one[:2] for one in identities(nights.told("one"))] == [one[:2] for one in before]
    nights.publish()
    opened = nights.query("SELECT count(*), count(DISTINCT fingerprint) FROM finding_events WHERE event = 'opened'")
    assert opened[0][0] == opened[0][1]
    paid = nights.paid()
    nights.review_now("one")
    assert nights.paid() == paid


def test_what_is_paid_counts_once_over_batches_and_reviews(nights: Nights) -> None:
    nights.night()
    nights.review_now("one")
    nights.publish()
    (told,) = nights.query(
        "SELECT (SELECT sum(cost_usd) FROM outcomes) + (SELECT coalesce(sum(cost_usd), 0) FROM review_calls)"
    )
    assert told == (nights.bill(),)
    shares = dict(nights.query("SELECT number, batch_usd FROM pull_requests"))
    assert set(shares) == {"one", "two", "three"}
    assert sum(shares.values()) == nights.query("SELECT sum(cost_usd) FROM batch_costs")[0][0] > 0
    assert nights.query("SELECT number FROM pull_requests WHERE cost_usd > 0") == [("one",)]


def test_earlier_findings_are_asked_about_and_not_told_again(nights: Nights) -> None:
    nights.night()
    before = {row.finding for row in nights.told("one")}
    nights.push("one", {"one.py": FAULTY.format(name="one") + "\n\nvalue = eval('2')\n"})
    assert nights.night(day=1)["one"].note == "reviewed"
    assert nights.accepted() == [3, 1]
    (request,) = nights.sent(nights.ledger.submissions()[-1])
    assert "earlier_findings" in request["params"]["messages"][0]["content"]
    after = {row.finding for row in nights.told("one")}
    assert before < after
    assert nights.query("SELECT count(*) - count(DISTINCT fingerprint) FROM findings") == [(0,)]


def test_a_dismissal_during_the_night_holds(nights: Nights) -> None:
    nights.review_now("one")
    nights.push("one", {"one.py": FAULTY.format(name="one") + "\n\nvalue = eval('2')\n"})
    nights.ask()
    dismissed = nights.told("one")[0]
    dismiss(nights.ledger, dismissed.finding, "by design", nights.now())
    nights.finish()
    assert nights.pulls()["one"].note == "reviewed"
    assert dismissed.finding not in {row.finding for row in nights.told("one")}


def test_a_head_that_moved_overnight_gets_its_review_and_the_new_one_another_night(nights: Nights) -> None:
    nights.ask()
    moved = nights.push("one", {"one.py": "value = 2\n"})
    nights.finish()
    assert nights.pulls()["one"].note == "reviewed"
    assert nights.row("one").target.head != moved
    assert nights.night(day=1)["one"].head == moved
    assert nights.row("one").target.head == moved


def test_a_newer_head_that_was_reviewed_meanwhile_keeps_the_last_word(nights: Nights) -> None:
    nights.ask()
    nights.push("one", {"one.py": "value = 2\n"})
    newer = nights.review_now("one")
    nights.finish()
    assert nights.pulls()["one"].state.value == "superseded"
    assert newer.target.head[:12] in nights.pulls()["one"].note
    assert nights.told("one") == []
    assert nights.states()["two"] == ("reviewed", "reviewed")
    nights.assert_all_counted()


def test_a_head_that_the_sensor_reviewed_meanwhile_is_not_reviewed_twice(nights: Nights) -> None:
    nights.ask()
    at_once = nights.review_now("one")
    nights.finish()
    assert nights.states()["one"] == ("reviewed", "reviewed")
    assert nights.row("one") == at_once
    assert nights.query("SELECT count(*) FROM reviews WHERE number = 'one'") == [(1,)]


def test_what_claude_wrote_is_left_to_the_model_that_is_to_review_it(make: Make) -> None:
    world = make(workloads={"pull_request_review": {"independent_model": "claude-haiku-5-5"}})
    world.branch("one", {"one.py": FAULTY.format(name="one")})
    world.branch("two", {"two.py": FAULTY.format(name="two")})
    git(world.repository, "checkout", "-q", "two")
    git(world.repository, "commit", "-q", "--amend", "-m", "Change\n\nCo-Authored-By: Claude <noreply@anthropic.com>")
    git(world.repository, "checkout", "-q", "main")
    pulls = world.night()
    assert pulls["one"].note == "reviewed"
    assert (pulls["two"].state.value, pulls["two"].note.split(":")[0]) == ("skipped", "another model")
    assert world.accepted() == [1]
