"""A folder of documents as it lies there, in the shape of a repository; and documents read as text, from a folder or from git."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from review_pipeline.adapters.extraction import Extractor
from review_pipeline.adapters.git import shown_path
from review_pipeline.core.documents import NO_REGULAR_FILE, by_name, kind_of, of_text
from review_pipeline.core.selection import LFS_POINTER, SelectionRules, Skip, SkipReason, Source, TreeEntry, too_large
from review_pipeline.ports import Refused, Revision

if TYPE_CHECKING:
    from review_pipeline.ports import Repository

_REVISION_CHARACTERS = 40
_NOT_LISTED = frozenset({".git", ".hg", ".svn"})  # a checkout's own files are nobody's documents


class DocumentFolder:
    """Implements the port Repository. Links are named and never followed; what is not wanted is not opened."""

    def __init__(self, path: Path, rules: SelectionRules) -> None:
        self._path, self._rules = path, rules
        self._listed: tuple[TreeEntry, ...] = ()
        self._where: dict[str, Path] = {}

    def resolve(self, ref: str) -> Revision:
        """The folder has one version, the one that is there now: the hash of what is in it."""
        del ref
        if not self._path.is_dir():
            raise Refused(f"{self._path} is not a folder. Correct the path of this set of documents.")
        entries = []
        for relative, file in sorted(self._walk()):
            path = shown_path(os.fsencode(relative))
            self._where[path] = file
            entries.append(self._entry(path, file))
        self._listed = tuple(entries)
        digest = sha256("\x1e".join(f"{one.path}\x1f{one.mode}\x1f{one.blob}" for one in entries).encode())
        return Revision(digest.hexdigest()[:_REVISION_CHARACTERS], datetime.now(UTC))

    def tree(self, commit: str) -> Iterator[TreeEntry]:
        """What resolve saw: commit is its answer."""
        del commit
        yield from self._listed

    def read(self, entries: Iterable[TreeEntry]) -> Iterator[tuple[TreeEntry, bytes]]:
        for entry in entries:
            try:
                yield entry, self._bytes(self._where[entry.path])
            except OSError:
                yield entry, b""  # gone or closed meanwhile: no longer what was listed

    def _walk(self) -> Iterator[tuple[str, Path]]:
        def troubled(error: OSError) -> None:
            raise Refused(
                f"{error.filename} cannot be listed: {error.strerror}. Let this user read it, or move it out of the set."
            ) from error

        for folder, folders, files in os.walk(self._path, onerror=troubled):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            folders[:] = [name for name in folders if name not in links and name not in _NOT_LISTED]
            for name in (*files, *links):
                file = Path(folder, name)
                yield str(file.relative_to(self._path)), file

    def _entry(self, path: str, file: Path) -> TreeEntry:
        try:
            about = file.lstat()
            if stat.S_ISLNK(about.st_mode):
                return TreeEntry(path, "", "120000", 0)
            if not stat.S_ISREG(about.st_mode):
                return TreeEntry(path, "", NO_REGULAR_FILE, 0)
            entry = TreeEntry(path, "", "100644", about.st_size)
            if by_name(entry, self._rules):
                return entry
            return TreeEntry(path, blob_of(self._bytes(file)), "100644", about.st_size)
        except OSError:
            return TreeEntry(path, "", NO_REGULAR_FILE, 0)

    def _bytes(self, file: Path) -> bytes:
        # A link or a pipe may have taken the file's place since it was listed.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as content:  # noqa: PTH123  opened by its handle
            return content.read(self._rules.max_file_bytes + 1)


def blob_of(content: bytes) -> str:
    """Git's name for the content, so that a set may move from a folder into a repository and back without being asked again."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """Implements the workflow's Reading for documents."""

    def by_path(self, entry: TreeEntry, rules: SelectionRules) -> Skip | None:
        return by_name(entry, rules)

    def texts(self, repository: Repository, wanted: list[TreeEntry], rules: SelectionRules) -> Iterator[Source | Skip]:
        with Extractor() as extractor:
            for entry, content in repository.read(wanted):
                yield too_large(entry, len(content), rules) or _text(entry, content, extractor)


def _text(entry: TreeEntry, content: bytes, extractor: Extractor) -> Source | Skip:
    if blob_of(content) != entry.blob:
        return Skip(entry, SkipReason.UNREADABLE, "it changed while it was being read; the next audit reads it")
    if content.startswith(LFS_POINTER):
        return Skip(entry, SkipReason.UNREADABLE, "a Git LFS pointer; the document itself is not there")
    kind = kind_of(entry.path)
    return extractor.read(entry, kind, content) if kind in ("html", "pdf") else of_text(entry, content)
