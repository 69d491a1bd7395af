"""What people answer on the forge flows back: dismissals hold, and every outcome is counted in the history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from review_pipeline.core.audit import NewEvent
from review_pipeline.core.feedback import WRITERS, Dismissal, FeedbackRules, dismissal
from review_pipeline.core.forge import Actor, PullRequest, Slug, ThreadComment
from review_pipeline.core.placing import coded
from review_pipeline.core.posts import FindingOutcome, Post
from review_pipeline.core.review_record import FindingRow
from review_pipeline.forge_ports import FindingOutcomes, Forge, Posts
from review_pipeline.ports import Gone, Refused, Reviews, Unavailable
from review_pipeline.workflows.threads import OurThread, our_comments, our_threads


class FeedbackLedger(Posts, FindingOutcomes, Reviews, Protocol):
    """What is told and heard of findings."""


# Text of a file at the newest commit of a pull request's base; None if it is not there.
FileNow = Callable[[PullRequest, str], str | None]
LISTENED = timedelta(days=30)  # after the last review of a merged pull request


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one pull request. outcomes: those that were not known before."""

    outcomes: tuple[FindingOutcome, ...] = ()
    dismissed: tuple[str, ...] = ()
    is_settled: bool = False  # closed, and heard to its end


@dataclass(slots=True)
class HeardAll:
    """outcomes: how many new ones of each kind. troubles: pull requests that could not be heard; the next hour tries again."""

    pulls: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Feedback:
    forge: Forge
    ledger: FeedbackLedger
    repo: str
    slug: Slug
    rules: FeedbackRules
    clock: Callable[[], datetime]

    def hear(self, number: int, file_now: FileNow | None = None) -> Heard:
        """Nothing is asked of the forge where nothing was told. file_now: to see what was mended after the merge."""
        posts = self.ledger.posts(self.repo, str(number))
        if not any(post.kind in ("comment", "body") and post.state == "done" for post in posts):
            return Heard()
        pull = self.forge.pull(self.slug, number)
        us = self.forge.us(self.slug)
        threads = our_threads(posts, self.forge.threads(self.slug, number)) if _has_comments(posts) else {}
        rows = {row.finding: row for row in self.ledger.finding_rows(self.repo, str(number))}
        told = {post.finding: post.url for post in posts if post.kind in ("comment", "body") and post.state == "done"}
        ours = our_comments(posts)
        permissions: dict[str, bool] = {}

        def is_ours(comment: ThreadComment) -> bool:
            return comment.id in ours or comment.author.is_same(us)

        def may_write(actor: Actor) -> bool:
            """Not we ourselves: a program that answers itself decides nothing."""
            if actor.is_same(us) or not actor.login:
                return False
            if actor.login not in permissions:
                permissions[actor.login] = self.forge.permission(self.slug, actor.login) in WRITERS
            return permissions[actor.login]

        found: list[FindingOutcome] = []
        dismissals: list[tuple[FindingRow, Dismissal]] = []
        for finding in sorted(told.keys() & rows.keys()):
            row, thread = rows[finding], threads.get(finding)
            found.append(self._outcome(row, "told", "", told[finding]))
            if thread is not None:
                found += self._of_thread(row, thread, us)
            if thread is not None and row.status == "open":
                counts = row.head == pull.head and not _is_by(thread, us)
                ruling = dismissal(thread.thread, is_ours, may_write, self.rules, resolved_counts=counts)
                if ruling is not None:
                    dismissals.append((row, ruling))
                    found.append(self._outcome(row, "dismissed", ruling.by, ruling.why))
                    continue
            found += self._of_code(row, pull, file_now)
        fresh = self._record(number, found)
        for row, ruling in dismissals:  # after they are told: a crash between leaves them to be heard once more
            self._dismiss(row, ruling.by, ruling.why)
        settled = self._is_settled(number, pull, [rows[finding] for finding in told.keys() & rows.keys()])
        return Heard(fresh, tuple(row.finding for row, _ in dismissals), settled)

    def hear_all(self, heard: HeardAll, most: int, file_now: FileNow) -> None:
        """Every pull request on which something was told, those first that were not heard for the longest."""
        for number in self.ledger.pulls_to_hear(self.repo, most):
            try:
                one = self.hear(number, file_now)
            except Gone:
                one = Heard(is_settled=True)
            except (Refused, Unavailable) as error:
                heard.troubles.append(f"{self.slug}#{number}: {error}")
                continue
            self.ledger.record_heard(self.repo, number, self.clock(), settled=one.is_settled)
            heard.pulls += 1
            for outcome in one.outcomes:
                heard.outcomes[outcome.outcome] = heard.outcomes.get(outcome.outcome, 0) + 1

    def _is_settled(self, number: int, pull: PullRequest, rows: list[FindingRow]) -> bool:
        """Closed, and nothing more can become of its findings, or a month has passed."""
        if pull.state == "open":
            return False
        later = {o.finding for o in self.ledger.outcomes_of(self.repo, str(number)) if o.outcome == "fixed_later"}
        waiting = [row for row in rows if row.status == "open" and row.finding not in later]
        last = max((row.last_seen_at for row in rows), default=self.clock())
        return pull.state == "closed" or not waiting or self.clock() - last > LISTENED

    def _of_code(self, row: FindingRow, pull: PullRequest, file_now: FileNow | None) -> Iterable[FindingOutcome]:
        if row.status == "fixed":
            yield self._outcome(row, "fixed", "", row.status_reason)
        elif row.status == "open" and pull.state == "merged":
            yield self._outcome(row, "merged_open", "", "the pull request was merged with it")
            if file_now is not None and _is_mended(row, file_now(pull, row.path)):
                yield self._outcome(row, "fixed_later", "", f"its line is gone from {pull.base_ref}")
        elif row.status == "open" and pull.state == "closed":
            yield self._outcome(row, "closed_open", "", "the pull request was closed without a merge")

    def _of_thread(self, row: FindingRow, known: OurThread, us: Actor) -> Iterable[FindingOutcome]:
        thread = known.thread
        if thread.is_resolved and thread.resolved_by is not None and not thread.resolved_by.is_same(us):
            yield self._outcome(row, "resolved", thread.resolved_by.login, "")
        for reaction in thread.comments[0].reactions:
            kind = {"THUMBS_UP": "liked", "THUMBS_DOWN": "disliked"}.get(reaction.content)
            if kind and not reaction.by.is_same(us):
                yield self._outcome(row, kind, reaction.by.login, "")

    def _outcome(self, row: FindingRow, outcome: str, actor: str, why: str) -> FindingOutcome:
        return FindingOutcome(row.repo, row.number, row.finding, outcome, actor, why)

    def _dismiss(self, row: FindingRow, by: str, why: str) -> None:
        now = self.clock()
        reason = f"{by}: {why}"
        after = replace(row, status="dismissed", triaged="dismissed", status_reason=reason)
        payload = {
            "fingerprint": row.finding, "event": "dismissed", "reason": reason, "status": "dismissed", "route": row.route,
            "cell": f"review-{row.repo}-{row.number}|{now.date()}", "audit_date": now.date().isoformat(), "triaged_at": now.isoformat(),
        }  # fmt: skip
        key = f"finding_triaged:{row.finding}:dismissed:{now.isoformat()}"
        self.ledger.triage(after, NewEvent(key, "finding_triaged", payload), now)

    def _record(self, number: int, found: list[FindingOutcome]) -> tuple[FindingOutcome, ...]:
        known = {(o.finding, o.outcome, o.actor) for o in self.ledger.outcomes_of(self.repo, str(number))}
        fresh = [outcome for outcome in found if (outcome.finding, outcome.outcome, outcome.actor) not in known]
        if not fresh:
            return ()
        now = self.clock()
        payload: dict[str, object] = {
            "repo": self.repo, "number": str(number), "audit_date": now.date().isoformat(), "heard_at": now.isoformat(),
            "answers": json.dumps(
                [{"fingerprint": o.finding, "outcome": o.outcome, "actor": o.actor, "why": o.why[:300]} for o in fresh]
            ),
        }  # fmt: skip
        event = NewEvent(f"findings_answered:{self.repo}:{number}:{now.isoformat()}", "findings_answered", payload)
        return self.ledger.record_outcomes(fresh, event, now)


def _has_comments(posts: Iterable[Post]) -> bool:
    return any(post.kind == "comment" and post.state == "done" for post in posts)


def _is_by(known: OurThread, us: Actor) -> bool:
    """Resolved by ourselves."""
    by = known.thread.resolved_by
    return by is not None and by.is_same(us)


def _is_mended(row: FindingRow, text: str | None) -> bool:
    """A file that is gone may have been renamed: that tells nothing."""
    return text is not None and bool(row.code) and row.side == "RIGHT" and all(coded(line) != row.code for line in text.splitlines())  # fmt: skip
