"""From what the passes answered to the end of a review: findings with identities, verdicts on earlier ones, files with states."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from review_pipeline.core.audit import NewEvent
from review_pipeline.core.identity import Matched, Prior, Standing, Verdict, match, standing, verdict
from review_pipeline.core.placing import Files
from review_pipeline.core.pull_request import FileResult, FileState
from review_pipeline.core.review import Finding, Status, disputed, graded, merged, read_findings, routed
from review_pipeline.core.review_record import Call as CallRow
from review_pipeline.core.review_record import CallEnd, FindingRow, PlannedPass, ReviewEnd
from review_pipeline.ports import Changes, Reviews
from review_pipeline.workflows.pull_request import Planned, patch_key
from review_pipeline.workflows.review_passes import Answered, Failure, PassResult, prior_name

WORKLOAD = "pull_request_review"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The findings of the first two passes as one list, each with the identity of what it was known as."""

    matched: Matched
    files: Files

    @property
    def new(self) -> tuple[Finding, ...]:
        """For the summary; what no model claimed, none may grade."""
        claims = (finding for finding in self.matched.claims if finding.id not in self.matched.seen)
        return tuple(finding for finding in claims if finding.passes != ("plan",))


def local_findings(planned: Planned, first: PassResult) -> tuple[Finding, ...]:
    """What the first pass found, merged: the second is told of it."""
    claims = [
        f
        for answered in first.answers
        for f in read_findings(answered.answer, planned.files, planned.target.repo, "file")
    ]
    return merged(claims)


def gather(
    planned: Planned, first: PassResult, across: Iterable[tuple[PassResult, Mapping[str, Finding]]], changes: Changes
) -> Gathered:
    """Merges what both passes say; a contradiction is kept on the finding. Files that only the second pass read are read here, too."""
    found = local_findings(planned, first)
    rounds = list(across)
    files = _with_others(planned, (answered for result, _ in rounds for answered in result.answers), changes)
    claims = list(found)
    for result, names in rounds:
        for answered in result.answers:
            claims += read_findings(answered.answer, files, planned.target.repo, "across")
            ids = {name: finding.id for name, finding in names.items()}
            claims = list(disputed(claims, answered.answer, ids))
    together = merged((*claims, *planned.own_findings))
    return Gathered(match(planned.priors, together, planned.moves), files)


def _with_others(planned: Planned, answers: Iterable[Answered], changes: Changes) -> Files:
    others: dict[str, tuple[str, ...]] = {}
    for answered in answers:
        for claim in answered.answer["findings"]:
            path = claim["path"].removeprefix("./")
            if path in planned.files.changed or path in others or ".." in path or path.startswith("/") or not path:
                continue
            text = changes.file(planned.target.head, path)
            if text is not None:
                others[path] = tuple(line.removesuffix("\r") for line in text.split("\n"))
    return Files(planned.files.changed, others)


