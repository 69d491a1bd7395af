"""What the passes of a review claim, and how it becomes findings: merged, graded, routed, and none of them lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import md5
from typing import Any
from uuid import UUID

from rapidfuzz import fuzz

from review_pipeline.core.finding import FAMILIES, Anchor, Category, Severity, fingerprint
from review_pipeline.core.placing import Files, Place, coded
from review_pipeline.core.redaction import redact
from review_pipeline.core.review_prompt import Listed, doubled

SAME_WORDS = 55.0  # of 100: below it two texts about one line speak of two faults
_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
_ANCHOR_RANK = {Anchor.EXACT: 0, Anchor.MOVED: 1, Anchor.UNANCHORED: 2}
_PLACEHOLDER = re.compile(
    r"^(?:lorem ipsum\b.*|string|text|todo|tbd|n/?a|none|placeholder|example|foo|\.+|-+)?$", re.IGNORECASE
)
_DECLINED = re.compile(
    r"\b(?:could not|couldn't|cannot|can't|unable to|was not able to|wasn't able to|do not have|don't have)\b.{0,40}\b(?:access|review|read|see|open|find|load)\b",
    re.IGNORECASE | re.DOTALL,
)


class Status(StrEnum):
    OPEN = "open"
    FIXED = "fixed"
    DISMISSED = "dismissed"
    NOT_VERIFIABLE = "not_verifiable"


class Route(StrEnum):
    DEVELOPER = "developer"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a review. id: its identity for good; passes: which ones said so; note: for the reader, why it is here again.

    duplicate_of: it is told beside that one, and is followed on its own: what it is about may stay when the other is fixed.
    """

    id: UUID
    place: Place
    category: Category
    severity: Severity
    confidence: float
    issue: str
    suggestion: str
    evidence: str
    passes: tuple[str, ...]
    reason: str = ""
    disputed: str = ""
    note: str = ""
    duplicate_of: UUID | None = None
    route: Route = Route.HUMAN
    is_new: bool = True

    @property
    def rank(self) -> tuple[int, float, str, int]:
        return _RANK[self.severity], -self.confidence, self.place.path, self.place.start_line or 0

    @property
    def where(self) -> str:
        line = f":{self.place.start_line}" if self.place.start_line else ""
        return f"{self.place.path}{line}{' (deleted line)' if self.place.side == 'LEFT' else ''}"


def read_findings(answer: Mapping[str, Any], files: Files, repo: str, pass_name: str) -> tuple[Finding, ...]:
    """Of one answer that kept to the schema."""
    found = []
    for claim in answer["findings"]:
        place = files.place(claim["path"], claim["anchor"], claim["end_line"], claim["evidence"])
        category = Category(claim["category"])
        identity = fingerprint(repo, place.path, category, place.code, place.occurrence)
        found.append(
            Finding(
                identity, replace(place, code=coded(place.code)), category, Severity(claim["severity"]), float(claim["confidence"]), redact(claim["issue"].strip()),
                redact(claim["suggestion"].strip()), redact(claim["evidence"]), (pass_name,),
            )
        )  # fmt: skip
    return tuple(found)


