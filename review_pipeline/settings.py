"""What the user decides: the environment, and review_pipeline.yaml with every fault of it told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from review_pipeline.access import GitHubAccess
from review_pipeline.core import routing
from review_pipeline.core.caching import EXPECTED_HITS
from review_pipeline.core.cost import Price, PriceTable
from review_pipeline.core.deadlines import INTERVAL_HOURS, submission_interval_hours
from review_pipeline.core.finding import Category
from review_pipeline.core.selection import SelectionRules
from review_pipeline.ports import Refused

DEFAULT_CONFIG = "review_pipeline.yaml"
_PRICES = files("review_pipeline") / "prices.yaml"
_CRON = r"^(\S+\s+){4}\S+$"

Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceEntry(_Strict):
    """USD per million tokens."""

    model: str
    valid_from: date
    input_usd: Decimal
    output_usd: Decimal
    cache_write_5m_usd: Decimal
    cache_write_1h_usd: Decimal
    cache_read_usd: Decimal
    context_tokens: int
    max_output_tokens: int
    up_to_prompt_tokens: int | None = None
    batch_share: Decimal = Decimal("0.5")
    retires_on: date | None = None
    cache_minimum_tokens: Annotated[
        int,
        Field(ge=0, description="A shorter prefix is silently not cached; the default is the largest that is known"),
    ] = 4_096


class RepositoryEntry(_Strict):
    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Short name; it appears in partition keys")
    ]
    path: Annotated[
        Path | None, Field(description="A git repository on this machine, relative to this file; bare ones are fine")
    ] = None
    github: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$",
            description="owner/name: its pull requests are reviewed; without a path it is also audited, from a copy kept under mirrors/",
        ),
    ] = None
    ref: Annotated[str, Field(description="The branch or commit to audit")] = "HEAD"
    include: Annotated[
        tuple[str, ...], Field(description="Only these files (patterns as in .gitignore); empty: all source files")
    ] = ()
    exclude: Annotated[tuple[str, ...], Field(description="Never these files (patterns as in .gitignore)")] = ()
    criteria: Annotated[
        str,
        Field(
            description="What this team wants looked at, and what not to flag; a section 'Review criteria' in CLAUDE.md comes first"
        ),
    ] = ""
    pull_requests: PullRequestsEntry | None = None

    @field_validator("include", "exclude")
    @classmethod
    def _patterns_can_be_read(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        SelectionRules(exclude=patterns)  # raises ValueError with the pattern
        return patterns

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.path is None and self.github is None:
            raise ValueError(f"repository {self.name!r} has neither 'path' nor 'github'; say where it is")
        if self.github is not None and self.pull_requests is not None:
            raise ValueError(
                f"repository {self.name!r}: 'pull_requests' is about branches of a 'path'; those of 'github' are reviewed without it"
            )
        return self


class DocumentSetEntry(_Strict):
    """Documents (Markdown, text, HTML, PDF) that are checked against one policy."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Short name; it appears in partition keys")
    ]
    path: Annotated[Path, Field(description="A folder, or a git repository if ref is given, relative to this file")]
    policy: Annotated[Path, Field(description="The policy file, Markdown or YAML, relative to this file")]
    ref: Annotated[
        str | None, Field(description="The commit to read from git; without it the folder is read as it lies there")
    ] = None
    include: Annotated[
        tuple[str, ...], Field(description="Only these files (patterns as in .gitignore); empty: all documents")
    ] = ()
    exclude: Annotated[tuple[str, ...], Field(description="Never these files (patterns as in .gitignore)")] = ()

    @field_validator("include", "exclude")
    @classmethod
    def _patterns_can_be_read(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        SelectionRules(exclude=patterns)  # raises ValueError with the pattern
        return patterns


MonthlyCap = Annotated[
    Decimal | None,
    Field(
        gt=0,
        description="USD a calendar month (UTC). The most that a submission can cost is reserved before it is sent; what does not fit waits",
    ),
]


class BatchedEntry(_Strict):
    """What all workloads have that are done in batches."""

    mode: Literal["batch"] = "batch"
    most_usd_per_month: MonthlyCap = None
    max_tokens: Annotated[int, Field(ge=256, description="For one answer; doubled when an answer is cut off")] = 8_000
    schedule: Annotated[str, Field(pattern=_CRON, description="Cron line, in UTC")] = "0 1 * * *"
    sla_hours: Annotated[
        float, Field(gt=0, description="From the time the audit is due to findings in the history")
    ] = 30
    submit_every_hours: Annotated[
        float | None, Field(gt=0, description="The longest wait for a submission; if not given, what the SLA allows")
    ] = None
    needs_tools: bool = False
    blocking: bool = False


class BacklogEntry(BatchedEntry):
    """The overnight backlog: open pull requests without a review, from the diff alone. Model and limits are those of pull_request_review."""

    schedule: Annotated[str, Field(pattern=_CRON, description="Cron line, in UTC")] = "0 21 * * *"


class AuditEntry(BatchedEntry):
    """The nightly audit: every file of every repository, as far as it changed."""

    model: str = "claude-haiku-5-5"
    max_file_bytes: Annotated[int, Field(ge=1_000)] = 400_000
    chunk_bytes: Annotated[
        int, Field(ge=2_000, description="Larger files are shown in overlapping pieces of about this size")
    ] = 120_000


class SecurityAuditEntry(AuditEntry):
    """The weekly security audit: every file of every repository, as far as it changed since the last one."""

    model: str = "claude-sonnet-5-5"
    schedule: Annotated[str, Field(pattern=_CRON, description="Cron line, in UTC")] = "0 2 * * 6"


class DocumentAuditEntry(AuditEntry):
    """The check of documents: every document of every set, as far as it or its policy changed."""

    schedule: Annotated[str, Field(pattern=_CRON, description="Cron line, in UTC")] = "0 3 * * 0"
    max_file_bytes: Annotated[int, Field(ge=1_000)] = 20_000_000


class ReviewEntry(_Strict):
    """Reviews of changes before they are merged, in three passes of `claude -p`."""

    mode: Literal["sync"] = "sync"
    model: str = "claude-sonnet-5-5"
    independent_model: Annotated[
        str | None, Field(description="Reviews what Claude wrote itself; none: the same model, as a fresh instance")
    ] = None
    claude_authors: Annotated[
        tuple[str, ...], Field(description="Names or addresses of authors that are Claude, besides what trailers say")
    ] = ()
    budget_usd: Annotated[Decimal, Field(gt=0, description="Of one review; what is left undone then is told")] = (
        Decimal(5)
    )
    call_budget_usd: Annotated[Decimal, Field(gt=0, description="Of one call")] = Decimal(1)
    limit_seconds: Annotated[float, Field(gt=0, description="Of one call")] = 300
    attempts: Annotated[int, Field(ge=1, le=5, description="Of one call that may succeed when repeated")] = 2
    calls_at_once: Annotated[int, Field(ge=1, description="At most; cores and memory may allow fewer")] = 16
    settle_seconds: Annotated[float, Field(ge=0, description="A head is reviewed after it has stayed for so long")] = 15
    max_files: Annotated[int, Field(ge=1, description="Of one change; further ones are listed as left out")] = 400
    max_calls: Annotated[int, Field(ge=1, description="Of the first pass; what is beyond is listed as left out")] = 100
    unit_characters: Annotated[int, Field(ge=2_000, description="Of code shown in one call of the first pass")] = 14_000
    max_file_bytes: Annotated[int, Field(ge=1_000)] = 400_000
    max_diff_bytes: Annotated[int, Field(ge=10_000)] = 64_000_000
    needs_tools: bool = True
    blocking: bool = True
    sla_hours: Annotated[float, Field(gt=0)] = 0.5


class PullRequestsEntry(_Strict):
    """Which branches of a repository on this machine are reviewed when they get a new head."""

    base: Annotated[str, Field(description="The branch they are to be merged into")] = "main"
    branches: Annotated[tuple[str, ...], Field(description="Patterns of branch names, as in a shell")] = ("*",)


class GitHubEntry(_Strict):
    """How pull requests of repositories that say `github:` are reviewed and answered."""

    bases: Annotated[tuple[str, ...], Field(description="Only what is to go into these branches; patterns")] = ("*",)
    drafts: Annotated[bool, Field(description="Review drafts, too")] = False
    forks: Annotated[bool, Field(description="Review what comes from forks, too")] = True
    skip_authors: Annotated[
        tuple[int | str, ...],
        Field(description="Accounts that are not reviewed: ids of people or programs, or logins of programs"),
    ] = ()
    settle_seconds: Annotated[float, Field(ge=0, description="A head is reviewed after no push for so long")] = 5
    most_inline: Annotated[int, Field(ge=0, le=50, description="Comments at lines; the rest goes into the body")] = 40
    block_on: Annotated[
        Literal["never", "critical", "warning", "info"],
        Field(description="The mildest severity that fails the check; then what is incomplete fails it, too"),
    ] = "never"
    label: Annotated[str, Field(max_length=50, description="Set where findings need a human")] = ""
    reviewers: Annotated[tuple[str, ...], Field(description="Asked for a review where findings need a human")] = ()
    teams: Annotated[tuple[str, ...], Field(description="The same, for teams of the organisation")] = ()
    resolve_threads: Annotated[bool, Field(description="Takes 'contents: write', for nothing else")] = True
    sarif: Annotated[bool, Field(description="Upload findings to code scanning as well")] = False
    merge_queue: Annotated[
        bool, Field(description="Answer for the commits of merge queues; one more request a look")
    ] = False
    reactions: Annotated[bool, Field(description="A thumbs down of someone who may write dismisses a finding")] = True
    dismissing_words: Annotated[
        tuple[str, ...],
        Field(description="An answer that begins or ends with one of these dismisses, from someone who may write"),
    ] = ("not a bug", "false positive", "won't fix", "wontfix", "by design", "works as intended", "/dismiss")
    dedicated_account: Annotated[
        bool,
        Field(description="false: a person reviews with this account, too; then their unfinished review is waited for"),
    ] = True


class BatchEntry(_Strict):
    max_requests: Annotated[int, Field(ge=1, le=100_000)] = 100_000
    max_body_bytes: Annotated[int, Field(ge=10_000, le=250_000_000)] = 250_000_000
    reconcile_grace_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="A creation without an answer counts as not accepted only after the API has not listed it for this long",
        ),
    ] = 300
    poll_seconds: Annotated[int, Field(ge=5)] = 30
    most_usd_per_month: MonthlyCap = None  # of all workloads together
    sync_requests_per_hour: Annotated[
        int,
        Field(
            ge=1, description="How fast late requests can be asked one by one; deadlines are planned with this number"
        ),
    ] = 1_000
    sync_at_once: Annotated[int, Field(ge=1, le=64, description="Late requests that are asked side by side")] = 8
    expected_cache_hits: Annotated[
        Decimal,
        Field(
            ge=0,
            le=1,
            description="Share of a batch's requests that find the shared prompt in the cache; it is written there only if that pays. 0: never",
        ),
    ] = EXPECTED_HITS


