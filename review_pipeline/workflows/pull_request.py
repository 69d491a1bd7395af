"""The review of one change: plan, files alone, files together, summary, record. Every step can be run again; answers are paid for once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from review_pipeline.core.authorship import authorship
from review_pipeline.core.finding import Anchor, Category, Severity, fingerprint
from review_pipeline.core.identity import Moves, Prior, still_reads
from review_pipeline.core.moves import Since
from review_pipeline.core.placing import Files, Place
from review_pipeline.core.pull_request import (
    ChangedSource,
    FileResult,
    FileState,
    Selected,
    Target,
    Unit,
    select,
    steers_reviews,
    units,
    wanted_entries,
)
from review_pipeline.core.review import Finding, Status
from review_pipeline.core.review_prompt import Outline, across_portions, outlines
from review_pipeline.core.review_record import PlannedPass, ReviewRow
from review_pipeline.core.review_rules import Prompts, ReviewRules
from review_pipeline.ports import Changes, Refused, Reviews

_MOST_HEADS = 5  # earlier heads whose lines are followed to this one


@dataclass(frozen=True)
class Planned:
    """Everything the passes need; made again from the repository and the ledger by whoever runs a step."""

    row: ReviewRow
    rules: ReviewRules
    selected: Selected
    focus: tuple[ChangedSource, ...]
    reused: tuple[ChangedSource, ...]
    units: tuple[Unit, ...]
    over_limit: tuple[FileResult, ...]
    outlines: tuple[tuple[Outline, ...], ...]
    priors: tuple[Prior, ...]
    moves: Moves
    own_findings: tuple[Finding, ...]
    prompts: Prompts
    paths: frozenset[str] = frozenset()
    passes: tuple[PlannedPass, ...] = ()  # all that it needs; its row tells those that were made

    @property
    def key(self) -> str:
        return self.row.key

    @property
    def target(self) -> Target:
        return self.row.target

    @cached_property
    def files(self) -> Files:
        return Files({source.path: source for source in self.selected.sources}, {})

    @cached_property
    def asked_priors(self) -> Mapping[str, tuple[Prior, ...]]:
        """Open findings of files that are reviewed now, by the path at which they stand now."""
        focus = {source.path for source in self.focus}
        found: dict[str, list[Prior]] = {}
        for prior in self.priors:
            path = self.moves.path(prior.path)
            if prior.status is Status.OPEN and path in focus and prior.anchor != "none":
                found.setdefault(path, []).append(prior)
        return {path: tuple(priors) for path, priors in found.items()}


def patch_key(source: ChangedSource, config_version: str) -> str:
    return sha256(f"{source.key}:{config_version}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Planner:
    changes: Changes
    ledger: Reviews
    rules: ReviewRules
    clock: Callable[[], datetime]

    def target(
        self, repo: str, base_ref: str, head_ref: str, number: str = "", title: str = "", author: str = ""
    ) -> Target:
        """Pins both ends: what is pushed later is another review. Raises Refused."""
        base, head = self.changes.resolve(base_ref).commit, self.changes.resolve(head_ref).commit
        merge_base = self.changes.merge_base(base, head)
        return Target(repo, number or head_ref, base_ref, head_ref, base, head, merge_base, title, author)

    def plan(self, target: Target) -> Planned:
        """Records the plan if this review is new. Costs nothing but git."""
        written = authorship(self.changes.commits(target.merge_base, target.head), self.rules.claude_authors)
        model = self.rules.model
        if written.by_claude and self.rules.independent_model:
            model = self.rules.independent_model
        rules = replace(self.rules, model=model)
        prompts = rules.prompts
        differences = self.changes.difference(target.merge_base, target.head, rules.max_diff_bytes)
        contents = self.changes.contents(wanted_entries(differences, rules.selection))
        selected, over = _within_limits(select(differences, contents, rules.selection), rules)
        version = rules.version(prompts)
        key = target.key(version)
        known = self.ledger.reviewed_patches(target.repo, target.number, key)
        priors = _of_others(self.ledger.priors(target.repo, target.number), key)
        returned = _returned(priors, selected)
        reused = tuple(
            source for source in selected.sources if patch_key(source, version) in known and source.path not in returned
        )
        focus = tuple(source for source in selected.sources if source not in reused)
        portions, kept, left = _first_pass(focus, rules)
        across = across_portions(outlines(selected.sources, frozenset(source.path for source in kept)))
        passes = _passes(selected, kept, reused, portions, across)
        row = ReviewRow(
            key=key, target=target, config_version=version, model=model, authored_by_claude=written.evidence,
            author_sessions=written.sessions, plan=passes, planned_at=self.clock(),
        )  # fmt: skip
        self.ledger.record_review_plan(row)
        return Planned(
            row=self.ledger.review(row.key) or row, rules=rules, selected=selected, focus=kept, reused=reused, units=portions,
            over_limit=(*over, *left), outlines=tuple(across), priors=priors, moves=self._moves(priors, target, selected),
            own_findings=_configuration_findings(target, (difference.path for difference in differences)), prompts=prompts,
            paths=frozenset(difference.path for difference in differences), passes=passes,
        )  # fmt: skip

    def _moves(self, priors: tuple[Prior, ...], target: Target, selected: Selected) -> Moves:
        """A head that a force-push has thrown away may be gone; then only text tells."""
        heads = list(dict.fromkeys(prior.head for prior in priors))[-_MOST_HEADS:]
        since: dict[str, Since] = {}
        for head in heads:
            try:
                since[head] = Since.of(self.changes.difference(head, target.head, self.rules.max_diff_bytes))
            except Refused:
                continue
        renames = dict(selected.renames)
        for known in since.values():
            renames |= known.renames

        def line_at(head: str, path: str, line: int) -> int | None:
            return since[head].line(path, line) if head in since else None

        return Moves(renames, line_at)


def _of_others(priors: tuple[Prior, ...], key: str) -> tuple[Prior, ...]:
    """A review that is gone on with is not asked about what it has told itself: its questions, and so its answers, stay as they were."""
    return tuple(prior for prior in priors if prior.first_review != key or prior.status is not Status.OPEN)


def _returned(priors: tuple[Prior, ...], selected: Selected) -> frozenset[str]:
    """Files in which the code of a finding stands again that was fixed: they are looked at anew, whatever was answered before."""
    files = Files({source.path: source for source in selected.sources}, {})
    return frozenset(
        prior.path for prior in priors if prior.status is Status.FIXED and still_reads(prior, prior.path, files)
    )


def _within_limits(selected: Selected, rules: ReviewRules) -> tuple[Selected, tuple[FileResult, ...]]:
    kept, left = selected.sources[: rules.max_files], selected.sources[rules.max_files :]
    why = f"over_limit: the change has more than {rules.max_files} files to review"
    return replace(selected, sources=kept), tuple(_left_out(source, why) for source in left)


def _left_out(source: ChangedSource, why: str) -> FileResult:
    return FileResult(source.path, FileState.SKIPPED, why, source.added, source.removed, is_limit=True)


def _first_pass(
    focus: tuple[ChangedSource, ...], rules: ReviewRules
) -> tuple[tuple[Unit, ...], tuple[ChangedSource, ...], tuple[FileResult, ...]]:
    """The units within the limit of calls; a file of which any part lies beyond it is left out as a whole."""
    portions = units(focus, rules.unit_characters)
    if len(portions) <= rules.max_calls:
        return portions, focus, ()
    beyond = {path for unit in portions[rules.max_calls :] for path in unit.paths}
    kept = tuple(source for source in focus if source.path not in beyond)
    why = f"over_limit: more than {rules.max_calls} calls would be needed"
    return units(kept, rules.unit_characters), kept, tuple(_left_out(s, why) for s in focus if s.path in beyond)


def _passes(
    selected: Selected, focus: tuple[ChangedSource, ...], reused: tuple[ChangedSource, ...], portions: tuple[Unit, ...], across: list[tuple[Outline, ...]],
) -> tuple[PlannedPass, ...]:  # fmt: skip
    if not selected.sources:
        return (PlannedPass("file", 0, "no changed file can be reviewed"),)
    characters = sum(unit.characters for unit in portions)
    again = f"; {len(reused)} unchanged since an earlier review" if reused else ""
    first = PlannedPass(
        "file", len(portions), f"{len(focus)} file{'s' * (len(focus) != 1)}, {characters:,} characters{again}"
    )
    if not focus:
        return (first, PlannedPass("across", 0, "nothing has changed"), PlannedPass("summary", 0, "nothing is new"))
    if len(selected.sources) == 1:
        second = PlannedPass("across", 0, "one file has no others to fit to")
    elif not across:
        second = PlannedPass("across", 0, "no changed line uses what another changed file defines")
    else:
        files = len({outline.source.path for portion in across for outline in portion})
        second = PlannedPass("across", len(across), f"{files} files use what others of them define or change")
    return (
        first,
        second,
        PlannedPass("summary", 1, "if there are two new findings or more; a single one keeps its grade"),
    )


def _configuration_findings(target: Target, paths: Iterable[str]) -> tuple[Finding, ...]:
    """What steers reviewers is read from the base; that the change touches it is told, whatever a model says."""
    found = []
    for path in sorted(path for path in paths if steers_reviews(path)):
        place = Place(path, Anchor.UNANCHORED, "RIGHT", None, None, "", 0, in_diff=False, blob="")
        found.append(
            Finding(
                fingerprint(target.repo, path, Category.SECURITY, "", 0), place, Category.SECURITY, Severity.WARNING, 1.0,
                "This change edits what steers reviewers, their tools or the checks. This review went by the version of the base.",
                "Let somebody who owns the configuration look at this file.", "", ("plan",),
            )
        )  # fmt: skip
    return tuple(found)
