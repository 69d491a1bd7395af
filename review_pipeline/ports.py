"""The outside world on one page: what workflows ask of it, and the ways in which it says no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from review_pipeline.core.audit import (
        Batch,
        Cell,
        FailedRequest,
        GivenUp,
        Known,
        NewEvent,
        PlannedCell,
        PlannedRequest,
        State,
        Submission,
    )
    from review_pipeline.core.authorship import Commit
    from review_pipeline.core.backlog import AskedRequest, BacklogPull, PullState
    from review_pipeline.core.caching import CacheUse
    from review_pipeline.core.claude_call import Call
    from review_pipeline.core.claude_end import Answer, Failed
    from review_pipeline.core.forecast import Past
    from review_pipeline.core.identity import Prior
    from review_pipeline.core.pull_request import Difference
    from review_pipeline.core.review_record import Call as ReviewCall
    from review_pipeline.core.review_record import CallEnd, FindingRow, PlannedPass, ReviewEnd, ReviewRow
    from review_pipeline.core.selection import TreeEntry
    from review_pipeline.core.spending import Caps, Spending
    from review_pipeline.core.workloads import BatchWorkload


# Now, in UTC.
Clock = Callable[[], datetime]
# Language and lines of a file -> what it costs to begin a piece at each line, as in core/boundaries.py. Raises nothing.
CutCosts = Callable[[str, Sequence[str]], tuple[int, ...]]


class Unavailable(Exception):
    """Not now; the same call may succeed later. What was asked has certainly not happened."""


class Refused(Exception):
    """Not until something changes: a key, a setting, a file. What was asked has certainly not happened."""


class OutOfCredit(Refused):
    """Nothing can be paid for until a person has settled it: credit or a spend limit is used up."""


class OverBudget(Refused):
    """It could cost more than the configuration allows for this month."""


class Forbidden(Refused):
    """The forge lets this account not do this; other things may work."""


class Unprocessable(Refused):
    """Something in what was sent does not fit, and the forge's words do not tell what. Nothing of it was taken."""


class AnchorRefused(Unprocessable):
    """One of several comments stands where the forge takes none; it does not say which. None of them was taken."""


class PendingReview(Refused):
    """An unfinished review of this account is in the way: a forge takes one at a time."""


class Gone(Refused):
    """What was asked for is not there, or this account may not know of it."""


class InDoubt(Exception):
    """No answer: what was asked may or may not have happened. Find out; never just ask again."""


@dataclass(frozen=True, slots=True)
class Revision:
    commit: str
    committed_at: datetime


class Repository(Protocol):
    """One git repository, read from its object database (never from a work tree)."""

    def resolve(self, ref: str) -> Revision: ...

    def tree(self, commit: str) -> Iterator[TreeEntry]: ...

    def read(self, entries: Iterable[TreeEntry]) -> Iterator[tuple[TreeEntry, bytes]]: ...


class Changes(Protocol):
    """One git repository, and what its branches change."""

    def resolve(self, ref: str) -> Revision: ...

    def merge_base(self, base: str, head: str) -> str: ...

    def commits(self, base: str, head: str) -> tuple[Commit, ...]: ...

    def difference(self, old: str, new: str, most_bytes: int) -> tuple[Difference, ...]: ...

    def contents(self, entries: list[TreeEntry]) -> dict[str, bytes]: ...

    def file(self, commit: str, path: str) -> str | None: ...

    def export(self, commit: str, folder: Path) -> int: ...


class Reviewing(Protocol):
    """A program that answers one call, each time as a new instance."""

    def run(self, call: Call, session_id: str, home: Path, folder: Path) -> Answer | Failed: ...


class ReviewDesk(Protocol):
    @property
    def home(self) -> Path: ...

    @property
    def empty(self) -> Path: ...

    @property
    def tree(self) -> Path: ...

    def lay_out(self, export: Callable[[Path], object]) -> None: ...

    def alone(self, name: str) -> AbstractContextManager[None]: ...


class ReviewCalls(Protocol):
    """Intent, then what came of it."""

    def ask_call(self, call: ReviewCall, now: datetime) -> None: ...

    def end_call(self, session_id: str, end: CallEnd, now: datetime) -> None: ...

    def answered_call(self, review: str, call_key: str) -> CallEnd | None: ...

    def failed_call(self, review: str, call_key: str) -> CallEnd | None: ...

    def calls(self, review: str) -> tuple[tuple[ReviewCall, CallEnd], ...]: ...

    def spent_usd(self, review: str) -> Decimal: ...


