"""A change that is to be reviewed: which of its files can be, what a reviewer is shown of them, and in which portions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import PurePosixPath

from review_pipeline.core.change import ChangedEntry, Hunk, Patch, Status, patch_key
from review_pipeline.core.finding import ShownLine, label
from review_pipeline.core.selection import (
    SelectionRules,
    Skip,
    SkipReason,
    Source,
    TreeEntry,
    by_content,
    by_path,
    decoded,
    split_lines,
)

UNIT_CHARACTERS = 14_000  # models overlook things in long prompts; with the instructions a call stays below 20,000
UNIT_FILES = 8
SHOWN_LINE_CHARACTERS = 2_000
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LOOK_BACK = 0.6  # a window may end at a boundary in its last 40 %
_BOUNDARY = re.compile(r"^(?:\S|$)")

# What reviewers and their tools read as instructions or settings. It never reaches the reviewer's folder.
_CONFIGURATION_NAMES = frozenset(
    {
        "claude.md", "claude.local.md", "agents.md", "agent.md", "gemini.md", ".mcp.json", ".claude.json", ".cursorrules", ".windsurfrules",
        ".gitattributes", ".gitmodules", ".npmrc", "review_pipeline.yaml", "review_pipeline.yml",
    }
)  # fmt: skip
_SETTINGS = frozenset({"yml", "yaml", "toml", "json", "json5", "jsonc", "ini", "cfg", "conf", "properties", "env"})
_CONFIGURATION_FOLDERS = frozenset({".claude", ".git", ".cursor", ".claude-plugin", ".husky"})


def is_configuration(path: str) -> bool:
    parts = [part.lower() for part in PurePosixPath(path).parts]
    return bool(parts) and (parts[-1] in _CONFIGURATION_NAMES or bool(_CONFIGURATION_FOLDERS & set(parts)))


def steers_reviews(path: str) -> bool:
    """Also what decides whether a review runs at all."""
    return is_configuration(path) or path.startswith(".github/workflows/")


@dataclass(frozen=True, slots=True)
class Difference:
    """One changed file as git tells it. bytes: of its new content; patch: None behind a limit."""

    entry: ChangedEntry
    path: str
    old_path: str
    bytes: int
    patch: Patch | None

    @property
    def tree_entry(self) -> TreeEntry:
        return TreeEntry(self.path, self.entry.blob, self.entry.mode, self.bytes)


class FileState(StrEnum):
    REVIEWED = "reviewed"
    PARTLY = "partly"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileResult:
    """One line of the manifest: every changed file is in exactly one state."""

    path: str
    state: FileState
    reason: str
    added: int = 0
    removed: int = 0
    is_limit: bool = False  # left out only because there was too much of it: such a review is incomplete


@dataclass(frozen=True, slots=True)
class Target:
    """What is reviewed. number: of the pull request, or the name of the branch."""

    repo: str
    number: str
    base_ref: str
    head_ref: str
    base: str
    head: str
    merge_base: str
    title: str = ""
    author: str = ""

    def key(self, config_version: str) -> str:
        parts = (self.repo, self.number, self.head, self.merge_base, config_version)
        return sha256("\x1f".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class ChangedSource:
    """A changed file that can be reviewed. rows: what is shown, hunk by hunk; key: what was changed, wherever it stands now."""

    path: str
    old_path: str
    language: str
    blob: str
    old_blob: str
    lines: tuple[str, ...]
    hunks: tuple[ShownHunk, ...]
    key: str
    added: int
    removed: int
    note: str = ""

    @property
    def shown(self) -> tuple[ShownLine, ...]:
        return tuple(line for hunk in self.hunks for line in hunk.lines)

    @property
    def gone(self) -> tuple[ShownLine, ...]:
        return tuple(line for hunk in self.hunks for line in hunk.removed)


@dataclass(frozen=True, slots=True)
class ShownHunk:
    """The new side of a hunk, what it removed, and which of its lines are new."""

    lines: tuple[ShownLine, ...]
    removed: tuple[ShownLine, ...]
    added: frozenset[int]
    within: str

    @property
    def characters(self) -> int:
        return sum(len(line.text) + len(line.label) + 2 for line in (*self.lines, *self.removed)) + 120


@dataclass(frozen=True, slots=True)
class Selected:
    sources: tuple[ChangedSource, ...]
    skipped: tuple[FileResult, ...]
    renames: Mapping[str, str] = field(default_factory=dict)  # old path -> new path
    deleted: frozenset[str] = frozenset()


def wanted_entries(differences: Iterable[Difference], rules: SelectionRules) -> list[TreeEntry]:
    """Contents that `select` needs, as far as their size allows to read them."""
    return [
        difference.tree_entry for difference in differences if difference.patch and _skip_by_entry(difference, rules) is None
    ]  # fmt: skip


def select(differences: tuple[Difference, ...], contents: Mapping[str, bytes], rules: SelectionRules) -> Selected:
    sources: list[ChangedSource] = []
    skipped: list[FileResult] = []
    for difference in differences:
        found = _source(difference, contents, rules)
        (sources if isinstance(found, ChangedSource) else skipped).append(found)  # type: ignore[arg-type]
    renames = {d.old_path: d.path for d in differences if d.entry.status is Status.RENAMED}
    deleted = frozenset(d.path for d in differences if d.entry.is_deleted)
    return Selected(tuple(sources), tuple(skipped), renames, deleted)


def _source(difference: Difference, contents: Mapping[str, bytes], rules: SelectionRules) -> ChangedSource | FileResult:
    added, removed = _counts(difference.patch)
    skip = _skip_by_entry(difference, rules)
    if skip is None:
        assert difference.patch is not None
        content = contents[difference.entry.blob]
        if content.startswith(
            _UTF_16_MARKS
        ):  # its bytes hold line ends where its text has none: numbers would not agree
            why = "binary: UTF-16, whose lines git counts in another way"
            return FileResult(difference.path, FileState.SKIPPED, why, added, removed)
        found = by_content(difference.tree_entry, content, rules)
        if isinstance(found, Skip) and _is_settings_text(found, content):
            text = decoded(content) or ""
            found = Source(difference.tree_entry, _suffix(difference.path) or "text", split_lines(text))
        if isinstance(found, Source):
            return _shown_source(difference, difference.patch, found, added, removed)
        skip = f"{found.reason.value}: {found.detail}"
    is_limit = skip.startswith(("too_large", "over_limit"))
    return FileResult(difference.path, FileState.SKIPPED, skip, added, removed, is_limit)


def _skip_by_entry(difference: Difference, rules: SelectionRules) -> str | None:
    entry, patch = difference.entry, difference.patch
    if entry.is_deleted:
        return "deleted: there is no new code in it"
    if patch is None:
        return "over_limit: the patch of the whole change is longer than what is read of it"
    skip = by_path(difference.tree_entry, rules)
    if isinstance(skip, Skip) and not _is_settings_file(skip, difference.bytes, rules):
        return f"{skip.reason.value}: {skip.detail}"
    if patch.is_binary:
        return "binary: git tells no lines of it (NUL bytes, or UTF-16)"
    if not patch.hunks:
        how = "renamed" if entry.status is Status.RENAMED else "copied" if entry.status is Status.COPIED else "mode"
        return f"no_content_change: {how} only, with the same content"
    return None


def _holds_settings(path: str) -> bool:
    """No code, but a change of it may break as much; and what steers reviewers is shown to them as data."""
    return steers_reviews(path) or _suffix(path) in _SETTINGS


def _is_settings_file(skip: Skip, size: int, rules: SelectionRules) -> bool:
    """Large ones are data."""
    return skip.reason is SkipReason.NOT_SOURCE and _holds_settings(skip.entry.path) and size <= rules.max_file_bytes


def _is_settings_text(skip: Skip, content: bytes) -> bool:
    is_pointer = content.startswith(b"version https://git-lfs")
    return skip.reason is SkipReason.NOT_SOURCE and _holds_settings(skip.entry.path) and not is_pointer


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.removeprefix(".").lower()


def _counts(patch: Patch | None) -> tuple[int, int]:
    lines = [line for hunk in patch.hunks for line in hunk.lines] if patch else []
    return sum(line.kind == "+" for line in lines), sum(line.kind == "-" for line in lines)


def _shown_source(difference: Difference, patch: Patch, source: Source, added: int, removed: int) -> ChangedSource:
    hunks = tuple(_shown_hunk(hunk, difference.entry, source.lines) for hunk in patch.hunks)
    is_cut = any(len(source.lines[n - 1]) > SHOWN_LINE_CHARACTERS for hunk in patch.hunks for n in hunk.added)
    return ChangedSource(
        difference.path, difference.old_path, source.language, difference.entry.blob, difference.entry.old_blob, source.lines, hunks,
        patch_key(difference.path, patch.hunks), added, removed,
        f"only the first {SHOWN_LINE_CHARACTERS:,} characters of its longest lines were shown" if is_cut else "",
    )  # fmt: skip


def _shown_hunk(hunk: Hunk, entry: ChangedEntry, lines: tuple[str, ...]) -> ShownHunk:
    new = tuple(_shown(entry.blob, number, lines[number - 1]) for number in hunk.new_numbers)
    old = tuple(_shown(entry.old_blob, line.old, _text(line.text)) for line in hunk.lines if line.kind == "-")
    return ShownHunk(new, old, frozenset(hunk.added), _text(hunk.section)[:120])


def _shown(blob: str, number: int, text: str) -> ShownLine:
    if len(text) > SHOWN_LINE_CHARACTERS:
        text = f"{text[:SHOWN_LINE_CHARACTERS]} [{len(text) - SHOWN_LINE_CHARACTERS:,} more characters]"
    return ShownLine(number, label(blob, number, text), text)


def _text(raw: bytes) -> str:
    return (decoded(raw) or raw.decode("latin-1")).removesuffix("\r")


@dataclass(frozen=True, slots=True)
class Unit:
    """What one call of the first pass is shown: hunks of a few related files. parts: of larger files that were split."""

    name: str
    parts: tuple[Part, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.source.path for part in self.parts))

    @property
    def characters(self) -> int:
        return sum(part.characters for part in self.parts)


@dataclass(frozen=True, slots=True)
class Part:
    source: ChangedSource
    hunks: tuple[ShownHunk, ...]

    @property
    def characters(self) -> int:
        return sum(hunk.characters + len(self.source.path) for hunk in self.hunks)


def units(sources: Iterable[ChangedSource], budget: int = UNIT_CHARACTERS) -> tuple[Unit, ...]:
    """Files of one folder stay together; a file over the budget is split at hunks, a hunk over it where a definition ends."""
    found: list[list[Part]] = []
    for source in sorted(sources, key=lambda source: (PurePosixPath(source.path).parent.as_posix(), source.path)):
        for part in _parts(source, budget):
            last = found[-1] if found else []
            paths = {other.source.path for other in last} | {source.path}
            size = sum(other.characters for other in last) + part.characters
            if not last or size > budget or len(paths) > UNIT_FILES:
                found.append([part])
            else:
                last.append(part)
    return tuple(Unit(f"{number:03d}", tuple(parts)) for number, parts in enumerate(found, start=1))


def _parts(source: ChangedSource, budget: int) -> Iterable[Part]:
    waiting: list[ShownHunk] = []
    for hunk in (piece for whole in source.hunks for piece in _windows(whole, budget)):
        if waiting and Part(source, (*waiting, hunk)).characters > budget:
            yield Part(source, tuple(waiting))
            waiting = []
        waiting.append(hunk)
    if waiting:
        yield Part(source, tuple(waiting))


def _windows(hunk: ShownHunk, budget: int) -> Iterable[ShownHunk]:
    """Every line in one window at least; removed lines go with the first."""
    if hunk.characters <= budget:
        yield hunk
        return
    if sum(len(line.text) + 16 for line in hunk.removed) > budget // 2:
        yield from _removed_windows(hunk, budget)
        hunk = replace(hunk, removed=())
    rows, first = list(hunk.lines), 0
    removed = hunk.removed
    while first < len(rows):
        size = 120 + sum(len(line.text) + 16 for line in removed)
        last = first
        while last < len(rows) and (last == first or size + len(rows[last].text) + 16 <= budget):
            size += len(rows[last].text) + 16
            last += 1
        if last < len(rows):
            boundaries = [
                n for n in range(first + int((last - first) * _LOOK_BACK), last) if _BOUNDARY.match(rows[n].text)
            ]
            last = boundaries[-1] if boundaries and boundaries[-1] > first else last
        shown = tuple(rows[first:last])
        yield ShownHunk(shown, removed, hunk.added & {line.number for line in shown}, hunk.within)
        first, removed = last, ()


def _removed_windows(hunk: ShownHunk, budget: int) -> Iterable[ShownHunk]:
    rows: list[ShownLine] = []
    for line in hunk.removed:
        rows.append(line)
        if sum(len(row.text) + 16 for row in rows) > budget // 2:
            yield ShownHunk((), tuple(rows), frozenset(), hunk.within)
            rows = []
    if rows:
        yield ShownHunk((), tuple(rows), frozenset(), hunk.within)


def split_unit(unit: Unit) -> tuple[Unit, ...]:
    """Two units that show the same between them; nothing for what cannot be shown in less."""
    parts = list(unit.parts)
    if len(parts) == 1:
        source, hunks = parts[0].source, parts[0].hunks
        if len(hunks) == 1:
            hunks = tuple(_windows(hunks[0], hunks[0].characters // 2 + 120))
        parts = [Part(source, (hunk,)) for hunk in hunks]
    if len(parts) < 2:
        return ()
    middle = len(parts) // 2
    return (Unit(f"{unit.name}a", tuple(parts[:middle])), Unit(f"{unit.name}b", tuple(parts[middle:])))


def render_part(part: Part) -> str:
    """Every line of code carries its label, so nothing inside can pass for the end of it; what stands in the head is JSON."""
    source, blocks = part.source, []
    for hunk in part.hunks:
        if hunk.lines:
            head = (
                f"<file path={quoted(source.path)} language={quoted(source.language)} lines=\"{hunk.lines[0].number}-{hunk.lines[-1].number}\""
                f" of=\"{len(source.lines)}\" added=\"{ranges(hunk.added)}\"{f' within={quoted(hunk.within)}' if hunk.within else ''}>"
            )  # fmt: skip
            blocks += [head, *(f"{line.label}|{line.text}" for line in hunk.lines), "</file>"]
        if hunk.removed:
            blocks += [
                f"<removed path={quoted(source.path)}>",
                *(f"{line.label}|{line.text}" for line in hunk.removed),
                "</removed>",
            ]
    return "\n".join(blocks)


def quoted(text: str) -> str:
    """As JSON, without the marks that a head begins and ends with."""
    return json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e")


def ranges(numbers: Iterable[int]) -> str:
    """'3-5,9'"""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
