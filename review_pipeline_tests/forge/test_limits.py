"""Limits in each of their disguises: waited for, never taken for a fault of a comment, and given up after a while."""

from __future__ import annotations

import pytest

from review_pipeline.adapters.github.limits import SECONDARY_SECONDS, wait_seconds
from review_pipeline.ports import Unavailable
from review_pipeline_tests.forge.office import FAULT, Office
from review_pipeline_tests.forge.server import LIMITS, Forge


@pytest.fixture
def open_pull(office: Office) -> Office:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    return office


@pytest.mark.case(40, 41)
@pytest.mark.parametrize("name", sorted(set(LIMITS) - {"graph"}))
def test_a_limit_is_waited_for_and_then_the_review_stands_once_with_its_comment(
    open_pull: Office, forge: Forge, name: str
) -> None:
    row = open_pull.review()
    forge.limit("POST", "/reviews$", name)
    published = open_pull.publish(row)
    assert (published.state, published.inline) == ("posted", 1)
    assert len(open_pull.pull().reviews) == 1
    waited = [seconds for seconds in open_pull.slept if seconds > 1]
    assert len(waited) == 1 or name in ("secondary, told", "too many")


@pytest.mark.case(40)
@pytest.mark.parametrize("name", ["abuse", "too quickly"])
def test_a_limit_that_stays_is_no_bad_line_and_ends_in_a_later_run(open_pull: Office, forge: Forge, name: str) -> None:
    row = open_pull.review()
    forge.limit("POST", "/reviews$", name, times=50)
    with pytest.raises(Unavailable, match="limits how fast"):
        open_pull.publish(row)
    assert len([e for e in forge.journal if e.method == "POST" and e.path.endswith("/reviews")]) <= 4
    forge.faults.clear()
    assert open_pull.publish(row).inline == 1


@pytest.mark.case(41)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "999999"}, 3_600),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 2),
        (
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795435230", "date": "Mon, 23 Nov 2026 12:00:00 GMT"},
            31,
        ),
        (
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1795435230000",
                "date": "Mon, 23 Nov 2026 12:00:00 GMT",
            },
            SECONDARY_SECONDS,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, SECONDARY_SECONDS),
    ],
)
def test_the_wait_is_reckoned_by_the_clock_of_the_forge(headers: dict[str, str], seconds: float) -> None:
    assert wait_seconds(403, headers, {"message": "API rate limit exceeded"}) == seconds


def test_refusals_that_are_no_limits_are_not_waited_for() -> None:
    for status, message in (
        (403, "Resource not accessible by integration"),
        (422, "Validation Failed"),
        (404, "Not Found"),
    ):
        assert wait_seconds(status, {"x-ratelimit-remaining": "4999"}, {"message": message}) is None


def test_graphql_tells_a_limit_within_an_answer_that_looks_like_success(open_pull: Office, forge: Forge) -> None:
    forge.limit("POST", "/graphql", "graph")
    assert open_pull.told().state == "posted"


def test_writes_keep_a_second_between_them(open_pull: Office) -> None:
    open_pull.told()
    assert len([seconds for seconds in open_pull.slept if 0.5 < seconds <= 1]) == 2


@pytest.mark.case(43)
@pytest.mark.parametrize("kind", ["drop", "lose", "after", "answer"])
@pytest.mark.parametrize("path", ["/pulls/1$", "/reviews$", "/graphql"])
def test_reads_are_repeated_whatever_becomes_of_their_answers(
    open_pull: Office, forge: Forge, path: str, kind: str
) -> None:
    forge.fault("GET" if "graphql" not in path else "POST", path, kind, times=3)
    assert open_pull.told().state == "posted"
    assert len(open_pull.pull().reviews) == 1
