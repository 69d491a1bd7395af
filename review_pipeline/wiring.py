"""The only place where adapters are made, from the settings."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from review_pipeline.core import routing
from review_pipeline.core.audit import Audit, Cell
from review_pipeline.core.finding import Category
from review_pipeline.core.planning import Limits
from review_pipeline.core.prompt import FINDINGS_SCHEMA, Prompt, with_criteria
from review_pipeline.settings import AuditEntry, RepositoryEntry, Settings, declared, selection_rules

if TYPE_CHECKING:
    from review_pipeline.adapters.analyst import Analyst
    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.git import GitRepository
    from review_pipeline.adapters.history import History
    from review_pipeline.adapters.ledger import AuditLedger
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.workflows.collection import Collector
    from review_pipeline.workflows.submission import Sender

WORKLOAD = "nightly_quality_audit"
_AUDIT_NAME = re.compile(r"^(nightly|adhoc\d+)-")  # an audit's name: when it is asked, and of which repository
_PROMPTS = files("review_pipeline") / "prompts"


def utc_now() -> datetime:
    return datetime.now(UTC)


def nonce() -> str:
    return secrets.token_hex(5)


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

    @property
    def workload(self) -> AuditEntry:
        return self.settings.config.workloads.nightly_quality_audit

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

        return BatchResults(self.settings.config.price_table())

    @cached_property
    def history(self) -> History:
        from review_pipeline.adapters.history import History

        thresholds = {category.value: self.settings.config.threshold(category) for category in Category}
        return History(self.home, self.home / "spool", thresholds)

    @cached_property
    def analyst(self) -> Analyst:
        from review_pipeline.adapters.analyst import Analyst

        return Analyst(self.home / "findings.duckdb")

    @cached_property
    def sender(self) -> Sender:
        from review_pipeline.workflows.submission import Sender

        grace = timedelta(seconds=self.settings.config.batches.reconcile_grace_seconds)
        return Sender(self.api, self.ledger, self.spool, self.results, utc_now, grace)

    @cached_property
    def collector(self) -> Collector:
        from review_pipeline.workflows.collection import Collector

        return Collector(self.api, self.ledger, self.spool, self.results, utc_now)

    @property
    def limits(self) -> Limits:
        batches = self.settings.config.batches
        return Limits(batches.max_requests, batches.max_body_bytes)

    @property
    def most_output_tokens(self) -> int:
        today = utc_now().date()
        return self.settings.config.price_table().price(self.workload.model, today, 0).max_output_tokens

    def repository(self, entry: RepositoryEntry) -> GitRepository:
        from review_pipeline.adapters.git import GitRepository

        return GitRepository(self.settings.repository_path(entry))

    def audit(self, entry: RepositoryEntry) -> Audit:
        instructions = (_PROMPTS / f"{WORKLOAD}.md").read_text(encoding="utf-8")
        return Audit(
            workload=WORKLOAD,
            repo=entry.name,
            ref=entry.ref,
            rules=selection_rules(entry, self.workload),
            prompt=Prompt(with_criteria(instructions, entry.criteria), FINDINGS_SCHEMA),
            model=self.workload.model,
            max_tokens=self.workload.max_tokens,
            chunk_bytes=self.workload.chunk_bytes,
            limits=self.limits,
            route_reason=routing.route(declared(WORKLOAD, self.workload)).reason,
        )

    def entry_of(self, cell: Cell) -> RepositoryEntry:
        """The repository that a cell audits. Raises Refused for a name that is not configured."""
        return self.settings.repository(_AUDIT_NAME.sub("", cell.audit))

    def cell(self, entry: RepositoryEntry, day: date) -> Cell:
        return Cell(f"nightly-{entry.name}", day)
