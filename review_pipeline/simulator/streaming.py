"""The same Message as a stream of server-sent events."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from review_pipeline.simulator.wire import JsonObject

_PIECE_CHARACTERS = 800


def message_events(message: JsonObject) -> Iterator[bytes]:
    usage = message["usage"]
    opening = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield _event("message_start", {"message": opening})
    for index, block in enumerate(message["content"]):
        yield from _block_events(index, block)
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    final_usage = {
        name: usage[name]
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    }
    yield _event("message_delta", {"delta": delta, "usage": final_usage})
    yield _event("message_stop", {})


def _block_events(index: int, block: JsonObject) -> Iterator[bytes]:
    if block["type"] == "text":
        opening, pieces = {**block, "text": ""}, block["text"]
        delta, name = "text_delta", "text"
    else:
        opening, pieces = {**block, "input": {}}, orjson.dumps(block["input"]).decode()
        delta, name = "input_json_delta", "partial_json"
    yield _event("content_block_start", {"index": index, "content_block": opening})
    if index == 0:
        yield _event("ping", {})
    for start in range(0, len(pieces), _PIECE_CHARACTERS):
        piece = {"type": delta, name: pieces[start : start + _PIECE_CHARACTERS]}
        yield _event("content_block_delta", {"index": index, "delta": piece})
    yield _event("content_block_stop", {"index": index})


def _event(name: str, fields: JsonObject) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **fields}) + b"\n\n"
