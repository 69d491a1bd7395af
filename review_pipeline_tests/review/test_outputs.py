"""What a review looks like from outside: Markdown, JSON, SARIF, exit codes, triage, and the findings history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from review_pipeline.adapters.history import History
from review_pipeline.cli_review import FailOn, exit_code
from review_pipeline.core.claude_end import Mishap
from review_pipeline.core.criteria import section, with_section
from review_pipeline.core.finding import Category
from review_pipeline.ports import Refused
from review_pipeline.report.review import ReviewPage, as_json, markdown
from review_pipeline.report.sarif import sarif
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline.workflows.triage import accept, dismiss, one, waiting
from review_pipeline_tests.review.world import World, failure, git

FAULT = "x = 1  # FAULT(bug, critical, 0.9, The value is wrong)\n"
DOUBTFUL = "y = 2  # FAULT(security, warning, 0.4, Perhaps this leaks)\n"
PROGRAM = Path(sys.executable).parent / "review-pipeline"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def page(world: World) -> ReviewPage:
    row = world.ledger.reviews("acme", "7")[0]
    return ReviewPage(row, world.ledger.review_files(row.key), tuple(world.findings(None)), world.ledger.calls(row.key))


def reviewed(world: World) -> ReviewPage:
    world.change({"a.py": "start = 0\n"}, {"a.py": FAULT + DOUBTFUL, "notes.md": "text\n"})
    world.review()
    return page(world)


def test_the_page_tells_what_was_found_what_was_not_looked_at_and_what_it_cost(world: World) -> None:
    text = markdown(reviewed(world))
    for told in (
        "# Review of `feature` into `main`", "**Reviewed.**", "## For the author (1)", "`a.py:1`", "## For a human to decide (1)",
        "1 reviewed, 1 skipped", "`notes.md`", "not\\_source", "$0.0200", "2 call(s)",
    ):  # fmt: skip
        assert told in text, told


@pytest.mark.case(48)
def test_more_findings_than_a_comment_holds_are_counted_and_the_worst_come_first(world: World) -> None:
    lines = [f"v{n} = {n}  # FAULT(bug, info, 0.9, fault {n} é {'wordy ' * 60}number{n})\n" for n in range(300)]
    world.change({"a.py": ""}, {"a.py": "".join(lines) + FAULT})
    world.review()
    text = markdown(page(world))
    assert len(text) < 61_000
    assert "more that do not fit here" in text
    assert text.index("critical") < text.index("info")


def test_an_incomplete_review_cannot_be_mistaken_for_a_clean_one(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": "fine = 1\n"})
    world.model.ways["file"] = lambda _call: failure(Mishap.TIMED_OUT, "it was ended after 600 seconds")
    world.review()
    incomplete = page(world)
    assert "**Failed.**" in markdown(incomplete)
    assert "it was ended after 600 seconds" in markdown(incomplete)
    assert sarif(incomplete)["runs"][0]["invocations"][0]["executionSuccessful"] is False
    assert exit_code(incomplete, FailOn.NEVER) == 5


@pytest.mark.parametrize(("fail_on", "code"), [("critical", 4), ("warning", 4), ("never", 0)])
def test_the_exit_code_tells_what_the_author_has_to_do(world: World, fail_on: str, code: int) -> None:
    assert exit_code(reviewed(world), FailOn(fail_on)) == code


def test_doubtful_findings_alone_fail_nobodys_build(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": DOUBTFUL})
    world.review()
    assert exit_code(page(world), FailOn.INFO) == 0


def test_sarif_holds_the_open_findings_with_fingerprints_that_stay(world: World) -> None:
    before = sarif(reviewed(world))["runs"][0]
    assert [result["level"] for result in before["results"]] == ["error", "warning"]
    assert {rule["id"] for rule in before["tool"]["driver"]["rules"]} == {"bug", "security"}
    world.commit({"a.py": "import os\nimport re\n" + FAULT + DOUBTFUL})
    world.review()
    after = sarif(page(world))["runs"][0]
    assert [r["partialFingerprints"] for r in after["results"]] == [r["partialFingerprints"] for r in before["results"]]
    regions = [result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in after["results"]]
    assert regions == [3, 4]


def test_sarif_keeps_to_the_models_of_its_specification(world: World) -> None:
    import sarif_pydantic

    document = sarif(reviewed(world))
    read = sarif_pydantic.Sarif.model_validate(document)
    assert len(read.runs[0].results) == 2
    assert document["version"] == "2.1.0"


def test_json_holds_every_file_finding_and_call(world: World) -> None:
    told: dict[str, Any] = json.loads(json.dumps(as_json(reviewed(world))))
    assert told["state"] == "reviewed"
    assert [file["state"] for file in told["files"]] == ["reviewed", "skipped"]
    assert {finding["delivery"] for finding in told["findings"]} == {"inline", "queue"}
    assert [call["pass"] for call in told["calls"]] == ["file", "summary"]
    assert all(call["session_id"] and call["version"] for call in told["calls"])


def history_of(world: World) -> History:
    return History(world.folder / "home", world.folder / "home" / "spool", {c.value: 0.7 for c in Category})


def rows(world: World, sql: str) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect(str(world.folder / "home" / "findings.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def test_the_history_holds_reviews_beside_audits_and_keeps_its_rules(world: World) -> None:
    reviewed(world)
    bring_up_to_date(world.ledger, history_of(world), world.clock)
    assert rows(world, "SELECT repo, number, state, files_reviewed, files_changed, calls FROM pull_requests") == [
        ("acme", "7", "reviewed", 1, 2, 2)
    ]
    assert rows(world, "SELECT path, start_line, route, delivery, status FROM findings ORDER BY start_line") == [
        ("a.py", 1, "developer", "inline", "open"),
        ("a.py", 2, "human", "queue", "open"),
    ]
    world.commit({"a.py": DOUBTFUL})
    world.review()
    bring_up_to_date(world.ledger, history_of(world), world.clock)
    assert rows(world, "SELECT event, count(*) FROM finding_events GROUP BY event ORDER BY event") == [
        ("fixed", 1),
        ("opened", 2),
        ("seen", 1),
    ]
    checks = (Path(__file__).parents[2] / "review_pipeline" / "sql" / "report" / "history_checks.sql").read_text()
    assert {row[1] for row in rows(world, checks)} == {0}


def test_a_review_that_was_gone_on_with_is_one_row(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": FAULT})
    world.model.ways["file"] = lambda _call: failure(Mishap.API_UNAVAILABLE)
    world.review()
    bring_up_to_date(world.ledger, history_of(world), world.clock)
    del world.model.ways["file"]
    world.review()
    bring_up_to_date(world.ledger, history_of(world), world.clock)
    assert rows(world, "SELECT state FROM reviews") == [("reviewed",)]
    assert rows(world, "SELECT state, count(*) FROM review_calls GROUP BY state ORDER BY state") == [
        ("answered", 1),
        ("failed", 2),
    ]


def test_what_a_human_decides_is_kept_shown_and_told_to_the_history(world: World) -> None:
    reviewed(world)
    (doubtful,) = waiting(world.ledger)
    assert accept(world.ledger, doubtful.finding[:8], "it does leak", NOON).route == "developer"
    assert waiting(world.ledger) == ()
    world.commit({"a.py": "import os\n" + FAULT + DOUBTFUL})
    world.review()
    assert {finding.route for finding in world.findings()} == {"developer"}  # a later review does not undo it
    dismiss(world.ledger, doubtful.finding, "a test key", NOON)
    bring_up_to_date(world.ledger, history_of(world), world.clock)
    assert rows(world, "SELECT status, status_reason FROM findings WHERE category = 'security'") == [
        ("dismissed", "a test key")
    ]


@pytest.mark.parametrize("given", ["", "zz", "0000", "%", "a' OR '1'='1"])
def test_triage_of_an_unknown_finding_is_refused_with_the_way_to_find_it(world: World, given: str) -> None:
    reviewed(world)
    with pytest.raises(Refused, match="triage list"):
        one(world.ledger, given)


def test_a_dismissal_without_a_reason_is_refused(world: World) -> None:
    reviewed(world)
    with pytest.raises(Refused, match="needs a reason"):
        dismiss(world.ledger, world.findings()[0].finding, "  ", NOON)


def test_a_session_that_wrote_the_change_cannot_have_reviewed_it(world: World) -> None:
    session = "11111111-2222-4333-8444-555555555555"
    world.change({"a.py": ""}, {"a.py": FAULT}, f"Work\n\nClaude-Session: {session}")
    target = world.target()
    planned = world.review_of.planner.plan(target)
    assert planned.row.author_sessions == (session,)
    assert planned.row.authored_by_claude == ""
    from review_pipeline.core.review_record import Call

    world.ledger.ask_call(Call(session, planned.key, "file", "001", "some-key"), NOON)
    row = world.review_of.run(target)
    assert row.state == "incomplete"
    assert session in row.troubles[0]


@pytest.mark.parametrize(
    "message", ["Work\n\nCo-Authored-By: Claude <noreply@anthropic.com>", "Work\n\nGenerated with [Claude Code](x)"]
)
def test_what_claude_says_it_wrote_may_be_reviewed_by_another_model(world: World, message: str) -> None:
    from dataclasses import replace

    world.rules = replace(world.rules, independent_model="claude-opus-5-5")
    world.change({"a.py": ""}, {"a.py": FAULT}, message)
    row = world.review()
    assert row.authored_by_claude
    assert {call.model for call in world.model.calls} == {"claude-opus-5-5"}


def test_every_call_is_a_session_of_its_own(world: World) -> None:
    reviewed(world)
    assert len(set(world.model.sessions)) == len(world.model.sessions) == 2
    assert world.ledger.reviewing_sessions() == set(world.model.sessions)


def test_the_section_of_criteria_ends_where_the_next_one_begins() -> None:
    text = "# Team\n\n## Review criteria ##\n\nBe strict.\n\n### Detail\n\nVery.\n```\n# no heading\n```\n\n## Other\n\nNo.\n"
    assert section(text) == "Be strict.\n\n### Detail\n\nVery.\n```\n# no heading\n```"
    assert section("## Something else\ntext\n") == ""


def test_criteria_are_written_once_and_replaced_in_place() -> None:
    first = with_section("# Team\n\nOurs.\n", "One.")
    second = with_section(first + "\n## After\n\nStays.\n", "Two.")
    assert section(second) == "Two."
    assert second.startswith("# Team\n\nOurs.\n")
    assert "Stays." in second
    assert "One." not in second
    with pytest.raises(ValueError, match="of its own"):
        with_section("## Review criteria\n\nMine.\n", "Two.")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    allowed = {"PATH": os.environ["PATH"], "HOME": str(folder / "nobody"), "LANG": "C.UTF-8", **environment}
    return subprocess.run(
        [PROGRAM, *arguments], cwd=folder, env=allowed, capture_output=True, text=True, check=False, timeout=120
    )


def test_one_line_reviews_any_checkout_without_a_key_and_leaves_no_trace_in_it(world: World) -> None:
    world.commit({"a.py": "start = 0\n"})
    world.branch("feature")
    world.commit({"a.py": "def read(path, seen=[]):\n    return eval(path)\n"})
    first = run(world.path, "review", "--offline")
    assert first.returncode == 4, first.stderr
    assert "offline analyser, no model was called" in first.stdout
    assert "`a.py:1`" in first.stdout
    assert git(world.path, "status", "--porcelain") == ""
    again = run(world.path, "review", "--offline", "--format", "json", "--fail-on", "never")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["number"] == "feature"
    assert len(told["calls"]) == len(
        json.loads(run(world.path, "review", "--offline", "--format", "json").stdout)["calls"]
    )
    listed = run(world.path, "triage", "list", "--offline", "--json")
    assert listed.returncode == 0, listed.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("review",), "ANTHROPIC_API_KEY is not set"),
        (("review", "--offline", "--base", "nowhere"), "no commit called 'nowhere'"),
        (("review", "--offline", "--repo", "missing"), "not a folder"),
        (("triage", "show", "abcd1234"), "triage list"),
        (("review", "--offline", "--output", "nowhere/x.md"), "there is no folder"),
        (("review", "--offline", "--output", "."), "cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_and_a_code(world: World, arguments: tuple[str, ...], said: str) -> None:
    world.commit({"a.py": "start = 0\n"})
    done = run(world.path, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_workflow_file_is_yaml_that_never_checks_out_or_interpolates_the_authors_text(world: World) -> None:
    import yaml

    done = run(world.path, "workflow")
    assert done.returncode == 0
    document = yaml.safe_load(done.stdout)
    steps = document["jobs"]["review"]["steps"]
    assert document["permissions"] == {"contents": "read"}
    assert not any("checkout" in str(step.get("uses", "")) for step in steps)
    assert not any("${{" in step.get("run", "") for step in steps)
    assert "pull_request_target" not in done.stdout