@dataclass(frozen=True, slots=True)
class Concluder:
    ledger: Reviews
    clock: Callable[[], datetime]

    def conclude(
        self,
        planned: Planned,
        first: PassResult,
        across: tuple[PassResult, ...],
        gathered: Gathered,
        summaries: list[tuple[Mapping[str, Finding], Mapping[str, Any]]],
        summary_troubles: list[str],
        plan: tuple[PlannedPass, ...] = (),
    ) -> tuple[ReviewEnd, tuple[FindingRow, ...]]:
        """Records the end, with what the history is told of it. Nothing is recorded twice. plan: see ReviewEnd."""
        now = self.clock()
        findings = self._findings(planned, gathered, summaries)
        told = _answers(first)
        known = {row.finding: row for row in self.ledger.finding_rows(planned.target.repo, planned.target.number)}
        rows, counts = _rows(planned, gathered, findings, told, known, now)
        rows = [(_kept(row, known.get(row.finding)), event) for row, event in rows]
        files = _files(planned, first, across)
        troubles = [
            *_file_troubles(first.failures), *(f"across files: {f.said}" for result in across for f in result.failures), *summary_troubles,
            *_left_out(files), *_unanswered(counts), *self._not_independent(planned),
        ]  # fmt: skip
        end = ReviewEnd(
            repo=planned.target.repo, number=planned.target.number, state=_state(planned, files, troubles),
            summary=_summary(summaries), troubles=tuple(dict.fromkeys(troubles)), counts=dict(counts), files=files,
            reviewed_patches=_reviewed(planned, files, troubles), plan=plan,
        )  # fmt: skip
        calls = self.ledger.calls(planned.key)
        event = NewEvent(
            f"review_recorded:{planned.key}:{now.isoformat()}", "review_recorded", _payload(planned, end, rows, calls, now)
        )  # fmt: skip
        self.ledger.record_review(planned.key, end, (row for row, _ in rows), event, now)
        return end, tuple(row for row, _ in rows)

    def _not_independent(self, planned: Planned) -> list[str]:
        reviewing = {call.session_id for call, _ in self.ledger.calls(planned.key)}
        return [
            f"session {session} reviewed what its own commits say it wrote; that is no review"
            for session in sorted(reviewing & set(planned.row.author_sessions))
        ]

    def _findings(
        self, planned: Planned, gathered: Gathered, summaries: list[tuple[Mapping[str, Finding], Mapping[str, Any]]]
    ) -> tuple[Finding, ...]:
        """With the grades of the third pass where it was accepted; what it was not asked about keeps its own."""
        summarised = {finding.id for named, _ in summaries for finding in named.values()}
        after = [finding for named, answer in summaries for finding in graded(named, answer)]
        after += [finding for finding in gathered.matched.claims if finding.id not in summarised]
        return tuple(
            sorted(
                (routed(finding, planned.rules.thresholds[finding.category]) for finding in after), key=lambda f: f.rank
            )
        )


def _answers(first: PassResult) -> dict[str, Mapping[str, str]]:
    """What was said of earlier findings, by those who were asked about them; two answers that differ are none."""
    told: dict[str, list[Mapping[str, str]]] = {}
    for answered in first.answers:
        for row in answered.answer.get("prior_findings", ()):
            if row["id"] in answered.names:
                told.setdefault(row["id"], []).append(row)
    return {name: rows[0] for name, rows in told.items() if len({row["status"] for row in rows}) == 1}


def _rows(
    planned: Planned, gathered: Gathered, findings: tuple[Finding, ...], told: Mapping[str, Mapping[str, str]],
    standing_rows: Mapping[str, FindingRow], now: datetime,
) -> tuple[list[tuple[FindingRow, str]], Counter[str]]:  # fmt: skip
    """Each finding as it stands now with the event that the history is told; and how many there are of each.

    standing_rows: by identity; what this very review has told before it was gone on with is new, and is not opened twice.
    """
    counts: Counter[str] = Counter()
    known = {prior.id: prior for prior in planned.priors}
    rows: list[tuple[FindingRow, str]] = []
    for finding in findings:
        prior = known.get(finding.id)
        event = "seen" if prior and prior.status is Status.OPEN else "reopened" if prior else "opened"
        kind = (
            "merged" if finding.duplicate_of else {"seen": "still_open", "reopened": "reopened", "opened": "new"}[event]
        )
        counts[kind] += 1
        before = standing_rows.get(str(finding.id))
        rows.append((_row(planned, finding, prior, now), "seen" if event == "opened" and before else event))
    counts["suppressed"] = len(gathered.matched.suppressed)
    in_change = planned.paths
    asked = {prior.id for priors in planned.asked_priors.values() for prior in priors}
    for prior in planned.priors:
        if prior.id in gathered.matched.seen or prior.status is not Status.OPEN:
            continue
        answer = told.get(prior_name(prior.id))
        stands = standing(prior, planned.priors, gathered.files, planned.moves)
        ruling = verdict(
            prior, (answer["status"], answer["reason"]) if answer else None, was_asked=prior.id in asked, stands=stands,
            files=gathered.files, gone=planned.selected.deleted, in_change=in_change,
        )  # fmt: skip
        counts[
            "unanswered"
            if not ruling.is_answered
            else "still_open"
            if ruling.status is Status.OPEN
            else ruling.status.value
        ] += 1
        rows.append(_ruled(planned, prior, ruling, stands, gathered.files, now))
    return rows, +counts


