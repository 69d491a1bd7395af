"""The team's review criteria: one section of the base's CLAUDE.md, which reviews and audits share."""

from __future__ import annotations

import re

HEADING = "Review criteria"
MOST_CHARACTERS = 8_000
_HEADING = re.compile(r"^(#{1,6})\s+review criteria\s*#*\s*$", re.IGNORECASE)
_ANY_HEADING = re.compile(r"^(#{1,6})\s+\S")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
BEGIN = "<!-- review criteria: written by `review-pipeline criteria`; what stands between the marks is replaced -->"
END = "<!-- end of review criteria -->"


def section(text: str) -> str:
    """What stands below the heading, up to the next heading of its level or above; '' if there is none. Cut to 8,000 characters."""
    lines = text.split("\n")
    level, start, in_fence = 0, None, False
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            in_fence = not in_fence
        if in_fence:
            continue
        if start is None:
            if match := _HEADING.match(line.rstrip("\r")):
                level, start = len(match[1]), number + 1
        elif (match := _ANY_HEADING.match(line)) and len(match[1]) <= level:
            return _tidy(lines[start:number])
    return _tidy(lines[start:]) if start is not None else ""


def _tidy(lines: list[str]) -> str:
    kept = [line.rstrip("\r") for line in lines if line.strip() not in (BEGIN, END)]
    return "\n".join(kept).strip()[:MOST_CHARACTERS]


def with_section(text: str, criteria: str) -> str:
    """A CLAUDE.md that has this section; what else stands in it stays as it is."""
    written = f"## {HEADING}\n\n{BEGIN}\n{criteria.strip()}\n{END}\n"
    lines = text.split("\n")
    try:
        first, last = lines.index(BEGIN), lines.index(END)
    except ValueError:
        if section(text):
            raise ValueError(f"it has a section '{HEADING}' of its own") from None
        return f"{text.rstrip()}\n\n{written}" if text.strip() else written
    return "\n".join([*lines[:first], BEGIN, criteria.strip(), END, *lines[last + 1 :]])