def unfit(answer: Mapping[str, Any], text: str) -> str | None:
    """Why an answer of the right shape is none: a placeholder, or a refusal in prose where findings should be."""
    findings = answer.get("findings", [])
    if any("issue" in finding and _PLACEHOLDER.match(finding["issue"].strip()) for finding in findings):
        return "a finding is a placeholder without content"
    told = f"{text if not text.lstrip().startswith('{') else ''} {answer.get('summary', '')}"
    if not findings and not answer.get("prior_findings") and (declined := _DECLINED.search(told)):
        return f"it found nothing and says: {declined[0]!r}"
    return None


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each fault that several passes or parts claim: the more severe words, the better place.

    Two different faults may stand on one line: those are told apart by their words, and both stay.
    """
    groups: dict[tuple[str, str, int, int | None], list[Finding]] = {}
    for finding in findings:
        place = finding.place
        key = (place.path, place.code, place.occurrence, place.start_line)
        groups.setdefault(key, []).append(finding)
    kept = [finding for group in groups.values() for finding in _merged_group(group)]
    return tuple(sorted(_told_apart(kept), key=lambda finding: finding.rank))


def _merged_group(group: list[Finding]) -> list[Finding]:
    kept: list[Finding] = []
    for finding in sorted(group, key=lambda finding: finding.rank):
        for n, other in enumerate(kept):
            if says_the_same(finding, other):
                kept[n] = united(other, finding)
                break
        else:
            kept.append(finding)
    return kept


def says_the_same(one: Finding, other: Finding) -> bool:
    """Of two findings about one place."""
    if FAMILIES[one.category] == FAMILIES[other.category]:
        return not one.issue or not other.issue or _likeness(one.issue, other.issue) >= SAME_WORDS
    return _likeness(one.issue, other.issue) >= 80


def _likeness(one: str, other: str) -> float:
    return float(fuzz.token_set_ratio(one.lower(), other.lower()))


def united(better: Finding, other: Finding) -> Finding:
    place = min(better.place, other.place, key=lambda place: _ANCHOR_RANK[place.anchor])
    return replace(
        better,
        place=place,
        id=better.id if place is better.place else other.id,
        severity=min(better.severity, other.severity, key=_RANK.__getitem__),
        confidence=max(better.confidence, other.confidence),
        passes=tuple(dict.fromkeys((*better.passes, *other.passes))),
        disputed=better.disputed or other.disputed,
    )


def _told_apart(findings: list[Finding]) -> list[Finding]:
    """Identity has no words in it, so a second fault of one kind on one line is numbered."""
    seen: dict[UUID, int] = {}
    apart = []
    for finding in sorted(findings, key=lambda finding: finding.rank):
        nth = seen[finding.id] = seen.get(finding.id, 0) + 1
        apart.append(finding if nth == 1 else replace(finding, id=_numbered(finding.id, nth)))
    return apart


def _numbered(identity: UUID, nth: int) -> UUID:
    return UUID(md5(f"{identity}:{nth}".encode(), usedforsecurity=False).hexdigest())


def disputed(findings: Iterable[Finding], answer: Mapping[str, Any], names: Mapping[str, UUID]) -> tuple[Finding, ...]:
    """A pass that contradicts an earlier one silences nothing: the finding stays, and a human decides."""
    reasons = {names[row["finding"]]: row["reason"] for row in answer.get("disputed", ()) if row["finding"] in names}
    return tuple(
        replace(finding, disputed=reasons[finding.id] or "contradicted by another pass")
        if finding.id in reasons
        else finding
        for finding in findings
    )


def listed(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Short names for one prompt."""
    return {f"F{number}": finding for number, finding in enumerate(findings, start=1)}


def as_listed(name: str, finding: Finding) -> Listed:
    return Listed(
        name, finding.place.path, finding.place.start_line, finding.category.value, finding.severity.value, finding.confidence,
        finding.issue, finding.evidence[:300],
    )  # fmt: skip


def summary_fault(asked: Iterable[str], answer: Mapping[str, Any]) -> str | None:
    """Ids in = ids out, or the whole answer is rejected."""
    wanted = set(asked)
    told = [row["id"] for row in answer["findings"]]
    faults = []
    if lost := sorted(wanted - set(told)):
        faults.append(f"it lost {', '.join(lost)}")
    if invented := sorted(set(told) - wanted):
        faults.append(f"it invented {', '.join(invented)[:120]}")
    if twice := doubled(told):
        faults.append(f"it answered {', '.join(twice)[:120]} twice")
    targets = {row["id"]: row["duplicate_of"] for row in answer["findings"] if row["duplicate_of"]}
    for name, target in targets.items():
        if target not in wanted or target == name or target in targets:
            faults.append(f"it calls {name} a duplicate of {target}, which is no finding that stays")
    return "; ".join(faults) or None


def graded(named: Mapping[str, Finding], answer: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings after an accepted summary, as many as before: a duplicate lends its severity to the one that stays."""
    rows = {row["id"]: row for row in answer["findings"]}
    told: dict[str, Finding] = {}
    for name, finding in named.items():
        row, target = rows[name], rows[name]["duplicate_of"]
        told[name] = replace(
            finding,
            severity=Severity(row["severity"]),
            confidence=float(row["confidence"]),
            reason=row["reason"].strip(),
            duplicate_of=named[target].id if target else None,
        )
    for name in named:
        if target := rows[name]["duplicate_of"]:
            stays, other = told[target], told[name]
            told[target] = replace(
                stays,
                severity=min(stays.severity, other.severity, key=_RANK.__getitem__),
                passes=tuple(dict.fromkeys((*stays.passes, *other.passes))),
                disputed=stays.disputed or other.disputed,
            )
    return tuple(told.values())


def routed(finding: Finding, threshold: float) -> Finding:
    """At the threshold is above it. What two passes disagree about, or what has no verified line, is for a human."""
    confident = (
        finding.confidence >= threshold and not finding.disputed and finding.place.anchor is not Anchor.UNANCHORED
    )
    return replace(finding, route=Route.DEVELOPER if confident else Route.HUMAN)
