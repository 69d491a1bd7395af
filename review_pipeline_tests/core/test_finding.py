from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.finding import (
    FAMILIES,
    Anchor,
    Anchored,
    Category,
    ShownLine,
    fingerprint,
    label,
    line_key,
    normalised,
    repeats,
    verify_anchor,
)
from review_pipeline.core.prompt import shown_lines

BLOB = "b10b"
LINES = (
    "import os",
    "",
    "def read(path):",
    "    return open(path).read()",
    "",
    "def write(path):",
    "    pass",
    "",
    "pass",
)
SHOWN = shown_lines(BLOB, LINES, 1, len(LINES))
WORDS = st.text(ascii_letters + " é漢", max_size=20)
CATEGORIES = st.sampled_from(Category)


def at(number: int) -> str:
    return SHOWN[number - 1].label


# -- identity


@given(WORDS, WORDS, CATEGORIES, WORDS, st.integers(0, 9), st.lists(st.sampled_from(" \t\n\r\f\v"), min_size=1))
def test_a_fingerprint_survives_another_indentation(repo, path, category, code, occurrence, blanks):
    moved = "".join(blanks) + code.replace(" ", " " + "".join(blanks)) + "".join(blanks)
    assert fingerprint(repo, path, category, moved, occurrence) == fingerprint(repo, path, category, code, occurrence)


def test_a_fingerprint_knows_neither_line_nor_words_nor_severity():
    """It takes none of them: whoever adds one has to change this line."""
    names = fingerprint.__code__.co_varnames[: fingerprint.__code__.co_argcount]
    assert names == ("repo", "path", "category", "code", "occurrence")


IDENTITY = ("acme/api", "src/app.py", Category.BUG, "return x", 1)


@pytest.mark.parametrize(
    ("place", "other"),
    [(0, "acme/web"), (1, "src/main.py"), (2, Category.SECURITY), (3, "return y"), (4, 2)],
    ids=["repo", "path", "family", "code", "occurrence"],
)
def test_a_fingerprint_changes_with(place, other):
    parts = [*IDENTITY]
    parts[place] = other
    assert fingerprint(*parts) != fingerprint(*IDENTITY)


@given(CATEGORIES, CATEGORIES)
def test_sister_categories_name_one_finding_and_others_do_not(one, other):
    same = fingerprint("r", "p", one, "c", 1) == fingerprint("r", "p", other, "c", 1)
    assert same == (FAMILIES[one] == FAMILIES[other])


def test_parts_that_only_join_alike_are_different_findings():
    assert fingerprint("a", "bc", Category.BUG, "x", 1) != fingerprint("ab", "c", Category.BUG, "x", 1)


def test_every_category_has_a_family():
    assert FAMILIES.keys() == set(Category)


def test_a_fingerprint_is_the_same_on_every_machine():
    assert str(fingerprint(*IDENTITY)) == "8d172180-a977-1109-93f2-387df8a90884"


# -- lines


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("  return  x\t", "return x"),
        ("\r\n\f\v", ""),
        ("a\n  b", "a b"),
        ("a\u00a0b", "a\u00a0b"),
        ("\u2028a\u3000", "\u2028a\u3000"),
        ("\x1ca\x85", "\x1ca\x85"),
    ],
)
def test_only_ascii_blanks_are_folded(code, expected):
    assert normalised(code) == expected


@given(st.text())
def test_folding_twice_is_folding_once(text):
    assert normalised(normalised(text)) == normalised(text)


@given(st.text(), st.integers(1, 10**6))
def test_a_label_is_the_number_and_four_hexadecimal_digits(text, number):
    made = label(BLOB, number, text)
    assert made.startswith(f"{number}#")
    assert set(made.partition("#")[2]) <= set("0123456789abcdef")
    assert len(made.partition("#")[2]) == 4


def test_a_label_binds_number_text_and_version_of_the_file():
    hashes = {
        label(BLOB, 1, "a").partition("#")[2],
        label(BLOB, 2, "a").partition("#")[2],
        label(BLOB, 1, "b").partition("#")[2],
        label("other", 1, "a").partition("#")[2],
    }
    assert len(hashes) == 4


@given(st.text())
def test_a_line_key_fits_64_bits_and_ignores_indentation(text):
    assert 0 <= line_key(text) < 2**64
    assert line_key(f"\t {text} ") == line_key(text)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), {}),
        (("a", "b"), {}),
        (("a", " a", "b", "a "), {2: 2, 4: 3}),
        (("}", "}", "", "", "--"), {}),
        (("é", "é", "x y", "x\ty"), {2: 2, 4: 2}),
    ],
)
def test_repeats_counts_lines_with_a_letter_or_digit(lines, expected):
    assert repeats(lines) == expected


