"""The index over a create body agrees with a plain JSON parser, whatever the body looks like."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review_pipeline.simulator.intake import BodyIndex, index_body, read_requests
from review_pipeline.simulator.wire import ApiError

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.sampled_from(['}"', "\\", '{"', "]", "\u2028"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_params = st.dictionaries(st.sampled_from(["model", "requests", "messages"]) | st.text(), _values, max_size=3)
_requests = st.lists(_params, min_size=1, max_size=6).map(
    lambda several: [{"params": params, "custom_id": f"c-{number}"} for number, params in enumerate(several)]
)


@contextmanager
def _body(raw: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "body"
        path.write_bytes(raw)
        yield path


@settings(max_examples=30, deadline=None)
@given(_requests, st.booleans(), st.sampled_from([None, 2]))
def test_the_requests_found_on_disk_are_those_a_parser_finds(
    requests: list[dict[str, Any]], ascii_only: bool, indent: int | None
) -> None:
    try:
        raw = json.dumps({"requests": requests}, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:
        return
    with _body(raw) as path:
        index = index_body(path)
        assert list(read_requests(path, index, 0, len(index))) == requests


@settings(max_examples=30, deadline=None)
@given(_requests, st.data())
def test_a_cut_body_is_never_accepted(requests: list[dict[str, Any]], data: st.DataObject) -> None:
    raw = json.dumps({"requests": requests}).encode()
    cut = data.draw(st.integers(0, len(raw) - 1))
    with _body(raw[:cut]) as path, pytest.raises(ApiError):
        index_body(path)


def test_an_index_read_back_is_the_one_that_was_written(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "b", "params": {"x": [1]}}]}')
    index = index_body(body)
    index.write(tmp_path / "index")
    read = BodyIndex.read(tmp_path / "index")
    assert [read.span(0), read.span(1)] == [index.span(0), index.span(1)]


def test_a_body_of_many_megabytes_is_indexed_without_being_held_in_memory(tmp_path: Path) -> None:
    body = tmp_path / "body"
    request = json.dumps({"custom_id": "ID", "params": {"messages": [{"content": 'code\\n"' * 400}]}})
    with body.open("w") as file:
        file.write('{"requests": [')
        file.write(",".join(request.replace("ID", f"c-{number}") for number in range(12_000)))
        file.write("]}")
    size_bytes = body.stat().st_size
    process = psutil.Process()
    before_bytes, began = process.memory_info().rss, time.monotonic()
    assert len(index_body(body)) == 12_000
    assert process.memory_info().rss - before_bytes < size_bytes / 2
    assert time.monotonic() - began < 10
