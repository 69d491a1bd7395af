"""Token counts and prompt-cache accounting: plausible, deterministic, and on the server's own clock."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from review_pipeline.simulator.store import Store
from review_pipeline.simulator.wire import JsonObject

BYTES_PER_TOKEN = 3.5
MIN_CACHED_TOKENS = 512
_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True)
class InputTokens:
    uncached: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def total(self) -> int:
        return self.uncached + self.read + self.written_5m + self.written_1h


@dataclass(frozen=True, slots=True)
class _Breakpoint:
    hash: str
    tokens: int
    ttl: str


def tokens_of(text: str) -> int:
    return _tokens(len(text.encode("utf-8", "surrogatepass")))


def _tokens(size_bytes: float) -> int:
    return math.ceil(size_bytes / BYTES_PER_TOKEN)


def input_tokens(params: JsonObject) -> int:
    return max(1, _tokens(sum(len(piece) for piece, _ in _pieces(params))))


class PromptCache:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._expires_at = store.cached_prefixes()
        self._unsaved: dict[str, float] = {}

    def account(self, params: JsonObject, now: float) -> InputTokens:
        """The longest known prefix is read, what lies between it and the last breakpoint is written."""
        total, breakpoints = _breakpoints(params)
        if not breakpoints:
            return InputTokens(total)
        with self._lock:
            read = max((b.tokens for b in breakpoints if self._expires_at.get(b.hash, 0.0) > now), default=0)
            written = {"5m": 0, "1h": 0}
            reached = read
            for point in breakpoints:
                self._remember(point, now)
                written[point.ttl] += max(0, point.tokens - reached)
                reached = max(reached, point.tokens)
        return InputTokens(total - reached, read, written["5m"], written["1h"])

    def _remember(self, point: _Breakpoint, now: float) -> None:
        expires_at = now + _TTL_SECONDS[point.ttl]
        self._expires_at[point.hash] = self._unsaved[point.hash] = expires_at

    def save(self) -> None:
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        if unsaved:
            self._store.remember_prefixes(unsaved)


def usage_json(tokens: InputTokens, output_tokens: int, service_tier: str) -> JsonObject:
    return {
        "input_tokens": tokens.uncached,
        "cache_creation_input_tokens": tokens.written_5m + tokens.written_1h,
        "cache_read_input_tokens": tokens.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.written_5m,
            "ephemeral_1h_input_tokens": tokens.written_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": service_tier,
        "inference_geo": "not_available",
    }


def _breakpoints(params: JsonObject) -> tuple[int, tuple[_Breakpoint, ...]]:
    digest = hashlib.blake2b(str(params.get("model", "")).encode(), digest_size=16)
    size_bytes = 0
    points: list[_Breakpoint] = []
    for piece, ttl in _pieces(params):
        size_bytes += len(piece)
        digest.update(len(piece).to_bytes(8, "big") + piece)
        tokens = _tokens(size_bytes)
        # Below the minimum the real API silently caches nothing.
        if ttl is not None and tokens >= MIN_CACHED_TOKENS:
            points.append(_Breakpoint(digest.hexdigest(), tokens, ttl))
    return max(1, _tokens(size_bytes)), tuple(points)


def _pieces(params: JsonObject) -> Iterator[tuple[bytes, str | None]]:
    """Tools, system and messages in the order in which the real cache hashes them."""
    for tool in params.get("tools") or ():
        yield _without_cache_mark(tool), _ttl(tool)
    yield from _content_pieces(params.get("system"))
    for message in params.get("messages") or ():
        if isinstance(message, dict):
            yield from _content_pieces(message.get("content"))


def _content_pieces(content: object) -> Iterator[tuple[bytes, str | None]]:
    if isinstance(content, str):
        yield content.encode("utf-8", "surrogatepass"), None
    elif isinstance(content, list):
        for block in content:
            text = block.get("text") if isinstance(block, dict) else None
            piece = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else _without_cache_mark(block)
            yield piece, _ttl(block)


def _without_cache_mark(block: object) -> bytes:
    if isinstance(block, dict):
        block = {name: value for name, value in block.items() if name != "cache_control"}
    return orjson.dumps(block)


def _ttl(block: object) -> str | None:
    mark = block.get("cache_control") if isinstance(block, dict) else None
    if not isinstance(mark, dict):
        return None
    ttl = mark.get("ttl")
    return ttl if ttl in _TTL_SECONDS else "5m"
