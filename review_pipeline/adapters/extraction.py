"""Reads each HTML and PDF document in a process of its own, below limits of time and memory: documents are hostile.

One server for all of them imports the parsers once and forks for each document, so that a process costs milliseconds.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import orjson

from review_pipeline.adapters.document_text import TEXTS, NotReadable
from review_pipeline.core.documents import of_lines
from review_pipeline.core.selection import Skip, SkipReason, Source, TreeEntry
from review_pipeline.ports import Unavailable

CPU_SECONDS = 20  # a report of 500 pages takes 5
LIMIT_SECONDS = 60.0
MEMORY_BYTES = 1_000_000_000
_MOST_REPLY_BYTES = 64_000_000
_CHUNK_BYTES = 1 << 16
_ROOT = Path(__file__).parents[2]
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE")  # no key: a parser that is taken over finds none
_LANGUAGES = {"html": "markdown", "pdf": "text"}  # as what the lines are shown and cut


class Extractor:
    """The server, started with the first document."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def read(self, entry: TreeEntry, kind: str, content: bytes) -> Source | Skip:
        """kind: html or pdf. Raises Unavailable if no process can be started at all."""
        try:
            reply = self._ask(kind, content)
        except (BrokenPipeError, ValueError):
            self._stop()
            return Skip(entry, SkipReason.UNREADABLE, "the process that read it was stopped from outside")
        if "skip" in reply:
            return Skip(entry, SkipReason(reply["skip"]), reply["detail"])
        return of_lines(entry, _LANGUAGES[kind], tuple(reply["lines"]), tuple(reply["page_lines"]), reply["note"])

    def _ask(self, kind: str, content: bytes) -> dict[str, Any]:
        server = self._started()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(orjson.dumps([kind, len(content)]) + b"\n")
        server.stdin.write(content)
        server.stdin.flush()
        reply: dict[str, Any] = orjson.loads(server.stdout.readline())
        return reply

    def _started(self) -> subprocess.Popen[bytes]:
        if self._server is None:
            try:
                self._server = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd=_ROOT,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                )
            except OSError as error:
                raise Unavailable(
                    f"no process can be started to read documents: {error.strerror}. Run the same command again when the machine is less busy."
                ) from error
        return self._server

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.kill()
        for pipe in (server.stdin, server.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written to it
                    pipe.close()
        server.wait()


def _main() -> None:
    import bs4  # noqa: F401  once for all documents
    import pypdf  # noqa: F401

    while header := sys.stdin.buffer.readline():
        kind, size = orjson.loads(header)
        content = sys.stdin.buffer.read(size)
        sys.stdout.buffer.write(_in_own_process(kind, content) + b"\n")
        sys.stdout.buffer.flush()


def _in_own_process(kind: str, content: bytes) -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _read_and_exit(kind, content, writing)
    os.close(writing)
    with open(reading, "rb", buffering=0) as pipe:  # noqa: PTH123  a pipe has no path
        said = _said_in_time(pipe)
    if said is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if said is None:
        limit = f"{LIMIT_SECONDS:.0f} seconds and {_MOST_REPLY_BYTES // 1_000_000} MB of text"
        return _skipped(SkipReason.TOO_LARGE, f"reading it came to no end within {limit}")
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return _skipped(SkipReason.TOO_LARGE, f"reading it takes more than {CPU_SECONDS} seconds of the processor")
    if status != 0 or not said:
        return _skipped(SkipReason.UNREADABLE, f"its parser stopped without a word (status {status})")
    return said


def _said_in_time(pipe: IO[bytes]) -> bytes | None:
    """Everything until the other side closes; None if that takes too long or is too much."""
    deadline, said = time.monotonic() + LIMIT_SECONDS, bytearray()
    while (left := deadline - time.monotonic()) > 0 and len(said) <= _MOST_REPLY_BYTES:
        if select.select([pipe], [], [], left)[0]:
            chunk = pipe.read(_CHUNK_BYTES)
            if not chunk:
                return bytes(said)
            said += chunk
    return None


def _read_and_exit(kind: str, content: bytes, writing: int) -> None:
    """In the child, which never returns."""
    with suppress(BaseException), open(writing, "wb") as pipe:
        _limit()
        pipe.write(_read(kind, content))
        pipe.flush()
        os._exit(0)
    os._exit(1)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _read(kind: str, content: bytes) -> bytes:
    try:
        text = TEXTS[kind](content)
    except NotReadable as error:
        return _skipped(error.reason, str(error))
    except MemoryError:
        return _skipped(SkipReason.TOO_LARGE, f"reading it takes more than {MEMORY_BYTES / 1e9:g} GB of memory")
    except Exception as error:  # noqa: BLE001  a broken file makes a parser raise anything
        return _skipped(*_why(error))
    lines = [line.encode("utf-8", "replace").decode() for line in text.lines]  # PDFs may hold half of a character
    return orjson.dumps({"lines": lines, "page_lines": text.page_lines, "note": text.note})


def _why(error: Exception) -> tuple[SkipReason, str]:
    from pypdf.errors import DependencyError, LimitReachedError

    said = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    if isinstance(error, LimitReachedError):
        return SkipReason.TOO_LARGE, said
    if isinstance(error, DependencyError):
        return SkipReason.ENCRYPTED, said
    return SkipReason.UNREADABLE, said


def _skipped(reason: SkipReason, detail: str) -> bytes:
    return orjson.dumps({"skip": reason.value, "detail": detail.encode("utf-8", "replace").decode()})


if __name__ == "__main__":
    _main()