class Workloads(_Strict):
    nightly_quality_audit: AuditEntry = AuditEntry()
    weekly_security_audit: SecurityAuditEntry = SecurityAuditEntry()
    pull_request_backlog: BacklogEntry = BacklogEntry()
    document_compliance: DocumentAuditEntry = DocumentAuditEntry()
    pull_request_review: ReviewEntry = ReviewEntry()

    def audits(self) -> dict[str, AuditEntry]:
        """Those that read the files of a commit, by name."""
        return {name: entry for name, entry in self if isinstance(entry, AuditEntry)}

    def batched(self) -> dict[str, BatchedEntry]:
        """All that are done in batches, by name."""
        return {name: entry for name, entry in self if isinstance(entry, BatchedEntry)}


class Config(_Strict):
    """review_pipeline.yaml"""

    repositories: tuple[RepositoryEntry, ...] = ()
    document_sets: tuple[DocumentSetEntry, ...] = ()
    prices: Annotated[
        tuple[PriceEntry, ...], Field(description="More or newer prices than the shipped ones")
    ] = ()  # above the workloads, whose models it prices
    workloads: Workloads = Workloads()
    batches: BatchEntry = BatchEntry()
    github: GitHubEntry = GitHubEntry()
    thresholds: Annotated[
        dict[Category, Share],
        Field(description="Confidence from which a finding goes to the developer instead of a human"),
    ] = {}
    default_threshold: Share = 0.7

    @field_validator("repositories")
    @classmethod
    def _names_are_unique(cls, entries: tuple[RepositoryEntry, ...]) -> tuple[RepositoryEntry, ...]:
        names = [entry.name for entry in entries]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two repositories are called {', '.join(doubled)}; names must differ")
        slugs = [entry.github.lower() for entry in entries if entry.github]
        if doubled := sorted({slug for slug in slugs if slugs.count(slug) > 1}):
            raise ValueError(
                f"two repositories are {', '.join(doubled)} on GitHub; its pull requests would be reviewed twice"
            )
        return entries

    @field_validator("document_sets")
    @classmethod
    def _sets_have_names_of_their_own(
        cls, sets: tuple[DocumentSetEntry, ...], info: ValidationInfo
    ) -> tuple[DocumentSetEntry, ...]:
        names = [*(entry.name for entry in info.data.get("repositories", ())), *(entry.name for entry in sets)]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two sets or repositories are called {', '.join(doubled)}; the history tells them apart by name"
            )
        return sets

    @field_validator("workloads")  # not of the model: that would wait until all other faults are mended
    @classmethod
    def _workloads_belong_where_they_are(cls, workloads: Workloads, info: ValidationInfo) -> Workloads:
        faults = [routing.refusal(declared(name, entry)) for name, entry in workloads.batched().items()]
        own_prices: tuple[PriceEntry, ...] | None = info.data.get("prices")  # None: they have faults of their own
        models = () if own_prices is None else _price_table(own_prices).models()
        review = workloads.pull_request_review
        used = {
            **{name: (entry.model,) for name, entry in workloads.audits().items()},
            "pull_request_review": (review.model, *filter(None, [review.independent_model])),
        }
        faults += [
            f"workload {name!r}: unknown model {model!r}; prices are known for {', '.join(models)}. Add it under 'prices', with its price."
            for name, of_workload in used.items()
            for model in of_workload
            if models and model not in models
        ]
        if told := [fault for fault in faults if fault]:
            raise ValueError("; ".join(told))
        return workloads

    def price_table(self) -> PriceTable:
        return _price_table(self.prices)

    def threshold(self, category: Category) -> float:
        return self.thresholds.get(category, self.default_threshold)