@given(st.lists(st.sampled_from(["a", "b", "a ", "}", ""]), max_size=30))
def test_line_and_occurrence_name_each_line_with_code_once(lines):
    numbers = repeats(tuple(lines))
    named = [
        (normalised(line), numbers.get(number, 1))
        for number, line in enumerate(lines, 1)
        if line.strip() not in ("", "}")
    ]
    assert len(named) == len(set(named))


# -- anchors


@pytest.mark.parametrize(
    ("claimed", "evidence", "expected"),
    [
        pytest.param(at(3), "def read(path):", Anchored(Anchor.EXACT, 3), id="label and quote agree"),
        pytest.param(at(4), "return  open(path).read()\n", Anchored(Anchor.EXACT, 4), id="quoted with other blanks"),
        pytest.param(f" {at(3)} ", "def read(path):", Anchored(Anchor.EXACT, 3), id="blanks around the label"),
        pytest.param(at(7), "def read(path):", Anchored(Anchor.MOVED, 3), id="label of another line"),
        pytest.param("3", "def read(path):", Anchored(Anchor.MOVED, 3), id="a bare number is no label"),
        pytest.param("3#0000", "def read(path):", Anchored(Anchor.MOVED, 3), id="invented hash"),
        pytest.param("999#abcd", "import os", Anchored(Anchor.MOVED, 1), id="line past the end, quote unique"),
        pytest.param("", "import os", Anchored(Anchor.MOVED, 1), id="no label"),
        pytest.param(at(7), "pass", Anchored(Anchor.EXACT, 7), id="the label tells twins apart"),
        pytest.param("8#0000", "pass", Anchored(Anchor.UNANCHORED, None), id="quote stands twice"),
        pytest.param("999#abcd", "no such line", Anchored(Anchor.UNANCHORED, None), id="never clamped to the last line"),
        pytest.param("0#abcd", "no such line", Anchored(Anchor.UNANCHORED, None), id="never clamped to the first line"),
        pytest.param(at(3), "no such line", Anchored(Anchor.UNANCHORED, None), id="a label alone proves nothing"),
        pytest.param(at(3), "", Anchored(Anchor.UNANCHORED, None), id="nothing quoted"),
        pytest.param(at(4), "open(path)", Anchored(Anchor.MOVED, 4), id="piece of the labelled line"),
        pytest.param("4#0000", "open(path)", Anchored(Anchor.UNANCHORED, None), id="piece of a line, label not shown"),
        pytest.param(at(4), "ope", Anchored(Anchor.UNANCHORED, None), id="three letters are no quote"),
        pytest.param(
            at(3), "def read(path):\n    return open(path).read()", Anchored(Anchor.MOVED, 3), id="several lines quoted"
        ),
        pytest.param(
            at(4), "def read(path):\n    return open(path).read()", Anchored(Anchor.UNANCHORED, None), id="quote ends there"
        ),
        pytest.param("٣#abcd", "no such line", Anchored(Anchor.UNANCHORED, None), id="digits of another script"),
    ],
)  # fmt: skip
def test_an_anchor_is_proved_found_again_or_given_up(claimed, evidence, expected):
    assert verify_anchor(BLOB, claimed, evidence, SHOWN) == expected


def test_a_label_of_another_version_of_the_file_does_not_hold():
    assert verify_anchor("other", at(7), "pass", SHOWN).anchor is Anchor.UNANCHORED


TEXTS = st.sampled_from(["return x", "x = 1", "}", "", "pass", "a very different line"])


@given(st.lists(TEXTS, min_size=1, max_size=12), st.data())
def test_an_anchor_always_stands_on_the_quoted_line(lines, data):
    shown = shown_lines(BLOB, tuple(lines), 1, len(lines))
    claimed = data.draw(st.sampled_from([line.label for line in shown]) | st.text("0123456789#abcdef", max_size=9))
    evidence = data.draw(TEXTS)
    anchored = verify_anchor(BLOB, claimed, evidence, shown)
    if anchored.start_line is not None:
        assert normalised(evidence) in normalised(lines[anchored.start_line - 1])
    assert (anchored.start_line is None) == (anchored.anchor is Anchor.UNANCHORED)


def test_with_nothing_shown_only_the_label_can_prove():
    assert verify_anchor(BLOB, at(3), LINES[2], ()) == Anchored(Anchor.EXACT, 3)
    assert verify_anchor(BLOB, "3#0000", LINES[2], ()).anchor is Anchor.UNANCHORED


def test_a_shown_line_of_blanks_is_never_found_by_an_empty_quote():
    assert verify_anchor(BLOB, "1#0000", "  ", (ShownLine(1, "1#abcd", ""),)).anchor is Anchor.UNANCHORED
