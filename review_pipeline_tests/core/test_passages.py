"""Passages stand in what was shown, or they are not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.finding import Anchor
from review_pipeline.core.passages import Place, ShownText, folded
from review_pipeline.core.prompt import shown_lines

LINES = (
    "Records are kept for two", "years after the con-", "tract has ended.", "", "\u201cNever\u201d \u2014 says the \ufb01rst page.", "Kept.", "Kept.", "up to COVID-", "19 cases", "or 10-20 days",
)  # fmt: skip
SHOWN = shown_lines("blob", LINES, 1, len(LINES))
TEXT = ShownText(SHOWN)


def label(line: int) -> str:
    return SHOWN[line - 1].label


@pytest.mark.parametrize(
    ("passage", "first", "last"),
    [
        ("kept for two years", 1, 2),
        ("kept for\n two\nyears after the contract", 1, 3),
        ("kept for two years after the con-\ntract has ended.", 1, 3),
        ('"Never" - says the first page.', 5, 5),
        ("the \ufb01rst page", 5, 5),
        ("COVID-19 cases or 10-20 days", 8, 10),
    ],
)
def test_a_passage_is_found_over_lines_hyphens_and_kinds_of_marks(passage: str, first: int, last: int) -> None:
    assert TEXT.place("99#0000", passage) == Place(Anchor.MOVED, first, last)
    assert TEXT.place(label(first), passage) == Place(Anchor.EXACT, first, last)


@pytest.mark.parametrize(
    "passage",
    [
        "kept for three years",
        "kept for ... ended",
        "KEPT FOR TWO",
        "",
        "  ",
        "-",
        "e",
        "are",
        "years after two",
        "10 20 days",
    ],
)
def test_other_words_are_not_found(passage: str) -> None:
    assert TEXT.place(label(1), passage) == Place(Anchor.UNANCHORED, None, None)


def test_of_two_places_only_the_label_decides() -> None:
    assert TEXT.place("", "Kept.") == Place(Anchor.UNANCHORED, None, None)
    assert TEXT.place(label(7), "Kept.") == Place(Anchor.EXACT, 7, 7)


texts = st.lists(st.text(alphabet='ab c-1.\u00ad\u2013\ufb01"', max_size=12), min_size=1, max_size=8)


@given(texts, st.data())
def test_whatever_is_copied_from_the_text_is_found_at_its_label(lines: list[str], data: st.DataObject) -> None:
    shown = shown_lines("b", tuple(lines), 1, len(lines))
    first = data.draw(st.integers(0, len(lines) - 1))
    last = data.draw(st.integers(first, len(lines) - 1))
    passage = "\n".join(lines[first : last + 1])
    if len(folded(passage)) < 4 or not folded(lines[first])[:1].isalnum() or not folded(lines[last])[-1:].isalnum():
        return
    place = ShownText(shown).place(shown[first].label, passage)
    assert (place.anchor, place.first) == (Anchor.EXACT, first + 1)
    assert place.last == last + 1


@given(texts, st.text(alphabet="ab c-1.", min_size=4, max_size=20))
def test_what_is_found_is_in_the_text(lines: list[str], passage: str) -> None:
    place = ShownText(shown_lines("b", tuple(lines), 1, len(lines))).place("", passage)
    if place.anchor is not Anchor.UNANCHORED:
        assert folded(passage).replace("-", "") in folded("".join(lines)).replace("-", "")
