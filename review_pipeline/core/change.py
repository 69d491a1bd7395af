"""A change as git tells it: the files between two commits, their hunks, and what of them can be reviewed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$", re.DOTALL)
_NO_NEWLINE = b"\\ "
_GITLINK, _SYMLINK, _NOTHING = "160000", "120000", "000000"


class BadDiff(ValueError):
    """Not what git prints: read on, and lines would be told at the wrong numbers."""


class Status(StrEnum):
    ADDED = "A"
    COPIED = "C"
    DELETED = "D"
    MODIFIED = "M"
    RENAMED = "R"
    TYPE = "T"


@dataclass(frozen=True, slots=True)
class ChangedEntry:
    """One record of `git diff-tree --raw -z`. old_path differs from path for renames and copies only."""

    status: Status
    old_path: bytes
    path: bytes
    old_mode: str
    mode: str
    old_blob: str
    blob: str

    @property
    def patches(self) -> int:
        """How many sections of a patch tell it: a file that becomes a link is deleted and added."""
        kinds = {_kind(self.old_mode), _kind(self.mode)}
        return 2 if self.status is Status.TYPE and len(kinds) == 2 else 1

    @property
    def is_deleted(self) -> bool:
        return self.mode == _NOTHING


@dataclass(frozen=True, slots=True)
class Line:
    """kind: ' ', '+' or '-'; old and new: numbers on their sides, counted from 1; 0 on the side where it does not stand."""

    kind: str
    old: int
    new: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Hunk:
    section: bytes
    lines: tuple[Line, ...]

    @property
    def added(self) -> tuple[int, ...]:
        return tuple(line.new for line in self.lines if line.kind == "+")

    @property
    def new_numbers(self) -> tuple[int, ...]:
        return tuple(line.new for line in self.lines if line.kind != "-")


@dataclass(frozen=True, slots=True)
class Patch:
    hunks: tuple[Hunk, ...]
    is_binary: bool = False


def _kind(mode: str) -> str:
    return mode if mode in (_GITLINK, _SYMLINK, _NOTHING) else "file"


def read_raw(output: bytes) -> tuple[ChangedEntry, ...]:
    """The records of `diff-tree --raw -z`. Names come from here: patches quote them, and a name may look like a header."""
    fields = iter(output.split(b"\0"))
    entries = []
    for about in fields:
        if not about:
            continue
        try:
            old_mode, mode, old_blob, blob, status = about.decode("ascii").removeprefix(":").split(" ")
            old_path = next(fields)
            path = next(fields) if status[0] in "RC" else old_path
            entries.append(ChangedEntry(Status(status[0]), old_path, path, old_mode, mode, old_blob, blob))
        except (ValueError, StopIteration) as error:
            raise BadDiff(f"no record of git diff-tree: {about[:80]!r}") from error
    return tuple(entries)


def read_patches(output: bytes) -> Iterator[Patch]:
    """The sections of `diff-tree -p`, in the order of the records. Hunk bodies are taken by the counts in their headers,
    so no line of a body can pass for a header; lines end at \\n only. Raises BadDiff, also for a section that was cut."""
    lines = output.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    position = 0
    while position < len(lines):
        if not lines[position].startswith(b"diff --git "):
            raise BadDiff(f"line {position + 1} of the patch begins no file: {lines[position][:80]!r}")
        position += 1
        hunks: list[Hunk] = []
        is_binary = False
        while position < len(lines) and not lines[position].startswith(b"diff --git "):
            if lines[position].startswith(b"@@ "):
                hunk, position = _read_hunk(lines, position)
                hunks.append(hunk)
                continue
            is_binary = is_binary or lines[position].startswith((b"Binary files ", b"GIT binary patch"))
            position += 1
        yield Patch(tuple(hunks), is_binary)


def _read_hunk(lines: list[bytes], position: int) -> tuple[Hunk, int]:
    head = _HUNK.match(lines[position])
    if head is None:
        raise BadDiff(f"line {position + 1} of the patch is no hunk header: {lines[position][:80]!r}")
    old, new = int(head[1]), int(head[3])
    old_left, new_left = (int(count) if count is not None else 1 for count in (head[2], head[4]))
    position += 1
    body: list[Line] = []
    while old_left or new_left:
        if position >= len(lines):
            raise BadDiff("the patch ends within a hunk")
        raw = lines[position]
        position += 1
        kind, text = raw[:1], raw[1:]
        if kind == b"+" and new_left:
            body.append(Line("+", 0, new, text))
            new, new_left = new + 1, new_left - 1
        elif kind == b"-" and old_left:
            body.append(Line("-", old, 0, text))
            old, old_left = old + 1, old_left - 1
        elif kind in (b" ", b"") and old_left and new_left:  # b"": diff.suppressBlankEmpty
            body.append(Line(" ", old, new, text))
            old, new = old + 1, new + 1
            old_left, new_left = old_left - 1, new_left - 1
        elif not raw.startswith(_NO_NEWLINE):
            raise BadDiff(f"line {position} of the patch belongs to no hunk: {raw[:80]!r}")
    while position < len(lines) and lines[position].startswith(_NO_NEWLINE):
        position += 1
    return Hunk(head[5], tuple(body)), position


def patch_key(path: str, hunks: tuple[Hunk, ...]) -> str:
    """What was changed, without where: the same after a rebase that moves it."""
    digest = sha256(path.encode("utf-8", "surrogateescape"))
    for hunk in hunks:
        digest.update(b"\0")
        for line in hunk.lines:
            digest.update(line.kind.encode() + line.text + b"\n")
    return digest.hexdigest()