def _kept(row: FindingRow, before: FindingRow | None) -> FindingRow:
    """Where it began, and what a human has decided, outlive every review."""
    if before is None:
        return row
    was_told = before.triaged == "accepted" or (before.status == "open" and before.route == "developer")
    return replace(
        row,
        first_review=before.first_review,
        first_seen_at=before.first_seen_at,
        triaged=before.triaged,
        route="developer" if was_told else row.route,
        reason=row.reason or before.reason,
        duplicate_of=row.duplicate_of or before.duplicate_of,
    )


def _row(planned: Planned, finding: Finding, prior: Prior | None, now: datetime) -> FindingRow:
    place, target = finding.place, planned.target
    return FindingRow(
        repo=target.repo, number=target.number, finding=str(finding.id), path=place.path, side=place.side, start_line=place.start_line,
        end_line=place.end_line, anchor=place.anchor.value, in_diff=place.in_diff, code=place.code, occurrence=place.occurrence,
        category=finding.category.value, severity=finding.severity.value, confidence=finding.confidence, issue=finding.issue,
        suggestion=finding.suggestion, evidence=finding.evidence, passes=finding.passes, reason=finding.reason, disputed=finding.disputed,
        note=finding.note, duplicate_of=str(finding.duplicate_of or ""), route=finding.route.value, status=Status.OPEN.value, status_reason=finding.note, triaged="",
        head=target.head, blob=place.blob, first_review=planned.key, last_review=planned.key,
        first_seen_at=prior.first_seen_at if prior else now, last_seen_at=now,
    )  # fmt: skip


def _ruled(
    planned: Planned, prior: Prior, ruling: Verdict, stands: Standing, files: Files, now: datetime
) -> tuple[FindingRow, str]:
    """An earlier finding that no pass repeated: its place follows the code, its words stay."""
    path, moved, head = stands.path, stands.line, planned.target.head
    if moved is None:
        moved, head = prior.line, prior.head
    event = {Status.OPEN: "seen", Status.FIXED: "fixed", Status.NOT_VERIFIABLE: "not_verifiable"}[ruling.status]
    source = files.changed.get(path)
    in_diff = source is not None and any(shown.number == moved for shown in source.shown)
    row = FindingRow(
        repo=planned.target.repo, number=planned.target.number, finding=str(prior.id), path=path, side=prior.side, start_line=moved,
        end_line=moved, anchor=prior.anchor, in_diff=in_diff, code=prior.code, occurrence=prior.occurrence,
        category=prior.category.value, severity=prior.severity, confidence=prior.confidence, issue=prior.issue,
        suggestion=prior.suggestion, evidence=prior.evidence, passes=("earlier review",), reason="", disputed="", note="", duplicate_of="",
        route=prior.route, status=ruling.status.value, status_reason=ruling.reason, triaged="",
        head=head, blob=source.blob if source else "", first_review="", last_review=planned.key,
        first_seen_at=prior.first_seen_at, last_seen_at=now,
    )  # fmt: skip
    return row, event


def _files(planned: Planned, first: PassResult, across: tuple[PassResult, ...]) -> tuple[FileResult, ...]:
    """Every changed file once."""
    answered = {path for a in first.answers for path in a.paths}
    failed: dict[str, str] = {}
    for failure in (*first.failures, *(f for result in across for f in result.failures)):
        for path in failure.paths:
            failed.setdefault(path, failure.said)
    failed_first = {path for failure in first.failures for path in failure.paths}
    results = [*planned.selected.skipped, *planned.over_limit]
    for source in planned.focus:
        if source.path in failed_first and source.path not in answered:
            state, reason = FileState.FAILED, failed[source.path]
        elif source.path in failed:
            state, reason = FileState.PARTLY, failed[source.path]
        elif source.path not in answered:
            state, reason = FileState.FAILED, "no call was made for it"
        elif source.note:
            state, reason = FileState.PARTLY, source.note
        else:
            state, reason = FileState.REVIEWED, "reviewed now"
        results.append(FileResult(source.path, state, reason, source.added, source.removed))
    results += [
        FileResult(s.path, FileState.REVIEWED, "unchanged since an earlier review", s.added, s.removed) for s in planned.reused
    ]  # fmt: skip
    return tuple(sorted(results, key=lambda file: file.path))


def _file_troubles(failures: tuple[Failure, ...]) -> list[str]:
    return [
        f"{', '.join(failure.paths[:3])}{' ...' if len(failure.paths) > 3 else ''}: {failure.said}"
        for failure in failures
    ]


