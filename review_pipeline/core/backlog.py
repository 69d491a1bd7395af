"""The overnight backlog: open pull requests whose first pass is asked in batches, from the diff alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from review_pipeline.core.boundaries import boundaries_of_layout
from review_pipeline.core.review import unfit
from review_pipeline.core.review_prompt import FILE_SCHEMA
from review_pipeline.core.review_record import DIFF_ONLY, PlannedPass

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_ROW = re.compile(r"\d+#[0-9a-f]{4}\|")
_PATH = re.compile(r'<(?:file|removed) path=("(?:[^"\\]|\\.)*")')
_LINES = re.compile(r' lines="\d+-\d+"(?= of="\d+")')
_PRIORS, _PRIORS_END = "<earlier_findings>", "</earlier_findings>"


class PullState(StrEnum):
    """Every pull request that a night has looked at is in one of them."""

    ASKED = "asked"  # its answers are on their way
    REVIEWED = "reviewed"  # to an end, which the note names: 'reviewed', 'incomplete', ...
    ALREADY_REVIEWED = "already_reviewed"
    IN_FLIGHT = "in_flight"  # another night's answers are on their way
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"  # its answers came, and something newer stands
    LOST = "lost"  # its answers came, and its commits are gone


@dataclass(frozen=True, slots=True)
class BacklogCall:
    """One call of the first pass. names: of the earlier findings that it asks about; root: its first request, '' if it was answered before."""

    unit: str
    key: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    root: str = ""


@dataclass(frozen=True, slots=True)
class BacklogPull:
    """One pull request of one night. number: of a forge, or the name of a branch; review: the key of its review, '' if it gets none."""

    number: str
    head: str
    state: PullState
    note: str = ""
    review: str = ""
    calls: tuple[BacklogCall, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request of a pull request that waits for its end. outcome: None while its batch is not collected; reason: why it was given up."""

    custom_id: str
    root: str
    outcome: str | None
    detail: str | None
    follow_up: str | None
    reason: str | None
    submission: str

    @property
    def is_settled(self) -> bool:
        return self.outcome == "ok" or (self.outcome is not None and self.follow_up is not None)


def diff_only(plan: Sequence[PlannedPass]) -> tuple[PlannedPass, ...]:
    """The plan of a review that ends after its first pass; what was not needed anyway keeps its reason."""
    return tuple(
        PlannedPass(one.name, 0, DIFF_ONLY) if one.name != "file" and one.calls else one for one in plan
    )  # fmt: skip


def sent_schema() -> dict[str, object]:
    """What the API takes of a call's schema: no bounds of numbers, which `fitting_answer` checks instead."""
    schema: dict[str, Any] = deepcopy(FILE_SCHEMA)
    confidence = schema["properties"]["findings"]["items"]["properties"]["confidence"]
    del confidence["minimum"], confidence["maximum"]
    return schema


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # 0.1 s that a plan does not need

    return Draft202012Validator(FILE_SCHEMA)


def fitting_answer(text: str) -> Mapping[str, Any] | None:
    """The answer of a first pass by the rules of the synchronous one, or None for what is none."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    if not isinstance(answer, dict) or not _validator().is_valid(answer) or unfit(answer, ""):
        return None
    return answer


def rows_shown(content: str) -> tuple[str, ...]:
    """The code rows of a prompt, without their labels; a span of a request counts these."""
    return tuple(
        line[match.end() :] for line in _code(content) if (match := _ROW.match(line))
    )  # fmt: skip


def paths_shown(content: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(json.loads(match[1]) for line in _code(content) if (match := _PATH.match(line))))


def names_asked(content: str) -> tuple[str, ...]:
    """Of the earlier findings that a prompt asks about."""
    _, found, rest = content.partition(f"\n{_PRIORS}\n")
    listed = rest.partition(f"\n{_PRIORS_END}")[0] if found else ""
    return tuple(json.loads(line)["id"] for line in listed.split("\n") if line)


def cut_costs_of_rows(content: str) -> tuple[int, ...]:
    """What it costs to begin a piece at each code row: nothing where a block begins."""
    starts, number = set(), 0
    for line in _code(content):
        if _PATH.match(line):
            starts.add(number)
        number += bool(_ROW.match(line))
    costs = boundaries_of_layout(rows_shown(content))
    return tuple(0 if number in starts else cost for number, cost in enumerate(costs))


def narrowed_unit(content: str, first: int, last: int) -> str:
    """The code rows first..last (from 1) in their blocks, with the same labels; earlier findings stay with the first row."""
    kept: list[str] = []
    number = 0
    for head, rows, tail in _blocks(content):
        inside = [row for n, row in enumerate(rows, start=number + 1) if first <= n <= last]
        number += len(rows)
        if inside:
            span = f' lines="{_number(inside[0])}-{_number(inside[-1])}"'
            kept += [_LINES.sub(span, head, count=1), *inside, tail]
    _, found, rest = content.partition(f"\n{_PRIORS}\n")
    return "\n".join([*kept, *([_PRIORS, rest] if found and first == 1 else [])])


def _code(content: str) -> list[str]:
    """Every line of code carries a label, so no such line can be the mark behind which earlier findings stand."""
    return content.partition(f"\n{_PRIORS}\n")[0].split("\n")


def _blocks(content: str) -> Iterator[tuple[str, list[str], str]]:
    head, rows = "", list[str]()
    for line in _code(content):
        if _PATH.match(line):
            head, rows = line, []
        elif _ROW.match(line):
            rows.append(line)
        else:
            yield head, rows, line


def _number(row: str) -> str:
    return row.partition("#")[0]
