"""What a human decides about findings: the developer gets it, or nobody hears of it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from review_pipeline.core.audit import NewEvent
from review_pipeline.core.review_record import FindingRow
from review_pipeline.ports import Refused, Reviews

_RANK = {"critical": 0, "warning": 1, "info": 2}


def waiting(ledger: Reviews, repo: str | None = None, *, everything: bool = False) -> tuple[FindingRow, ...]:
    rows = ledger.finding_rows(repo)
    standing = {row.finding for row in rows if row.status == "open"}
    kept = [
        row for row in rows if everything or (row.status == "open" and row.route == "human" and row.duplicate_of not in standing)
    ]  # fmt: skip
    return tuple(sorted(kept, key=lambda row: (_RANK[row.severity], -row.confidence, row.repo, row.path)))


def one(ledger: Reviews, finding: str) -> FindingRow:
    """By its id or the beginning of it. Raises Refused if that names none or several."""
    wanted = finding.strip().lower()
    found = ledger.finding_rows(finding=wanted) if len(wanted) >= 4 and set(wanted) <= set("0123456789abcdef-") else ()
    if len(found) != 1:
        what = f"{len(found)} findings begin" if found else "no finding begins"
        raise Refused(
            f"{what} with {finding!r}. `review-pipeline triage list` shows their ids; give at least 4 characters."
        )
    return found[0]


def accept(ledger: Reviews, finding: str, reason: str, now: datetime) -> FindingRow:
    row = one(ledger, finding)
    if row.status == "dismissed":
        reason = reason or "accepted after it was dismissed"
    return _decide(
        ledger, replace(row, status="open", route="developer", triaged="accepted", status_reason=reason), "seen", now
    )


def dismiss(ledger: Reviews, finding: str, reason: str, now: datetime) -> FindingRow:
    if not reason.strip():
        raise Refused("a dismissal needs a reason: it holds against every later review. Give one: --reason '...'")
    row = one(ledger, finding)
    return _decide(
        ledger, replace(row, status="dismissed", triaged="dismissed", status_reason=reason.strip()), "dismissed", now
    )


def _decide(ledger: Reviews, row: FindingRow, event: str, now: datetime) -> FindingRow:
    payload = {
        "fingerprint": row.finding, "event": event, "reason": row.status_reason, "status": row.status, "route": row.route,
        "cell": f"review-{row.repo}-{row.number}|{now.date()}", "audit_date": now.date().isoformat(), "triaged_at": now.isoformat(),
    }  # fmt: skip
    ledger.triage(
        row, NewEvent(f"finding_triaged:{row.finding}:{row.triaged}:{now.isoformat()}", "finding_triaged", payload), now
    )
    return row
