"""What may be spent in a month: reserved at its worst, settled by what it was."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.cost import PriceTable, Usage, batch_cost_usd
from review_pipeline.core.spending import Caps, Reserve, Spending, month_of
from review_pipeline.settings import shipped_prices

PRICES = PriceTable(shipped_prices())
DAY = date(2026, 11, 16)
USD = st.decimals(min_value=0, max_value=1_000, places=4)


@given(st.lists(st.tuples(st.integers(1, 400_000), st.integers(1, 64_000)), max_size=20))
def test_what_is_reserved_covers_every_answer_that_keeps_to_its_room(requests):
    reserve = Reserve(PRICES, "claude-haiku-5-5", DAY)
    for size, room in requests:
        reserve.add(size, room)
    worst = sum(
        # No tokenizer takes more than a token for 2.5 bytes of code; the answer is as long as it may be.
        batch_cost_usd(Usage(tokens, room), PRICES.price("claude-haiku-5-5", DAY, tokens))
        for size, room in requests
        for tokens in [int(size / 2.5)]
    )
    assert reserve.taken_usd() >= worst
    assert reserve.taken_usd() == 0


@given(st.integers(0, 100_000), st.integers(1, 100_000), st.sampled_from(PRICES.models()))
def test_what_may_be_written_to_the_cache_is_reserved_at_the_price_of_writing(plain_bytes, written_bytes, model):
    reserve = Reserve(PRICES, model, DAY)
    reserve.add(plain_bytes + written_bytes, 1_000, written_bytes)
    usage = Usage(int(plain_bytes / 2.5), 1_000, cache_write_1h_tokens=int(written_bytes / 2.5))
    worst = batch_cost_usd(usage, PRICES.price(model, DAY, usage.prompt_tokens))
    assert reserve.taken_usd() >= worst
    reserve.add(plain_bytes + written_bytes, 1_000)
    assert reserve.taken_usd() < worst + batch_cost_usd(Usage(2, 0, 0, 0, 2), PRICES.price(model, DAY, 10**6))


def test_a_prompt_beyond_the_band_is_reserved_at_the_dearer_price():
    reserve = Reserve(PRICES, "claude-haiku-5-5", DAY)
    reserve.add(240_000, 1)
    within = reserve.taken_usd()
    reserve.add(260_000, 1)
    assert reserve.taken_usd() > 5 * within


@given(st.dictionaries(st.sampled_from("abc"), st.builds(Spending, USD, USD)), USD, USD)
def test_a_cap_of_all_counts_every_workload(spent, cap, wanted):
    total = sum((one.settled_usd + one.reserved_usd for one in spent.values()), Decimal(0))
    assert (Caps(cap).refusal("a", wanted, spent) is None) == (total + wanted <= cap)


@given(st.dictionaries(st.sampled_from("abc"), st.builds(Spending, USD, USD)), USD, USD)
def test_a_cap_of_one_workload_counts_only_that_one(spent, cap, wanted):
    own = spent.get("a", Spending())
    caps = Caps(workload_usd={"a": cap})
    assert (caps.refusal("a", wanted, spent) is None) == (own.total_usd + wanted <= cap)
    assert caps.refusal("b", wanted, spent) is None


def test_a_refusal_says_whose_cap_what_is_spent_and_what_to_do():
    told = Caps(workload_usd={"audit": Decimal(5)}).refusal(
        "audit", Decimal(2), {"audit": Spending(Decimal(1), Decimal(3))}
    )
    assert told == (
        "the spend cap of audit is $5 a month: $1.0000 is spent, $3.0000 reserved, and this costs up to $2.0000. "
        "Raise most_usd_per_month, or wait for batches to settle or for the next month"
    )


@pytest.mark.parametrize(
    ("day", "first", "next_"),
    [
        (date(2026, 11, 16), date(2026, 11, 1), date(2026, 12, 1)),
        (date(2026, 12, 31), date(2026, 12, 1), date(2027, 1, 1)),
        (date(2028, 2, 29), date(2028, 2, 1), date(2028, 3, 1)),
    ],
)
def test_a_month_ends_where_the_next_begins(day, first, next_):
    assert month_of(day) == (first, next_)
