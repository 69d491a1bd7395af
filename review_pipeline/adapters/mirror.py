"""Copies of a forge's repositories on this machine: bare, fetched by commit, and nothing of them is ever run."""

from __future__ import annotations

import os
import signal
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from review_pipeline.adapters.git import HARDENED, GitRepository, git_environment
from review_pipeline.core.redaction import redact
from review_pipeline.ports import Refused, Unavailable

_LOCK_SECONDS = 900
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# What old and harmless histories have; everything else that git's own check finds stops the fetch.
_KNOWN_FAULTS = ("zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeDate")
_FETCH = (
    "-c", "fetch.fsckObjects=true", *(word for fault in _KNOWN_FAULTS for word in ("-c", f"fetch.fsck.{fault}=ignore")),
    "-c", "http.followRedirects=false", "-c", "fetch.recurseSubmodules=false", "-c", "core.askPass=/bin/false",
)  # fmt: skip
_NOT_THERE = (
    "not our ref",
    "couldn't find remote ref",
    "no such remote ref",
    "unadvertised object",
    "not a valid object name",
)
_NOT_ALLOWED = ("authentication failed", "could not read username", "403", "401", "repository not found", "not found")


@dataclass(frozen=True)
class GitMirror:
    """path: of the bare repository; token: asked for when git needs it, given to it in its environment and never written down."""

    path: Path
    token: Callable[[], str] = field(default=str, repr=False)
    on_this_machine: bool = False  # the forge itself runs here: http and file addresses are taken as well
    limit_seconds: float = 900

    def fetch_pull(self, url: str, head: str, base: str, base_ref: str, number: int) -> str:
        """Both ends are there afterwards, with all of their history. Returns the newest commit of the base.

        base: what the forge says the base is; it lags behind the branch, and counts only once the branch is gone.
        """
        self._check_address(url)
        branch = f"refs/review_pipeline/bases/{number}"
        with self._alone():
            if not self._has(head):
                self._fetch(url, head, number)
            said = self._run(url, (f"+refs/heads/{base_ref}:{branch}",))
            if said is None:
                return GitRepository(self.path).resolve(branch).commit
            if not _is_not_there(said):
                raise self._failure(url, said)
            if not self._has(base):
                self._fetch(url, base, number)
            return base

    def fetch_branch(self, url: str, ref: str) -> str:
        """The newest commit of a branch, or of the default one for HEAD."""
        self._check_address(url)
        source = ref if ref == "HEAD" or ref.startswith("refs/") else f"refs/heads/{ref}"
        with self._alone():
            said = self._run(url, (f"+{source}:refs/review_pipeline/branch",))
            if said is not None:
                raise self._failure(url, said)
            return GitRepository(self.path).resolve("refs/review_pipeline/branch").commit

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time fetches into a copy, and makes it first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{self.path}.lock")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout as error:
            raise Unavailable(
                f"{self.path}: another fetch has not ended in {_LOCK_SECONDS} s. Try again later."
            ) from error
        try:
            self._made()
            yield
        finally:
            lock.release()

    def _check_address(self, url: str) -> None:
        """What the forge names is fetched from; what a repository names never is."""
        parts = urlsplit(url)
        allowed = ("https", "http", "file") if self.on_this_machine else ("https",)
        if parts.scheme not in allowed or (parts.scheme == "http" and parts.hostname not in _LOOPBACK):
            raise Refused(
                f"{redact(url)} is no address that is fetched from: only https is, from the forge that is configured."
            )

    def _made(self) -> None:
        if (self.path / "HEAD").is_file() and (self.path / "objects").is_dir():
            return
        done = subprocess.run(
            ["git", "init", "--quiet", "--bare", "--template=", str(self.path)],  # noqa: S607  the git of PATH, as everywhere
            capture_output=True, env=git_environment() | {"GIT_DEFAULT_HASH": "sha1"}, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode:
            raise Refused(
                f"{self.path} cannot be made: {done.stderr.decode(errors='replace').strip()[:300]}. Free the place, or set REVIEW_PIPELINE_HOME."
            )

    def _has(self, commit: str) -> bool:
        """With everything below it: an interrupted fetch leaves no commit without its history."""
        found = subprocess.run(
            ["git", f"--git-dir={self.path}", "cat-file", "-e", f"{commit}^{{commit}}"],  # noqa: S607
            capture_output=True, env=git_environment(), check=False, timeout=60,
        )  # fmt: skip
        return found.returncode == 0

    def _fetch(self, url: str, commit: str, pull: int) -> None:
        """By commit, so that a push in between changes nothing; servers that give no single commits have the ref of the pull request."""
        said = self._run(url, (f"+{commit}:refs/review_pipeline/commits/{commit}",))
        if said is not None and _is_not_there(said):
            said = self._run(url, (f"+refs/pull/{pull}/head:refs/review_pipeline/pull/{pull}",))
        if said is not None:
            raise self._failure(url, said)
        if not self._has(commit):
            raise Unavailable(
                f"{redact(url)} does not serve commit {commit[:12]} (yet). Try again in a moment; after a force-push it never will."
            )

    def _failure(self, url: str, said: str) -> Refused | Unavailable:
        lowered = said.lower()
        if _is_not_there(said):
            return Unavailable(f"{redact(url)} does not serve that commit (yet): {said}. Try again in a moment.")
        if any(words in lowered for words in _NOT_ALLOWED):
            return Refused(f"{redact(url)} cannot be fetched: {said}. Does the token or the App have 'contents: read'?")
        return Unavailable(f"{redact(url)} cannot be fetched: {said}. Try again later.")

    def _run(self, url: str, refspecs: tuple[str, ...]) -> str | None:
        """None if git has fetched, else what it said."""
        command = ["git", "--no-pager", *HARDENED, *_FETCH, f"--git-dir={self.path}", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--", url, *refspecs]  # fmt: skip
        token = self.token()
        with TemporaryFile() as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, cwd=os.sep, env=self._environment(url, token), start_new_session=True
            )  # fmt: skip
            try:
                code = process.wait(self.limit_seconds)
            except subprocess.TimeoutExpired as error:
                raise Unavailable(
                    f"{redact(url)}: fetching took more than {self.limit_seconds:g} s. Try again later."
                ) from error
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            stderr.seek(0)
            said = stderr.read(20_000).decode("utf-8", "replace")
        if code == 0:
            return None
        lines = [line for line in said.split("\n") if line.startswith(("fatal:", "error:", "remote:"))]
        return redact("; ".join(lines[:3]) or f"git ended with code {code}", [token] if token else [])[:400]

    def _environment(self, url: str, token: str) -> dict[str, str]:
        """In the environment, which only this user can read; arguments are seen by everybody."""
        allowed = "https:http:file" if self.on_this_machine else "https"
        environment = git_environment() | {"GIT_ALLOW_PROTOCOL": allowed, "HOME": os.devnull}
        if token and urlsplit(url).scheme in ("https", "http"):
            basic = b64encode(f"x-access-token:{token}".encode()).decode()
            parts = urlsplit(url)
            environment |= {
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
            }  # fmt: skip
        return environment


def _is_not_there(said: str) -> bool:
    return any(words in said.lower() for words in _NOT_THERE)
