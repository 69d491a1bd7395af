"""Reads what a branch changes, and lays a commit's files out for a reviewer: links, hooks and filters of either side do nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile

from review_pipeline.adapters.git import SHORT_CALL_SECONDS, GitRepository, git_dir, git_environment, shown_path
from review_pipeline.core.authorship import Commit
from review_pipeline.core.change import BadDiff, ChangedEntry, Patch, read_patches, read_raw
from review_pipeline.core.pull_request import Difference, is_configuration
from review_pipeline.core.selection import TreeEntry
from review_pipeline.ports import Refused, Unavailable

_CHUNK_BYTES = 1 << 20
# A checkout's index may hold the attributes of the change that is reviewed, and '*.py -diff' would hide every file from it.
_WITHOUT_INDEX = {"GIT_INDEX_FILE": f"{os.sep}no-index-of-a-checkout"}
_MOST_COMMITS = 250
_FIELD, _RECORD = b"\x1f", b"\x1e"
# -U3 and myers are pinned: other contexts align differently, and histogram can take minutes for one file.
_DIFF = ("diff-tree", "-r", "-M", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv")
_PATCH = ("-p", "-U3", "--diff-algorithm=myers", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short")


@dataclass(frozen=True, slots=True)
class DiffLimits:
    """bytes: of the whole patch; what lies behind them is listed as too large. seconds: for each git process."""

    bytes: int = 64_000_000
    seconds: float = 120
    exported_bytes: int = 500_000_000
    exported_file_bytes: int = 1_000_000


@dataclass(frozen=True, slots=True)
class GitChanges(GitRepository):
    """A repository whose branches are reviewed. Attributes of a work tree or an index are never read."""

    limits: DiffLimits = DiffLimits()

    def merge_base(self, base: str, head: str) -> str:
        """Of two commits. Raises Refused where they share no history, or the clone is too shallow to know."""
        found = self._ask("merge-base", "--end-of-options", base, head)
        if found.returncode == 0:
            return found.stdout.decode("ascii").strip()
        if (git_dir(self.path) / "shallow").exists():
            raise Refused(
                f"{self.path} is a shallow clone and does not hold the commit where {head[:12]} left {base[:12]}. Run 'git fetch --unshallow' in it."
            )
        raise Refused(
            f"{head[:12]} and {base[:12]} of {self.path} share no history, so there is no change between them to review. Give another base."
        )

    def branch(self, ref: str) -> str:
        """The name of the branch that HEAD stands for, or its commit where it is detached; other refs as they are."""
        if ref not in ("HEAD", "@"):
            return ref
        named = self._ask("symbolic-ref", "--short", "--quiet", "HEAD")
        return shown_path(named.stdout.strip()) if named.returncode == 0 else self.resolve(ref).commit[:12]

    def default_base(self) -> str:
        """The first of the usual names that is there. Raises Refused."""
        for name in ("main", "master", "origin/main", "origin/master"):
            if self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").returncode == 0:
                return name
        raise Refused(
            f"{self.path} has no branch called main or master. Say what the change is to be merged into: --base NAME."
        )

    def branches(self) -> dict[str, str]:
        """Local branches with the commits they point to."""
        listed = self._ask("for-each-ref", "--format=%(refname:lstrip=2)%00%(objectname)", "refs/heads")
        if listed.returncode:
            raise Refused(f"{self.path}: git cannot list its branches. Repair the repository (git fsck).")
        pairs = (line.partition(b"\0") for line in listed.stdout.split(b"\n") if line)
        return {shown_path(name): commit.decode("ascii") for name, _, commit in pairs}

    def commits(self, base: str, head: str) -> tuple[Commit, ...]:
        """Those that only the head has, newest first; without merges."""
        form = "%H%x1f%an%x1f%ae%x1f%cn%x1f%ce%x1f%B%x1e"
        listed = self._ask(
            "rev-list", "--no-commit-header", f"--max-count={_MOST_COMMITS}", "--no-merges", f"--format={form}", "--end-of-options", head, f"^{base}",
        )  # fmt: skip
        if listed.returncode:
            raise Refused(f"{self.path}: git cannot list the commits of {head[:12]}. Repair the repository (git fsck).")
        records = (record.lstrip(b"\n").split(_FIELD) for record in listed.stdout.split(_RECORD))
        return tuple(
            Commit(*(field.decode("utf-8", "replace") for field in record)) for record in records if len(record) == 6
        )

    def difference(self, old: str, new: str, most_bytes: int) -> tuple[Difference, ...]:
        """Every changed file once. Where the patch is cut off by a limit, the files behind it come without hunks and say so."""
        limits = replace(self.limits, bytes=most_bytes)
        raw = self._limited((*_DIFF, "--raw", "-z", "--end-of-options", old, new), limits)
        if raw.is_cut:
            raise Refused(
                f"{self.path}: the list of files alone exceeds {limits.bytes:,} bytes. Review smaller changes, or raise the limit."
            )
        entries = read_raw(raw.output)
        sizes = self._sizes({entry.blob for entry in entries if entry.mode not in ("000000", "160000")})
        told = self._limited((*_DIFF, *_PATCH, "--end-of-options", old, new), limits)
        patches = self._patches(told.output, is_cut=told.is_cut)
        return tuple(
            Difference(
                entry,
                shown_path(entry.path),
                shown_path(entry.old_path),
                sizes.get(entry.blob, 0),
                _combined(patches, entry),
            )
            for entry in entries
        )

    def _patches(self, output: bytes, *, is_cut: bool) -> Iterator[Patch]:
        """Of a cut output only what another section follows: the last one may lack hunks and look whole."""
        waiting: Patch | None = None
        try:
            for patch in read_patches(output):
                if waiting is not None:
                    yield waiting
                waiting = patch
        except BadDiff as error:
            if not is_cut:
                raise Refused(
                    f"{self.path}: the patch cannot be read: {error}. Is this git (2.36 or newer)?"
                ) from error
            # the section that is broken is the last one, so the one before it is whole
            if waiting is not None:
                yield waiting
            return
        if waiting is not None and not is_cut:
            yield waiting

    def _sizes(self, blobs: set[str]) -> dict[str, int]:
        ordered = sorted(blobs)
        with TemporaryFile() as question:
            question.write("".join(f"{blob}\n" for blob in ordered).encode())
            question.flush()
            question.seek(0)  # git shares this position, so nothing may move it once git has started
            with self._started(("cat-file", "--batch-check"), stdin=question.fileno()) as git:
                answers = git.stdout.read().split(b"\n")
        found = {}
        for blob, answer in zip(ordered, answers, strict=False):
            name, _, rest = answer.decode("ascii", "replace").partition(" ")
            if name != blob or not rest.startswith("blob "):
                raise Refused(
                    f"{self.path}: object {blob} is missing. The clone is partial or damaged; use a full clone."
                )
            found[blob] = int(rest.removeprefix("blob "))
        return found

    def contents(self, entries: list[TreeEntry]) -> dict[str, bytes]:
        """By blob. For what fits into memory: the caller has looked at the sizes."""
        return {entry.blob: content for entry, content in self.read(entries)}

    def file(self, commit: str, path: str) -> str | None:
        """One file of a commit as text; None if it is not a plain file there."""
        found = self._ask("ls-tree", "-z", "-l", "--full-tree", "--end-of-options", commit, "--", path)
        record = found.stdout.rstrip(b"\0")
        if found.returncode or not record or not record.startswith(b"100"):
            return None
        entry = self._entry(record, commit)
        ((_, content),) = self.read([entry]) if entry.bytes < _CHUNK_BYTES else ((None, b""),)
        return content.decode("utf-8", "replace")

    def export(self, commit: str, folder: Path) -> int:
        """The commit's plain files below the folder, without what a program could take for its own configuration.

        Read-only, no links, no .git. Returns how many files were left out.
        """
        wanted, left_out, total = [], 0, 0
        for entry in self.tree(commit):
            total += entry.bytes
            fits = entry.bytes <= self.limits.exported_file_bytes and total <= self.limits.exported_bytes
            if fits and entry.mode.startswith("100") and _is_safe(entry.path):
                wanted.append(entry)
            else:
                left_out += 1
        for entry, content in self.read(wanted):
            target = folder / entry.path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                target.chmod(0o444)
            except OSError:  # names that differ only by case or form, or are too long, on this file system
                left_out += 1
        return left_out

    def _limited(self, arguments: tuple[str, ...], limits: DiffLimits) -> _Output:
        command = self._command(arguments)
        with TemporaryFile() as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, cwd=os.sep,
                env=git_environment() | _WITHOUT_INDEX, start_new_session=True,
            )  # fmt: skip
            with _ended_after(process, limits.seconds) as is_late:
                output = _read_up_to(process, limits.bytes)
                is_cut = len(output) > limits.bytes
                if is_cut:
                    _kill_group(process)
                process.wait(SHORT_CALL_SECONDS)
            stderr.seek(0)
            said = stderr.read(2_000).decode("utf-8", "replace").strip()
        if is_late.is_set():
            raise Unavailable(
                f"{self.path}: 'git diff-tree' took more than {limits.seconds:g} seconds. Review a smaller change, or raise the limit."
            )
        if process.returncode and not is_cut:
            raise Refused(f"{self.path}: git cannot compare the two commits: {said}. Use a full clone.")
        return _Output(output[: limits.bytes], is_cut)


@dataclass(frozen=True, slots=True)
class _Output:
    output: bytes
    is_cut: bool


def _read_up_to(process: subprocess.Popen[bytes], most: int) -> bytes:
    assert process.stdout is not None
    pieces, size = [], 0
    with process.stdout as pipe:
        while size <= most and (piece := pipe.read(_CHUNK_BYTES)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Set if the time was up. The group goes with it: git starts helpers of its own."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        _kill_group(process)

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()
        if process.poll() is None:
            _kill_group(process)
            process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _combined(patches: Iterator[Patch], entry: ChangedEntry) -> Patch | None:
    """None for a file behind the limit."""
    parts = [patch for _ in range(entry.patches) if (patch := next(patches, None)) is not None]
    if len(parts) < entry.patches:
        return None
    return Patch(tuple(hunk for part in parts for hunk in part.hunks), any(part.is_binary for part in parts))


def _is_safe(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return ".." not in parts and not path.startswith("/") and not is_configuration(path)
