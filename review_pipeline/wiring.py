"""The only place where adapters are made, from the settings."""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from review_pipeline.core import criteria, routing
from review_pipeline.core.audit import Audit, Cell
from review_pipeline.core.compliance import TOKENS_PER_VERDICT, schema_for, with_policy
from review_pipeline.core.deadlines import Policy
from review_pipeline.core.finding import Category
from review_pipeline.core.planning import Limits
from review_pipeline.core.policy import Policy as DocumentPolicy
from review_pipeline.core.policy import PolicyFaults, parse_policy
from review_pipeline.core.prompt import Prompt, with_criteria
from review_pipeline.core.spending import Caps
from review_pipeline.core.workloads import BACKLOG, DOCUMENTS, QUALITY, BatchWorkload, audit_name, parsed_audit
from review_pipeline.ports import Refused
from review_pipeline.settings import (
    BatchedEntry,
    DocumentSetEntry,
    RepositoryEntry,
    Settings,
    declared,
    review_selection,
    selection_rules,
)

if TYPE_CHECKING:
    from review_pipeline.adapters.analyst import Analyst
    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.claude_cli import ClaudeCli
    from review_pipeline.adapters.desk import Desks
    from review_pipeline.adapters.git_change import GitChanges
    from review_pipeline.adapters.history import History
    from review_pipeline.adapters.ledger import AuditLedger
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.core.review_record import ReviewRow
    from review_pipeline.core.review_rules import ReviewRules
    from review_pipeline.ports import CutCosts, Repository
    from review_pipeline.report.review import ReviewPage
    from review_pipeline.workflows.audit import Reading
    from review_pipeline.workflows.collection import Collector
    from review_pipeline.workflows.late import LatePath
    from review_pipeline.workflows.pull_request import Planner
    from review_pipeline.workflows.review import Review
    from review_pipeline.workflows.submission import Sender

_PLENTY_BYTES = 4_000_000_000  # where the system does not tell how much memory is free
_PROMPTS = files("review_pipeline") / "prompts"
Audited = RepositoryEntry | DocumentSetEntry


def utc_now() -> datetime:
    return datetime.now(UTC)


def nonce() -> str:
    return secrets.token_hex(5)


def default_criteria() -> str:
    return (_PROMPTS / "criteria.md").read_text(encoding="utf-8").strip()


def _free_bytes() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return _PLENTY_BYTES
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else _PLENTY_BYTES


