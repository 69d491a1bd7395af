"""Reads a git repository's object database, and runs nothing that the repository's own configuration names."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from review_pipeline.core.selection import TreeEntry
from review_pipeline.ports import Refused, Revision, Unavailable

SHORT_CALL_SECONDS = 60
_CHUNK_BYTES = 1 << 16
_COMMITTED = re.compile(rb"^committer .*> (-?\d{1,18}) [+-]?\d+$", re.MULTILINE)
# What would make a printed path lie about itself: controls, line ends, marks that reverse or hide text; and the escape.
_NOT_SHOWN = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]")
_REFETCH = (
    "The clone is partial, too shallow, or damaged. Use a full clone, or run 'git fetch --refetch --no-filter' in it."
)

# Each of these is a way in which a repository could start a program or point git elsewhere. Repository configuration
# can set protocol.ext.allow=always, which beats protocol.allow=never; GIT_ALLOW_PROTOCOL beats both.
HARDENED = tuple(
    word
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.bigFileThreshold=512m",
        "diff.suppressBlankEmpty=false",
        "core.attributesFile=/dev/null",
        "core.sshCommand=false",
        "credential.helper=",
        "protocol.allow=never",
        "submodule.recurse=false",
        "gc.auto=0",
        "maintenance.auto=false",
    )
    for word in ("-c", setting)
)
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": os.devnull,
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class GitRepository:
    """A work tree's root, a linked work tree or a bare repository; only what is committed is read."""

    path: Path

    def resolve(self, ref: str) -> Revision:
        if not ref or "\0" in ref or "\n" in ref:
            raise Refused(f"{ref!r} is not the name of a commit. Give a branch, a tag or a commit of {self.path}.")
        found = self._ask("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
        if found.returncode:
            raise self._unknown(ref)
        commit = found.stdout.decode("ascii").strip()
        return Revision(commit, self._committed_at(commit))

    def tree(self, commit: str) -> Iterator[TreeEntry]:
        """Raises after the last entry if git could not list all of them."""
        arguments = ("ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", commit)
        with self._started(arguments, stdin=subprocess.DEVNULL) as running:
            for record in _records(running.stdout):
                yield self._entry(record, commit)
            if running.process.wait():
                raise Refused(f"{self.path}: git cannot list commit {commit} ({running.complaint()}). {_REFETCH}")

    def read(self, entries: Iterable[TreeEntry]) -> Iterator[tuple[TreeEntry, bytes]]:
        # One question, then its whole answer: neither pipe can fill up while the other side waits.
        with self._started(("cat-file", "--batch"), stdin=subprocess.PIPE) as running:
            for entry in entries:
                yield entry, self._content(entry, running)

    def _content(self, entry: TreeEntry, running: _Running) -> bytes:
        try:
            running.stdin.write(f"{entry.blob}\n".encode())
            running.stdin.flush()
        except BrokenPipeError as error:
            raise self._unreadable(entry, running.complaint()) from error
        head = running.stdout.readline().split()
        if head[:2] != [entry.blob.encode(), b"blob"]:
            raise self._unreadable(entry, b" ".join(head[1:]).decode() or running.complaint())
        size = int(head[2])
        content = running.stdout.read(size + 1)  # git ends each answer with a line feed of its own
        if len(content) != size + 1:
            raise self._unreadable(entry, running.complaint())
        return content[:-1]

    def _entry(self, record: bytes, commit: str) -> TreeEntry:
        about, _, path = record.partition(b"\t")
        mode, kind, blob, size = about.decode("ascii").split()
        if size == "BAD":
            raise Refused(f"{self.path}: the content of {shown_path(path)!r} in commit {commit} is missing. {_REFETCH}")
        return TreeEntry(shown_path(path), blob, mode, 0 if kind == "commit" else int(size))

    def _committed_at(self, commit: str) -> datetime:
        # Not 'git log': it would start the gpg.program of a repository that sets log.showSignature.
        shown = self._ask("cat-file", "commit", commit)
        match = _COMMITTED.search(shown.stdout.partition(b"\n\n")[0])
        try:
            if match is None:
                raise ValueError(f"no committer line ({_said(shown.stderr)})")
            return datetime.fromtimestamp(int(match[1]), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise Refused(
                f"{self.path}: commit {commit} has no readable commit date: {error}. "
                "Choose another commit, or repair the repository (git fsck)."
            ) from error

    def _unknown(self, ref: str) -> Refused:
        newest = self._ask("rev-list", "--max-count=1", "--all")
        if newest.returncode:
            return Refused(
                f"git cannot read {self.path}: {_said(newest.stderr)}. Repair the repository, or give another path."
            )
        if not newest.stdout:
            return Refused(f"{self.path} has no commits yet. Commit something, then try again.")
        return Refused(
            f"{self.path} has no commit called {ref!r}, or several. Correct the ref, or fetch it into this clone."
        )

    def _unreadable(self, entry: TreeEntry, said: str) -> Refused:
        return Refused(f"{self.path}: cannot read {entry.path!r}, object {entry.blob} ({said}). {_REFETCH}")

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        # With --git-dir git neither searches the folders above nor refuses a repository that belongs to somebody else.
        return ["git", "--no-pager", *HARDENED, f"--git-dir={git_dir(self.path)}", *arguments]

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = self._command(arguments)
        with _spawn_errors_explained():
            try:
                return subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=SHORT_CALL_SECONDS,
                    cwd=os.sep,
                    env=git_environment(),
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise Unavailable(
                    f"{self.path}: 'git {arguments[0]}' gave no answer within {SHORT_CALL_SECONDS} seconds. "
                    "Is the disk busy or a network share? Try again later."
                ) from error

    @contextmanager
    def _started(self, arguments: tuple[str, ...], *, stdin: int) -> Iterator[_Running]:
        command = self._command(arguments)
        # A file for stderr: a pipe that nobody empties would stop git after 64 kB of complaints.
        with TemporaryFile() as stderr:
            with _spawn_errors_explained():
                process = subprocess.Popen(
                    command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, cwd=os.sep, env=git_environment()
                )
            try:
                yield _Running(process, stderr)
            finally:
                _end(process)


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    stderr: IO[bytes]

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def complaint(self) -> str:
        """Only for a process that has ended or whose output has."""
        self.process.wait(SHORT_CALL_SECONDS)
        self.stderr.seek(0)
        return _said(self.stderr.read(_CHUNK_BYTES)) or f"git ended with code {self.process.returncode}"


def git_dir(path: Path) -> Path:
    """Where the repository's database is: path/.git, what a '.git' file points to, or path itself if it is bare."""
    root = path.absolute()
    try:
        if not root.is_dir():
            raise Refused(f"{path} is not a folder. Give the folder of a git repository on this machine.")
        dot_git = root / ".git"
        if dot_git.is_file():
            return _linked(dot_git)
        for candidate in (dot_git, root):
            if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
                return candidate
    except OSError as error:
        raise Refused(
            f"{path} cannot be read: {error.strerror}. Let this user read it, or give another path."
        ) from error
    raise Refused(
        f"{path} is not a git repository (no .git in it, and not bare). "
        "Give the topmost folder of a clone, or run 'git init' there."
    )


def _linked(dot_git: Path) -> Path:
    with dot_git.open("rb") as file:
        keyword, _, target = file.read(_CHUNK_BYTES).partition(b"gitdir: ")
    linked = dot_git.parent / os.fsdecode(target.rstrip(b"\r\n"))
    if keyword or not target or not linked.is_dir():
        raise Refused(
            f"{dot_git} points to no git repository. Was it moved? 'git worktree repair' mends it, or clone again."
        )
    return linked


def shown_path(path: bytes) -> str:
    """A path as text that can be printed, stored in JSON and SQLite, and turned back into its bytes.

    Git paths are bytes; surrogates for those that are not UTF-8 would fail at the first encode. So every byte that
    belongs to no printable character is written as \\xNN and a backslash is doubled; all other paths stay as they are.
    """
    text = path.decode("utf-8", "surrogateescape")
    return _NOT_SHOWN.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _records(stdout: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stdout.read(_CHUNK_BYTES):
        *records, rest = (rest + chunk).split(b"\0")
        yield from records


def git_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), **_ENVIRONMENT}


def _said(stderr: bytes) -> str:
    """Git's last word, without the prefix."""
    lines = stderr.decode("utf-8", "replace").strip().split("\n")
    return lines[-1].removeprefix("fatal: ").removeprefix("error: ").rstrip(".")


@contextmanager
def _spawn_errors_explained() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise Refused(
            "the program 'git' was not found on PATH, or may not be run. Install git (2.36 or newer), then try again."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"git could not be started: {error.strerror}. Try again when the machine is less busy."
        ) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Also for a reader who stopped half-way: no process stays behind, and a broken pipe is not an error any more."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    process.wait()
