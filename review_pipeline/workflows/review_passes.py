"""The calls of a review: each is written down before it is made, answered at most once, and fails by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from review_pipeline.core.claude_call import Call
from review_pipeline.core.claude_end import ADVICE, Answer, Failed, Mishap, Spent
from review_pipeline.core.identity import Prior
from review_pipeline.core.placing import around
from review_pipeline.core.pull_request import Unit, split_unit
from review_pipeline.core.redaction import redact
from review_pipeline.core.review import Finding, as_listed, listed, summary_fault, unfit
from review_pipeline.core.review_prompt import (
    ACROSS_SCHEMA,
    FILE_SCHEMA,
    SUMMARY_SCHEMA,
    Listed,
    Outline,
    across_prompt,
    file_prompt,
    prior_portions,
    summary_portions,
    summary_prompt,
)
from review_pipeline.core.review_record import Call as CallRow
from review_pipeline.core.review_record import CallEnd, call_key
from review_pipeline.ports import Changes, ReviewCalls, ReviewDesk, Reviewing
from review_pipeline.workflows.pull_request import Planned

READ_TOOLS = ("Read", "Grep", "Glob")
# The largest minimum of any model: below it, a cache may be written to and never read from.
CACHED_TOKENS = 4_096
_TOO_MUCH = (Mishap.PROMPT_TOO_LONG, Mishap.TRUNCATED)
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Files that a call was to review and did not."""

    paths: tuple[str, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One good answer. names: of the earlier findings that it was asked about."""

    pass_name: str
    paths: tuple[str, ...]
    answer: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PassResult:
    answers: tuple[Answered, ...] = ()
    failures: tuple[Failure, ...] = ()

    def __add__(self, other: PassResult) -> PassResult:
        return PassResult(self.answers + other.answers, self.failures + other.failures)


@dataclass(frozen=True, slots=True)
class UnitCall:
    """One call of the first pass. priors: the earlier findings that it asks about."""

    unit: Unit
    priors: tuple[Listed, ...]
    prompt: str
    key: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(prior.id for prior in self.priors)


def unit_calls(planned: Planned, unit: Unit) -> tuple[UnitCall, ...]:
    """What is asked about one unit, in as many calls as its earlier findings need."""
    priors = [prior for path in unit.paths for prior in planned.asked_priors.get(path, ())]
    mine = [prior for prior in priors if _is_first(planned, unit, prior)]
    portions = prior_portions([_listed_prior(prior, planned) for prior in mine]) or [()]
    names = [unit.name, *(f"{unit.name}.{number}" for number in range(1, len(portions)))]
    return tuple(
        unit_call(planned, Unit(name, unit.parts), portion) for name, portion in zip(names, portions, strict=True)
    )


def unit_call(planned: Planned, unit: Unit, priors: tuple[Listed, ...]) -> UnitCall:
    context = {prior.id: lines for prior in priors if (lines := _around(planned, prior))}
    prompt = file_prompt(unit, priors, context)
    return UnitCall(unit, priors, prompt, call_key(planned.prompts.file, prompt, FILE_SCHEMA, planned.row.model))


def answered_unit(paths: tuple[str, ...], names: Iterable[str], answer: Mapping[str, Any]) -> PassResult:
    """A good answer about these files, with what the reviewer says it could not review of them."""
    unable = tuple(
        Failure((row["path"],), f"the reviewer could not review it: {row['reason']}")
        for row in answer.get("could_not_review", ())
        if row["path"] in paths
    )
    return PassResult((Answered("file", paths, answer, {name: name for name in names}),), unable)


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Runs single calls for a planned review. Safe to use from several threads and processes at once.

    claude: None asks nothing, and tells the last failure of what has no answer.
    """

    claude: Reviewing | None
    ledger: ReviewCalls
    clock: Callable[[], datetime]
    pause: Callable[[float], None] = time.sleep

    def review_unit(self, planned: Planned, unit: Unit, desk: ReviewDesk) -> PassResult:
        """The first pass over one unit; what is too long is asked in halves."""
        return sum((self._unit_call(planned, call, desk) for call in unit_calls(planned, unit)), PassResult())

    def _unit_call(self, planned: Planned, call: UnitCall, desk: ReviewDesk) -> PassResult:
        unit = call.unit
        end = self._ask(planned, desk, "file", unit.name, planned.prompts.file, call.prompt, FILE_SCHEMA)
        if end.state == "answered" and end.answer is not None:
            return answered_unit(unit.paths, call.names, end.answer)
        smaller = split_unit(unit) if end.mishap in _TOO_MUCH else ()
        result = PassResult()
        for number, half in enumerate(smaller):
            result += self._unit_call(planned, unit_call(planned, half, call.priors if number == 0 else ()), desk)
        return result if smaller else PassResult(failures=(Failure(unit.paths, _told(end)),))

    def review_across(
        self, planned: Planned, portion: tuple[Outline, ...], number: int, findings: tuple[Finding, ...], desk: ReviewDesk, changes: Changes
    ) -> tuple[PassResult, Mapping[str, Finding]]:  # fmt: skip
        """The second pass over one portion of outlines, in a folder that holds the files after the change."""
        paths = tuple(outline.source.path for outline in portion)
        names = listed(findings)
        if self.claude is not None:
            desk.lay_out(partial(changes.export, planned.target.head))
        changed = [source.path for source in planned.selected.sources]
        prompt = across_prompt(portion, changed, (as_listed(name, finding) for name, finding in names.items()))
        end = self._ask(
            planned, desk, "across", f"{number:03d}", planned.prompts.across, prompt, ACROSS_SCHEMA, READ_TOOLS
        )
        if end.state != "answered" or end.answer is None:
            return PassResult(failures=(Failure(paths, _told(end)),)), names
        unable = tuple(
            Failure((row["path"],), f"the reviewer could not judge it together with the others: {row['reason']}")
            for row in end.answer.get("could_not_review", ())
            if row["path"] in paths
        )
        return PassResult((Answered("across", paths, end.answer),), unable), names

    def summarise(
        self, planned: Planned, findings: tuple[Finding, ...], desk: ReviewDesk
    ) -> tuple[list[tuple[Mapping[str, Finding], Mapping[str, Any]]], list[str]]:
        """The third pass: each portion with its accepted answer, and what went wrong with the others. Ids in = ids out."""
        named = listed(findings)
        accepted: list[tuple[Mapping[str, Finding], Mapping[str, Any]]] = []
        troubles: list[str] = []
        for number, portion in enumerate(
            summary_portions(tuple(as_listed(name, f) for name, f in named.items())), start=1
        ):
            ids = tuple(row.id for row in portion)
            end = self._ask(
                planned, desk, "summary", f"{number:03d}", planned.prompts.summary, summary_prompt(portion), SUMMARY_SCHEMA,
                fault=partial(summary_fault, ids),
            )  # fmt: skip
            if end.state == "answered" and end.answer is not None:
                accepted.append(({name: named[name] for name in ids}, end.answer))
            else:
                troubles.append(f"summary of {len(ids)} findings: {_told(end)}")
        return accepted, troubles

    def _ask(
        self, planned: Planned, desk: ReviewDesk, pass_name: str, unit: str, system: str, prompt: str, schema: dict[str, object],
        tools: tuple[str, ...] = (), fault: Callable[[Mapping[str, Any]], str | None] = lambda _answer: None,
    ) -> CallEnd:  # fmt: skip
        """An answer that is there already, or a new one; the last failure if all attempts fail."""
        model = planned.row.model
        key = call_key(system, prompt, schema, model, tools)
        with desk.alone(f"call-{key[:16]}"):
            if known := self.ledger.answered_call(planned.key, key):
                return known
            if self.claude is None:
                return self.ledger.failed_call(planned.key, key) or CallEnd(
                    "failed", mishap="not_asked", said="it was not asked"
                )
            end = CallEnd("failed", mishap="not_asked", said="it was not asked")
            for attempt in range(planned.rules.attempts):
                left = planned.rules.budget_usd - self.ledger.spent_usd(planned.key)
                if left <= 0:
                    return CallEnd(
                        "failed", mishap="over_budget", said=f"the budget of this review, ${planned.rules.budget_usd}, is used up",
                    )  # fmt: skip
                if attempt:
                    self.pause(_PAUSE_SECONDS * attempt)
                call = Call(
                    system, prompt, schema, model, tools, min(left, planned.rules.call_budget_usd), planned.rules.limit_seconds,
                    caches=bool(tools) or len(system) / 4 >= CACHED_TOKENS,
                )  # fmt: skip
                end = self._attempt(desk, CallRow(str(uuid4()), planned.key, pass_name, unit, key), call, fault)
                if end.state == "answered" or not _may_retry(end):
                    return end
            return end

    def _attempt(
        self, desk: ReviewDesk, row: CallRow, call: Call, fault: Callable[[Mapping[str, Any]], str | None]
    ) -> CallEnd:  # fmt: skip
        assert self.claude is not None
        asked_at = self.clock()
        self.ledger.ask_call(row, asked_at)  # first the promise,
        folder = desk.tree if call.tools else desk.empty
        told = self.claude.run(call, row.session_id, desk.home, folder)  # then the deed,
        end = _end(told, fault)
        self.ledger.end_call(row.session_id, end, self.clock())  # then its receipt
        return end


def _end(told: Answer | Failed, fault: Callable[[Mapping[str, Any]], str | None]) -> CallEnd:
    end = _with_spent(CallEnd("failed", version=told.version), told.spent)
    if isinstance(told, Failed):
        return replace(end, mishap=told.mishap.value, said=redact(told.said))
    assert isinstance(told.structured, dict)
    denials = tuple(f"{denial.tool} {denial.path}".strip() for denial in told.denials)
    end = replace(end, model=told.model, denials=denials)
    answer = redacted(told.structured)
    if said := unfit(answer, told.text):
        return replace(end, mishap="declined", said=redact(said))
    if said := fault(answer):
        return replace(end, mishap="not_closed", said=redact(said))
    return replace(end, state="answered", answer=answer, text=redact(told.text)[:2_000])


def _with_spent(end: CallEnd, spent: Spent | None) -> CallEnd:
    if spent is None:
        return end
    usage = spent.usage
    return replace(
        end,
        model=spent.models[0] if spent.models else None,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        cost_usd=spent.cost_usd,
        turns=spent.turns,
    )


def redacted(value: Any) -> Any:
    """Nothing else is stored; a quote without its secret is still found again."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redacted(part) for part in value]
    if isinstance(value, dict):
        return {name: redacted(part) for name, part in value.items()}
    return value


def _may_retry(end: CallEnd) -> bool:
    if end.mishap in ("declined", "not_closed"):
        return True
    return end.mishap is not None and end.mishap in ADVICE and ADVICE[Mishap(end.mishap)].may_retry


def _told(end: CallEnd) -> str:
    mishap = (end.mishap or "failed").replace("_", " ")
    advice = f" {ADVICE[Mishap(end.mishap)].text}" if end.mishap in list(Mishap) else ""
    return f"{mishap}: {(end.said or '').rstrip('.')}.{advice}"


def _is_first(planned: Planned, unit: Unit, prior: Prior) -> bool:
    """Each earlier finding is asked about once: in the first unit that shows its file."""
    path = planned.moves.path(prior.path)
    return next((other.name for other in planned.units if path in other.paths), unit.name) == unit.name


def prior_name(finding: UUID) -> str:
    """From its identity, so that a repeated call has the same text."""
    return f"P{finding.hex[:10]}"


def _listed_prior(prior: Prior, planned: Planned) -> Listed:
    line = planned.moves.line_at(prior.head, prior.path, prior.line) if prior.line else None
    return Listed(
        prior_name(prior.id), planned.moves.path(prior.path), line or None, prior.category.value, prior.severity, prior.confidence, prior.issue,
        prior.evidence,
    )  # fmt: skip


def _around(planned: Planned, prior: Listed) -> tuple[Any, ...]:
    source = planned.files.changed.get(prior.path)
    return around(source, prior.line) if source is not None and prior.line else ()