class ReviewPlans(Protocol):
    def record_review_plan(self, review: ReviewRow) -> bool: ...

    def review(self, key: str) -> ReviewRow | None: ...

    def reopen_review(self, key: str, plan: Iterable[PlannedPass]) -> None: ...

    def reviewed_patches(self, repo: str, number: str, but: str) -> frozenset[str]: ...

    def priors(self, repo: str, number: str) -> tuple[Prior, ...]: ...

    def finding_rows(
        self, repo: str | None = None, number: str | None = None, finding: str | None = None
    ) -> tuple[FindingRow, ...]: ...


class ReviewEnds(Protocol):
    def record_review(
        self, key: str, end: ReviewEnd, findings: Iterable[FindingRow], event: NewEvent, now: datetime
    ) -> bool: ...

    def triage(self, finding: FindingRow, event: NewEvent, now: datetime) -> None: ...


class Reviews(ReviewCalls, ReviewPlans, ReviewEnds, Protocol):
    """All of the reviews' ledger."""


class Batches(Protocol):
    """The Message Batches API."""

    def create(self, body: Path) -> Batch:
        """Sends the file as it is, once. Raises Unavailable, Refused or InDoubt."""
        ...

    def retrieve(self, batch_id: str) -> Batch: ...

    def cancel(self, batch_id: str) -> Batch: ...

    def newest(self) -> Iterator[Batch]:
        """All batches of the workspace, the newest first."""
        ...

    def download(self, batch_id: str, to: Path) -> None:
        """The raw result lines, as they come. A stream that was cut may look complete: count."""
        ...


class Messages(Protocol):
    """The Messages API."""

    def ask(self, params: dict[str, object]) -> dict[str, object]:
        """The answer as a batch's result line would hold it. Raises Unavailable, Refused or OutOfCredit if it was certainly not asked."""
        ...


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    custom_id: str
    outcome: str
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Collected:
    """What one batch's results hold: the requests that are accounted for, those among them that failed, and the sums."""

    requests: int
    failed: tuple[RequestOutcome, ...]
    cost_usd: Decimal
    sync_cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    anchors: Mapping[str, int]
    cache: CacheUse
    surcharge_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """Where a batch's results are read from, and where its tables are written to."""

    body: Path
    manifest: Path
    part: Path  # where a download grows; another name for each call
    raw: Path
    outcomes: Path
    findings: Path


@dataclass(frozen=True, slots=True)
class IdCheck:
    """The custom_ids of a download against those that were sent."""

    lines: int
    missing: int
    unknown: int
    doubled: int

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.unknown or self.doubled)


