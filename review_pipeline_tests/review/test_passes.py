"""The three passes: nothing is lost, nothing is invented, and what was not reviewed is told."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from review_pipeline.core.claude_call import Call
from review_pipeline.core.claude_end import Failed, Mishap
from review_pipeline.core.finding import Category
from review_pipeline.report.review import ReviewPage, markdown
from review_pipeline_tests.review.world import World, failure, faults_in, honest, listed, pass_of

FAULT = "x = 1  # FAULT(bug, critical, 0.9, The value is wrong)\n"


def files(count: int, text: str = FAULT) -> dict[str, str | bytes | None]:
    return {f"pkg/mod_{n}.py": f"name_{n} = {n}\n{text}" for n in range(count)}


def test_a_change_is_reviewed_and_its_faults_are_told_at_their_lines(world: World) -> None:
    world.change({"a.py": "one = 1\n"}, {"a.py": "one = 1\ntwo = 2\n" + FAULT})
    row = world.review()
    assert (row.state, row.counts) == ("reviewed", {"new": 1})
    (finding,) = world.findings()
    assert (finding.where, finding.severity, finding.route, finding.delivery) == (
        "a.py:3",
        "critical",
        "developer",
        "inline",
    )
    assert [(file.path, file.state.value) for file in world.ledger.review_files(row.key)] == [("a.py", "reviewed")]


def test_a_finished_review_is_not_paid_for_again(world: World) -> None:
    world.change({"a.py": "one = 1\n"}, files(3))
    first = world.review()
    calls = len(world.model.calls)
    assert world.review() == first
    assert len(world.model.calls) == calls


@pytest.mark.case(33)
@pytest.mark.case(124)
def test_a_change_without_reviewable_files_is_nothing_to_review_and_not_clean(world: World) -> None:
    world.change({"a.py": "one = 1\n"}, {"notes.md": "text\n", "logo.png": b"\x89PNG\0\0"})
    row = world.review()
    assert row.state == "nothing_to_review"
    assert world.model.calls == []
    assert {file.state.value for file in world.ledger.review_files(row.key)} == {"skipped"}


@pytest.mark.case(33)
def test_an_empty_change_is_nothing_to_review(world: World) -> None:
    world.change({"a.py": "one = 1\n"}, {}, "nothing in it")
    assert world.review().state == "nothing_to_review"


@pytest.mark.case(90)
def test_one_fault_that_two_passes_find_is_one_finding_with_the_graver_words(world: World) -> None:
    after = {
        "a.py": "def shared_name():\n    return 1  # FAULT(bug, warning, 0.8, The result is never checked here)\n",
        "b.py": "shared_name()\n",
    }
    world.change({"a.py": "", "b.py": ""}, after)

    def across(call: Call) -> dict[str, Any]:
        claim = {
            "path": "a.py",
            "anchor": "2",
            "end_line": 2,
            "category": "api_contract",
            "severity": "critical",
            "confidence": 0.9,
        }
        words = {
            "issue": "the result is never checked",
            "suggestion": "check",
            "evidence": after["a.py"].split("\n")[1],
        }
        return {"findings": [{**claim, **words}]}

    world.model.ways["across"] = across
    assert world.review().counts == {"new": 1}
    (finding,) = world.findings()
    assert (finding.severity, finding.anchor, set(finding.passes)) == ("critical", "exact", {"file", "across"})


@pytest.mark.case(60)
def test_two_faults_on_one_line_are_two_findings(world: World) -> None:
    world.change({"a.py": "one = 1\n"}, {"a.py": "one = 1\nrun(path)\n"})

    def both(call: Call) -> dict[str, Any]:
        (shown,) = [line for line in call.prompt.split("\n") if line.endswith("|run(path)")]
        claim = {
            "path": "a.py", "anchor": shown.split("|")[0], "end_line": 2, "category": "bug", "severity": "warning", "confidence": 0.9,
            "suggestion": "", "evidence": "run(path)",
        }  # fmt: skip
        words = ("The exit status of the command is dropped", "A relative name breaks when the working folder differs")
        return {"findings": [{**claim, "issue": issue} for issue in words], "prior_findings": []}

    world.model.ways["file"] = both
    world.review()
    assert len(world.findings()) == 2
    world.commit({"b.py": "other = 1\n", "a.py": "one = 1\nrun(path)\nthree = 3\n"})
    world.model.ways["file"] = lambda call: {**both(call), "prior_findings": []}
    world.review()
    assert len(world.findings()) == 2


@pytest.mark.case(91)
@pytest.mark.parametrize("how", ["lost", "invented", "twice", "circle"])
def test_a_summary_that_loses_or_invents_a_finding_is_rejected_whole(world: World, how: str) -> None:
    world.change({"a.py": ""}, files(3))

    def unfaithful(call: Call) -> dict[str, Any]:
        answer = honest(call)
        rows = answer["findings"]
        if how == "lost":
            rows.pop()
        elif how == "invented":
            rows.append({**rows[0], "id": "F99"})
        elif how == "twice":
            rows.append(dict(rows[0]))
        else:
            rows[0]["duplicate_of"], rows[1]["duplicate_of"] = rows[1]["id"], rows[0]["id"]
        return answer

    world.model.ways["summary"] = unfaithful
    row = world.review()
    assert row.state == "incomplete"
    assert "summary of 3 findings" in row.troubles[0]
    assert len(world.findings()) == 3
    assert len(world.model.made("summary")) == 2  # asked once more before it was given up


def test_a_summary_merges_duplicates_and_keeps_where_they_were(world: World) -> None:
    world.change({"a.py": ""}, files(2))

    def merging(call: Call) -> dict[str, Any]:
        answer = honest(call)
        answer["findings"][1] |= {"duplicate_of": answer["findings"][0]["id"], "severity": "critical"}
        answer["findings"][0] |= {"severity": "info", "reason": "one cause"}
        return answer

    world.model.ways["summary"] = merging
    row = world.review()
    assert row.counts == {"new": 1, "merged": 1}
    page = ReviewPage(row, world.ledger.review_files(row.key), tuple(world.findings()), ())
    (finding,) = page.open("developer")
    assert (finding.severity, finding.reason) == ("critical", "one cause")
    assert page.beside(finding.finding) == ("pkg/mod_1.py:2",)
    assert "also at `pkg/mod_1.py:2`" in markdown(page)
    world.commit({"pkg/mod_1.py": "first = 0\n" + FAULT})
    again = world.review()
    assert "new" not in again.counts  # the duplicate is known, and is not told as a finding of its own
    world.commit({"pkg/mod_0.py": "fixed = 0\n"})
    row = world.review()
    page = ReviewPage(row, world.ledger.review_files(row.key), tuple(world.findings()), ())
    assert [left.where for left in page.open("developer")] == ["pkg/mod_1.py:2"]


@pytest.mark.case(92)
def test_what_two_passes_disagree_about_is_kept_and_goes_to_a_human(world: World) -> None:
    world.change(
        {"a.py": "", "b.py": ""}, {"a.py": f"def shared_name():\n    pass\n{FAULT}", "b.py": "shared_name()\n"}
    )
    world.model.ways["across"] = lambda call: {
        "findings": [],
        "disputed": [{"finding": listed(call.prompt, "findings")[0]["id"], "reason": "the caller sets it"}],
    }
    world.review()
    (finding,) = world.findings()
    assert (finding.route, finding.disputed, finding.confidence) == ("human", "the caller sets it", 0.9)


@pytest.mark.case(93)
@pytest.mark.parametrize(("confidence", "route"), [("0.7", "developer"), ("0.69", "human")])
def test_at_the_threshold_is_above_it(world: World, confidence: str, route: str) -> None:
    world.change({"a.py": ""}, {"a.py": f"x = 1  # FAULT(bug, info, {confidence})\n"})
    world.review()
    assert [finding.route for finding in world.findings()] == [route]


def test_thresholds_are_told_by_category(world: World) -> None:
    world.rules = replace(world.rules, thresholds={**world.rules.thresholds, Category.SECURITY: 0.95})
    world.change({"a.py": ""}, {"a.py": "x = 1  # FAULT(bug, info, 0.9)\ny = 2  # FAULT(security, info, 0.9)\n"})
    world.review()
    assert {finding.category: finding.route for finding in world.findings()} == {
        "bug": "developer",
        "security": "human",
    }


@pytest.mark.case(94)
def test_a_file_that_is_larger_than_a_call_is_split_and_no_line_is_left_out(world: World) -> None:
    text = "".join(
        f"def work_{n}():\n    return {n}  # FAULT(bug, info, 0.9, number {n} is a fault of its own)\n"
        for n in range(600)
    )
    world.change({"a.py": ""}, {"big.py": text})
    row = world.review()
    assert row.state == "reviewed"
    assert len(world.model.made("file")) > 3
    assert max(len(call.prompt) for call in world.model.made("file")) < 18_000
    assert row.counts["new"] == 600


@pytest.mark.case(95)
def test_only_the_part_that_was_too_long_is_asked_again_in_halves(world: World) -> None:
    world.change({"a.py": ""}, files(6))

    def short_of_breath(call: Call) -> dict[str, Any] | Failed:
        return failure(Mishap.PROMPT_TOO_LONG) if call.prompt.count("<file ") > 2 else honest(call)

    world.model.ways["file"] = short_of_breath
    row = world.review()
    assert (row.state, row.counts["new"]) == ("reviewed", 6)
    shown = [call.prompt.count("<file ") for call in world.model.made("file")]
    assert sorted(shown) == [1, 1, 2, 2, 3, 3, 6]


@pytest.mark.case(96)
def test_a_used_up_budget_leaves_a_partial_review_that_says_so(world: World) -> None:
    world.rules = replace(world.rules, budget_usd=Decimal("0.01"), unit_characters=2_000)
    world.change({"a.py": ""}, files(30, FAULT + "# filler\n" * 60))
    row = world.review()
    assert row.state == "incomplete"
    assert any("budget of this review" in trouble for trouble in row.troubles)
    states = {file.state.value for file in world.ledger.review_files(row.key)}
    assert states == {"reviewed", "failed"}
    assert world.findings()  # what was found is told


@pytest.mark.case(97)
def test_clean_needs_every_unit_to_have_answered(world: World) -> None:
    world.rules = replace(world.rules, unit_characters=2_000)
    world.change({"a.py": ""}, files(12, "# fine\n" * 100))
    world.model.ways["file"] = lambda call: failure(Mishap.REFUSED) if "mod_3.py" in call.prompt else honest(call)
    row = world.review()
    assert row.state == "incomplete"
    failed = [file.path for file in world.ledger.review_files(row.key) if file.state.value == "failed"]
    assert "pkg/mod_3.py" in failed
    assert len(failed) < 12


@pytest.mark.case(125)
def test_where_every_call_fails_nothing_is_approved_and_earlier_findings_stay(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": FAULT})
    world.review()
    world.commit({"a.py": FAULT + "y = 2\n"})
    world.model.ways["file"] = lambda _call: failure(Mishap.API_UNAVAILABLE)
    row = world.review()
    assert row.state == "failed"
    assert world.places() == ["a.py:1"]
    del world.model.ways["file"]
    assert world.review().state == "reviewed"  # the same head, gone on with


def test_an_incomplete_review_is_gone_on_with_and_pays_only_for_what_was_missing(world: World) -> None:
    world.rules = replace(world.rules, unit_characters=2_000)
    world.change({"a.py": ""}, files(12, "# fine\n" * 100))
    world.model.ways["file"] = lambda call: failure(Mishap.REFUSED) if "mod_3.py" in call.prompt else honest(call)
    assert world.review().state == "incomplete"
    before = len(world.model.made("file"))
    del world.model.ways["file"]
    assert world.review().state == "reviewed"
    assert len(world.model.made("file")) == before + 1


@pytest.mark.case(85)
@pytest.mark.case(122)
@pytest.mark.parametrize("way", ["placeholder", "prose"])
def test_an_answer_without_substance_is_a_failed_review(world: World, way: str) -> None:
    world.change({"a.py": ""}, {"a.py": FAULT})
    if way == "placeholder":
        world.model.ways["file"] = lambda call: {
            **honest(call),
            "findings": [{**faults_in(call.prompt)[0], "issue": "Lorem ipsum dolor"}],
        }
    else:
        world.model.ways["file"] = lambda _call: {"findings": [], "prior_findings": []}
        world.model.text = "I was unable to access the pull request, so there is nothing to report."
    row = world.review()
    assert row.state == "failed"
    assert "declined" in row.troubles[0]


def test_a_file_that_the_reviewer_could_not_judge_makes_the_review_incomplete(world: World) -> None:
    world.change({"a.py": ""}, files(2))
    world.model.ways["file"] = lambda call: {
        **honest(call),
        "could_not_review": [{"path": "pkg/mod_0.py", "reason": "too much context missing"}],
    }
    row = world.review()
    assert row.state == "incomplete"
    states = {file.path: file.state.value for file in world.ledger.review_files(row.key)}
    assert states["pkg/mod_0.py"] == "partly"


@pytest.mark.case(119)
def test_ten_thousand_tiny_files_cannot_burn_the_budget(world: World) -> None:
    world.rules = replace(world.rules, max_files=20, max_calls=3)
    world.change({"a.py": ""}, files(60, "y = 1\n"))
    row = world.review()
    assert row.state == "incomplete"
    assert len(world.model.made("file")) <= 3
    left = [file for file in world.ledger.review_files(row.key) if file.reason.startswith("over_limit")]
    assert len(left) == 40
    assert len(world.ledger.review_files(row.key)) == 60


@pytest.mark.case(119)
def test_more_calls_than_allowed_leave_files_out_by_name(world: World) -> None:
    world.rules = replace(world.rules, unit_characters=2_000, max_calls=2)
    world.change({"a.py": ""}, files(12, "# fine\n" * 100))
    row = world.review()
    assert row.state == "incomplete"
    assert len(world.model.made("file")) == 2
    assert sum(file.state.value == "skipped" for file in world.ledger.review_files(row.key)) >= 8


@pytest.mark.case(61)
def test_one_pattern_at_twenty_places_is_twenty_findings_and_one_entry(world: World) -> None:
    world.change(
        {"a.py": ""},
        {
            "a.py": "".join(
                f"v{n} = open('{n}')  # FAULT(bug, warning, 0.9, The file is never closed)\n" for n in range(20)
            )
        },
    )
    row = world.review()
    assert len({finding.finding for finding in world.findings()}) == 20
    text = markdown(ReviewPage(row, world.ledger.review_files(row.key), tuple(world.findings()), ()))
    assert text.count("\nThe file is never closed\n") == 1
    assert "19 more places" in text


def test_small_units_find_what_a_model_overlooks_in_long_prompts(world: World) -> None:
    body = "".join(f"value_{n} = compute({n})\n" for n in range(300))
    world.change({"a.py": ""}, {f"pkg/m{n}.py": body + FAULT for n in range(8)})
    world.model.ways["file"] = lambda call: (
        honest(call) if len(call.prompt) + len(call.system) < 20_000 else {"findings": [], "prior_findings": []}
    )
    world.review()
    assert len(world.findings()) == 8


def test_the_second_pass_is_left_out_where_no_file_uses_another_and_the_reason_is_kept(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": "alpha = 1\n", "b.py": "beta = 2\n"})
    row = world.review()
    assert world.model.made("across") == []
    assert {part.name: (part.calls, part.reason) for part in row.plan}["across"] == (
        0,
        "no changed line uses what another changed file defines",
    )


def test_the_second_pass_sees_a_changed_signature_and_its_caller_and_may_read(world: World) -> None:
    world.change(
        {"lib.py": "def compute(a):\n    return a\n", "use.py": "from lib import compute\n"},
        {"lib.py": "def compute(a, b):\n    return a\n", "use.py": "from lib import compute\nprint(compute(1))\n"},
    )
    world.review()
    (call,) = world.model.made("across")
    assert "|def compute(a, b):" in call.prompt
    assert "|print(compute(1))" in call.prompt
    assert call.tools == ("Read", "Grep", "Glob")
    assert all(other.tools == () for other in world.model.calls if pass_of(other) != "across")


@pytest.mark.case(20)
def test_a_finding_in_a_file_that_the_change_does_not_touch_is_placed_there_and_told_in_the_summary(
    world: World,
) -> None:
    before = {
        "lib.py": "def compute(a):\n    return a\n",
        "use.py": "",
        "old.py": "from lib import compute\n\nprint(compute(1))\n",
    }
    world.change(before, {"lib.py": "def compute(a, b):\n    return a\n", "use.py": "compute(1, 2)\n"})  # type: ignore[arg-type]
    claim = {
        "path": "old.py",
        "anchor": "3",
        "end_line": 3,
        "category": "api_contract",
        "severity": "critical",
        "confidence": 0.9,
    }
    words = {"issue": "This caller misses an argument", "suggestion": "give it", "evidence": "print(compute(1))"}
    world.model.ways["across"] = lambda _call: {"findings": [{**claim, **words}]}
    world.review()
    (finding,) = world.findings()
    assert (finding.where, finding.anchor, finding.delivery) == ("old.py:3", "exact", "summary")


@pytest.mark.parametrize(("characters", "warms"), [(20_000, True), (1_000, False)])
def test_long_instructions_are_written_to_the_cache_by_one_call_before_the_others_read_them(
    world: World, characters: int, warms: bool
) -> None:
    prompts = replace(world.rules.prompts, file="Look closely. " * (characters // 14))
    world.rules = replace(world.rules, prompts=prompts, unit_characters=2_000)
    world.change({"a.py": ""}, files(8, "# filler\n" * 150))
    started: list[int] = []  # how many had finished when each call began
    finished: list[int] = []

    def slow(call: Call) -> dict[str, Any]:
        started.append(len(finished))
        time.sleep(0.05)
        finished.append(1)
        return honest(call)

    world.model.ways["file"] = slow
    assert world.review().state == "reviewed"
    assert (started[1] == 1) is warms
    assert {call.caches for call in world.model.made("file")} == {warms}
