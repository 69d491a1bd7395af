"""A finding's advice: words, and where the reviewer gave it, new text for exactly the faulty lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from review_pipeline.core.comment import visible
from review_pipeline.core.redaction import MARK
from review_pipeline.core.review_record import FindingRow

_BLOCK = re.compile(r"\s*^(`{3,})suggestion[ \t]*\n(?P<text>.*?)\n?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_MOST_LINES, _MOST_CHARACTERS = 20, 2_000


def words(suggestion: str) -> str:
    """What to do, without the block of code."""
    return _BLOCK.sub("", suggestion).strip()


def replacement(suggestion: str) -> str | None:
    """The one block of new text; two of them are alternatives, which nobody can apply."""
    blocks = list(_BLOCK.finditer(suggestion))
    return blocks[0]["text"] if len(blocks) == 1 else None


def applicable(row: FindingRow, lines: tuple[int | None, int] | None, before: Sequence[str]) -> str | None:
    """The text that replaces the commented lines with one click, or None where it would not fit exactly.

    lines: first (None for a single one) and last line of the comment; before: the lines of the file as they are. GitHub replaces
    just these, on the new side only.
    """
    text = replacement(row.suggestion)
    if text is None or lines is None or row.anchor != "exact" or row.side != "RIGHT" or row.start_line is None:
        return None
    start, line = lines
    if (start or line, line) != (row.start_line, row.end_line or row.start_line) or line > len(before):
        return None
    old, new = list(before[row.start_line - 1 : line]), text.split("\n")
    fits = len(text) <= _MOST_CHARACTERS and len(new) <= _MOST_LINES and _indented(new) == _indented(old)
    changes = "".join(text.split()) != "".join("".join(old).split())
    return text if fits and changes and visible(text) == text and MARK not in text else None


def _indented(lines: Sequence[str]) -> str:
    return lines[0][: len(lines[0]) - len(lines[0].lstrip())]
