"""The cache is chosen where our own arithmetic says that it costs less, and never elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.caching import (
    EXPECTED_HITS,
    TTL,
    break_even_hits,
    decide,
    decide_for_files,
    expected_saving_usd,
)
from review_pipeline.core.cost import Price, PriceTable, Usage, batch_cost_usd, cache_saved_usd
from review_pipeline.settings import shipped_prices

TABLE = PriceTable(shipped_prices())
DAY = date(2026, 11, 22)
HAIKU = TABLE.price("claude-haiku-5-5", DAY, 0)
OPUS_4 = TABLE.price("claude-opus-4-8", DAY, 0)
FABLE = TABLE.price("claude-fable-5-1", DAY, 0)

USD = st.decimals(min_value="0.01", max_value="50", places=3)
HITS = st.decimals(min_value=0, max_value=1, places=3)
REQUESTS = st.integers(0, 100_000)
PREFIXES = st.integers(0, 200_000)
PRICES = st.one_of(
    st.sampled_from(TABLE.prices),
    st.builds(  # also those that nobody would charge
        lambda plain, read, write: replace(HAIKU, input_usd=plain, cache_read_usd=read, cache_write_1h_usd=write), USD, USD, USD
    ),
)  # fmt: skip


def paid_usd(prefix: int, requests: int, hits: int, price: Price) -> Decimal:
    """What so many hits cost: the bill, computed as bills are."""
    return batch_cost_usd(
        Usage(0, 0, cache_read_tokens=prefix * hits, cache_write_1h_tokens=prefix * (requests - hits)), price
    )


@pytest.mark.parametrize(
    ("prefix", "requests", "price", "hits", "told"),
    [
        (3_100, 400, HAIKU, "0.6", "1h: prefix of 3,100 tokens shared by about 400 requests: at 60% hits saves $0.0085 of $0.062; it pays from 53% on"),
        (3_100, 400, HAIKU, "0.98", "1h: prefix of 3,100 tokens shared by about 400 requests: at 98% hits saves $0.053 of $0.062; it pays from 53% on"),
        (4_095, 400, OPUS_4, "0.6", "not cached: prefix of 4,095 tokens is below the model's minimum of 4,096"),
        (511, 400, HAIKU, "0.6", "not cached: prefix of 511 tokens is below the model's minimum of 512"),
        (3_100, 2, HAIKU, "0.6", "not cached: would cost more than it saves: 2 requests at 60% hits lose $0.00013; no share of hits would pay"),
        (3_100, 4, HAIKU, "0.6", "not cached: would cost more than it saves: 4 requests at 60% hits lose $0.000090; it pays from 70% on"),
        (3_100, 400, HAIKU, "0.5", "not cached: would cost more than it saves: 400 requests at 50% hits lose $0.0032; it pays from 53% on"),
        (3_100, 1, HAIKU, "1", "not cached: 1 request: nobody would read what is written"),
        (3_100, 0, HAIKU, "1", "not cached: 0 requests: nobody would read what is written"),
        (30_000, 90_000, FABLE, "0.9", "1h: prefix of 30,000 tokens shared by about 90,000 requests: at 90% hits saves $10,495.98 of $13,500.00; it pays from 51% on"),
    ],
)  # fmt: skip
def test_a_decision_is_what_one_computes_by_hand_and_says_why(
    prefix: int, requests: int, price: Price, hits: str, told: str
) -> None:
    assert str(decide(prefix, requests, price, Decimal(hits))) == told


@given(PREFIXES, REQUESTS, PRICES, HITS)
def test_it_never_caches_what_costs_more_by_its_own_arithmetic(
    prefix: int, requests: int, price: Price, hits: Decimal
) -> None:
    decided = decide(prefix, requests, price, hits)
    assert decided.reason
    if decided.ttl is not None:
        assert decided.ttl == TTL
        assert requests >= 2
        assert prefix >= price.cache_minimum_tokens
        assert expected_saving_usd(prefix, requests, price, hits) > 0


@given(PREFIXES, REQUESTS, st.sampled_from(TABLE.prices), HITS, HITS)
def test_more_hits_never_turn_it_off(prefix: int, requests: int, price: Price, some: Decimal, others: Decimal) -> None:
    fewer, more = sorted((some, others))
    if decide(prefix, requests, price, fewer).ttl:
        assert decide(prefix, requests, price, more).ttl


@given(PREFIXES, st.integers(2, 1_000), REQUESTS, st.sampled_from(TABLE.prices), HITS)
def test_more_requests_never_turn_it_off(prefix: int, requests: int, more: int, price: Price, hits: Decimal) -> None:
    if decide(prefix, requests, price, hits).ttl:
        assert decide(prefix, requests + more, price, hits).ttl


@given(st.integers(1, 50_000), st.integers(2, 400), PRICES, st.data())
def test_what_is_expected_is_what_would_be_paid(prefix: int, requests: int, price: Price, data: st.DataObject) -> None:
    """The formula against bills: all tokens plain, and so many of them read."""
    hits = data.draw(st.integers(0, requests - 1))
    plain = batch_cost_usd(Usage(prefix * requests, 0), price)
    expected = expected_saving_usd(prefix, requests, price, Decimal(hits) / (requests - 1))
    assert abs(expected - (plain - paid_usd(prefix, requests, hits, price))) < Decimal("1e-15")


@given(st.integers(2, 100_000), st.sampled_from(TABLE.prices))
def test_the_share_that_breaks_even_saves_nothing_and_more_of_it_does(requests: int, price: Price) -> None:
    share = break_even_hits(requests, price)
    assert share is not None
    assert abs(expected_saving_usd(10_000, requests, price, share)) < Decimal("1e-12")
    assert expected_saving_usd(10_000, requests, price, share + Decimal("0.001")) > 0
    assert expected_saving_usd(10_000, requests, price, share - Decimal("0.001")) < 0


@pytest.mark.parametrize("price", TABLE.prices, ids=lambda price: price.version)
def test_what_is_expected_by_default_leaves_room_above_the_break_even_of_every_shipped_price(price: Price) -> None:
    share = break_even_hits(100_000, price)
    assert share is not None
    assert share < EXPECTED_HITS < Decimal("0.64"), "below the middle of 30 to 98 %"


def test_prices_at_which_hits_make_no_difference_have_no_such_share() -> None:
    flat = replace(HAIKU, cache_read_usd=Decimal("0.05"), cache_write_1h_usd=Decimal("0.05"))
    assert break_even_hits(10, flat) is None
    assert decide(3_000, 10, flat, Decimal(0)).reason.endswith("at 0% hits saves $0.00075 of $0.0015")


def test_what_saves_nothing_is_not_done() -> None:
    """3 requests at 75 % of the two after the first: 1.5 x 0.10 read for nothing is what 1.5 writes cost more."""
    free = replace(HAIKU, cache_read_usd=Decimal(0))
    told = "not cached: would save nothing: 3 requests at 75% hits; it pays from 75% on"
    assert str(decide(3_000, 3, free, Decimal("0.75"))) == told


def test_one_request_pays_at_no_price() -> None:
    gift = replace(HAIKU, cache_write_1h_usd=Decimal(0), cache_read_usd=Decimal(0))
    assert decide(100_000, 1, gift, Decimal(1)).ttl is None


# -- from files

PREFIX = "Look closely. " * 1_000  # 14,000 bytes: 3,500 tokens


def told_of(model: str, sizes: list[int], chunk_bytes: int = 100_000) -> str:
    return str(decide_for_files(TABLE, model, DAY, PREFIX, sizes, chunk_bytes, EXPECTED_HITS))


def test_files_are_counted_in_the_pieces_in_which_they_are_shown() -> None:
    assert "shared by about 40 requests" in told_of(HAIKU.model, [1_000] * 40)
    assert "shared by about 40 requests" in told_of(HAIKU.model, [0, 100_000, *[200_000] * 19])
    assert "shared by about 60 requests" in told_of(HAIKU.model, [200_001] * 20)


def test_the_price_is_that_of_the_band_in_which_the_requests_are() -> None:
    """3,500 tokens x 40 requests x $0.10 x half, and five times as much where the file makes the prompt longer than 100,000 tokens."""
    assert "of $0.0070;" in told_of(HAIKU.model, [200_000] * 40, 400_000)
    assert "of $0.035;" in told_of(HAIKU.model, [300_000] * 40, 400_000)


def test_no_files_are_no_requests() -> None:
    assert told_of(HAIKU.model, []) == "not cached: 0 requests: nobody would read what is written"


# -- what was saved


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(100, 50, cache_read_tokens=1_000_000), "0.045"),  # half of 0.10 - 0.01
        (Usage(100, 50, cache_write_1h_tokens=1_000_000), "-0.05"),
        (Usage(100, 50, cache_write_5m_tokens=1_000_000), "-0.0125"),
        (Usage(100, 50), "0"),
    ],
)
def test_a_saving_is_what_one_computes_by_hand_and_a_loss_is_negative(usage: Usage, usd: str) -> None:
    assert cache_saved_usd(usage, HAIKU) == Decimal(usd)


def test_each_model_has_the_minimum_of_its_source_and_an_unknown_one_the_largest() -> None:
    minimums = {price.model: price.cache_minimum_tokens for price in TABLE.prices}
    assert minimums["claude-haiku-5-5"] == minimums["claude-opus-5-5"] == 512
    assert minimums["claude-sonnet-5-5"] == 1_024
    assert minimums["claude-sonnet-4-6"] == 2_048
    assert minimums["claude-haiku-4-5"] == minimums["claude-opus-4-8"] == 4_096
    assert minimums["claude-fable-5-1"] == max(minimums.values()) == 4_096
