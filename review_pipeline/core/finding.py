"""What a finding is, where it is anchored, and by what it is known again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import md5
from typing import NamedTuple
from uuid import UUID

# ASCII white space only, spelled out: the SQL that verifies 100,000 results uses the same class, and `\s` differs there.
_BLANKS = re.compile(r"[ \t\n\r\f\v]+")
_LABEL = re.compile(r"(\d{1,9})#([0-9a-f]{4})")
_SEPARATOR = "\x1f"


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Category(StrEnum):
    """The five patterns every team asks for first, then what else a reviewer finds."""

    MISSING_ERROR_HANDLING = "missing_error_handling"
    INCONSISTENT_NAMING = "inconsistent_naming"
    UNTESTED_EDGE_CASE = "untested_edge_case"
    STALE_COMMENT = "stale_comment"
    TYPE_SAFETY_GAP = "type_safety_gap"
    BUG = "bug"
    SECURITY = "security"
    PERFORMANCE = "performance"
    API_CONTRACT = "api_contract"
    DATA_FLOW = "data_flow"
    OTHER = "other"


# Categories that reviewers use for one and the same fault share a family: a finding that comes back under
# the sister's name is still the same finding.
FAMILIES: dict[Category, str] = {
    Category.MISSING_ERROR_HANDLING: "error_handling",
    Category.INCONSISTENT_NAMING: "naming",
    Category.UNTESTED_EDGE_CASE: "correctness",
    Category.STALE_COMMENT: "comment",
    Category.TYPE_SAFETY_GAP: "types",
    Category.BUG: "correctness",
    Category.SECURITY: "security",
    Category.PERFORMANCE: "performance",
    Category.API_CONTRACT: "correctness",
    Category.DATA_FLOW: "correctness",
    Category.OTHER: "other",
}


class Anchor(StrEnum):
    EXACT = "exact"  # the label, its hash and the quoted line agree
    MOVED = "moved"  # the label was wrong; the quoted line stands exactly once in what was shown
    UNANCHORED = "unanchored"  # neither; the finding has no line, and says so


class ShownLine(NamedTuple):  # made by the hundred thousand: a frozen dataclass takes three times as long
    number: int
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Anchored:
    anchor: Anchor
    start_line: int | None


@lru_cache(maxsize=16_384)  # a plan asks twice for each line: for its label, and for its repeats
def normalised(code: str) -> str:
    return _BLANKS.sub(" ", code).strip(" ")


def label(blob: str, number: int, text: str) -> str:
    """`12#a3f9`: the hash binds number, text and blob, so that a label and a quoted line prove each other."""
    return f"{number}#{md5(f'{blob}:{number}:{normalised(text)}'.encode(), usedforsecurity=False).hexdigest()[:4]}"


def line_key(text: str) -> int:
    """64 bits of a line's normalised text: enough to tell that a quoted line is no longer in a file."""
    return int.from_bytes(md5(normalised(text).encode(), usedforsecurity=False).digest()[:8], "little")


def repeats(lines: tuple[str, ...]) -> dict[int, int]:
    """Line number -> how many-th of its kind, for lines (with a letter or digit) that stand there more than once."""
    seen: dict[str, int] = {}
    found: dict[int, int] = {}
    for number, text in enumerate(lines, start=1):
        code = normalised(text)
        if not any(character.isalnum() for character in code):
            continue
        seen[code] = nth = seen.get(code, 0) + 1
        if nth > 1:
            found[number] = nth
    return found


def fingerprint(repo: str, path: str, category: Category, code: str, occurrence: int) -> UUID:
    """Identity without prose, severity or line: moved lines and new wording are still the same finding."""
    parts = (repo, path, FAMILIES[category], normalised(code), str(occurrence))
    return UUID(md5(_SEPARATOR.join(parts).encode(), usedforsecurity=False).hexdigest())


def verify_anchor(blob: str, claimed: str, evidence: str, shown: tuple[ShownLine, ...]) -> Anchored:
    """A claimed label holds if it proves the quoted line; else the quoted line decides if it is unique; nothing is clamped."""
    parsed = _LABEL.fullmatch(claimed.strip())
    if parsed and label(blob, int(parsed[1]), evidence) == claimed.strip():
        return Anchored(Anchor.EXACT, int(parsed[1]))
    quoted = normalised(evidence)
    word = quoted.partition(" ")[0]
    places = [line.number for line in shown if word in line.text and normalised(line.text) == quoted]
    if not places and parsed:
        places = [line.number for line in shown if line.label == claimed.strip() and _is_part(quoted, line.text)]
    if len(places) == 1 and quoted:
        return Anchored(Anchor.MOVED, places[0])
    return Anchored(Anchor.UNANCHORED, None)


def _is_part(quoted: str, text: str) -> bool:
    """Several quoted lines, or a piece of one, at a label that was shown."""
    code = normalised(text)
    return bool(code) and (quoted in code or quoted.startswith(code)) and len(quoted) >= 4
