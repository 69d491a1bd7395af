"""From files to requests to batches: sizes, chunks, ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

OVERLAP_LINES = 10
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9]+")
# Conservative for code: 2.6 to 3.6 characters a token were seen; bytes, because CJK text has several a token.
BYTES_PER_TOKEN = 2.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one batch. The API says 100,000 requests or 256 MB without saying which MB: stay below 250e6 bytes."""

    requests: int = 100_000
    body_bytes: int = 250_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """Lines first..last (counted from 1, both inside) of a file."""

    first: int
    last: int

    @property
    def lines(self) -> int:
        return self.last - self.first + 1


def estimated_tokens(byte_count: int) -> int:
    return int(byte_count / BYTES_PER_TOKEN) + 1


def spans(line_bytes: tuple[int, ...], budget_bytes: int) -> tuple[Span, ...]:
    """The whole file where it fits, else pieces that overlap, so that no statement is seen only in halves.

    A single line over the budget becomes a piece of its own; the API will say that it is too long.
    """
    pieces: list[Span] = []
    first = 1
    while first <= len(line_bytes):
        last, size = first, line_bytes[first - 1]
        while last < len(line_bytes) and size + line_bytes[last] <= budget_bytes:
            size += line_bytes[last]
            last += 1
        pieces.append(Span(first, last))
        if last == len(line_bytes):
            break
        first = max(first + 1, last + 1 - min(OVERLAP_LINES, (last - first + 1) // 4))
        while first <= last and sum(line_bytes[first - 1 : last + 1]) > budget_bytes:
            first += 1  # a piece that ended where the one before ended would be paid for and show nothing new
    return tuple(pieces)


def halves(span: Span) -> tuple[Span, ...]:
    """Two overlapping halves; nothing for a single line, which cannot be shortened."""
    if span.lines < 2:
        return ()
    middle = span.first + span.lines // 2 - 1
    # A tenth: with more, halving down to single lines would ask about each of them many times over.
    overlap = min(OVERLAP_LINES, span.lines // 10)
    return (Span(span.first, middle + overlap), Span(middle + 1 - overlap, span.last))


class Packer:
    """Says for each next request, by its size on the wire, whether it still fits into the batch that is being filled."""

    __slots__ = ("_body_bytes", "_limits", "_requests")
    ENVELOPE_BYTES = len(b'{"requests":[\n\n]}')

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = 0
        self._body_bytes = self.ENVELOPE_BYTES

    def starts_new_batch(self, request_bytes: int) -> bool:
        """True if the batch so far is full and this request opens the next one."""
        size = request_bytes + len(b",\n")
        is_full = self._requests >= self._limits.requests or self._body_bytes + size > self._limits.body_bytes
        if is_full and self._requests:
            self._requests, self._body_bytes = 1, self.ENVELOPE_BYTES + size
            return True
        self._requests += 1
        self._body_bytes += size
        return False


def content_key(repo: str, path: str, blob: str, prompt_version: str, model: str) -> str:
    """What an answer depends on. The prompt version covers instructions, schema and criteria."""
    return sha256("\x1f".join((repo, path, blob, prompt_version, model)).encode()).hexdigest()


def custom_id(workload: str, content: str, span: Span, attempt: int, nonce: str, parent: str = "") -> str:
    """Readable, unique, at most 64 of [a-zA-Z0-9_-], nothing secret, no path; the nonce proves whose it is.

    parent: overlapping chunks of one file may come down to the same lines in the same attempt.
    """
    prefix = _NOT_IN_IDS.sub("-", workload)[:24].strip("-")
    piece = sha256(f"{content}:{span.first}:{span.last}:{parent}".encode()).hexdigest()[:16]
    return f"{prefix}_{piece}_{attempt}_{nonce}"
