"""Plans a night of the backlog: what the first pass of each open pull request would ask becomes requests, written down before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING

from review_pipeline.core.audit import Cell, NewEvent, PlannedCell, PlannedRequest, Submission
from review_pipeline.core.backlog import BacklogCall, BacklogPull, PullState, rows_shown, sent_schema
from review_pipeline.core.caching import Caching, decide_for_files
from review_pipeline.core.failures import Change
from review_pipeline.core.planning import Limits, Span, custom_id
from review_pipeline.core.prompt import Prompt, message_params
from review_pipeline.core.workloads import BACKLOG
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.workflows.batch_writer import BatchWriter
from review_pipeline.workflows.review_passes import unit_calls

if TYPE_CHECKING:
    from review_pipeline.core.audit import Known
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.core.pull_request import Target
    from review_pipeline.ports import BacklogLedger, PlanFolder, Spool
    from review_pipeline.workflows.pull_request import Planned, Planner

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class OpenPull:
    """One open pull request. refusal: why the sensor would not review it, '' if it would; prepare: pins both ends, and may refuse."""

    number: str
    head: str
    refusal: str
    is_reviewed: bool
    prepare: Callable[[], tuple[Planner, Target]]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How the backlog of one repository is asked for. model: of its reviews; expected_cache_hits: as batches have them."""

    repo: str
    model: str
    max_tokens: int
    limits: Limits
    prices: PriceTable
    sla_hours: float
    route_reason: str
    expected_cache_hits: Decimal


def plan_backlog(
    backlog: Backlog,
    cell: Cell,
    pulls: Iterable[OpenPull],
    ledger: BacklogLedger,
    spool: Spool,
    *,
    nonce: str,
    now: datetime,
    progress: Progress,
) -> PlannedCell:
    """The plan of this cell: the one that exists, or a new one. Nothing is sent. nonce: letters and digits, new for each call."""
    while (plan := ledger.planned(cell)) is None:  # again only if another cell has asked for some of it meanwhile
        known, _ = ledger.known(backlog.repo, BACKLOG.name)
        night = _Night(backlog, ledger, known, ledger.waiting_pulls(backlog.repo))
        waiting = list(pulls)
        for done, pull in enumerate(waiting, start=1):
            night.look_at(pull)
            progress("pull requests", done, len(waiting))
        _write(night, cell, ledger, spool, nonce=nonce, now=now)
    return plan


@dataclass(frozen=True, slots=True)
class _Question:
    """A call that has to be asked. system and prompt: as the synchronous review would ask it."""

    review: str
    call: BacklogCall
    path: str
    head: str
    system: str
    prompt: str

    @property
    def content_key(self) -> str:
        return sha256(f"{self.review}:{self.call.key}".encode()).hexdigest()


@dataclass(slots=True)
class _Night:
    """Every pull request gets one state, and every call of its first pass a row."""

    backlog: Backlog
    ledger: BacklogLedger
    contents: dict[str, Known]
    waiting: dict[str, str]
    pulls: list[BacklogPull] = field(default_factory=list)
    questions: list[_Question] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    planned: Planned | None = None  # one of them, which tells base and configuration

    def look_at(self, pull: OpenPull) -> None:
        if pull.refusal:
            self._end(pull, PullState.SKIPPED, pull.refusal)
        elif pull.is_reviewed:
            self._end(pull, PullState.ALREADY_REVIEWED, "its head has a finished review")
        elif pull.number in self.waiting:  # also of another head, whose findings this one has to be asked about
            self._end(pull, PullState.IN_FLIGHT, f"asked in {self.waiting[pull.number]}")
        else:
            self._plan(pull)

    def _plan(self, pull: OpenPull) -> None:
        try:
            planner, target = pull.prepare()
            planned = planner.plan(target)
        except (Refused, Unavailable) as error:
            self._end(pull, PullState.SKIPPED, f"cannot be read: {error}")
            return
        self.planned = planned
        if planned.row.is_finished and planned.row.state in ("reviewed", "nothing_to_review"):
            self._end(pull, PullState.ALREADY_REVIEWED, "its head has a finished review", planned.key)
        elif planned.row.model != self.backlog.model:
            why = f"another model: Claude wrote it, so {planned.row.model} reviews it, one by one"
            self._end(pull, PullState.SKIPPED, why, planned.key)
        else:
            self._ask(pull, planned)

    def _ask(self, pull: OpenPull, planned: Planned) -> None:
        found: list[tuple[_Question, str, str]] = []  # each with what the plan decided, and why
        for unit in planned.units:
            for asked in unit_calls(planned, unit):
                call = BacklogCall(asked.unit.name, asked.key, asked.unit.paths, asked.names)
                path = f"{pull.number}/{call.unit}"
                question = _Question(planned.key, call, path, planned.target.head, planned.prompts.file, asked.prompt)
                found.append((question, *self._stands(question)))
        submitted = [question for question, plan, _ in found if plan == "submitted"]
        if planned.row.is_finished and not submitted:
            why = (
                f"given up: its review is {planned.row.state}, and what is missing has no answer while it is unchanged"
            )
            self._end(pull, PullState.SKIPPED, why, planned.key)
            return
        self.ledger.reopen_review(planned.key, planned.row.plan)
        self.rows += [self._row(question, plan, reason) for question, plan, reason in found]
        if not found:
            self.rows.append(_pull_row(pull, "skipped", "nothing to ask: no changed file can be reviewed"))
        self.questions += submitted
        calls = tuple(question.call for question, _, _ in found)
        self.pulls.append(BacklogPull(pull.number, pull.head, PullState.ASKED, "", planned.key, calls))

    def _stands(self, question: _Question) -> tuple[str, str]:
        if self.ledger.answered_call(question.review, question.call.key):
            return "unchanged", "answered in an earlier run of its review"
        known = self.contents.get(question.content_key)
        if known is None or known.state == "failed":
            return "submitted", ""
        return "skipped", f"given_up: no answer to be had while it is unchanged ({known.reason}, {known.cell})"

    def _row(self, question: _Question, plan: str, reason: str) -> dict[str, object]:
        size = len(question.prompt.encode("utf-8", "replace"))
        return {"path": question.path, "blob": question.head, "bytes": size, "language": None, "plan": plan, "reason": reason or None}  # fmt: skip

    def _end(self, pull: OpenPull, state: PullState, note: str, review: str = "") -> None:
        self.pulls.append(BacklogPull(pull.number, pull.head, state, note, review))
        plan = {PullState.ALREADY_REVIEWED: "unchanged", PullState.IN_FLIGHT: "in_flight"}.get(state, "skipped")
        self.rows.append(_pull_row(pull, plan, note))


