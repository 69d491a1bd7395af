"""Which files are documents, and their text as lines that can be shown and cited."""

from __future__ import annotations

import re

from review_pipeline.core.selection import (
    SelectionRules,
    Skip,
    SkipReason,
    Source,
    TreeEntry,
    decoded,
    exclusion,
    split_lines,
    too_large,
)

NO_REGULAR_FILE = "000000"  # the mode of what a folder holds besides files, links and folders, or does not let us open
MOST_TEXT_CHARACTERS = 5_000_000
KINDS = {
    "md": "markdown", "markdown": "markdown", "mdown": "markdown", "txt": "text", "text": "text", "rst": "rst",
    "html": "html", "htm": "html", "xhtml": "html", "pdf": "pdf",
}  # fmt: skip
# Marks that turn the direction of text, or stand in no place: a person who reads a quoted passage would see another one.
_UNSEEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def kind_of(path: str) -> str | None:
    """markdown, text, rst, html or pdf, by the last suffix."""
    stem, _, suffix = path.rpartition("/")[2].rpartition(".")
    return KINDS.get(suffix.lower()) if stem else None


def by_name(entry: TreeEntry, rules: SelectionRules) -> Skip | None:
    """What can be said without the content; None means: read it."""
    if entry.mode == "160000":
        return Skip(entry, SkipReason.SUBMODULE, "another repository, to be a set of its own")
    if entry.mode == "120000":
        return Skip(entry, SkipReason.SYMLINK, "a link; links are not followed")
    if detail := exclusion(entry.path, rules):
        return Skip(entry, SkipReason.EXCLUDED, detail)
    if kind_of(entry.path) is None:
        return Skip(entry, SkipReason.NOT_DOCUMENT, f"documents are {', '.join(f'.{suffix}' for suffix in KINDS)}")
    if entry.mode == NO_REGULAR_FILE:
        return Skip(entry, SkipReason.UNREADABLE, "no regular file, or may not be read")
    if entry.bytes == 0:
        return Skip(entry, SkipReason.EMPTY, "0 bytes")
    return too_large(entry, entry.bytes, rules)


def of_text(entry: TreeEntry, content: bytes) -> Source | Skip:
    """A document that is text already."""
    text = decoded(content)
    if text is None:
        return Skip(entry, SkipReason.BINARY, "contains NUL bytes or is no text in UTF-8, UTF-16 or Latin-1")
    return of_lines(entry, kind_of(entry.path) or "text", split_lines(text))


def of_lines(
    entry: TreeEntry, language: str, lines: tuple[str, ...], page_lines: tuple[int, ...] = (), note: str | None = None
) -> Source | Skip:
    """page_lines: the number of the line with which each page begins, where there are pages."""
    cleaned = tuple(map(clean, lines))
    characters = sum(map(len, cleaned))
    if not any(character.isalnum() for line in cleaned for character in line):
        return Skip(entry, SkipReason.NO_TEXT, "it holds no letter and no digit")
    if characters > MOST_TEXT_CHARACTERS:
        return Skip(entry, SkipReason.TOO_LARGE, f"{characters:,} characters of text, limit {MOST_TEXT_CHARACTERS:,}")
    return Source(entry, language, cleaned, page_lines, note)


def clean(line: str) -> str:
    """Without what cannot be seen; a line stays one line."""
    return _CONTROLS.sub(" ", _UNSEEN.sub("", line)).rstrip()
