import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.planning import (
    OVERLAP_LINES,
    Limits,
    Packer,
    Span,
    content_key,
    custom_id,
    estimated_tokens,
    halves,
    spans,
)

LEGAL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


# -- batches


def packed(sizes: list[int], limits: Limits) -> list[list[int]]:
    packer = Packer(limits)
    batches: list[list[int]] = []
    for size in sizes:
        if packer.starts_new_batch(size) or not batches:
            batches.append([])
        batches[-1].append(size)
    return batches


def body_bytes(batch: list[int]) -> int:
    """As the spool writes it."""
    return len(b'{"requests":[\n') + sum(batch) + len(b",\n") * (len(batch) - 1) + len(b"\n]}")


@given(
    st.lists(st.integers(1, 400), max_size=40),
    st.builds(Limits, requests=st.integers(1, 6), body_bytes=st.integers(20, 600)),
)
def test_batches_lose_nothing_keep_the_order_and_stay_within_both_limits(sizes, limits):
    batches = packed(sizes, limits)
    assert [size for batch in batches for size in batch] == sizes
    for batch in batches:
        assert 1 <= len(batch) <= limits.requests
        assert body_bytes(batch) <= limits.body_bytes or len(batch) == 1


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(140, 600))
def test_a_batch_ends_only_because_the_next_request_does_not_fit(sizes, body_limit):
    batches = packed(sizes, Limits(5, body_limit))
    for batch, following in itertools.pairwise(batches):
        slack = len(b",\n")  # the last request of a body needs no comma
        assert len(batch) == 5 or body_bytes([*batch, following[0]]) + slack > body_limit


def test_a_request_over_the_limit_stands_alone_and_stops_nothing():
    assert packed([10, 9_999, 10, 10], Limits(100, 1_000)) == [[10], [9_999], [10, 10]]


def test_a_request_over_the_limit_may_be_the_first_or_the_only_one():
    assert packed([9_999], Limits(100, 1_000)) == [[9_999]]
    assert packed([9_999, 9_999], Limits(100, 1_000)) == [[9_999], [9_999]]


def test_the_limits_are_those_of_the_api():
    assert Limits() == Limits(requests=100_000, body_bytes=250_000_000)


# -- pieces of a file

LINE_BYTES = st.lists(st.sampled_from([1, 5, 10, 10, 10, 900]), min_size=1, max_size=60).map(tuple)


@given(LINE_BYTES, st.integers(1, 1_500))
def test_pieces_show_every_line_in_order_and_within_the_budget(line_bytes, budget):
    pieces = spans(line_bytes, budget)
    assert pieces[0].first == 1
    assert pieces[-1].last == len(line_bytes)
    for piece in pieces:
        assert piece.lines == 1 or sum(line_bytes[piece.first - 1 : piece.last]) <= budget
    for before, after in itertools.pairwise(pieces):
        assert before.first < after.first <= before.last + 1


@given(LINE_BYTES, st.integers(1, 1_500))
def test_no_piece_is_paid_for_that_shows_nothing_new(line_bytes, budget):
    pieces = spans(line_bytes, budget)
    assert all(before.last < after.last for before, after in itertools.pairwise(pieces))


