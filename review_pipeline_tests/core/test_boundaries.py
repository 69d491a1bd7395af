"""Each file of boundaries/ is code in one language: T where something begins that stands in nothing else, M for a member of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core import selection
from review_pipeline.core.boundaries import DIVIDES_NOTHING, DOCUMENTS, GRAMMARS, boundaries

SAMPLES = sorted(Path(__file__).with_name("boundaries").glob("*.txt"))
WELL_KNOWN = {
    "python", "javascript", "jsx", "typescript", "tsx", "go", "rust", "java", "kotlin", "c", "c++", "c#", "ruby", "php",
    "swift", "scala", "shell", "lua", "objective-c", "sql", "terraform", "dart", "elixir", "haskell", "perl", "r",
}  # fmt: skip


def mark(cost: int) -> str:
    if cost <= DIVIDES_NOTHING:
        return "T"
    return "M" if 20 <= cost < 50 else " "


def marked(language: str, text: str) -> list[str]:
    """A first line begins the file whatever it is."""
    lines = tuple(text.split("\n"))
    marks = [mark(cost) for cost in boundaries(language, lines)]
    return [f"{found}|{line}" for found, line in zip(marks, lines, strict=True)]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_definitions_begin_where_a_reader_sees_them_begin(path: Path) -> None:
    expected = path.read_text().removesuffix("\n").split("\n")
    assert marked(path.stem, "\n".join(row[2:] for row in expected))[1:] == expected[1:]


def test_well_known_languages_have_a_grammar() -> None:
    assert GRAMMARS.keys() >= WELL_KNOWN


def test_every_language_with_a_grammar_is_one_that_files_are_said_to_be_in() -> None:
    tables = (selection._LANGUAGES, selection._MORE_SUFFIXES, selection._MORE_NAMES, selection._MORE_INTERPRETERS)
    assert {language for table in tables for language in table.values()} >= GRAMMARS.keys()


@pytest.mark.parametrize("grammar", sorted(set(GRAMMARS.values())))
def test_every_grammar_is_there_without_a_network(grammar: str) -> None:
    from tree_sitter_language_pack import get_parser

    assert get_parser(grammar).parse(b"x\n").root_node is not None  # type: ignore[arg-type]


def test_the_parsers_are_loaded_only_when_a_file_is_cut() -> None:
    program = "import sys, review_pipeline.workflows.audit as _; sys.exit('tree_sitter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@given(st.sampled_from(["python", "typescript", "go", "java", *DOCUMENTS, "no such language"]), st.text(max_size=300))
def test_any_text_has_a_cost_for_each_line(language: str, text: str) -> None:
    lines = tuple(text.split("\n"))
    costs = boundaries(language, lines)
    assert len(costs) == len(lines)
    assert min(costs) >= 0


PIECES = st.sampled_from(
    ["def f():", "class A {", "}", "{", "(", ")", '"', "  x = 1", "@a", "# b", "/*", "*/", "", "é"]
)


@given(st.sampled_from(sorted(WELL_KNOWN)), st.lists(PIECES, max_size=40))
def test_broken_code_has_a_cost_for_each_line(language: str, pieces: list[str]) -> None:
    assert len(boundaries(language, tuple(pieces))) == len(pieces)


def test_around_what_cannot_be_parsed_definitions_are_still_seen() -> None:
    code = "def one():\n    return 1\n\n\ndef two(:\n    return ]\n\n\ndef three():\n    return 3\n"
    assert [row for row in marked("python", code) if row.startswith("T|")][-1] == "T|def three():"


def test_a_piece_from_the_middle_of_a_class_still_shows_its_methods() -> None:
    piece = "        return 1\n\n    def two(self):\n        return 2\n\n    def three(self):\n        return 3\n"
    assert [row[2:].strip() for row in marked("python", piece) if row[0] in "TM"][-1] == "def three(self):"


def test_a_language_without_a_grammar_is_cut_after_blank_lines_and_at_the_margin_first() -> None:
    *_, at_margin, blank, inner = boundaries("cobol-like", ("a", "  b", "", "c", "", "  d"))[1:]
    assert at_margin < inner < blank


MARKDOWN = """\
# Title
Text.

## Part
```sh
# no heading

```

Paragraph
of two lines.

Other
=====
"""


def test_documents_are_cut_at_headings_then_at_paragraphs_never_inside_a_fence() -> None:
    lines = tuple(MARKDOWN.split("\n"))
    ranked: dict[int, list[str]] = {}
    for line, cost in zip(lines, boundaries("markdown", lines), strict=True):
        ranked.setdefault(cost, []).append(line)
    best = [ranked[cost] for cost in sorted(ranked)]
    assert best[:3] == [["# Title", "Other"], ["## Part"], ["Paragraph"]]
    assert re.search("no heading", " ".join(best[-1]))


def test_elements_of_a_page_are_places_to_cut_the_outer_ones_first() -> None:
    page = ("<html>", "<body>", "<ul>", "<li>one</li>", "<li>two</li>", "</ul>", "<p>text</p>", "</body>", "</html>")
    costs = boundaries("html", page)
    assert costs[6] < costs[4] < costs[5]
