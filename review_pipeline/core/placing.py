"""Finds the line that a finding is about: by its label, or by what it quotes; never by guessing."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from review_pipeline.core.finding import Anchor, ShownLine, label, normalised, repeats
from review_pipeline.core.pull_request import ChangedSource
from review_pipeline.core.redaction import MARK, redact

_LABEL = re.compile(r"(\d{1,9})#([0-9a-f]{4})")
_NUMBER = re.compile(r"(?:L|line )?(\d{1,9})(?:-\d{1,9})?", re.IGNORECASE)


def coded(text: str) -> str:
    """A line's text by which it is known again, without the secrets in it."""
    return normalised(redact(text))


def _says(text: str, quoted: str) -> bool:
    """A quote may come without the secret that stands in the line."""
    return normalised(text) == quoted or (MARK in quoted and coded(text) == quoted)


@dataclass(frozen=True, slots=True)
class Place:
    """side: RIGHT after the change, LEFT for a deleted line; occurrence: how many-th line of its text in that file."""

    path: str
    anchor: Anchor
    side: str
    start_line: int | None
    end_line: int | None
    code: str
    occurrence: int
    in_diff: bool
    blob: str


@dataclass(frozen=True, slots=True)
class Files:
    """What findings may be about. others: whole files that the change does not touch, as far as they were read."""

    changed: Mapping[str, ChangedSource]
    others: Mapping[str, tuple[str, ...]]

    def place(self, path: str, anchor: str, end_line: int, evidence: str) -> Place:
        known = self._known(path)
        if known is None:
            return Place(path, Anchor.UNANCHORED, "RIGHT", None, None, normalised(evidence), 0, in_diff=False, blob="")
        if known in self.changed:
            return _in_changed(self.changed[known], anchor.strip(), end_line, evidence)
        return _in_other(known, self.others[known], anchor.strip(), evidence)

    def _known(self, path: str) -> str | None:
        """The model may write ./x or b/x; a path that leaves the tree is nobody's."""
        tidy = posixpath.normpath(path.strip().replace("\\", "/"))
        for candidate in (path, tidy, tidy[2:] if tidy.startswith(("a/", "b/")) else tidy):
            if candidate in self.changed or candidate in self.others:
                return candidate
        return None


def _in_changed(source: ChangedSource, anchor: str, end_line: int, evidence: str) -> Place:
    shown = {line.number: line for line in source.shown}
    quoted = normalised(evidence)
    match = _LABEL.fullmatch(anchor)
    number = int(match[1]) if match else _number(anchor)
    if match and (line := shown.get(int(match[1]))) and line.label == anchor and _says(line.text, quoted):
        return _right(source, int(match[1]), end_line, Anchor.EXACT)
    for line in source.gone:
        if match and line.label == anchor and _says(line.text, quoted):
            return _left(source, line, Anchor.EXACT)
    if number and _quotes(source.lines, number, quoted) and not (match and number in shown):
        return _right(source, number, end_line, Anchor.EXACT)
    return _by_quote(source, shown, number, anchor, quoted)


def _by_quote(
    source: ChangedSource, shown: Mapping[int, ShownLine], number: int | None, anchor: str, quoted: str
) -> Place:
    right = [line.number for line in shown.values() if _says(line.text, quoted)]
    left = [line for line in source.gone if _says(line.text, quoted)]
    if quoted and len(right) != 1 and number in right:
        assert number is not None
        return _right(source, number, number, Anchor.MOVED)
    if quoted and len(right) == 1:
        return _right(source, right[0], right[0], Anchor.MOVED)
    if quoted and not right:
        anywhere = [n for n, text in enumerate(source.lines, start=1) if _says(text, quoted)]
        if len(anywhere) == 1 and not left:
            return _right(source, anywhere[0], anywhere[0], Anchor.MOVED)
        if len(left) == 1 and not anywhere:
            return _left(source, left[0], Anchor.MOVED)
        labelled = [line for line in shown.values() if line.label == anchor and _is_piece(quoted, line.text)]
        if len(labelled) == 1 and not anywhere and not left:
            return _right(source, labelled[0].number, labelled[0].number, Anchor.MOVED)
    return Place(
        source.path, Anchor.UNANCHORED, "RIGHT", None, None, quoted, 0, in_diff=False, blob=source.blob
    )  # fmt: skip


def _in_other(path: str, lines: tuple[str, ...], anchor: str, evidence: str) -> Place:
    quoted = normalised(evidence)
    number = _number(anchor.partition("#")[0])
    places = [n for n, text in enumerate(lines, start=1) if _says(text, quoted)]
    if quoted and (number in places or len(places) == 1):
        at = number if number in places else places[0]
        assert at is not None
        kind = Anchor.EXACT if at == number else Anchor.MOVED
        return Place(path, kind, "RIGHT", at, at, quoted, repeats(lines).get(at, 1), in_diff=False, blob="")
    return Place(path, Anchor.UNANCHORED, "RIGHT", None, None, quoted, 0, in_diff=False, blob="")


def _right(source: ChangedSource, number: int, end_line: int, anchor: Anchor) -> Place:
    """The range ends in the hunk in which it begins: GitHub takes no other."""
    hunk = next((h for h in source.hunks if any(line.number == number for line in h.lines)), None)
    furthest = hunk.lines[-1].number if hunk else len(source.lines)
    end = max(number, min(end_line, furthest)) if anchor is Anchor.EXACT else number
    code = normalised(source.lines[number - 1])
    occurrence = repeats(source.lines).get(number, 1)
    return Place(
        source.path, anchor, "RIGHT", number, end, code, occurrence, in_diff=hunk is not None, blob=source.blob
    )  # fmt: skip


def _left(source: ChangedSource, line: ShownLine, anchor: Anchor) -> Place:
    code = normalised(line.text)
    nth = [other.number for other in source.gone if normalised(other.text) == code].index(line.number) + 1
    return Place(
        source.old_path, anchor, "LEFT", line.number, line.number, code, -nth, in_diff=True, blob=source.old_blob
    )  # fmt: skip


def _quotes(lines: tuple[str, ...], number: int, quoted: str) -> bool:
    return bool(quoted) and 1 <= number <= len(lines) and _says(lines[number - 1], quoted)


def _number(text: str) -> int | None:
    match = _NUMBER.fullmatch(text.strip())
    return int(match[1]) if match else None


def _is_piece(quoted: str, text: str) -> bool:
    """Several quoted lines, or a piece of one, at a label that was shown."""
    code = normalised(text)
    return len(quoted) >= 4 and bool(code) and (quoted in code or quoted.startswith(code))


def around(source: ChangedSource, number: int, reach: int = 5) -> tuple[ShownLine, ...]:
    """Labelled lines about a place; nothing if the hunks show it."""
    if any(line.number == number for line in source.shown) or not 1 <= number <= len(source.lines):
        return ()
    first, last = max(1, number - reach), min(len(source.lines), number + reach)
    texts = ((n, source.lines[n - 1][:2_000]) for n in range(first, last + 1))
    return tuple(ShownLine(n, label(source.blob, n, text), text) for n, text in texts)