def _count(row: Mapping[str, object]) -> str:
    plan = str(row["plan"])
    return f"{plan}: {str(row['reason']).partition(':')[0]}" if plan == "skipped" else plan


def _pull_row(pull: OpenPull, plan: str, reason: str) -> dict[str, object]:
    return {"path": pull.number, "blob": pull.head, "bytes": 0, "language": None, "plan": plan, "reason": reason}


def _write(night: _Night, cell: Cell, ledger: BacklogLedger, spool: Spool, *, nonce: str, now: datetime) -> None:
    backlog, planned = night.backlog, night.planned
    name = f"{str(cell).replace('|', '_')}.r0.{nonce}"
    with spool.new_plan(name) as folder:
        with folder.files() as files:
            for row in night.rows:
                files.add(row)
        caching, requests, submissions = _write_requests(night, cell, folder, nonce, now)
    plan = PlannedCell(
        cell, BACKLOG.name, backlog.repo, planned.target.base if planned else "", backlog.model,
        planned.row.config_version if planned else "", backlog.route_reason, Counter(map(_count, night.rows)), now,
        now + timedelta(hours=backlog.sla_hours), caching,
    )  # fmt: skip
    roots = {
        (question.review, question.call.key): request.root
        for question, request in zip(night.questions, requests, strict=True)
    }
    pulls = [_with_roots(pull, roots) for pull in night.pulls]
    if not ledger.record_plan(plan, submissions, requests, _planned_event(plan, folder.name, submissions), pulls):
        spool.discard(folder.name)


def _write_requests(
    night: _Night, cell: Cell, folder: PlanFolder, nonce: str, now: datetime
) -> tuple[str, list[PlannedRequest], tuple[Submission, ...]]:
    backlog, day = night.backlog, now.date()
    batches = BatchWriter(cell, 0, backlog.model, folder, backlog.limits, backlog.prices, day)
    caching = _decide_caching(night, day)
    requests = []
    for question in night.questions:
        span = Span(1, max(1, len(rows_shown(question.prompt))))
        root = custom_id(BACKLOG.name, question.content_key, span, 1, nonce)
        row: dict[str, object] = {
            "custom_id": root, "parent": None, "root": root, "path": question.path, "blob": question.head, "start_line": span.first,
            "end_line": span.last, "attempt": 1, "change": Change.FIRST.value, "repeat_lines": [], "repeat_numbers": [],
            "review": question.review, "unit": question.call.unit,
        }  # fmt: skip
        prompt = Prompt(question.system, sent_schema())
        params = message_params(
            backlog.model, backlog.max_tokens, prompt, question.prompt, caching[question.system].ttl
        )
        submission = batches.add(params, row)
        requests.append(PlannedRequest(root, submission, None, root, question.content_key, question.path, 1))
    return "; ".join(str(decided) for decided in caching.values()), requests, batches.close(now)


def _decide_caching(night: _Night, day: date) -> dict[str, Caching]:
    """For each system prompt: bases of one repository may hold different criteria."""
    sizes: dict[str, list[int]] = {}
    for question in night.questions:
        sizes.setdefault(question.system, []).append(len(question.prompt.encode("utf-8", "replace")))
    backlog = night.backlog
    return {
        system: decide_for_files(
            backlog.prices, backlog.model, day, system, bytes_, max(bytes_), backlog.expected_cache_hits
        )
        for system, bytes_ in sizes.items()
    }


def _with_roots(pull: BacklogPull, roots: dict[tuple[str, str], str]) -> BacklogPull:
    calls = tuple(replace(call, root=roots.get((pull.review, call.key), "")) for call in pull.calls)
    return replace(pull, calls=calls)


def _planned_event(plan: PlannedCell, folder: str, submissions: tuple[Submission, ...]) -> NewEvent:
    assert plan.deadline_at is not None
    payload = {
        "cell": str(plan.cell), "audit": plan.cell.audit, "audit_date": plan.cell.day.isoformat(), "workload": plan.workload,
        "repo": plan.repo, "revision": plan.revision, "model": plan.model, "prompt_version": plan.prompt_version,
        "planned_at": plan.planned_at.isoformat(), "deadline_at": plan.deadline_at.isoformat(), "files": f"{folder}/files.jsonl",
        "manifests": [[submission.id, submission.round, submission.folder] for submission in submissions],
    }  # fmt: skip
    return NewEvent(f"cell_planned {plan.cell}", "cell_planned", payload)