def _price_table(own: tuple[PriceEntry, ...]) -> PriceTable:
    return PriceTable((*shipped_prices(), *(Price(**dict(entry)) for entry in own)))


def declared(name: str, entry: BatchedEntry) -> routing.Workload:
    every = entry.submit_every_hours or submission_interval_hours(entry.sla_hours) or INTERVAL_HOURS[-1]
    return routing.Workload(name, entry.needs_tools, entry.blocking, entry.sla_hours, every)


def review_selection(repository: RepositoryEntry, review: ReviewEntry) -> SelectionRules:
    return SelectionRules(repository.include, repository.exclude, review.max_file_bytes)


def shipped_prices() -> tuple[Price, ...]:
    entries = yaml.safe_load(_PRICES.read_text(encoding="utf-8"))
    return tuple(Price(**dict(PriceEntry.model_validate(entry))) for entry in entries)


def selection_rules(audited: RepositoryEntry | DocumentSetEntry, audit: AuditEntry) -> SelectionRules:
    return SelectionRules(audited.include, audited.exclude, audit.max_file_bytes)


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment (design: these names are kept stable) and the configuration it names."""

    home: Path
    config_path: Path
    config: Config
    base_url: str | None
    is_offline: bool
    claude_binary: str | None = None
    api_key: str | None = field(default=None, repr=False)
    github: GitHubAccess = field(default_factory=GitHubAccess)

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises Refused with every fault of the configuration."""
        config_path = Path(environment.get("REVIEW_PIPELINE_CONFIG") or DEFAULT_CONFIG)
        return cls(
            home=Path(environment.get("REVIEW_PIPELINE_HOME") or "var").absolute(),
            config_path=config_path.absolute(),
            config=read_config(config_path, must_exist=bool(environment.get("REVIEW_PIPELINE_CONFIG"))),
            base_url=environment.get("ANTHROPIC_BASE_URL") or None,
            is_offline=environment.get("REVIEW_PIPELINE_OFFLINE") == "1",
            claude_binary=environment.get("CLAUDE_BINARY") or None,
            api_key=environment.get("ANTHROPIC_API_KEY") or None,
            github=GitHubAccess.read(environment),
        )

    def key(self) -> str:
        if self.api_key is None:
            raise Refused(
                "ANTHROPIC_API_KEY is not set, so nothing can be sent to the API. Set it in the environment (for Dagster: of its daemon), "
                "or try without a key: make demo, or review-pipeline review --offline."
            )
        return self.api_key

    def repository(self, name: str) -> RepositoryEntry:
        for entry in self.config.repositories:
            if entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in self.config.repositories) or "none"
        raise Refused(
            f"no repository is called {name!r} in {self.config_path} (there: {names}). Add it there, or correct the name."
        )

    def document_set(self, name: str) -> DocumentSetEntry:
        for entry in self.config.document_sets:
            if entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in self.config.document_sets) or "none"
        raise Refused(
            f"no set of documents is called {name!r} in {self.config_path} (there: {names}). Add it under 'document_sets', or correct the name."
        )

    def repository_path(self, entry: RepositoryEntry) -> Path:
        """What is audited: the path, or the copy of what is on the forge."""
        return self.mirror_path(entry) if entry.path is None else self.config_path.parent / entry.path

    def mirror_path(self, entry: RepositoryEntry) -> Path:
        return self.home / "mirrors" / f"{entry.name}.git"


def read_config(path: Path, *, must_exist: bool) -> Config:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if must_exist:
            raise Refused(
                f"REVIEW_PIPELINE_CONFIG names {path}, which does not exist. Correct the name, or unset it to use {DEFAULT_CONFIG}."
            ) from error
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read {path}: {error}. It must be readable UTF-8 text.") from error
    try:
        return Config.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f", line {where.line + 1}, column {where.column + 1}" if where else ""
        raise Refused(
            f"{path}{place} is not YAML: {getattr(error, 'problem', None) or error}. Correct that line."
        ) from error
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}" for fault in error.errors()
        )
        raise Refused(f"{path} has {error.error_count()} fault(s); correct them and try again:\n{faults}") from error
