"""What each of the three passes is asked, and the shape of its answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from review_pipeline.core.finding import Category, Severity, ShownLine
from review_pipeline.core.pull_request import ChangedSource, Unit, quoted, render_part

ACROSS_CHARACTERS = 15_000
SUMMARY_FINDINGS = 40  # in one call: some 12,000 characters
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{3,}")
_DEFINES = re.compile(
    r"\b(?:def|class|func|function|fn|interface|type|struct|enum|trait|const|let|var|val|export|module|record)\s+(?:\([^)]*\)\s*)?\*?([A-Za-z_]\w{2,})"
)
_IMPORTS = re.compile(r"^\s*(?:import|from|export|require|use|using|include|#include)\b")
_MOST_PRIORS_CHARACTERS = 6_000

_FINDING = {
    "type": "object",
    "additionalProperties": False,
    "required": ["path", "anchor", "end_line", "category", "severity", "confidence", "issue", "suggestion", "evidence"],
    "properties": {
        "path": {"type": "string"},
        "anchor": {"type": "string"},
        "end_line": {"type": "integer"},
        "category": {"type": "string", "enum": [category.value for category in Category]},
        "severity": {"type": "string", "enum": [severity.value for severity in Severity]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "issue": {"type": "string"},
        "suggestion": {"type": "string"},
        "evidence": {"type": "string"},
    },
}
_REASONED = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["path", "reason"],
        "properties": {"path": {"type": "string"}, "reason": {"type": "string"}},
    },
}
FILE_SCHEMA: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["findings", "prior_findings"],
    "properties": {
        "findings": {"type": "array", "items": _FINDING},
        "prior_findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "status", "reason"],
                "properties": {
                    "id": {"type": "string"},
                    "status": {"type": "string", "enum": ["resolved", "still_open", "not_verifiable"]},
                    "reason": {"type": "string"},
                },
            },
        },
        "could_not_review": _REASONED,
    },
}
ACROSS_SCHEMA: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["findings"],
    "properties": {
        "findings": {"type": "array", "items": _FINDING},
        "disputed": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["finding", "reason"],
                "properties": {"finding": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
        "could_not_review": _REASONED,
    },
}
SUMMARY_SCHEMA: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["summary", "findings"],
    "properties": {
        "summary": {"type": "string"},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "duplicate_of", "severity", "confidence", "reason"],
                "properties": {
                    "id": {"type": "string"},
                    "duplicate_of": {"type": ["string", "null"]},
                    "severity": {"type": "string", "enum": [severity.value for severity in Severity]},
                    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A finding as a prompt lists it."""

    id: str
    path: str
    line: int | None
    category: str
    severity: str
    confidence: float
    issue: str
    evidence: str

    def as_json(self, *fields: str) -> str:
        row = {name: getattr(self, name) for name in ("id", "path", "line", "issue", *fields)}
        # No mark of ours can be closed by what a finding quotes.
        return json.dumps(row, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")


def file_prompt(unit: Unit, priors: Iterable[Listed], around: Mapping[str, tuple[ShownLine, ...]]) -> str:
    """around: by id, the lines where an earlier finding stands now, if the hunks do not show them."""
    blocks = [render_part(part) for part in unit.parts]
    listed = list(priors)
    if listed:
        rows = [prior.as_json("evidence") for prior in listed]
        blocks += ["<earlier_findings>", *rows, "</earlier_findings>"]
        for prior in listed:
            if lines := around.get(prior.id):
                head = f"<around finding={json.dumps(prior.id)}>"
                blocks += [head, *(f"{line.label}|{line.text}" for line in lines), "</around>"]
    return "\n".join(blocks)


def prior_portions(priors: Iterable[Listed]) -> list[tuple[Listed, ...]]:
    """All of them, in as many calls as they need."""
    portions: list[list[Listed]] = []
    size = 0
    for prior in priors:
        length = len(prior.as_json("evidence"))
        if not portions or size + length > _MOST_PRIORS_CHARACTERS:
            portions.append([])
            size = 0
        portions[-1].append(prior)
        size += length
    return [tuple(portion) for portion in portions]


@dataclass(frozen=True, slots=True)
class Outline:
    """The changed lines of a file that matter to the others."""

    source: ChangedSource
    lines: tuple[ShownLine, ...]
    removed: tuple[ShownLine, ...]

    @property
    def characters(self) -> int:
        return sum(len(line.text) + 10 for line in (*self.lines, *self.removed)) + 60

    def render(self) -> str:
        rows = [f"<outline path={quoted(self.source.path)}>", *(f"{line.label}|{line.text}" for line in self.lines)]
        if self.removed:
            rows += ["<removed>", *(f"{line.label}|{line.text}" for line in self.removed), "</removed>"]
        return "\n".join([*rows, "</outline>"])


def outlines(sources: tuple[ChangedSource, ...], focus: frozenset[str]) -> tuple[Outline, ...]:
    """For each file: changed definitions and imports, and changed lines that use a name which another changed file defines.

    focus: paths that were not reviewed together before; without a relation to one of them a file says nothing new.
    """
    defined = {source.path: _defined(source) for source in sources}
    used = {source.path: _used(source) for source in sources}
    found = []
    for source in sources:
        others = [other for other in sources if other.path != source.path]
        if source.path not in focus:
            others = [other for other in others if other.path in focus]
        theirs = {name for other in others for name in defined[other.path]}
        wanted = {name for other in others for name in defined[source.path] & used[other.path]}
        names = (theirs & used[source.path]) | wanted
        if not names:
            continue
        keep = [
            line for hunk in source.hunks for line in hunk.lines if line.number in hunk.added and _matters(line.text, names)
        ]  # fmt: skip
        gone = [line for line in source.gone if _matters(line.text, names)]
        if keep or gone:
            found.append(Outline(source, tuple(keep), tuple(gone)))
    return tuple(found) if len(found) > 1 else ()


def _changed(source: ChangedSource) -> Iterable[str]:
    for hunk in source.hunks:
        yield from (line.text for line in hunk.lines if line.number in hunk.added)
        yield from (line.text for line in hunk.removed)


def _defined(source: ChangedSource) -> set[str]:
    return {name for text in _changed(source) for name in _DEFINES.findall(text)}


def _used(source: ChangedSource) -> set[str]:
    return {name for text in _changed(source) for name in _WORD.findall(text)}


def _matters(text: str, names: set[str]) -> bool:
    return bool(names & set(_WORD.findall(text))) or bool(_IMPORTS.match(text))


def across_portions(found: tuple[Outline, ...], budget: int = ACROSS_CHARACTERS) -> list[tuple[Outline, ...]]:
    """As few calls as the budget allows; a file that is too long for one gives its first lines."""
    portions: list[list[Outline]] = []
    for outline in found:
        fitting = _shortened(outline, budget)
        if not portions or sum(other.characters for other in portions[-1]) + fitting.characters > budget:
            portions.append([])
        portions[-1].append(fitting)
    return [tuple(portion) for portion in portions]


def _shortened(outline: Outline, budget: int) -> Outline:
    if outline.characters <= budget:
        return outline
    kept, size = [], 60
    for line in outline.lines:
        size += len(line.text) + 10
        if size > budget:
            break
        kept.append(line)
    return Outline(outline.source, tuple(kept), ())


def across_prompt(portion: tuple[Outline, ...], changed: Iterable[str], findings: Iterable[Listed]) -> str:
    names = list(changed)
    told = [quoted(name) for name in names[:200]]
    more = [f"(and {len(names) - 200} more)"] if len(names) > 200 else []
    blocks = ["<changed_files>", *told, *more, "</changed_files>", *(outline.render() for outline in portion)]
    rows = [finding.as_json() for finding in findings]
    return "\n".join([*blocks, "<findings>", *rows[:SUMMARY_FINDINGS], "</findings>"])


def summary_portions(findings: tuple[Listed, ...]) -> list[tuple[Listed, ...]]:
    """Neighbours stay together, so that duplicates meet."""
    ordered = sorted(findings, key=lambda finding: (finding.path, finding.line or 0, finding.id))
    return [tuple(ordered[n : n + SUMMARY_FINDINGS]) for n in range(0, len(ordered), SUMMARY_FINDINGS)]


def summary_prompt(portion: tuple[Listed, ...]) -> str:
    rows = [finding.as_json("category", "severity", "confidence", "evidence") for finding in portion]
    return "\n".join(["<findings>", *rows, "</findings>"])


def doubled(ids: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(ids).items() if count > 1]
