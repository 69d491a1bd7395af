"""From files to requests to batches: sizes, chunks, ids."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

from review_pipeline.core.boundaries import DIVIDES_NOTHING

OVERLAP_LINES = 10
LABEL_BYTES = 8  # what is shown of a line besides its text, at least
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


def room_bytes(context_tokens: int, max_tokens: int, prompt_bytes: int) -> int:
    """What a request can show beside its instructions and its answer, by our estimate."""
    return int((context_tokens - max_tokens - estimated_tokens(prompt_bytes)) * BYTES_PER_TOKEN)


def spans(line_bytes: Sequence[int], budget_bytes: int, costs: Sequence[int]) -> tuple[Span, ...]:
    """The whole file where it fits, else pieces that end before a good boundary and overlap where one divides something.

    costs: of beginning a piece at each line, see boundaries. A single line over the budget becomes a piece of its own.
    """
    upto = [0, *accumulate(line_bytes)]
    pieces: list[Span] = []
    first, shown = 1, 0
    while shown < len(line_bytes):
        most = max(first, bisect_right(upto, upto[first - 1] + budget_bytes) - 1)
        last = most
        if most < len(line_bytes):
            half = bisect_left(upto, upto[first - 1] + budget_bytes // 2, first, most)
            last = _best(costs, max(half, shown + 1) + 1, most + 1) - 1
        pieces.append(Span(first, last))
        first, shown = _next_first(pieces[-1], upto, budget_bytes, costs), last
    return tuple(pieces)


def _next_first(piece: Span, upto: Sequence[int], budget_bytes: int, costs: Sequence[int]) -> int:
    """Where the piece after this one begins: with it, where nothing is divided, else some lines earlier, at a statement's start."""
    after = piece.last + 1
    if after > len(costs) or costs[after - 1] <= DIVIDES_NOTHING:
        return after
    least = min(OVERLAP_LINES, piece.lines // 4)
    room = bisect_left(upto, upto[piece.last] - budget_bytes // 4) + 1
    # A piece that ended where the one before ended would be paid for and show nothing new.
    fitting = bisect_left(upto, upto[after] - budget_bytes) + 1
    earliest = min(after, max(after - 3 * least, after - piece.lines // 4, room, fitting))
    return _best(costs, earliest, max(earliest, after - least))


def _best(costs: Sequence[int], first: int, last: int) -> int:
    """The line of the lowest cost, the last one of several: pieces are filled, and little is shown twice."""
    return min(range(last, first - 1, -1), key=lambda line: costs[line - 1])


def halves(span: Span, costs: Sequence[int]) -> tuple[Span, ...]:
    """Two parts, cut at the best boundary near the middle, overlapping where it divides something; nothing for a single line.

    costs: of beginning a piece at each line of the span, see boundaries.
    """
    if span.lines < 2:
        return ()
    middle, third = span.lines // 2, span.lines // 6
    near = range(max(1, middle - third), min(span.lines - 1, middle + third) + 1)
    cut = min(near, key=lambda line: (costs[line], abs(line - middle)))
    # A tenth: with more, halving down to single lines would ask about each of them many times over.
    overlap = 0 if costs[cut] <= DIVIDES_NOTHING else min(OVERLAP_LINES, span.lines // 10)
    return (Span(span.first, span.first + cut - 1 + overlap), Span(span.first + cut - overlap, span.last))


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
