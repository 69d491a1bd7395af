"""Takes a create body of any legal size from disk to an index of requests without holding it in memory."""

from __future__ import annotations

import mmap
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from review_pipeline.simulator.wire import ApiError, ErrorBody, JsonObject, invalid_request

MAX_BODY_BYTES = 256 * 1024 * 1024
MAX_REQUESTS = 100_000

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Possessive, so that a string of megabytes costs one pass and no stack.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)
_RELEASE_EVERY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BodyIndex:
    """Where each request lies in its body: start, length, start, length, ..."""

    positions: array[int]

    def __len__(self) -> int:
        return len(self.positions) // 2

    def span(self, number: int) -> tuple[int, int]:
        return self.positions[2 * number], self.positions[2 * number + 1]

    def write(self, path: Path) -> None:
        beside = path.with_suffix(".tmp")
        beside.write_bytes(self.positions.tobytes())
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> BodyIndex:
        positions = array("Q")
        positions.frombytes(path.read_bytes())
        return cls(positions)


def index_body(path: Path, max_requests: int = MAX_REQUESTS) -> BodyIndex:
    """Raises ApiError for everything the real API refuses before it accepts a batch."""
    if path.stat().st_size == 0:
        raise invalid_request("The request body is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        index, skeleton = _split(body)
        _check_skeleton(skeleton, len(index), max_requests)
        _check_requests(body, index)
    return index


def read_requests(path: Path, index: BodyIndex, start: int, stop: int) -> Iterator[JsonObject]:
    with path.open("rb") as file:
        for number in range(start, min(stop, len(index))):
            offset, length = index.span(number)
            file.seek(offset)
            yield orjson.loads(file.read(length))


def _split(body: mmap.mmap) -> tuple[BodyIndex, bytes]:
    """Also returns the body with every request replaced by 0, so that what surrounds them can be checked too."""
    positions = array("Q")
    skeleton: list[bytes] = []
    depth = copied_to = element_at = released_to = 0
    key, in_requests = b"", False
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        if first == 0x22:  # a string
            if depth == 1:
                key = token.group()
        elif first in b"{[":
            depth += 1
            if depth == 2:
                in_requests = key == b'"requests"' and first == 0x5B
            elif depth == 3 and in_requests and first == 0x7B:
                element_at = token.start()
                skeleton.append(body[copied_to:element_at])
        else:
            depth -= 1
            if depth == 2 and in_requests and element_at:
                positions.extend((element_at, token.end() - element_at))
                skeleton.append(b"0")
                copied_to, element_at = token.end(), 0
        if token.end() - released_to > _RELEASE_EVERY_BYTES:
            released_to = _release(body, token.end())
    skeleton.append(body[copied_to:])
    return BodyIndex(positions), b"".join(skeleton)


def _release(body: mmap.mmap, upto: int) -> int:
    """Pages of a mapped file count as resident memory until they are given back."""
    whole_pages = upto - upto % mmap.PAGESIZE
    body.madvise(mmap.MADV_DONTNEED, 0, whole_pages)
    return whole_pages


def _check_skeleton(skeleton: bytes, found: int, max_requests: int) -> None:
    try:
        outer = orjson.loads(skeleton)
    except orjson.JSONDecodeError as error:
        raise invalid_request(f"The request body is not valid JSON: {error}") from error
    if not isinstance(outer, dict) or "requests" not in outer:
        raise invalid_request("requests: Field required")
    for name in outer:
        if name != "requests":
            raise invalid_request(f"{name}: Extra inputs are not permitted")
    requests = outer["requests"]
    if not isinstance(requests, list) or len(requests) != found or any(item != 0 for item in requests):
        raise invalid_request("requests: Input should be a valid list of objects")
    if found == 0:
        raise invalid_request("requests: List should have at least 1 item after validation, not 0")
    if found > max_requests:
        raise invalid_request(f"requests: List should have at most {max_requests} items after validation, not {found}")


def _check_requests(body: mmap.mmap, index: BodyIndex) -> None:
    seen: set[str] = set()
    released_to = 0
    for number in range(len(index)):
        offset, length = index.span(number)
        custom_id = _checked_custom_id(body[offset : offset + length], number)
        if custom_id in seen:
            raise invalid_request(f"requests.{number}.custom_id: Duplicate custom_id: {custom_id}")
        seen.add(custom_id)
        if offset - released_to > _RELEASE_EVERY_BYTES:
            released_to = _release(body, offset)


def _checked_custom_id(raw: bytes, number: int) -> str:
    where = f"requests.{number}"
    try:
        request = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid_request(f"The request body is not valid JSON in {where}: {error}") from error
    for name in request:
        if name not in ("custom_id", "params"):
            raise invalid_request(f"{where}.{name}: Extra inputs are not permitted")
    if not isinstance(request.get("params"), dict):
        raise invalid_request(f"{where}.params: Field required")
    return _legal_custom_id(request.get("custom_id"), where)


def _legal_custom_id(custom_id: object, where: str) -> str:
    if custom_id is None:
        raise invalid_request(f"{where}.custom_id: Field required")
    if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
        raise invalid_request(f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    return custom_id


def body_too_large(limit_bytes: int) -> ApiError:
    return ApiError(ErrorBody("request_too_large", f"Request exceeds the maximum size of {limit_bytes} bytes"))
