"""Brings a night's reviews to their end: what batches answered becomes answered calls, and each review is concluded without asking more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from review_pipeline.core.audit import Cell, Submission
from review_pipeline.core.backlog import (
    AskedRequest,
    BacklogCall,
    BacklogPull,
    PullState,
    diff_only,
    fitting_answer,
    names_asked,
    paths_shown,
)
from review_pipeline.core.claude_end import Mishap
from review_pipeline.core.failures import REMEDIES, Outcome
from review_pipeline.core.redaction import redact
from review_pipeline.core.review_prompt import FILE_SCHEMA
from review_pipeline.core.review_record import Call, CallEnd, ReviewRow, call_key
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.workflows.review_end import Concluder, gather
from review_pipeline.workflows.review_passes import Failure, PassResult, answered_unit, redacted

if TYPE_CHECKING:
    from review_pipeline.ports import BacklogLedger, Clock, RequestUse, Results, Spool
    from review_pipeline.workflows.pull_request import Planned, Planner

Row = dict[str, Any]
Publish = Callable[[ReviewRow], None]

# What a later run of the same review knows these by.
_MISHAPS = {
    Outcome.TOO_LONG: Mishap.PROMPT_TOO_LONG.value,
    Outcome.CONTEXT_OUT: Mishap.PROMPT_TOO_LONG.value,
    Outcome.REFUSAL: Mishap.REFUSED.value,
}


@dataclass(frozen=True, slots=True)
class BacklogEnd:
    """planner_of: by the criteria of a base commit, for a number; publish: tells a finished review where its change is on a forge."""

    ledger: BacklogLedger
    spool: Spool
    results: Results
    clock: Clock
    planner_of: Callable[[str, str], Planner]
    publish: Publish

    def conclude_cell(self, cell: Cell) -> tuple[BacklogPull, ...]:
        """Every pull request whose answers are all there; can be run again at any time, and pays for nothing.

        Returns those that it settled. Raises Unavailable where only a later run can go on, after all others are settled.
        """
        waiting = [pull for pull in self.ledger.backlog(cell) if pull.state is PullState.ASKED]
        if not waiting:
            return ()
        requests = self.ledger.backlog_requests(cell)
        known = frozenset(session for pull in waiting for session in self.ledger.recorded_calls(pull.review))
        shown = self._record(cell, requests, known)
        chains: dict[str, list[AskedRequest]] = defaultdict(list)
        for request in requests:
            chains[request.root].append(request)
        settled, troubles = [], []
        for pull in waiting:
            if not all(request.is_settled for call in pull.calls for request in chains[call.root]):
                continue
            try:
                state, note = self._concluded(cell, pull, chains, shown)
            except Unavailable as error:
                troubles.append(f"{pull.number}: {error}")
                continue
            self.ledger.settle_pull(cell, pull.number, state, note)
            settled.append(BacklogPull(pull.number, pull.head, state, note, pull.review, pull.calls))
        if troubles:
            raise Unavailable("; ".join(troubles))
        return tuple(settled)

    def _concluded(
        self, cell: Cell, pull: BacklogPull, chains: Mapping[str, list[AskedRequest]], shown: Mapping[str, Row]
    ) -> tuple[PullState, str]:
        row = self._row(pull.review)
        if not row.is_finished:
            if newer := self._newer(cell, row):
                return (
                    PullState.SUPERSEDED,
                    f"{newer.target.head[:12]} was reviewed meanwhile; the findings stand as that review left them",
                )
            try:
                planner = self.planner_of(row.target.base, row.target.number)
                planned = planner.plan(row.target)
            except Refused as error:
                return PullState.LOST, f"its commits cannot be read any more: {error}"
            if planned.key != row.key:
                return (
                    PullState.SUPERSEDED,
                    "the configuration of reviews changed over night; the next night asks again",
                )
            first = sum((self._answer(pull, call, chains, shown) for call in pull.calls), PassResult())
            self._refuse_while_asked(planned)
            self._conclude(planned, first, planner)
            row = self._row(pull.review)
        self.publish(row)
        return PullState.REVIEWED, row.state

    def _conclude(self, planned: Planned, first: PassResult, planner: Planner) -> None:
        gathered = gather(planned, first, (), planner.changes)
        Concluder(planner.ledger, self.clock).conclude(planned, first, (), gathered, [], [], diff_only(planned.passes))

    def _refuse_while_asked(self, planned: Planned) -> None:
        """A synchronous run at work ends the review with all of its passes; one that was killed is not waited for."""
        since = self.clock() - timedelta(seconds=2 * planned.rules.limit_seconds)
        if any(
            end.state == "asked" and end.asked_at and end.asked_at > since for _, end in self.ledger.calls(planned.key)
        ):
            raise Unavailable("a synchronous run is reviewing it now; its end is awaited")

    def _row(self, key: str) -> ReviewRow:
        row = self.ledger.review(key)
        assert row is not None
        return row

    def _newer(self, cell: Cell, row: ReviewRow) -> ReviewRow | None:
        """Another head of the change that was reviewed to its end since the night was planned."""
        plan = self.ledger.planned(cell)
        assert plan is not None
        return next(
            (
                other
                for other in self.ledger.reviews(row.target.repo, row.target.number)
                if other.planned_at > row.planned_at
                and other.finished_at is not None
                and other.finished_at > plan.planned_at
                and other.state != "failed"
            ),
            None,
        )

    def _answer(
        self, pull: BacklogPull, call: BacklogCall, chains: Mapping[str, list[AskedRequest]], shown: Mapping[str, Row]
    ) -> PassResult:
        """What came of one call: of its last requests, of which there are several where it was asked in parts."""
        if end := self.ledger.answered_call(pull.review, call.key):
            assert end.answer is not None
            return answered_unit(call.paths, call.names, end.answer)
        leaves = [request for request in chains[call.root] if request.follow_up != "replaced"] if call.root else []
        if not leaves:
            return PassResult(failures=(Failure(call.paths, "it was asked before, and no answer was to be had"),))
        result = PassResult()
        for leaf in leaves:
            content = shown[leaf.custom_id]["content"]
            end = self.ledger.answered_call(pull.review, shown[leaf.custom_id]["key"])
            if end is not None and end.answer is not None:
                result += answered_unit(paths_shown(content), names_asked(content), end.answer)
            else:
                result += PassResult(failures=(Failure(paths_shown(content), _said(leaf)),))
        return result

    def _record(self, cell: Cell, requests: Sequence[AskedRequest], known: frozenset[str]) -> dict[str, Row]:
        """Every outcome as a call of its review, so that a synchronous run pays only for what is missing; returns what each showed."""
        shown: dict[str, Row] = {}
        by_submission: dict[str, list[AskedRequest]] = defaultdict(list)
        for request in requests:
            if request.outcome is not None:
                by_submission[request.submission].append(request)
        for submission in self.ledger.submissions(cell=cell):
            mine = by_submission.get(submission.id, [])
            if not mine:
                continue
            rows = self.spool.manifest_rows(submission.folder, frozenset(request.custom_id for request in mine))
            for custom_id, row in rows.items():
                shown[custom_id] = _question(row)
            fresh = [request for request in mine if request.custom_id not in known]
            if fresh:
                self.ledger.record_calls(self._calls(submission, fresh, shown))
        return shown

    def _calls(
        self, submission: Submission, requests: Iterable[AskedRequest], shown: Mapping[str, Row]
    ) -> list[tuple[Call, CallEnd]]:
        wanted = list(requests)
        assert submission.batch_id is not None
        files = self.spool.result_files(submission.folder, submission.batch_id)
        used = self.results.used(files.outcomes)
        answered = frozenset(request.custom_id for request in wanted if request.outcome == "ok")
        answers = self.spool.answers(submission.batch_id, answered)
        return [
            (
                Call(request.custom_id, asked["review"], "file", asked["unit"], asked["key"]),
                self._end(submission, request, used[request.custom_id], answers.get(request.custom_id)),
            )
            for request in wanted
            for asked in (shown[request.custom_id],)
        ]

    def _end(
        self, submission: Submission, request: AskedRequest, use: RequestUse, said: list[dict[str, object]] | None
    ) -> CallEnd:
        assert submission.batch_id is not None
        assert request.outcome is not None
        answer = fitting_answer("".join(str(block.get("text") or "") for block in said)) if said is not None else None
        outcome = Outcome(request.outcome)
        now = self.clock()
        return CallEnd(
            state="answered" if answer is not None else "failed", answer=redacted(answer) if answer is not None else None,
            mishap=None if answer is not None else _MISHAPS.get(outcome, outcome.value),
            said=None if answer is not None else redact(request.detail or REMEDIES[outcome].advice),
            model=submission.model, input_tokens=use.input_tokens, output_tokens=use.output_tokens, cache_read_tokens=use.cache_read_tokens,
            cache_write_tokens=use.cache_write_tokens, cost_usd=Decimal(use.cost_usd), turns=1,
            asked_at=submission.created_at or submission.planned_at, ended_at=submission.ended_at or now, batch_id=submission.batch_id,
        )  # fmt: skip


def _question(row: Row) -> Row:
    """What one request asked: of its review, under which key a synchronous run would look for it."""
    params = row["params"]
    content = params["messages"][0]["content"]
    key = call_key(params["system"][0]["text"], content, FILE_SCHEMA, params["model"])
    return {"review": row["review"], "unit": row["unit"], "content": content, "key": key}


def _said(request: AskedRequest) -> str:
    return redact(f"{request.outcome}: {request.detail or request.reason or 'it was given up'}")
