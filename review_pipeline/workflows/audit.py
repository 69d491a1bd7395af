"""Plans an audit: a commit's files become requests, the requests batches, all of it written down before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import orjson

from review_pipeline.core.audit import Audit, Cell, Known, NewEvent, PlannedCell, PlannedRequest, Submission
from review_pipeline.core.caching import Caching, decide_for_files
from review_pipeline.core.failures import Change
from review_pipeline.core.finding import line_key, repeats
from review_pipeline.core.planning import (
    LABEL_BYTES,
    Span,
    content_key,
    custom_id,
    estimated_tokens,
    room_bytes,
    spans,
)
from review_pipeline.core.prompt import message_params, render_file
from review_pipeline.core.selection import SelectionRules, Skip, SkipReason, Source, TreeEntry, by_content, by_path
from review_pipeline.workflows.batch_writer import BatchWriter

if TYPE_CHECKING:
    from review_pipeline.ports import CutCosts, FileLines, Plans, Repository, Spool

Progress = Callable[[str, int, int], None]


def no_progress(_what: str, _done: int, _of: int) -> None:
    """For callers that show none."""


class Reading(Protocol):
    """Which files are read, and as what text; every file that is wanted comes out once."""

    def by_path(self, entry: TreeEntry, rules: SelectionRules) -> Skip | None: ...

    def texts(
        self, repository: Repository, wanted: list[TreeEntry], rules: SelectionRules
    ) -> Iterator[Source | Skip]: ...


class _CodeReading:
    """Source code, by core/selection.py."""

    def by_path(self, entry: TreeEntry, rules: SelectionRules) -> Skip | None:
        return by_path(entry, rules)

    def texts(self, repository: Repository, wanted: list[TreeEntry], rules: SelectionRules) -> Iterator[Source | Skip]:
        return (by_content(entry, content, rules) for entry, content in repository.read(wanted))


CODE = _CodeReading()


def plan_audit(
    audit: Audit,
    cell: Cell,
    repository: Repository,
    plans: Plans,
    spool: Spool,
    *,
    cut_costs: CutCosts,
    nonce: str,
    now: datetime,
    progress: Progress = no_progress,
    reading: Reading = CODE,
) -> PlannedCell:
    """The plan of this cell: the one that exists, or a new one. Nothing is sent. nonce: letters and digits, new for each call."""
    while (plan := plans.planned(cell)) is None:  # again only if another cell has asked for some of it meanwhile
        _plan_anew(
            audit, cell, repository, plans, spool, cut_costs=cut_costs, nonce=nonce, now=now, progress=progress, reading=reading
        )  # fmt: skip
    return plan


def _plan_anew(
    audit: Audit,
    cell: Cell,
    repository: Repository,
    plans: Plans,
    spool: Spool,
    *,
    cut_costs: CutCosts,
    nonce: str,
    now: datetime,
    progress: Progress,
    reading: Reading,
) -> None:
    known, paths = plans.known(audit.repo, audit.workload)
    revision = repository.resolve(audit.ref)
    name = f"{str(cell).replace('|', '_')}.r0.{nonce}"
    with spool.new_plan(name) as folder:
        batches = BatchWriter(cell, 0, audit.model, folder, audit.limits, audit.prices, now.date())
        writer = _Writer(audit, batches, cut_costs, nonce, now.date(), known, paths)
        with folder.files() as files:
            wanted = _decide_by_path(writer, list(repository.tree(revision.commit)), files, reading)
            caching = _decide_caching(audit, wanted, writer.day)
            writer.cache_ttl = caching.ttl
            for done, judged in enumerate(reading.texts(repository, wanted, audit.rules), start=1):
                writer.take(judged, files)
                progress("reading files", done, len(wanted))
        submissions = batches.close(now)
    plan = PlannedCell(
        cell,
        audit.workload,
        audit.repo,
        revision.commit,
        audit.model,
        audit.prompt.version,
        audit.route_reason,
        dict(writer.counts),
        now,
        now + timedelta(hours=audit.sla_hours),
        str(caching),
    )
    if not plans.record_plan(plan, submissions, writer.requests, _planned_event(audit, plan, folder.name, submissions)):
        spool.discard(folder.name)


def _decide_by_path(writer: _Writer, entries: list[TreeEntry], files: FileLines, reading: Reading) -> list[TreeEntry]:
    """Files that have to be read; all others get their row at once."""
    wanted = []
    for entry in entries:
        if skip := reading.by_path(entry, writer.audit.rules):
            writer.skip(skip, files)
        elif not writer.stands(entry, files):
            wanted.append(entry)
    for path in sorted(writer.paths_known - {entry.path for entry in entries}):
        files.add({"path": path, "blob": "", "bytes": 0, "language": None, "plan": "removed", "reason": None})
    return wanted


def _decide_caching(audit: Audit, wanted: list[TreeEntry], day: date) -> Caching:
    """Once for the cell, from the files' sizes: requests are on disk before all files are read, and what reading still drops is few."""
    return decide_for_files(
        audit.prices,
        audit.model,
        day,
        audit.prompt.system,
        [entry.bytes for entry in wanted],
        audit.chunk_bytes,
        audit.expected_cache_hits,
    )