def _left_out(files: tuple[FileResult, ...]) -> list[str]:
    left = [file for file in files if file.is_limit]
    return [f"{len(left)} file(s) were left out, {left[0].path} among them: {left[0].reason}"] if left else []


def _unanswered(counts: Mapping[str, int]) -> list[str]:
    count = counts.get("unanswered", 0)
    return [f"{count} earlier finding(s) got no answer and stay open"] if count else []


def _state(planned: Planned, files: tuple[FileResult, ...], troubles: list[str]) -> str:
    if not planned.selected.sources:
        return "incomplete" if troubles else "nothing_to_review"
    if not any(file.state in (FileState.REVIEWED, FileState.PARTLY) for file in files):
        return "failed"
    return "incomplete" if troubles else "reviewed"


def _reviewed(planned: Planned, files: tuple[FileResult, ...], troubles: list[str]) -> tuple[str, ...]:
    """Files that the next head need not pay for again. None of an incomplete review: what was missing may concern any of them."""
    if troubles:
        return ()
    done = {file.path for file in files if file.state in (FileState.REVIEWED, FileState.PARTLY)}
    return tuple(patch_key(source, planned.row.config_version) for source in planned.focus if source.path in done)


def _summary(summaries: list[tuple[Mapping[str, Finding], Mapping[str, Any]]]) -> str:
    return " ".join(answer["summary"].strip() for _, answer in summaries)[:2_000]


def _payload(
    planned: Planned, end: ReviewEnd, rows: list[tuple[FindingRow, str]], calls: tuple[tuple[CallRow, CallEnd], ...], now: datetime
) -> dict[str, object]:  # fmt: skip
    target = planned.target
    spent = sum((call.cost_usd for _, call in calls if call.cost_usd is not None), Decimal(0))
    share = (spent / len(rows)).quantize(Decimal("1e-9")) if rows else Decimal(0)
    return {
        "review": planned.key, "repo": target.repo, "number": target.number, "base_ref": target.base_ref, "head_ref": target.head_ref,
        "head": target.head, "merge_base": target.merge_base, "model": planned.row.model, "authored_by_claude": bool(planned.row.authored_by_claude),
        "author_sessions": list(planned.row.author_sessions),
        "state": end.state, "summary": end.summary, "planned_at": planned.row.planned_at.isoformat(), "finished_at": now.isoformat(),
        "cell": f"review-{target.repo}-{target.number}|{now.date()}", "audit_date": now.date().isoformat(), "workload": WORKLOAD,
        "prompt_version": planned.row.config_version,
        "changed_files": json.dumps([
            {"path": f.path, "state": f.state.value, "reason": f.reason, "added": f.added, "removed": f.removed} for f in end.files
        ]),
        "calls": json.dumps([_call(call, ended) for call, ended in calls]),
        "told": json.dumps([_told(row, event, share) for row, event in rows]),
    }  # fmt: skip


def _call(call: CallRow, end: CallEnd) -> dict[str, object]:
    return {
        "session_id": call.session_id, "pass": call.pass_name, "unit": call.unit, "state": end.state, "mishap": end.mishap, "version": end.version,
        "model": end.model, "input_tokens": end.input_tokens, "output_tokens": end.output_tokens, "cache_read_tokens": end.cache_read_tokens,
        "cache_write_tokens": end.cache_write_tokens, "cost_usd": str(0 if end.batch_id else end.cost_usd or 0), "batch_id": end.batch_id or None, "turns": end.turns,
        "asked_at": end.asked_at.isoformat() if end.asked_at else None, "ended_at": end.ended_at.isoformat() if end.ended_at else None,
    }  # fmt: skip


def _told(row: FindingRow, event: str, share: Decimal) -> dict[str, object]:
    return {
        "fingerprint": row.finding, "event": event, "path": row.path, "start_line": row.start_line, "end_line": row.end_line, "side": row.side,
        "category": row.category, "severity": row.severity, "confidence": row.confidence, "issue": row.issue, "suggestion": row.suggestion,
        "evidence": row.evidence, "anchor": row.anchor, "pass": "+".join(row.passes), "status": row.status, "status_reason": row.status_reason or None,
        "route": row.route, "delivery": row.delivery, "blob": row.blob, "cost_usd": str(share),
    }  # fmt: skip
