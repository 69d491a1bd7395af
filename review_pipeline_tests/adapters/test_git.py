from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from review_pipeline.adapters.git import GitRepository, shown_path
from review_pipeline.core.selection import TreeEntry
from review_pipeline.ports import Refused, Repository

COMMITTED_AT = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
GIT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "C",
    "GIT_COMMITTER_EMAIL": "c@example.com",
    "GIT_COMMITTER_DATE": "2026-03-01T12:30:00+0200",
    "LC_ALL": "C",
}


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=GIT, input=stdin, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def commit(folder: Path, files: dict[str, bytes], *init: str) -> Path:
    """A repository with one commit of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *init)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def contents(path: Path, ref: str = "HEAD") -> dict[str, bytes]:
    repository = GitRepository(path)
    entries = repository.tree(repository.resolve(ref).commit)
    return {entry.path: content for entry, content in repository.read(entries) if entry.mode != "160000"}


FILES = {"a.py": b"print(1)\n", "empty": b"", "dir with space/b.bin": bytes(range(256)) * 300}


def test_the_adapter_is_a_repository(tmp_path: Path) -> None:
    repository: Repository = GitRepository(commit(tmp_path, FILES))
    assert repository.resolve("main").committed_at == COMMITTED_AT


@pytest.mark.parametrize("ref", ["HEAD", "main", "refs/heads/main", "v1", "HEAD~0"])
def test_a_ref_is_resolved_to_its_commit(tmp_path: Path, ref: str) -> None:
    commit(tmp_path, FILES)
    git(tmp_path, "tag", "-a", "v1", "-m", "one")
    revision = GitRepository(tmp_path).resolve(ref)
    assert revision.commit == git(tmp_path, "rev-parse", "HEAD")
    assert revision.committed_at.utcoffset() == UTC.utcoffset(None)


def test_the_tree_tells_modes_sizes_links_and_submodules(tmp_path: Path) -> None:
    commit(tmp_path, {"a.py": b"12345", "run": b"#!/bin/sh\n"})
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("/etc/passwd")
    head = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "add", "-A")
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(tmp_path, "commit", "-q", "-m", "two")
    repository = GitRepository(tmp_path)
    found = {entry.path: (entry.mode, entry.bytes) for entry in repository.tree(repository.resolve("HEAD").commit)}
    assert found == {"a.py": ("100644", 5), "link": ("120000", 11), "run": ("100755", 10), "sub": ("160000", 0)}


def test_contents_come_byte_for_byte_and_in_the_order_of_the_question(tmp_path: Path) -> None:
    repository = GitRepository(commit(tmp_path, FILES))
    assert contents(tmp_path) == FILES
    backwards = sorted(repository.tree("HEAD"), key=lambda entry: entry.path, reverse=True)
    assert [entry for entry, _ in repository.read(iter(backwards * 2))] == backwards * 2


def test_only_what_is_committed_is_read(tmp_path: Path) -> None:
    commit(tmp_path, {"a.py": b"committed\n"})
    (tmp_path / "a.py").write_bytes(b"changed\n")
    (tmp_path / ".gitattributes").write_bytes(b"* text eol=crlf\n")
    assert contents(tmp_path) == {"a.py": b"committed\n"}


def bare(folder: Path) -> Path:
    git(commit(folder / "origin", FILES), "clone", "-q", "--bare", ".", str(folder / "bare.git"))
    return folder / "bare.git"


def worktree(folder: Path) -> Path:
    git(commit(folder / "origin", FILES), "worktree", "add", "-q", str(folder / "linked"))
    return folder / "linked"


def relative_worktree(folder: Path) -> Path:
    linked = worktree(folder)
    target = (linked / ".git").read_text().removeprefix("gitdir: ").strip()
    (linked / ".git").write_text(f"gitdir: {os.path.relpath(target, linked)}\n")
    return linked


def shallow(folder: Path) -> Path:
    origin = commit(folder / "origin", {"old": b"x"})
    commit(origin, FILES)
    git(origin, "rm", "-q", "old")
    git(origin, "commit", "-q", "-m", "three")
    git(folder, "clone", "-q", "--depth=1", f"file://{origin}", "shallow")
    return folder / "shallow"


def sha256(folder: Path) -> Path:
    return commit(folder / "sha256", FILES, "--object-format=sha256")


def packed(folder: Path) -> Path:
    git(commit(folder / "packed", FILES), "gc", "-q")
    return folder / "packed"


@pytest.mark.parametrize("make", [bare, worktree, relative_worktree, shallow, sha256, packed])
def test_every_kind_of_repository_is_read(tmp_path: Path, make: object) -> None:
    assert callable(make)
    assert contents(make(tmp_path)) == FILES


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("make", [bare, worktree, packed])
def test_a_repository_of_another_user_is_read_because_it_was_named(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path)
    for found in (tmp_path, *tmp_path.rglob("*")):
        os.chown(found, 65534, 65534, follow_symlinks=False)
    assert contents(path) == FILES


def test_variables_of_the_caller_do_not_lead_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = commit(tmp_path / "here", FILES), commit(tmp_path / "elsewhere", {"other": b"x"})
    monkeypatch.setenv("GIT_DIR", str(elsewhere / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(elsewhere / ".git/objects"))
    assert contents(here) == FILES


def test_replacement_objects_do_not_change_what_is_read(tmp_path: Path) -> None:
    commit(tmp_path, {"a.py": b"true\n"})
    other = git(tmp_path, "hash-object", "-w", "--stdin", stdin=b"false\n")
    git(tmp_path, "replace", git(tmp_path, "rev-parse", "HEAD:a.py"), other)
    assert contents(tmp_path) == {"a.py": b"true\n"}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"dir with space/a.py", "dir with space/a.py"),
        ("ä/日本.py".encode(), "ä/日本.py"),
        (b"quo\"te's.py", "quo\"te's.py"),
        (b"new\nline\t.py", r"new\x0aline\x09.py"),
        (b"latin-\xe9.py", r"latin-\xe9.py"),
        (rb"back\xe9.py", r"back\\xe9.py"),
        ("reversed\u202eyp.exe".encode(), r"reversed\xe2\x80\xaeyp.exe"),
        (b"half\xed\xa0\x80", r"half\xed\xa0\x80"),
    ],
)
def test_a_path_is_shown_without_loss_and_without_surprises(tmp_path: Path, path: bytes, shown: str) -> None:
    git(tmp_path, "init", "-q")
    blob = git(tmp_path, "hash-object", "-w", "--stdin", stdin=b"x")
    git(tmp_path, "update-index", "-z", "--index-info", stdin=b"100644 " + blob.encode() + b"\t" + path + b"\0")
    git(tmp_path, "commit", "-q", "-m", "one")
    assert contents(tmp_path) == {shown: b"x"}
    shown.encode("utf-8")
    assert bytes_of(shown) == path


def bytes_of(shown: str) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        return b"\\" if match[0] == rb"\\" else bytes([int(match[1], 16)])

    return re.sub(rb"\\\\|\\x([0-9a-f]{2})", one, shown.encode())


def test_an_ordinary_path_stays_as_it_is() -> None:
    assert shown_path(b"src/a-b_c (1).py") == "src/a-b_c (1).py"


def hostile(folder: Path) -> tuple[Path, Path]:
    """A repository whose configuration would touch a file, whatever git does with it."""
    proof = folder / "proof"
    touch = f"touch {proof}; false"
    helper = folder / "helper"
    helper.write_text(f"#!/bin/sh\n{touch}\n")
    helper.chmod(0o755)
    commit(folder / "hostile", {"a.py": b"x\n", ".gitattributes": b"* filter=evil diff=evil\n"})
    root = folder / "hostile"
    hooks = root / ".git" / "evil-hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / hook).write_text(f"#!/bin/sh\n{touch}\n")
        (hooks / hook).chmod(0o755)
    for key, value in {
        "core.hooksPath": str(hooks), "core.fsmonitor": touch, "core.sshCommand": touch, "core.pager": touch,
        "pager.rev-parse": touch, "pager.ls-tree": touch, "pager.cat-file": touch, "filter.evil.clean": touch,
        "filter.evil.smudge": touch, "filter.evil.process": touch, "filter.evil.required": "true",
        "diff.evil.textconv": touch, "diff.evil.command": touch, "diff.external": touch, "log.showSignature": "true",
        "gpg.program": touch, "credential.helper": f"!{touch}", "alias.cat-file": f"!{touch}",
        "protocol.allow": "always", "protocol.ext.allow": "always", "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "evil", "remote.evil.promisor": "true", "remote.evil.url": f"ext::{helper}",
    }.items():  # fmt: skip
        git(root, "config", key, value)
    return root, proof


def test_nothing_that_a_repository_configures_is_run(tmp_path: Path) -> None:
    root, proof = hostile(tmp_path)
    assert contents(root) == {"a.py": b"x\n", ".gitattributes": b"* filter=evil diff=evil\n"}
    loose = GitRepository(root)
    entries = list(loose.tree("HEAD"))
    shutil.rmtree(root / ".git/objects" / entries[1].blob[:2])  # a missing object is what a promisor would be asked for
    with pytest.raises(Refused):
        list(loose.read(entries))
    with pytest.raises(Refused):
        list(loose.tree("HEAD"))
    with pytest.raises(Refused):
        loose.resolve("0" * 40)
    assert not proof.exists()


@pytest.mark.parametrize("arguments", [("status",), ("log", "-p"), ("cat-file", "-p", "1" * 40)])
def test_the_hostile_repository_of_these_tests_does_bite(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    root, proof = hostile(tmp_path)
    subprocess.run(["git", *arguments], cwd=root, env=GIT, capture_output=True, check=False)
    assert proof.exists()


def test_a_program_called_git_inside_the_repository_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path, {"git": f"#!/bin/sh\ntouch {tmp_path}/proof\n".encode()})
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    contents(tmp_path)
    assert not (tmp_path / "proof").exists()


def test_five_thousand_files_are_read_without_deadlock(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "--bare")
    stream = [b"commit refs/heads/main\ncommitter C <c@example.com> 1700000000 +0000\ndata 0\n"]
    stream += [b"M 644 inline d%d/f%d.py\ndata 20000\n%020000d\n" % (n % 50, n, n) for n in range(5_000)]
    git(tmp_path, "fast-import", "--quiet", stdin=b"".join(stream))
    repository = GitRepository(tmp_path)
    count = 0
    for entry, content in repository.read(repository.tree("main")):
        assert entry.bytes == len(content) == 20_000
        assert entry.path.endswith(f"/f{int(content[-9:])}.py")
        count += 1
    assert count == 5_000


def test_a_reader_who_stops_half_way_leaves_no_process(tmp_path: Path) -> None:
    repository = GitRepository(commit(tmp_path, FILES))
    reading = repository.read(repository.tree("HEAD"))
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def told(path: Path, ref: str = "HEAD") -> str:
    with pytest.raises(Refused) as refused:
        GitRepository(path).resolve(ref)
    return str(refused.value)


def test_each_refusal_says_what_and_which_and_what_now(tmp_path: Path) -> None:
    repository = commit(tmp_path / "repo", FILES)
    (tmp_path / "plain").mkdir()
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "-q")
    assert re.search(r"gone is not a folder\. Give", told(tmp_path / "gone"))
    assert re.search(r"plain is not a git repository .*git init", told(tmp_path / "plain"))
    assert re.search(r"dir with space is not a git repository .*topmost", told(repository / "dir with space"))
    assert re.search(r"new has no commits yet\. Commit", told(tmp_path / "new"))
    assert re.search(r"repo has no commit called 'nope'.* Correct", told(repository, "nope"))


@pytest.mark.parametrize("ref", ["", "a\0b", "HEAD\nHEAD", "--all", "-h", "HEAD:a.py", "..", "main main"])
def test_what_names_no_commit_is_refused(tmp_path: Path, ref: str) -> None:
    assert repr(ref) in told(commit(tmp_path, FILES), ref)


def test_a_missing_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path, FILES)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Install git" in told(tmp_path)


def test_a_moved_work_tree_is_told(tmp_path: Path) -> None:
    linked = worktree(tmp_path)
    (tmp_path / "origin").rename(tmp_path / "moved")
    assert "git worktree repair" in told(linked)


def test_a_broken_configuration_is_told_in_the_words_of_git(tmp_path: Path) -> None:
    commit(tmp_path, FILES)
    (tmp_path / ".git/config").write_text("[core\n")
    assert "bad config line 1" in told(tmp_path)


@pytest.mark.parametrize("date", ["99999999999999999", "nonsense"])
def test_a_commit_without_a_readable_date_is_refused(tmp_path: Path, date: str) -> None:
    commit(tmp_path, FILES)
    tree = git(tmp_path, "rev-parse", "HEAD^{tree}")
    raw = f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter C <c@d> {date} +0000\n\ncommitter X <x@y> 5 +0000\n"
    made = git(tmp_path, "hash-object", "-t", "commit", "--literally", "-w", "--stdin", stdin=raw.encode())
    assert "no readable commit date" in told(tmp_path, made)


def test_the_missing_contents_of_a_partial_clone_are_a_refusal_not_an_empty_file(tmp_path: Path) -> None:
    origin = commit(tmp_path / "origin", FILES)
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--bare", "--filter=blob:none", f"file://{origin}", "partial")
    partial = GitRepository(tmp_path / "partial")
    with pytest.raises(Refused, match="--refetch"):
        list(partial.tree("HEAD"))
    with pytest.raises(Refused, match="--refetch"):
        list(partial.read(GitRepository(origin).tree("HEAD")))


def test_a_damaged_object_is_a_refusal(tmp_path: Path) -> None:
    repository = GitRepository(commit(tmp_path, {"a.py": b"x\n" * 5_000}))
    (entry,) = repository.tree("HEAD")
    loose = tmp_path / ".git/objects" / entry.blob[:2] / entry.blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(loose.read_bytes()[:20])
    with pytest.raises(Refused, match=r"cannot read 'a\.py'"):
        list(repository.read([entry]))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    repository = GitRepository(commit(tmp_path, FILES))
    with pytest.raises(Refused, match="cannot read 'a'"):
        list(repository.read([TreeEntry("a", repository.resolve("HEAD").commit, "100644", 1)]))
    with pytest.raises(Refused, match="cannot list"):
        list(repository.tree("0" * 40))
