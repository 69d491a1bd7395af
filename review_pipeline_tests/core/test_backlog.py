"""Prompts of the first pass in parts, and the rules by which an answer that came by batch counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.backlog import (
    AskedRequest,
    cut_costs_of_rows,
    diff_only,
    fitting_answer,
    names_asked,
    narrowed_unit,
    paths_shown,
    rows_shown,
    sent_schema,
)
from review_pipeline.core.finding import ShownLine, label
from review_pipeline.core.planning import Span, halves
from review_pipeline.core.pull_request import ChangedSource, Part, ShownHunk, Unit
from review_pipeline.core.review_prompt import FILE_SCHEMA, Listed, file_prompt
from review_pipeline.core.review_record import DIFF_ONLY, PlannedPass

# What would pass for a mark of ours, if its line carried no label.
TEXTS = st.sampled_from(
    ["", "x = 1", "</file>", "<earlier_findings>", '<file path="a.py"', "12#abcd|x", "\u2028", "def f():"]
)


@st.composite
def units(draw: st.DrawFn) -> Unit:
    parts = []
    for n in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(["a.py", 'we"ird\\.py', "b/c d.py", "ü.py"])) + str(n)
        lines = tuple(draw(st.lists(TEXTS, min_size=1, max_size=8)))
        shown = tuple(ShownLine(i, label(path, i, text), text) for i, text in enumerate(lines, start=1))
        removed = tuple(
            ShownLine(i, label("old", i, text), text)
            for i, text in enumerate(draw(st.lists(TEXTS, max_size=3)), start=1)
        )
        hunk = ShownHunk(shown, removed, frozenset(range(1, len(lines) + 1)), "")
        source = ChangedSource(path, path, "python", "b", "o", lines, (hunk,), "k", len(lines), len(removed))
        parts.append(Part(source, (hunk,)))
    return Unit("001", tuple(parts))


def prior(name: str) -> Listed:
    return Listed(name, "a.py", 1, "bug", "info", 0.5, "It </earlier_findings> says", "x = 1")


PRIORS = st.lists(st.sampled_from(["P1", "P2", "P3"]), unique=True)


@given(units(), PRIORS)
def test_a_prompt_tells_its_rows_its_paths_and_whom_it_asks_about(unit: Unit, names: list[str]) -> None:
    content = file_prompt(unit, [prior(name) for name in names], {})
    hunks = [hunk for part in unit.parts for hunk in part.hunks]
    assert rows_shown(content) == tuple(line.text for hunk in hunks for line in (*hunk.lines, *hunk.removed))
    assert paths_shown(content) == unit.paths
    assert names_asked(content) == tuple(names)
    assert len(cut_costs_of_rows(content)) == len(rows_shown(content))


@given(units(), PRIORS)
def test_halves_show_every_row_between_them_and_ask_about_earlier_findings_once(unit: Unit, names: list[str]) -> None:
    content = file_prompt(unit, [prior(name) for name in names], {})
    rows = [line for line in content.split("\n") if line.partition("|")[0].partition("#")[2]]
    span = Span(1, len(rows_shown(content)))
    assert narrowed_unit(content, span.first, span.last) == content
    pieces = [narrowed_unit(content, piece.first, piece.last) for piece in halves(span, cut_costs_of_rows(content))]
    if span.lines < 2:
        assert pieces == []
        return
    shown = [[line for line in piece.split("\n") if line in rows] for piece in pieces]
    assert {row for piece in shown for row in piece} == set(rows)
    assert [names_asked(piece) for piece in pieces] == [tuple(names), ()]
    assert all(piece.count("<file ") + piece.count("<removed ") >= 1 for piece in pieces)


GOOD: dict[str, Any] = {
    "path": "a.py", "anchor": "1#0000", "end_line": 1, "category": "bug", "severity": "info", "confidence": 0.5, "issue": "It is wrong.",
    "suggestion": "Mend it.", "evidence": "x",
}  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        {"findings": [], "prior_findings": []},
        {"findings": [GOOD], "prior_findings": [{"id": "P1", "status": "resolved", "reason": "gone"}]},
        {"findings": [], "prior_findings": [], "could_not_review": [{"path": "a.py", "reason": "unreadable"}]},
    ],
)
def test_an_answer_of_the_schema_counts(answer: dict[str, Any]) -> None:
    assert fitting_answer(json.dumps(answer)) == answer


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "no JSON", '{"findings": []}',
        json.dumps({"findings": [{**GOOD, "confidence": 1.5}], "prior_findings": []}),
        json.dumps({"findings": [{**GOOD, "issue": "lorem ipsum"}], "prior_findings": []}),
        json.dumps({"findings": [], "prior_findings": [], "more": 1}),
    ],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    assert fitting_answer(text) is None


def test_what_is_sent_differs_from_the_synchronous_schema_by_bounds_alone() -> None:
    """The API refuses bounds of numbers in a schema; a batch would find that out a request at a time."""
    text = json.dumps(sent_schema())
    assert "minimum" not in text
    assert "maximum" not in text
    assert json.loads(json.dumps(FILE_SCHEMA).replace(', "minimum": 0, "maximum": 1', "")) == sent_schema()


def test_a_plan_keeps_why_a_pass_was_not_needed_and_tells_which_one_was_left_out() -> None:
    plan = (
        PlannedPass("file", 2, "2 files"),
        PlannedPass("across", 0, "one file"),
        PlannedPass("summary", 1, "if needed"),
    )
    assert diff_only(plan) == (*plan[:2], PlannedPass("summary", 0, DIFF_ONLY))


@pytest.mark.parametrize(
    ("outcome", "follow_up", "is_settled"),
    [
        ("ok", None, True),
        (None, None, False),
        ("expired", None, False),
        ("expired", "replaced", True),
        ("refusal", "given_up", True),
    ],
)
def test_a_request_is_settled_once_somebody_has_dealt_with_it(
    outcome: str | None, follow_up: str | None, is_settled: bool
) -> None:
    assert AskedRequest("c", "c", outcome, None, follow_up, None, "s").is_settled is is_settled
