"""Results that come torn, short, late, or are none: nothing counts as collected before all of it is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import State
from review_pipeline.ports import InDoubt, Refused, Unavailable
from review_pipeline_tests.audit.world import PYTHON, World


def assert_nothing_was_collected(world: World) -> None:
    (submission,) = world.ledger.submissions()
    assert submission.state is State.ENDED
    assert world.ledger.outcomes(world.cell()) == {"waiting": submission.requests}
    assert not list((world.home / "spool" / "results").glob("*"))


@pytest.mark.parametrize("effect", ["cut_at_row", "cut_in_row", "drop"])
@pytest.mark.trap("cut_at_row", "cut_in_row")
def test_a_download_that_breaks_twice_and_then_comes_is_complete(world: World, effect: str) -> None:
    world.script({"on": "results", "effect": effect, "times": 2})
    world.audit()
    assert world.accepted() == [3]
    assert world.coverage() == {"reviewed": 3, "skipped": 1}
    world.assert_all_counted()


def test_an_overloaded_download_is_asked_again(world: World) -> None:
    world.script({"on": "results", "effect": "overloaded", "times": 2})
    world.audit()
    assert world.accepted() == [3]
    assert world.coverage() == {"reviewed": 3, "skipped": 1}


@pytest.mark.parametrize(
    "rule",
    [{"effect": "cut_in_row"}, {"effect": "cut_at_row"}, {"effect": "cut_at_row", "rows": 0}, {"effect": "not_found"}],
    ids=str,
)
def test_a_download_that_never_comes_whole_is_said_so_and_nothing_is_collected(
    world: World, rule: dict[str, Any]
) -> None:
    world.commit({f"f{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(24)})
    world.script({"on": "results", **rule})
    world.submit()
    with pytest.raises(Unavailable, match=r"msgbatch_.* the results stay at the API for 29 days: run the same command"):
        world.step()
    assert_nothing_was_collected(world)
    world.api.clear_scripts()
    world.finish()
    assert world.accepted() == [27]
    assert world.coverage() == {"reviewed": 27, "skipped": 1}


@pytest.mark.trap("cut_at_row")
def test_downloads_that_differ_are_cut_and_not_short(world: World) -> None:
    """Two were torn, the third ends cleanly between two lines: that proves nothing."""
    world.script(
        {"on": "results", "effect": "cut_in_row", "times": 2}, {"on": "results", "effect": "cut_at_row", "times": 1}
    )
    world.submit()
    with pytest.raises(Unavailable):
        world.step()
    assert_nothing_was_collected(world)
    world.finish()
    assert world.accepted() == [3]


def test_many_lost_lines_are_believed_after_a_day(world: World) -> None:
    world.commit({f"f{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(24)})
    world.script({"effect": "missing", "contains": "value_", "times": 24})
    world.submit()
    with pytest.raises(Unavailable, match="24 of 27 results"):
        world.step()
    world.move_clock(25 * 3600)
    world.finish()
    assert world.accepted() == [27, 24]
    assert world.coverage() == {"reviewed": 27, "skipped": 1}


class EmptyAtFirst(AnthropicBatches):
    """Ended batches whose results come as nothing at all, at first."""

    is_empty = True

    def download(self, batch_id: str, to: Path) -> None:
        if self.is_empty:
            to.write_bytes(b"")
            return
        super().download(batch_id, to)


def test_an_empty_download_does_not_make_our_batch_somebody_elses(world: World) -> None:
    world.sdk = empty = EmptyAtFirst("made-up", world.api.base_url)
    world.script({"on": "create", "effect": "accept_then_drop", "times": 1})
    world.plan()
    with suppress(Unavailable):  # whether the batch has ended by now or is met by the collection makes no difference
        world.send()
    with suppress(Unavailable):
        world.step()
    (submission,) = world.ledger.submissions()
    assert submission.not_batches == ()
    empty.is_empty = False
    world.finish()
    assert world.accepted() == [3]


@contextmanager
def answering(body: bytes, kind: str) -> Iterator[str]:
    """A proxy or portal that answers everything, with something else."""

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (the base class looks for this name)

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ANSWERS = [
    (b"<html>Please log in</html>", "text/html"),
    (b"<html>Please log in</html>", "application/json"),
    (b"{}", "application/json"),
    (b'{"data": [{}]}', "application/json"),
    (b"[]", "application/json"),
    (b"null", "application/json"),
    (b"", "application/json"),
]


@pytest.mark.parametrize(("body", "kind"), ANSWERS, ids=str)
def test_answers_that_are_not_this_apis_are_unavailable_or_in_doubt(tmp_path: Path, body: bytes, kind: str) -> None:
    (tmp_path / "body.json").write_bytes(b"{}")
    with answering(body, kind) as base_url:
        sdk = AnthropicBatches("made-up", base_url)
        with pytest.raises(InDoubt, match="creation"):
            sdk.create(tmp_path / "body.json")
        with pytest.raises(Unavailable, match="batch msgbatch_1: no usable answer"):
            sdk.retrieve("msgbatch_1")
        if body != b"{}":
            with pytest.raises(Unavailable, match="the list of batches: no usable answer"):
                list(sdk.newest())


@pytest.mark.parametrize(("body", "kind"), ANSWERS[:4], ids=str)
def test_a_portals_page_in_the_place_of_results_is_not_collected_and_our_batch_stays_ours(
    world: World, body: bytes, kind: str
) -> None:
    world.submit()
    world.look()
    with answering(body, kind) as base_url:
        world.sdk = AnthropicBatches("made-up", base_url)
        with pytest.raises(Unavailable, match="run the same command again"):
            world.collector.collect_cell(world.cell())
    assert_nothing_was_collected(world)
    world.sdk = world.api_sdk()
    world.finish()
    assert world.accepted() == [3]


def test_a_lost_spool_is_refused_and_nothing_is_sent(world: World) -> None:
    world.plan()
    (submission,) = world.ledger.submissions()
    body = world.pipeline.spool.body(submission.folder)
    moved = body.rename(body.with_suffix(".elsewhere"))
    with pytest.raises(Refused, match="Nothing was sent"):
        world.send()
    moved.rename(body)
    world.send()
    world.finish()
    assert world.accepted() == [3]


@pytest.mark.trap("line_separators")
def test_u2028_in_answers_is_no_end_of_a_line(world: World) -> None:
    anchor = '{"findings": [{"anchor": "1#0000", "end_line": 1, "category": "bug", "severity": "info", "confidence": 0.9, "issue": "a\u2028b\u0085c", "suggestion": "d\u2029e", "evidence": "import os"}]}'
    world.script({"effect": "text", "text": anchor, "contains": "one.py"})
    world.audit()
    assert world.query("SELECT issue, suggestion, start_line, anchor FROM findings WHERE path = 'one.py'") == [
        ("a\u2028b\u0085c", "d\u2029e", 1, "moved")
    ]
