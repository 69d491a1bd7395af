"""A bare git repository that is written without a work tree, and what a forge reads from it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PERSON = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A Developer"), ("EMAIL", "dev@example.com"), ("DATE", "2026-11-20T10:00:00 +0000"))
}
_WHEN = 1_795_428_000  # 2026-11-23
_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Bare:
    path: Path

    @classmethod
    def made(cls, path: Path) -> Bare:
        if not (path / "HEAD").exists():
            subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True, env=_environment())
            for name, value in {"http.receivepack": "false", "uploadpack.allowAnySHA1InWant": "true"}.items():
                subprocess.run(["git", "-C", str(path), "config", name, value], check=True, env=_environment())
        return cls(path)

    def git(self, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
        return self.raw(*arguments, stdin=stdin, **environment).decode().strip()

    def raw(self, *arguments: str, stdin: bytes = b"", **environment: str) -> bytes:
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments], input=stdin, capture_output=True, env=_environment() | environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def tip(self, ref: str) -> str:
        return self.git("rev-parse", "--verify", f"{ref}^{{commit}}")

    def has(self, commit: str) -> bool:
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", "cat-file", "-e", f"{commit}^{{commit}}"],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def point(self, ref: str, commit: str) -> None:
        self.git("update-ref", ref, commit)

    def commit(
        self, branch: str, files: dict[str, str | bytes | None], *, onto: str | None = None, message: str = "Change"
    ) -> str:
        ref = f"refs/heads/{branch}"
        if onto is None and self.git("for-each-ref", ref):
            onto = self.tip(ref)
        stream = [
            f"commit {ref}\ncommitter A Developer <dev@example.com> {_WHEN} +0000\n".encode(),
            _data(message.encode()),
        ]
        stream += [f"from {onto}\n".encode()] if onto else []
        for path, content in files.items():
            if content is None:
                stream.append(f"D {path}\n".encode())
                continue
            stream += [
                f"M 100644 inline {path}\n".encode(),
                _data(content.encode() if isinstance(content, str) else content),
            ]
        self.raw("fast-import", "--quiet", "--force", stdin=b"".join(stream))
        return self.tip(ref)

    def merge(self, branch: str, head: str) -> str:
        """Takes the head's tree: nothing else happens on the bases of tests."""
        commit = self.git(
            "commit-tree",
            f"{head}^{{tree}}",
            "-p",
            self.tip(f"refs/heads/{branch}"),
            "-p",
            head,
            "-m",
            "Merge",
            **_PERSON,
        )
        self.point(f"refs/heads/{branch}", commit)
        return commit

    def merge_base(self, base: str, head: str) -> str:
        return self.git("merge-base", base, head)

    def is_between(self, base: str, commit: str, head: str) -> bool:
        """Whether a pull request consists of this commit, too."""
        return commit in self.git("rev-list", head, f"^{base}").split()

    def hunks(self, merge_base: str, commit: str, path: str) -> list[tuple[int, int, int, int]] | None:
        """Old start and count, new start and count of each; None if the file is not changed."""
        text = self.raw(
            "diff-tree",
            "-p",
            "-r",
            "-M",
            "-U3",
            "--diff-algorithm=myers",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            merge_base,
            commit,
        )
        found: list[tuple[int, int, int, int]] | None = None
        for part in re.split(rb"^diff --git ", text, flags=re.MULTILINE)[1:]:
            names = {line[6:].decode() for line in part.split(b"\n") if line.startswith((b"--- a/", b"+++ b/"))}
            if path in names:
                found = [
                    tuple(int(n) if n else 1 for n in match.groups())
                    for line in part.split(b"\n")
                    if (match := _HUNK.match(line))
                ]  # type: ignore[misc]
        return found


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull}