@dataclass(slots=True)
class _Writer:
    """The growing plan: one row for every file, requests packed into bodies."""

    audit: Audit
    batches: BatchWriter
    cut_costs: CutCosts
    nonce: str
    day: date
    known: dict[str, Known]
    paths_known: set[str]
    counts: Counter[str] = field(default_factory=Counter)
    requests: list[PlannedRequest] = field(default_factory=list)
    cache_ttl: str | None = None
    version: str = field(init=False)
    context_tokens: int = field(init=False)
    room_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = self.audit.prompt.version  # hashed once, not for every file
        prompt_bytes = len(orjson.dumps([self.audit.prompt.system, self.audit.prompt.schema]))
        self.context_tokens = self.audit.prices.price(self.audit.model, self.day, 0).context_tokens
        self.room_bytes = room_bytes(self.context_tokens, self.audit.max_tokens, prompt_bytes)

    def key(self, entry: TreeEntry) -> str:
        return content_key(self.audit.repo, entry.path, entry.blob, self.version, self.audit.model)

    def skip(self, skip: Skip, files: FileLines) -> None:
        self._row(
            files, skip.entry, None, "skipped", f"{skip.reason.value}: {skip.detail}", f"skipped: {skip.reason.value}"
        )

    def stands(self, entry: TreeEntry, files: FileLines) -> bool:
        """True if an earlier audit has an answer to exactly this, or is still waiting for one, or knows that there is none to be had."""
        known = self.known.get(self.key(entry))
        match known.state if known else "failed":
            case "answered":
                self._row(files, entry, None, "unchanged", f"answered in {known.cell}" if known else None, "unchanged")
            case "asked":
                self._row(files, entry, None, "in_flight", f"asked in {known.cell}" if known else None, "in_flight")
            case "final":
                reason = f"no answer to be had while it is unchanged ({known.reason}, {known.cell})" if known else None
                self._row(files, entry, None, "skipped", f"given_up: {reason}", "skipped: given_up")
            case _:
                return False
        return True

    def take(self, judged: Source | Skip, files: FileLines) -> None:
        if isinstance(judged, Skip):
            self.skip(judged, files)
            return
        sizes = tuple(len(line.encode()) + LABEL_BYTES for line in judged.lines)
        if max(sizes) > self.room_bytes:
            self.skip(_unsplittable(judged, sizes, f"{self.audit.model} reads {self.context_tokens:,}"), files)
            return
        self._row(files, judged.entry, judged.language, "submitted", judged.note, "submitted")
        key, root, numbered = self.key(judged.entry), None, repeats(judged.lines)
        budget = min(self.audit.chunk_bytes, self.room_bytes)
        costs = self.cut_costs(judged.language, judged.lines) if sum(sizes) > budget else ()
        for span in spans(sizes, budget, costs):
            row = self._manifest_row(judged, span, key, numbered)
            root = root or str(row["custom_id"])
            if row["custom_id"] == root and judged.entry.path in self.paths_known:
                row["line_keys"] = sorted({line_key(line) for line in judged.lines})
            self._add(judged, span, {**row, "root": root}, key)

    def _manifest_row(self, source: Source, span: Span, key: str, numbered: dict[int, int]) -> dict[str, object]:
        inside = {number: nth for number, nth in numbered.items() if span.first <= number <= span.last}
        return {
            "custom_id": custom_id(self.audit.workload, key, span, 1, self.nonce),
            "parent": None,
            "path": source.entry.path,
            "blob": source.entry.blob,
            "start_line": span.first,
            "end_line": span.last,
            "attempt": 1,
            "change": Change.FIRST.value,
            "repeat_lines": list(inside),
            "repeat_numbers": list(inside.values()),
            **({"page_lines": source.page_lines} if source.page_lines else {}),
        }

    def _add(self, source: Source, span: Span, row: dict[str, object], key: str) -> None:
        shown = render_file(source.entry.path, source.language, source.entry.blob, source.lines, span.first, span.last)
        params = message_params(self.audit.model, self.audit.max_tokens, self.audit.prompt, shown, self.cache_ttl)
        submission = self.batches.add(params, row)
        self.requests.append(
            PlannedRequest(str(row["custom_id"]), submission, None, str(row["root"]), key, source.entry.path, 1)
        )

    def _row(
        self, files: FileLines, entry: TreeEntry, language: str | None, plan: str, reason: str | None, count: str
    ) -> None:
        files.add(
            {
                "path": entry.path,
                "blob": entry.blob,
                "bytes": entry.bytes,
                "language": language,
                "plan": plan,
                "reason": reason,
            }
        )
        self.counts[count] += 1


def _unsplittable(source: Source, sizes: tuple[int, ...], limit: str) -> Skip:
    largest = max(sizes)
    tokens = f"line {sizes.index(largest) + 1} alone is about {estimated_tokens(largest):,} tokens and cannot be split"
    return Skip(source.entry, SkipReason.UNSPLITTABLE, f"{tokens}; {limit} with its answer")


def _planned_event(audit: Audit, plan: PlannedCell, folder: str, submissions: tuple[Submission, ...]) -> NewEvent:
    payload = {
        "cell": str(plan.cell),
        "audit": plan.cell.audit,
        "audit_date": plan.cell.day.isoformat(),
        "workload": plan.workload,
        "repo": plan.repo,
        "revision": plan.revision,
        "model": plan.model,
        "prompt_version": plan.prompt_version,
        "planned_at": plan.planned_at.isoformat(),
        "deadline_at": plan.deadline_at.isoformat() if plan.deadline_at else None,
        "files": f"{folder}/files.jsonl",
        "manifests": [[submission.id, submission.round, submission.folder] for submission in submissions],
        "rules": orjson.dumps(audit.policy_rules).decode(),
    }
    return NewEvent(f"cell_planned {plan.cell}", "cell_planned", payload)
