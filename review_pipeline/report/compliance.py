"""How a set of documents stands against its policy: a matrix of documents and rules, and the passages behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from review_pipeline.report import words
from review_pipeline.report.page import templates

if TYPE_CHECKING:
    from review_pipeline.ports import HistoryReader

# Verdict -> the sign that stands for it in a cell; never a colour alone.
SIGNS = {
    "met": "✓", "violated": "✗", "not_found": "○", "unclear": "?", "unverified": "!", "not_applicable": "·",
    "incomplete": "…", "waiting": "…", "unread": "∅",
}  # fmt: skip
MEANINGS = {
    "met": "met, by a quoted passage", "violated": "violated, by a quoted passage", "not_found": "the document does not say it",
    "unclear": "unclear", "unverified": "the quoted passage does not stand in the document", "not_applicable": "not applicable",
    "incomplete": "a part of the document got no answer", "waiting": "no answer yet", "unread": "the document could not be read",
}  # fmt: skip
STATES = ("violations", "needs_review", "incomplete", "skipped", "waiting", "compliant")
_WORTH_A_LOOK = ("violated", "unverified", "unclear", "not_found")
_MOST_PASSAGE = 600


@dataclass(frozen=True, slots=True)
class Document:
    path: str
    state: str
    reason: str
    audit_date: str


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One cell of the matrix. place: as 'page 3, line 6'; claimed: what an unverified passage was to prove."""

    document: str
    rule: str
    title: str
    verdict: str
    route: str
    place: str
    passage: str
    explanation: str
    claimed: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Compliance:
    document_set: str
    documents: tuple[Document, ...]
    verdicts: tuple[RuleVerdict, ...]

    @property
    def rules(self) -> dict[str, str]:
        """Title by id, in the policy's order."""
        return {one.rule: one.title for one in self.verdicts}

    @property
    def by_state(self) -> dict[str, int]:
        counted = Counter(document.state for document in self.documents)
        return {state: counted[state] for state in STATES}

    def of_rule(self, rule: str) -> Counter[str]:
        return Counter(one.verdict for one in self.verdicts if one.rule == rule)

    def cells(self) -> dict[str, dict[str, RuleVerdict]]:
        """Document -> rule -> verdict."""
        found: dict[str, dict[str, RuleVerdict]] = {document.path: {} for document in self.documents}
        for one in self.verdicts:
            found[one.document][one.rule] = one
        return found

    def worth_a_look(self) -> tuple[RuleVerdict, ...]:
        """The worst first, then by rule."""
        found = (one for one in self.verdicts if one.verdict in _WORTH_A_LOOK)
        return tuple(sorted(found, key=lambda one: (_WORTH_A_LOOK.index(one.verdict), one.rule, one.document)))


def read_compliance(reader: HistoryReader, document_set: str) -> Compliance:
    documents = (Document(*row) for row in _rows(reader, "compliance_documents", document_set))
    verdicts = (RuleVerdict(*row) for row in _rows(reader, "compliance_verdicts", document_set))
    return Compliance(document_set, tuple(documents), tuple(verdicts))


def _rows(reader: HistoryReader, name: str, document_set: str) -> Iterable[tuple[str, ...]]:
    return reader.frame(name, document_set=document_set).itertuples(index=False, name=None)


def compliance_html(found: Compliance, now: datetime, *, offline: bool) -> str:
    return (
        templates()
        .get_template("compliance.html.j2")
        .render(found=found, cells=found.cells(), signs=SIGNS, meanings=MEANINGS, now=now.astimezone(UTC), offline=offline, most=_MOST_PASSAGE)
    )  # fmt: skip


def compliance_md(found: Compliance, now: datetime, *, offline: bool) -> str:
    cells, rules = found.cells(), found.rules
    lines = [f"# Documents of {words.markdown(found.document_set)}", "", f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"]
    if offline:
        lines += ["", "**Offline analyser, no model was called.**"]
    lines += ["", ", ".join(f"{count} {state}" for state, count in found.by_state.items() if count) or "no documents"]
    lines += ["", f"| Document | State | {' | '.join(map(words.markdown, rules))} |", f"|---|---|{':-:|' * len(rules)}"]
    for document in found.documents:
        signs = (SIGNS[cells[document.path][rule].verdict] if rule in cells[document.path] else " " for rule in rules)
        lines.append(f"| {words.markdown(document.path)} | {_state(document)} | {' | '.join(signs)} |")
    lines += ["", ", ".join(f"{SIGNS[verdict]} {meaning}" for verdict, meaning in MEANINGS.items())]
    lines += ["", *(f"- {words.markdown(rule)}: {words.markdown(title)}" for rule, title in rules.items())]
    for one in found.worth_a_look():
        where = ", ".join(filter(None, [one.document, one.place]))
        lines += [
            "",
            f"**{words.markdown(one.rule)} {one.verdict}**, {words.markdown(where)}: {words.markdown(one.explanation)}",
        ]
        if one.passage:
            lines += ["", f"> {words.markdown(words.clipped(one.passage, _MOST_PASSAGE))}"]
    return "\n".join(lines) + "\n"


def _state(document: Document) -> str:
    return words.markdown(f"{document.state}: {document.reason}" if document.reason else document.state)