class Pipeline:
    """Everything that one process needs, made when first asked for. Making it opens nothing but the configuration."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_environment(cls) -> Pipeline:
        return cls(Settings.read())

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    def declared(self, workload: BatchWorkload) -> BatchedEntry:
        """How the configuration wants a workload done."""
        return self.settings.config.workloads.batched()[workload.name]

    def model_of(self, workload: BatchWorkload) -> str:
        """The backlog asks what reviews ask, and so the model that they ask."""
        workloads = self.settings.config.workloads
        audits = workloads.audits()
        return audits[workload.name].model if workload.name in audits else workloads.pull_request_review.model

    def has_ledger(self) -> bool:
        return (self.home / "ledger.sqlite").exists()

    @cached_property
    def ledger(self) -> AuditLedger:
        from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase

        return AuditLedger(LedgerDatabase(self.home / "ledger.sqlite"))

    @cached_property
    def spool(self) -> Spool:
        from review_pipeline.adapters.spool import Spool

        return Spool(self.home / "spool")

    @cached_property
    def api(self) -> AnthropicBatches:
        from review_pipeline.adapters.anthropic_batches import AnthropicBatches

        return AnthropicBatches(self.settings.key(), self.settings.base_url)

    @cached_property
    def results(self) -> BatchResults:
        from review_pipeline.adapters.results import BatchResults

        return BatchResults(self.prices)

    @cached_property
    def history(self) -> History:
        from review_pipeline.adapters.history import History

        config = self.settings.config
        thresholds = {category.value: config.threshold(category) for category in Category}
        return History(self.home, self.home / "spool", {**thresholds, DOCUMENTS.name: config.default_threshold})

    @cached_property
    def analyst(self) -> Analyst:
        from review_pipeline.adapters.analyst import Analyst

        return Analyst(self.home / "findings.duckdb")

    @cached_property
    def sender(self) -> Sender:
        from review_pipeline.workflows.submission import Sender

        grace = timedelta(seconds=self.settings.config.batches.reconcile_grace_seconds)
        return Sender(self.api, self.ledger, self.spool, self.results, utc_now, grace, self.caps, self.late)

    @cached_property
    def late(self) -> LatePath:
        from review_pipeline.adapters.anthropic_messages import AnthropicMessages
        from review_pipeline.workflows.late import LatePath

        messages = AnthropicMessages(self.settings.key(), self.settings.base_url)
        at_once = self.settings.config.batches.sync_at_once
        return LatePath(messages, self.ledger, self.spool, utc_now, self.prices, self.policy, at_once)

    @property
    def policy(self) -> Policy:
        return Policy(sync_requests_per_hour=self.settings.config.batches.sync_requests_per_hour)

    @cached_property
    def collector(self) -> Collector:
        from review_pipeline.workflows.collection import Collector

        return Collector(self.api, self.ledger, self.spool, self.results, utc_now)

    @property
    def limits(self) -> Limits:
        batches = self.settings.config.batches
        return Limits(batches.max_requests, batches.max_body_bytes)

    @cached_property
    def prices(self) -> PriceTable:
        return self.settings.config.price_table()

    @property
    def caps(self) -> Caps:
        """What the configuration allows batches to cost in a month."""
        config = self.settings.config
        by_workload = {name: entry.most_usd_per_month for name, entry in config.workloads.batched().items()}
        return Caps(
            config.batches.most_usd_per_month, {name: usd for name, usd in by_workload.items() if usd is not None}
        )

    @property
    def cut_costs(self) -> CutCosts:
        from review_pipeline.adapters.cutting import cut_costs

        return cut_costs

    def repository(self, entry: Audited) -> Repository:
        from review_pipeline.adapters.git import GitRepository

        if isinstance(entry, RepositoryEntry):
            return GitRepository(self.settings.repository_path(entry))
        from review_pipeline.adapters.documents import DocumentFolder

        path = self.settings.config_path.parent / entry.path
        return (
            GitRepository(path)
            if entry.ref
            else DocumentFolder(path, selection_rules(entry, self.settings.config.workloads.document_compliance))
        )

    def reading(self, entry: Audited) -> Reading:
        """How its files become text."""
        from review_pipeline.adapters.documents import DocumentReading
        from review_pipeline.workflows.audit import CODE

        return CODE if isinstance(entry, RepositoryEntry) else DocumentReading()

    def changes(self, path: Path) -> GitChanges:
        from review_pipeline.adapters.git_change import GitChanges

        return GitChanges(path)

    @cached_property
    def claude(self) -> ClaudeCli:
        from review_pipeline.adapters.claude_cli import ClaudeCli, find_claude

        return ClaudeCli(find_claude(self.settings.claude_binary), self.settings.key(), self.settings.base_url)

    @cached_property
    def desks(self) -> Desks:
        from review_pipeline.adapters.desk import Desks

        return Desks(self.home / "desks")

    def review(self, entry: RepositoryEntry, base_ref: str, *, on_forge: bool = False) -> Review:
        """Reviews of one repository, by the criteria that its base holds. on_forge: its pull requests, from the copy that was fetched."""
        from review_pipeline.workflows.review import Review

        planner = self.planner(entry, base_ref, on_forge=on_forge)
        return Review(
            planner.changes, self.ledger, self.claude, planner, self.desks.open, self.calls_at_once, utc_now
        )  # fmt: skip

    def planner(self, entry: RepositoryEntry, base_ref: str, *, on_forge: bool = False) -> Planner:
        from review_pipeline.workflows.pull_request import Planner

        path = self.settings.mirror_path(entry) if on_forge else self.settings.repository_path(entry)
        changes = self.changes(path)
        return Planner(changes, self.ledger, self.review_rules(entry, self.base_criteria(changes, base_ref)), utc_now)

    def page(self, row: ReviewRow) -> ReviewPage:
        from review_pipeline.report.review import ReviewPage

        ledger, target = self.ledger, row.target
        found = ledger.finding_rows(target.repo, target.number)
        return ReviewPage(row, ledger.review_files(row.key), found, ledger.calls(row.key), self.settings.is_offline)

    def base_criteria(self, changes: GitChanges, base_ref: str) -> str:
        text = changes.file(changes.resolve(base_ref).commit, "CLAUDE.md")
        return criteria.section(text) if text else ""

    @staticmethod
    def is_on_forge(entry: RepositoryEntry, number: str) -> bool:
        """Branches of a path are named, pull requests of a forge are numbered."""
        return entry.github is not None and number.isdigit()

    def review_rules(self, entry: RepositoryEntry, base_criteria: str) -> ReviewRules:
        from review_pipeline.core.review_rules import Prompts, ReviewRules

        review = self.settings.config.workloads.pull_request_review
        wanted = base_criteria or entry.criteria or default_criteria()
        texts = {
            name: (_PROMPTS / f"pull_request_{name}.md").read_text(encoding="utf-8") for name in ("file", "across", "summary")
        }  # fmt: skip
        return ReviewRules(
            model=review.model, independent_model=review.independent_model, claude_authors=review.claude_authors,
            budget_usd=review.budget_usd, call_budget_usd=review.call_budget_usd, limit_seconds=review.limit_seconds,
            attempts=review.attempts, max_files=review.max_files, max_calls=review.max_calls, unit_characters=review.unit_characters,
            max_diff_bytes=review.max_diff_bytes, selection=review_selection(entry, review),
            thresholds={category: self.settings.config.threshold(category) for category in Category},
            prompts=Prompts(with_criteria(texts["file"], wanted), texts["across"], texts["summary"]),
        )  # fmt: skip

    @property
    def calls_at_once(self) -> int:
        """From cores and free memory: each process takes 316 MB before the model has said a word."""
        from review_pipeline.core.claude_call import calls_at_once

        limit = self.settings.config.workloads.pull_request_review.calls_at_once
        return calls_at_once(os.cpu_count() or 1, _free_bytes(), limit)

    def audit(self, entry: Audited, workload: BatchWorkload = QUALITY) -> Audit:
        """Raises Refused where a set of documents has no policy that can be read."""
        declaration = self.settings.config.workloads.audits()[workload.name]
        instructions = (_PROMPTS / f"{workload.name}.md").read_text(encoding="utf-8")
        if isinstance(entry, RepositoryEntry):
            policy = None
            prompt = Prompt(with_criteria(instructions, self._audit_criteria(entry)), dict(workload.schema))
        else:
            policy = self.document_policy(entry)
            prompt = Prompt(with_policy(instructions, policy), schema_for(policy))
        return Audit(
            workload=workload.name,
            repo=entry.name,
            ref=entry.ref or "",
            rules=selection_rules(entry, declaration),
            prompt=prompt,
            model=declaration.model,
            max_tokens=max(declaration.max_tokens, TOKENS_PER_VERDICT * len(policy.rules) if policy else 0),
            chunk_bytes=declaration.chunk_bytes,
            limits=self.limits,
            prices=self.prices,
            sla_hours=declaration.sla_hours,
            route_reason=routing.route(declared(workload.name, declaration)).reason,
            expected_cache_hits=self.settings.config.batches.expected_cache_hits,
            policy_rules=policy.rules if policy else (),
        )

    def document_policy(self, entry: DocumentSetEntry) -> DocumentPolicy:
        """Raises Refused with every fault of the policy's file."""
        path = self.settings.config_path.parent / entry.policy
        try:
            return parse_policy(path.read_text(encoding="utf-8-sig"), is_yaml=path.suffix.lower() in (".yaml", ".yml"))
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(
                f"the policy {path} of {entry.name!r} cannot be read: {error}. It must be UTF-8 text, Markdown or YAML."
            ) from error
        except PolicyFaults as error:
            faults = "\n".join(f"  {fault}" for fault in error.faults)
            raise Refused(
                f"the policy {path} has {len(error.faults)} fault(s); correct them and try again:\n{faults}"
            ) from error

    def _audit_criteria(self, entry: RepositoryEntry) -> str:
        """The section of the audited commit's CLAUDE.md, the same that reviews go by."""
        return self.base_criteria(self.changes(self.settings.repository_path(entry)), entry.ref) or entry.criteria

    def audited(self, workload: BatchWorkload, name: str) -> Audited:
        """Raises Refused for a name that is not configured."""
        return self.settings.document_set(name) if workload == DOCUMENTS else self.settings.repository(name)

    def all_audited(self, workload: BatchWorkload) -> tuple[Audited, ...]:
        """What the workload is about: documents, or repositories; the backlog needs pull requests."""
        config = self.settings.config
        if workload == DOCUMENTS:
            return config.document_sets
        if workload == BACKLOG:
            return tuple(entry for entry in config.repositories if entry.github or entry.pull_requests)
        return config.repositories

    def asked_by(self, cell: Cell) -> tuple[BatchWorkload, Audited]:
        """What a cell asks of which repository or set of documents. Raises Refused for a name that is not configured."""
        named = parsed_audit(cell.audit)
        if named is None:
            raise Refused(
                f"{cell.audit!r} is no audit's name; it would be like {audit_name(QUALITY, 'acme')}. Correct the partition's name."
            )
        workload, name = named
        return workload, self.audited(workload, name)

    def cell(self, entry: Audited, day: date, workload: BatchWorkload = QUALITY) -> Cell:
        return Cell(audit_name(workload, entry.name), day)
