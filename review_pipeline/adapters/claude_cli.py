"""Runs the real `claude` binary: one process per call, in a group of its own, with nothing of ours but what it needs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from review_pipeline.core.claude_call import Call, arguments
from review_pipeline.core.claude_end import Answer, Ended, Failed, Mishap, read_end
from review_pipeline.ports import Refused

OUTPUT_BYTES = 50_000_000
_PROBE_SECONDS = 60
_POLL_SECONDS = 0.05
_VERSION = re.compile(r"\d+\.\d+\.\d+\S*")
_OLDEST = (2, 1, 0)
# What a program needs to reach the API through this network, and no more: no forge token, no cloud credentials.
_PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip
_FLAGS = (
    "--output-format", "--json-schema", "--setting-sources", "--strict-mcp-config", "--no-session-persistence", "--session-id", "--tools",
    "--system-prompt", "--max-budget-usd", "--model", "--disable-slash-commands",
)  # fmt: skip


def find_claude(setting: str | None) -> Path:
    """The explicit setting, else PATH, else the one that comes with claude-agent-sdk. Raises Refused."""
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise Refused(
                f"CLAUDE_BINARY names {setting}, which is no program that can be run. Correct it, or unset it."
            )
        return Path(found).absolute()
    if found := shutil.which("claude"):
        return Path(found).absolute()
    spec = importlib.util.find_spec("claude_agent_sdk")  # finding it costs nothing; importing it a second
    bundled = Path(spec.origin).parent / "_bundled" / "claude" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        raise Refused("there is no `claude` on PATH and none in claude-agent-sdk. Install it, or set CLAUDE_BINARY.")
    return bundled


@dataclass(frozen=True)
class ClaudeCli:
    """retries: of the binary itself, for each request; ours come on top, with a new process."""

    binary: Path
    api_key: str = field(repr=False)
    base_url: str | None
    retries: int = 2
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def version(self) -> str:
        """Raises Refused for a binary that is none, too old, or lacks a flag we rely on."""
        said = self._probe("--version")
        match = _VERSION.search(said)
        if match is None:
            raise Refused(f"{self.binary} --version says {said[:80]!r}. Is it Claude Code? Set CLAUDE_BINARY.")
        if tuple(int(part) for part in re.findall(r"\d+", match[0])[:3]) < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise Refused(f"{self.binary} is version {match[0]}; {oldest} or newer is needed. Update it.")
        told = self._probe("--help")
        if missing := [flag for flag in _FLAGS if not re.search(rf"{flag}\b", told)]:
            raise Refused(
                f"{self.binary} {match[0]} no longer knows {', '.join(missing)}. Use the version that claude-agent-sdk brings: unset CLAUDE_BINARY."
            )
        return match[0]

    def _probe(self, flag: str) -> str:
        try:
            done = subprocess.run(
                [self.binary, flag], capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_SECONDS, check=False,
                env=self._environment(Path(os.devnull)), cwd=os.sep,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(
                f"{self.binary} cannot be run: {error}. Correct CLAUDE_BINARY, or install it anew."
            ) from error
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[:200]
            raise Refused(f"{self.binary} {flag} failed ({done.returncode}): {said}. Install it anew.")
        return done.stdout.decode("utf-8", "replace")

    def run(
        self, call: Call, session_id: str, home: Path, folder: Path, started: Callable[[int], None] = lambda _pid: None
    ) -> Answer | Failed:
        """One call, from start to its end in either form. home: an empty folder that nobody else uses."""
        version = self.version
        ended = self._ended(call, session_id, home, folder, started)
        return read_end(call, session_id, ended, version)

    def _ended(self, call: Call, session_id: str, home: Path, folder: Path, started: Callable[[int], None]) -> Ended:
        command = [str(self.binary), *arguments(call, session_id)]
        # Files, not pipes: none of the three streams can fill up while another is waited for.
        with TemporaryFile() as prompt, TemporaryFile() as stdout, TemporaryFile() as stderr:
            prompt.write(call.prompt.encode("utf-8", "replace"))
            prompt.seek(0)
            try:
                process = subprocess.Popen(
                    command, stdin=prompt, stdout=stdout, stderr=stderr, cwd=folder, env=self._environment(home, caches=call.caches), start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                return Ended(126, b"", str(error).encode(), None, str(folder), (self.api_key,))
            try:
                started(process.pid)
                cut = _watch(process, (stdout, stderr), call.limit_seconds)
            finally:
                end_group(process.pid)
                process.wait()
            return Ended(
                process.returncode, _read(stdout), _read(stderr), cut, str(folder), (self.api_key,)
            )  # fmt: skip

    def _environment(self, home: Path, *, caches: bool = True) -> dict[str, str]:
        """Allow-listed. The key reaches the program, never the tools of a pass: those can neither run nor read it."""
        passed = {name: self.environment[name] for name in _PASSED_ON if name in self.environment}
        return {
            **passed,
            "HOME": str(home),
            "TMPDIR": str(home),
            "ANTHROPIC_API_KEY": self.api_key,
            **({"ANTHROPIC_BASE_URL": self.base_url} if self.base_url else {}),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": str(self.retries),
            "DISABLE_AUTOUPDATER": "1",
            **({} if caches else {"DISABLE_PROMPT_CACHING": "1"}),
        }


def _watch(process: subprocess.Popen[bytes], streams: tuple[IO[bytes], ...], limit_seconds: float) -> Mishap | None:
    deadline = time.monotonic() + limit_seconds
    while True:
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                return Mishap.TIMED_OUT
            if any(os.fstat(stream.fileno()).st_size > OUTPUT_BYTES for stream in streams):
                return Mishap.TOO_MUCH_OUTPUT
            continue
        too_much = any(os.fstat(stream.fileno()).st_size > OUTPUT_BYTES for stream in streams)
        return Mishap.TOO_MUCH_OUTPUT if too_much else None


def end_group(pid: int) -> None:
    """The process and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(OUTPUT_BYTES)
