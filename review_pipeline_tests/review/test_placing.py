"""Where a finding stands: by its label or by what it quotes, never by guessing."""

from __future__ import annotations

import pytest

from review_pipeline.adapters.git_change import GitChanges
from review_pipeline.core.finding import Anchor
from review_pipeline.core.placing import Files, Place, around
from review_pipeline.core.pull_request import ChangedSource, select, wanted_entries
from review_pipeline.core.selection import SelectionRules
from review_pipeline.report.review import ReviewPage, markdown
from review_pipeline_tests.review.world import World, honest

BODY = "".join(f"line_{n} = {n}\n" for n in range(1, 61))
BEFORE = BODY
AFTER = (
    BODY.replace("line_10 = 10\n", "line_10 = 100\n")
    .replace("line_50 = 50\n", "repeat()\nother = 1\nrepeat()\n")
    .replace("line_30 = 30\n", "")
)


@pytest.fixture
def source(world: World) -> ChangedSource:
    world.change({"pkg/a.py": BEFORE}, {"pkg/a.py": AFTER})
    changes = GitChanges(world.path)
    found = changes.difference("main", "feature", 1_000_000)
    (one,) = select(found, changes.contents(wanted_entries(found, SelectionRules())), SelectionRules()).sources
    return one


def place(source: ChangedSource, anchor: str, evidence: str, end_line: int = 0, path: str = "pkg/a.py") -> Place:
    return Files({source.path: source}, {}).place(path, anchor, end_line, evidence)


def label(source: ChangedSource, number: int) -> str:
    return next(line.label for line in source.shown if line.number == number)


@pytest.mark.case(19)
def test_an_unchanged_line_within_a_hunk_can_be_meant(source: ChangedSource) -> None:
    found = place(source, label(source, 8), "line_8 = 8", 8)
    assert (found.anchor, found.start_line, found.side, found.in_diff) == (Anchor.EXACT, 8, "RIGHT", True)


@pytest.mark.case(20)
def test_a_line_outside_of_every_hunk_is_placed_and_goes_to_the_summary(source: ChangedSource) -> None:
    found = place(source, "20", "line_20 = 20", 20)
    assert (found.anchor, found.start_line, found.in_diff) == (Anchor.EXACT, 20, False)


@pytest.mark.case(21)
@pytest.mark.case(26)
def test_a_deleted_line_stands_on_the_left_with_its_old_number(source: ChangedSource) -> None:
    (gone,) = [line for line in source.gone if line.text == "line_30 = 30"]
    found = place(source, gone.label, "line_30 = 30")
    assert (found.anchor, found.start_line, found.side) == (Anchor.EXACT, 30, "LEFT")
    by_quote = place(source, "5#0000", "line_30 = 30")
    assert (by_quote.anchor, by_quote.start_line, by_quote.side) == (Anchor.MOVED, 30, "LEFT")


@pytest.mark.case(22)
@pytest.mark.parametrize(("end_line", "wanted"), [(51, 51), (12, 12), (9_999, 13), (3, 10), (-4, 10)])
def test_a_range_ends_in_the_hunk_in_which_it_begins(source: ChangedSource, end_line: int, wanted: int) -> None:
    found = place(source, label(source, 10), "line_10 = 100", end_line)
    assert found.start_line == 10
    assert found.end_line == min(wanted, 13)


@pytest.mark.case(23)
@pytest.mark.parametrize("anchor", ["0", "-3", "99999", "", "12-15", "line 10", "10#zzzz", "none", "1e3", "10#0000"])
def test_an_odd_anchor_is_settled_by_the_quote(source: ChangedSource, anchor: str) -> None:
    found = place(source, anchor, "line_10 = 100")
    assert found.start_line == 10
    assert found.anchor in (Anchor.MOVED, Anchor.EXACT)
    assert place(source, anchor, "nobody wrote this").anchor is Anchor.UNANCHORED


@pytest.mark.case(24)
@pytest.mark.parametrize(
    "path", ["./pkg/a.py", "b/pkg/a.py", "a/pkg/a.py", "pkg//a.py", "pkg/../pkg/a.py", " pkg/a.py "]
)
def test_other_spellings_of_the_path_are_the_path(source: ChangedSource, path: str) -> None:
    assert place(source, label(source, 10), "line_10 = 100", path=path).path == "pkg/a.py"


@pytest.mark.case(24)
@pytest.mark.parametrize("path", ["/etc/passwd", "../pkg/a.py", "pkg/missing.py", "", "a.py"])
def test_a_path_that_is_none_of_the_files_has_no_line(source: ChangedSource, path: str) -> None:
    found = place(source, label(source, 10), "line_10 = 100", path=path)
    assert (found.anchor, found.start_line, found.in_diff) == (Anchor.UNANCHORED, None, False)


@pytest.mark.case(25)
def test_of_lines_that_are_alike_the_label_chooses_and_without_one_nothing_is_guessed(source: ChangedSource) -> None:
    twins = [line.number for line in source.shown if line.text == "repeat()"]
    assert len(twins) == 2
    for nth, number in enumerate(twins, start=1):
        found = place(source, label(source, number), "repeat()", number)
        assert (found.anchor, found.start_line, found.occurrence) == (Anchor.EXACT, number, nth)
    assert place(source, "7#0000", "repeat()").anchor is Anchor.UNANCHORED


def test_a_label_of_another_line_does_not_move_the_quote(source: ChangedSource) -> None:
    found = place(source, label(source, 8), "line_10 = 100")
    assert (found.anchor, found.start_line) == (Anchor.MOVED, 10)


def test_lines_around_a_place_are_shown_only_where_the_hunks_do_not(source: ChangedSource) -> None:
    assert around(source, 10) == ()
    assert [line.number for line in around(source, 25)] == list(range(20, 31))
    assert around(source, 0) == around(source, 10_000) == ()


@pytest.mark.case(27)
def test_new_text_is_shown_as_code_and_never_as_a_patch_that_could_be_applied(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": "x = 1  # FAULT(bug, critical, 0.9, wrong)\n"})
    world.model.ways["file"] = lambda call: {
        **honest(call),
        "findings": [{**finding, "suggestion": "```suggestion\nx = 2\n```"} for finding in honest(call)["findings"]],
    }
    row = world.review()
    text = markdown(ReviewPage(row, world.ledger.review_files(row.key), tuple(world.findings()), ()))
    assert "```suggestion" not in text
    assert "New text for these lines:\n\n```\nx = 2\n```" in text


@pytest.mark.case(126)
def test_the_reviewed_commit_is_the_one_of_our_own_row(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": "x = 1  # FAULT(bug, critical, 0.9, wrong)\n"})
    target = world.target()
    world.model.ways["file"] = lambda call: {**honest(call)}
    row = world.review_of.run(target)
    assert {finding.head for finding in world.findings()} == {target.head} == {row.target.head}


@pytest.mark.case(24)
def test_only_one_prefix_of_a_diff_is_taken_off_a_path(world: World) -> None:
    world.change({"x.py": "", "b/x.py": ""}, {"x.py": "same = 1\n", "b/x.py": "same = 1\n"})
    changes = GitChanges(world.path)
    found = changes.difference("main", "feature", 1_000_000)
    sources = select(found, changes.contents(wanted_entries(found, SelectionRules())), SelectionRules()).sources
    files = Files({source.path: source for source in sources}, {})
    assert files.place("a/b/x.py", "1", 1, "same = 1").path == "b/x.py"
