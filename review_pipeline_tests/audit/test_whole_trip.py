"""A repository goes in, findings come out: what changed is asked once, what did not is not asked again."""

from __future__ import annotations

import stat
from decimal import Decimal

import pytest

from review_pipeline.core.audit import State
from review_pipeline_tests.audit.world import GO, PYTHON, World


def test_a_two_language_repository_comes_out_as_findings_on_exact_lines(world: World) -> None:
    world.audit()
    found = {(path, line, category) for path, line, _, category, *_ in world.findings()}
    assert ("one.py", 7, "missing_error_handling") in found
    assert ("two.py", 7, "missing_error_handling") in found
    assert ("main.go", 4, "missing_error_handling") in found
    assert {anchor for *_, anchor, _status, _route in world.findings()} == {"exact"}
    for path, line, _, _, _, _, _, evidence, *_ in world.findings():
        assert (world.repository / path).read_text().split("\n")[line - 1].strip() == evidence.strip()


def test_every_file_of_the_commit_is_in_the_coverage_once(world: World) -> None:
    plan = world.audit()
    assert world.coverage() == {"reviewed": 3, "skipped": 1}
    assert sum(plan.counts.values()) == 4
    world.assert_all_counted()


def test_costs_are_tokens_times_the_price_and_half_of_it_in_a_batch(world: World) -> None:
    world.audit()
    ((input_tokens, output_tokens, cost, sync_cost),) = world.query(
        "SELECT sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(sync_cost_usd) FROM outcomes"
    )
    assert sync_cost == (input_tokens * Decimal("0.1") + output_tokens * Decimal("0.5")) / 1_000_000
    assert cost == sync_cost / 2
    (submission,) = world.ledger.submissions()
    assert Decimal(submission.cost_usd or 0) == cost
    assert world.query("SELECT sum(cost_usd) FROM batch_costs") == [(cost,)]
    ((shared,),) = world.query("SELECT sum(cost_usd) FROM findings")
    assert abs(shared - cost) < Decimal("0.0000001")


def test_the_published_file_is_a_read_only_copy_behind_a_link(world: World) -> None:
    world.audit()
    link = world.home / "findings.duckdb"
    assert link.is_symlink()
    assert not link.resolve().stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    assert world.query("SELECT count(*) > 0 FROM open_findings") == [(True,)]


def test_the_same_day_again_sends_nothing(world: World) -> None:
    world.audit()
    world.audit()
    assert world.accepted() == [3]


def test_an_unchanged_commit_submits_nothing_and_says_so(world: World) -> None:
    world.audit()
    before = world.findings()
    assert world.audit(day=1).counts == {"unchanged": 3, "skipped: not_source": 1}
    assert world.accepted() == [3]
    assert world.coverage(day=1) == {"unchanged": 3, "skipped": 1}
    assert world.findings() == before


def test_one_changed_file_is_exactly_one_request(world: World) -> None:
    world.audit()
    world.commit({"two.py": "def load(path):\n    return open(path).read()\n"})
    world.audit(day=1)
    assert world.accepted() == [3, 1]
    assert world.coverage(day=1) == {"unchanged": 2, "reviewed": 1, "skipped": 1}


def test_a_mended_line_is_a_fixed_finding_and_its_neighbours_stay_open(world: World) -> None:
    world.audit()
    world.commit({"one.py": PYTHON.replace("    except:\n        pass\n", "    finally:\n        print(path)\n")})
    world.audit(day=1)
    states = dict(world.query("SELECT start_line, status FROM findings WHERE path = 'one.py' AND category <> 'other'"))
    assert states[7] == "fixed"
    assert states[6] == "open"
    assert world.query("SELECT DISTINCT status FROM findings WHERE path <> 'one.py'") == [("open",)]


def test_findings_of_a_removed_file_are_fixed(world: World) -> None:
    world.audit()
    world.commit({"main.go": None})
    world.audit(day=1)
    assert world.query("SELECT DISTINCT status, status_reason FROM findings WHERE path = 'main.go'") == [
        ("fixed", "the file was removed")
    ]


def test_a_file_that_is_in_flight_in_another_cell_is_not_asked_again(world: World) -> None:
    world.submit()
    assert world.submit(day=1).counts == {"in_flight": 3, "skipped: not_source": 1}
    world.finish()
    assert world.accepted() == [3]
    assert world.coverage(day=1) == {"in_flight": 3, "skipped": 1}


@pytest.mark.parametrize("rule", [{"effect": "refusal"}, {"effect": "error", "error": "invalid"}], ids=str)
def test_what_cannot_be_answered_is_not_asked_again_until_it_changes(world: World, rule: dict[str, str]) -> None:
    world.script({**rule, "contains": "main.go"})
    world.audit()
    assert world.coverage() == {"reviewed": 2, "failed": 1, "skipped": 1}
    assert world.audit(day=1).counts == {"unchanged": 2, "skipped: given_up": 1, "skipped: not_source": 1}
    world.commit({"main.go": GO + "// changed\n"})
    world.audit(day=2)
    assert world.accepted() == [3, 1]


def test_what_failed_for_another_reason_is_asked_again_by_the_next_audit(world: World) -> None:
    world.script({"effect": "error", "error": "overloaded", "contains": "main.go", "times": 6})
    world.audit()
    assert world.coverage() == {"reviewed": 2, "failed": 1, "skipped": 1}
    assert world.audit(day=1).counts == {"unchanged": 2, "submitted": 1, "skipped: not_source": 1}
    assert world.coverage(day=1) == {"unchanged": 2, "reviewed": 1, "skipped": 1}
    assert world.accepted() == [3, 1, 1, 1, 1, 1, 1]


def test_an_empty_repository_is_an_audit_of_no_files(world: World) -> None:
    world.commit({"one.py": None, "two.py": None, "main.go": None})
    plan = world.audit()
    assert plan.counts == {"skipped: not_source": 1}
    assert world.accepted() == []
    assert world.coverage() == {"skipped": 1}


def test_line_separators_inside_texts_are_not_ends_of_lines(world: World) -> None:
    odd = 'TEXT = "a\u2028b\u0085c\x0bd"\n' + PYTHON
    world.commit({"odd.py": odd})
    world.audit()
    lines = world.query("SELECT start_line, evidence, anchor FROM findings WHERE path = 'odd.py' AND start_line > 1")
    assert lines
    for line, evidence, anchor in lines:
        assert (odd.split("\n")[line - 1].strip(), anchor) == (evidence.strip(), "exact")


def test_two_batches_of_one_cell_are_collected_each(world: World) -> None:
    world.configure(batches={"max_requests": 2, "poll_seconds": 5})
    world.audit()
    assert sorted(world.accepted()) == [1, 2]
    assert [one.state for one in world.ledger.submissions()] == [State.COLLECTED] * 2
    assert world.coverage() == {"reviewed": 3, "skipped": 1}
    world.assert_all_counted()