@dataclass(frozen=True, slots=True)
class RequestUse:
    """What one request took. cost_usd: at the price of its batch."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: Decimal


class Results(Protocol):
    """Reads saved results in bulk."""

    def used(self, outcomes: Path) -> dict[str, RequestUse]:
        """By custom_id, from the table of outcomes that `read` has written."""
        ...

    def check(self, raw: Path, manifest: Path) -> IdCheck:
        """Raises Unavailable if the file is cut within a line."""
        ...

    def read(
        self, files: ResultFiles, repo: str, model: str, day: date, workload: BatchWorkload, *, is_sync: bool
    ) -> Collected: ...


class AnswerBook(Protocol):
    """What was asked one by one, and what was answered. lost: asked by a process that stopped before the answer was on disk."""

    lost: int

    def unanswered(self, requests: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]: ...

    def asking(self, custom_id: str) -> None: ...

    def not_asked(self, custom_id: str) -> None: ...

    def answered(self, custom_id: str, result: dict[str, Any]) -> None: ...

    def counts(self) -> dict[str, int]: ...

    def finish(self, to: Path) -> dict[str, int]: ...


class FileLines(Protocol):
    def add(self, row: Mapping[str, object]) -> None: ...


class BatchBody(Protocol):
    """One batch being written."""

    name: str
    requests: int

    def add(self, request: bytes, row: Mapping[str, object]) -> None: ...

    def close(self) -> int:
        """Bytes of the whole body, on disk for good."""
        ...


class PlanFolder(Protocol):
    name: str

    def files(self) -> AbstractContextManager[FileLines]: ...

    def batch(self, number: int) -> BatchBody: ...


class Spool(Protocol):
    """Files that are written once."""

    def new_plan(self, name: str) -> AbstractContextManager[PlanFolder]: ...

    def discard(self, folder: str) -> None: ...

    def sending(self, folder: str) -> AbstractContextManager[bool]:
        """True inside the block if no other living process sends this folder."""
        ...

    def body(self, folder: str) -> Path: ...

    def manifest_rows(self, folder: str, custom_ids: frozenset[str]) -> dict[str, dict[str, object]]: ...

    def answers(self, batch_id: str, custom_ids: frozenset[str]) -> dict[str, list[dict[str, object]]]: ...

    def requests(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]: ...

    def answer_book(self, folder: str) -> AbstractContextManager[AnswerBook]: ...

    def result_files(self, folder: str, batch_id: str) -> ResultFiles: ...

    def relative(self, path: Path) -> str: ...


class Plans(Protocol):
    def asked(self) -> tuple[Cell, ...]: ...

    def planned(self, cell: Cell) -> PlannedCell | None: ...

    def known(self, repo: str, workload: str) -> tuple[dict[str, Known], set[str]]: ...

    def record_plan(
        self,
        plan: PlannedCell,
        submissions: tuple[Submission, ...],
        requests: Iterable[PlannedRequest],
        event: NewEvent,
        pulls: Iterable[BacklogPull] = ...,
    ) -> bool: ...


class Submissions(Protocol):
    """Intent, effect, receipt."""

    def submissions(self, *, cell: Cell | None = None, states: tuple[State, ...] = ...) -> tuple[Submission, ...]: ...

    def begin(self, submission: str, now: datetime, fence: str, caps: Caps = ...) -> bool: ...

    def spent(self, now: datetime) -> dict[str, Spending]: ...

    def doubt(self, submission: str, now: datetime) -> None: ...

    def release(self, submission: str, note: str) -> None: ...

    def escalate(self, submission: str, most_usd: str, note: str) -> None: ...

    def record_asked(self, submission: str, batch: Batch) -> None: ...

    def ask_cancel(self, submission: str, now: datetime, note: str) -> None: ...

    def deadlines(self) -> dict[str, datetime]: ...

    def note(self, submission: str, note: str | None, not_batches: tuple[str, ...] | None = None) -> None: ...

    def confirm(self, submission: str, batch: Batch) -> None: ...

    def disown(self, submission: str, not_batches: tuple[str, ...], note: str) -> None: ...

    def record_end(self, submission: str, batch: Batch, now: datetime) -> None: ...

    def claimed_batches(self) -> frozenset[str]: ...

    def durations(self) -> tuple[Past, ...]: ...


class Outcomes(Protocol):
    def record_collection(
        self, submission: Submission, collected: Collected, event: NewEvent, now: datetime
    ) -> bool: ...

    def failed_requests(self, cell: Cell) -> tuple[FailedRequest, ...]: ...

    def record_resubmission(
        self,
        submissions: tuple[Submission, ...],
        requests: tuple[PlannedRequest, ...],
        given_up: tuple[GivenUp, ...],
        event: NewEvent,
        now: datetime,
    ) -> bool: ...

    def outcomes(self, cell: Cell) -> dict[str, int]: ...

    def next_round(self, cell: Cell) -> int: ...


class Pauses(Protocol):
    def pause(self, scope: str, reason: str, now: datetime) -> None: ...

    def pauses(self) -> tuple[tuple[str, str, str], ...]: ...


class OpenWork(Protocol):
    def unsettled_cells(self) -> tuple[Cell, ...]: ...

    def unpublished(self) -> int: ...

    def weeks_to_report(self) -> dict[date, int]: ...


class Backlog(Protocol):
    """Pull requests that wait for answers of batches."""

    def backlog(self, cell: Cell) -> tuple[BacklogPull, ...]: ...

    def waiting_pulls(self, repo: str) -> dict[str, str]: ...

    def settle_pull(self, cell: Cell, number: str, state: PullState, note: str) -> None: ...

    def backlog_requests(self, cell: Cell) -> tuple[AskedRequest, ...]: ...

    def record_calls(self, calls: Iterable[tuple[ReviewCall, CallEnd]]) -> None: ...

    def recorded_calls(self, review: str) -> frozenset[str]: ...


class Ledger(Plans, Submissions, Outcomes, Pauses, OpenWork, Protocol):
    """All of the audits' ledger."""


class BacklogLedger(Backlog, Plans, Submissions, Reviews, Protocol):
    """What the overnight backlog needs of both."""

    def reviews(self, repo: str | None = None, number: str | None = None, limit: int = 50) -> tuple[ReviewRow, ...]: ...


class HistoryReader(Protocol):
    """The published findings history, read-only."""

    def frame(self, name: str, **parameters: object) -> pd.DataFrame:
        """The rows of sql/report/<name>.sql, with $parameters bound."""
        ...