@given(st.integers(20, 300), st.integers(400, 3_000))
def test_pieces_of_even_lines_overlap(lines, budget):
    pieces = spans((10,) * lines, budget)
    for before, after in itertools.pairwise(pieces):
        assert before.last - after.first + 1 == min(OVERLAP_LINES, before.lines // 4)


def test_a_file_that_fits_is_one_piece():
    assert spans((10, 10, 10), 30) == (Span(1, 3),)


def test_a_line_over_the_budget_is_a_piece_of_its_own():
    assert spans((10, 5_000, 10), 100) == (Span(1, 1), Span(2, 2), Span(3, 3))


def test_a_file_without_lines_has_no_pieces():
    assert spans((), 100) == ()


def test_a_long_line_after_many_short_ones_costs_one_request_more_not_three():
    assert spans((10,) * 40 + (5_000,), 400) == (Span(1, 40), Span(41, 41))


@given(st.integers(1, 10**6), st.integers(2, 3_000))
def test_halves_are_shorter_show_every_line_and_overlap_where_there_is_room(first, lines):
    whole = Span(first, first + lines - 1)
    left, right = halves(whole)
    assert (left.first, right.last) == (whole.first, whole.last)
    assert max(left.lines, right.lines) < whole.lines
    assert left.first < right.first <= left.last + 1
    assert left.last < right.last
    assert right.first <= left.last or lines < 10


def test_a_single_line_has_no_halves():
    assert halves(Span(5, 5)) == ()


def leaves(span: Span) -> int:
    pieces = halves(span)
    return sum(map(leaves, pieces)) if pieces else 1


@pytest.mark.parametrize("lines", [30, 100, 300])
def test_halving_a_file_down_to_its_lines_asks_at_most_a_few_times_for_each(lines):
    assert leaves(Span(1, lines)) <= 4 * lines


# -- sizes and names


@pytest.mark.parametrize(("byte_count", "tokens"), [(0, 1), (1, 1), (5, 3), (250_000, 100_001)])
def test_tokens_are_estimated_from_bytes_and_never_too_low(byte_count, tokens):
    assert estimated_tokens(byte_count) == tokens


WORKLOADS = st.one_of(st.text(max_size=80), st.just("nightly_quality_audit"), st.just("../" * 40))
IDS = {
    "workload": WORKLOADS,
    "content": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    "span": st.builds(Span, st.integers(1, 10**9), st.integers(1, 10**9)),
    "attempt": st.integers(1, 99),
    "nonce": st.from_regex(r"[a-zA-Z0-9]{8,12}", fullmatch=True),
}


@given(st.fixed_dictionaries(IDS))
def test_a_custom_id_is_legal_and_ends_with_the_mark_by_which_we_know_it(parts):
    made = custom_id(**parts)
    assert LEGAL_ID.fullmatch(made)
    assert made.endswith(f"_{parts['attempt']}_{parts['nonce']}")


def test_a_custom_id_tells_the_workload_and_hides_the_path():
    key = content_key("acme/api", "src/secret_plan.py", "b10b", "v1", "claude-haiku-5-5")
    made = custom_id("nightly_quality_audit", key, Span(1, 9), 1, "4afb952f77")
    assert made.startswith("nightly-quality-audit_")
    assert not any(word in made for word in ("src", "secret", "plan", "acme"))


FIRST = ("audit", "content", Span(1, 9), 1, "nonce")


@pytest.mark.parametrize(
    "other",
    [
        ("audit", "another", Span(1, 9), 1, "nonce"),
        ("audit", "content", Span(1, 8), 1, "nonce"),
        ("audit", "content", Span(2, 9), 1, "nonce"),
        ("audit", "content", Span(1, 9), 2, "nonce"),
        ("audit", "content", Span(1, 9), 1, "ecnon"),
    ],
    ids=["content", "last line", "first line", "attempt", "nonce"],
)
def test_a_custom_id_differs_with(other):
    assert custom_id(*other) != custom_id(*FIRST)


def test_two_parents_that_come_down_to_the_same_lines_have_children_of_different_names():
    assert custom_id(*FIRST, parent="one") != custom_id(*FIRST, parent="other")


@given(st.lists(st.sampled_from(["a", "b"]), min_size=5, max_size=5), st.integers(0, 4))
def test_an_answer_depends_on_each_part_of_the_question(parts, place):
    changed = [*parts]
    changed[place] += "x"
    assert content_key(*changed) != content_key(*parts)


def test_parts_that_only_join_alike_are_different_questions():
    assert content_key("a", "bc", "x", "y", "z") != content_key("ab", "c", "x", "y", "z")
