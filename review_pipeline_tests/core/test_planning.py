import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.boundaries import DIVIDES_NOTHING
from review_pipeline.core.planning import (
    OVERLAP_LINES,
    Limits,
    Packer,
    Span,
    content_key,
    custom_id,
    estimated_tokens,
    halves,
    room_bytes,
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


@pytest.mark.trap("oversize_request")
def test_a_request_over_the_limit_stands_alone_and_stops_nothing():
    assert packed([10, 9_999, 10, 10], Limits(100, 1_000)) == [[10], [9_999], [10, 10]]


@pytest.mark.trap("oversize_request")
def test_a_request_over_the_limit_may_be_the_first_or_the_only_one():
    assert packed([9_999], Limits(100, 1_000)) == [[9_999]]
    assert packed([9_999, 9_999], Limits(100, 1_000)) == [[9_999], [9_999]]


def test_the_limits_are_those_of_the_api():
    assert Limits() == Limits(requests=100_000, body_bytes=250_000_000)


# -- pieces of a file

INNER = 22  # of a definition inside another one
LINE_BYTES = st.lists(st.sampled_from([1, 5, 10, 10, 10, 900]), min_size=1, max_size=60)
COST = st.sampled_from([0, DIVIDES_NOTHING, INNER, 60, 100, 100, 100])


@st.composite
def files(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bytes and cost of each line."""
    line_bytes = draw(LINE_BYTES)
    return tuple(line_bytes), tuple(draw(st.lists(COST, min_size=len(line_bytes), max_size=len(line_bytes))))


def any_line(lines: int) -> tuple[int, ...]:
    """Of a text in which every line is as bad a place as another."""
    return (100,) * lines


def bytes_of(line_bytes: tuple[int, ...], piece: Span) -> int:
    return sum(line_bytes[piece.first - 1 : piece.last])


@given(files(), st.integers(1, 1_500))
def test_pieces_show_every_line_in_order_and_within_the_budget(file, budget):
    line_bytes, costs = file
    pieces = spans(line_bytes, budget, costs)
    assert pieces[0].first == 1
    assert pieces[-1].last == len(line_bytes)
    for piece in pieces:
        assert piece.lines == 1 or bytes_of(line_bytes, piece) <= budget
    for before, after in itertools.pairwise(pieces):
        assert before.first < after.first <= before.last + 1


@given(files(), st.integers(1, 1_500))
def test_no_piece_is_paid_for_that_shows_nothing_new(file, budget):
    pieces = spans(file[0], budget, file[1])
    assert all(before.last < after.last for before, after in itertools.pairwise(pieces))


@given(files(), st.integers(1, 1_500))
def test_pieces_are_few(file, budget):
    line_bytes, costs = file
    assert len(spans(line_bytes, budget, costs)) <= 1 + 6 * sum(line_bytes) / budget


@given(files(), st.integers(1, 1_500))
def test_a_piece_is_half_full_unless_the_next_line_does_not_fit(file, budget):
    line_bytes, costs = file
    pieces = spans(line_bytes, budget, costs)
    for piece in pieces[:-1]:
        with_next = bytes_of(line_bytes, piece) + line_bytes[piece.last]
        assert bytes_of(line_bytes, piece) >= budget // 2 or with_next > budget


@given(files(), st.integers(40, 1_500))
def test_pieces_overlap_where_a_cut_divides_something_and_a_quarter_of_the_budget_has_room_for_a_line(file, budget):
    line_bytes, costs = file
    for before, after in itertools.pairwise(spans(line_bytes, budget, costs)):
        last_bytes = line_bytes[before.last - 1]
        if costs[before.last] <= DIVIDES_NOTHING:
            assert after.first == before.last + 1
        elif before.lines >= 4 and last_bytes <= budget // 4 and last_bytes + line_bytes[before.last] <= budget:
            assert after.first <= before.last


@given(files(), st.integers(40, 1_500))
def test_no_better_place_was_left_in_the_last_half_of_a_piece(file, budget):
    line_bytes, costs = file
    pieces = spans(line_bytes, budget, costs)
    for nth, piece in enumerate(pieces[:-1]):
        shown = pieces[nth - 1].last if nth else 0
        cost, size = costs[piece.last], 0
        for line in range(piece.first, len(line_bytes)):
            size += line_bytes[line - 1]
            if size > budget:
                break
            if size >= budget // 2 and line > shown:
                assert costs[line] > cost or (costs[line] == cost and line <= piece.last) or line == piece.last


@given(st.integers(20, 300), st.integers(400, 3_000))
def test_pieces_of_even_lines_overlap(lines, budget):
    pieces = spans((10,) * lines, budget, any_line(lines))
    for before, after in itertools.pairwise(pieces):
        assert before.last - after.first + 1 == min(OVERLAP_LINES, before.lines // 4)


def test_a_file_that_fits_is_one_piece_and_nobody_asks_where_it_may_be_cut():
    assert spans((10, 10, 10), 30, ()) == (Span(1, 3),)


def test_a_line_over_the_budget_is_a_piece_of_its_own():
    assert spans((10, 5_000, 10), 100, any_line(3)) == (Span(1, 1), Span(2, 2), Span(3, 3))


def test_a_file_without_lines_has_no_pieces():
    assert spans((), 100, ()) == ()


def test_a_long_line_after_many_short_ones_costs_one_request_more_not_three():
    assert spans((10,) * 40 + (5_000,), 400, any_line(41)) == (Span(1, 40), Span(41, 41))


def costs_with(lines: int, **at: int) -> tuple[int, ...]:
    """costs_with(9, l5=0): line 5 begins something that stands in nothing else."""
    costs = [100] * lines
    for name, cost in at.items():
        costs[int(name[1:]) - 1] = cost
    return tuple(costs)


def test_a_file_is_cut_between_definitions_without_repeating_a_line():
    assert spans((10,) * 100, 600, costs_with(100, l41=0)) == (Span(1, 40), Span(41, 100))


def test_a_top_level_definition_goes_before_a_nested_one_that_would_fill_the_piece_better():
    assert spans((10,) * 100, 600, costs_with(100, l41=0, l60=INNER))[0] == Span(1, 40)


def test_a_boundary_that_leaves_a_piece_half_empty_is_not_taken():
    assert spans((10,) * 100, 600, costs_with(100, l21=0, l58=60))[0] == Span(1, 57)


def test_what_divides_a_definition_is_repeated_from_the_start_of_a_statement():
    before, after = spans((10,) * 100, 600, costs_with(100, l46=60, l58=60))
    assert (before, after) == (Span(1, 57), Span(46, 100))


@given(st.integers(1, 10**6), st.integers(2, 3_000), st.data())
def test_halves_are_shorter_show_every_line_and_overlap_where_there_is_room(first, lines, data):
    whole = Span(first, first + lines - 1)
    costs = [100] * lines
    for line in data.draw(st.lists(st.integers(0, lines - 1), max_size=20)):
        costs[line] = data.draw(COST)
    left, right = halves(whole, costs)
    assert (left.first, right.last) == (whole.first, whole.last)
    assert max(left.lines, right.lines) < whole.lines
    assert left.first < right.first <= left.last + 1
    assert left.last < right.last
    is_clean = right.first == left.last + 1 and costs[right.first - first] <= DIVIDES_NOTHING
    assert right.first <= left.last or lines < 10 or is_clean


def test_halves_meet_at_the_best_boundary_near_the_middle():
    assert halves(Span(101, 200), costs_with(100, l41=0, l50=60, l90=0)) == (Span(101, 140), Span(141, 200))


def test_of_two_boundaries_the_one_nearer_to_the_middle_is_taken():
    assert halves(Span(1, 100), costs_with(100, l36=0, l60=0)) == (Span(1, 59), Span(60, 100))


def test_a_single_line_has_no_halves():
    assert halves(Span(5, 5), any_line(1)) == ()


def leaves(span: Span, costs: tuple[int, ...]) -> int:
    pieces = halves(span, costs[span.first - 1 : span.last])
    return sum(leaves(piece, costs) for piece in pieces) if pieces else 1


@pytest.mark.parametrize("every", [3, 7, 1_000])
@pytest.mark.parametrize("lines", [30, 100, 300])
def test_halving_a_file_down_to_its_lines_asks_at_most_a_few_times_for_each(lines, every):
    costs = tuple(60 if line % every == 0 else 100 for line in range(lines))
    assert leaves(Span(1, lines), costs) <= 4 * lines


@pytest.mark.parametrize(("context", "expected"), [(200_000, 467_497), (8_000, -12_502)])
def test_what_a_request_can_show_is_what_instructions_and_answer_leave(context, expected):
    assert room_bytes(context, 8_000, 12_500) == expected


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
