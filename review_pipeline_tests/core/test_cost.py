from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.cost import Price, PriceTable, UnknownPrice, Usage, batch_cost_usd, sync_cost_usd
from review_pipeline.settings import shipped_prices

TABLE = PriceTable(shipped_prices())
TODAY = date(2026, 11, 22)
HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"

# Worked out by hand from the public price list (USD per million tokens).
HAND_COMPUTED = [
    # 1,000 x 0.10 + 200 x 0.50
    (HAIKU, TODAY, Usage(1_000, 200), "0.0002"),
    # the last prompt of the small band: 100,000 x 0.10 + 0
    (HAIKU, TODAY, Usage(100_000, 0), "0.01"),
    # one token more, and the whole request costs five times as much: 100,001 x 0.50
    (HAIKU, TODAY, Usage(100_001, 0), "0.0500005"),
    # the band is of the whole prompt, cache included: 1 x 0.5 + 10 x 2.5 + 100,000 x 0.05
    (HAIKU, TODAY, Usage(1, 10, cache_read_tokens=100_000), "0.0050255"),
    # output does not count to the band: 10 x 0.1 + 128,000 x 0.5
    (HAIKU, TODAY, Usage(10, 128_000), "0.064001"),
    # 1,000 x 0.125 + 1,000 x 0.2 + 1,000 x 0.01
    (
        HAIKU,
        TODAY,
        Usage(0, 0, cache_write_5m_tokens=1_000, cache_write_1h_tokens=1_000, cache_read_tokens=1_000),
        "0.000335",
    ),
    # 3 x 4 + 5 x 20 + 7 x 0.2 + 11 x 5 + 13 x 8 = 272.4
    (OPUS, TODAY, Usage(3, 5, 7, 11, 13), "0.0002724"),
    # cache reads of Sonnet 5.5 became cheaper on 2026-10-07
    (SONNET, date(2026, 10, 6), Usage(0, 0, cache_read_tokens=1_000_000), "0.2"),
    (SONNET, date(2026, 10, 7), Usage(0, 0, cache_read_tokens=1_000_000), "0.1"),
    (SONNET, date(2026, 10, 7), Usage(1_000_000, 1_000_000), "12"),
    (HAIKU, TODAY, Usage(0, 0), "0"),
]


@pytest.mark.parametrize(("model", "day", "usage", "usd"), HAND_COMPUTED)
@pytest.mark.trap("price_bands")
def test_a_cost_is_what_one_computes_by_hand_and_a_batch_costs_half(model, day, usage, usd):
    price = TABLE.price(model, day, usage.prompt_tokens)
    assert sync_cost_usd(usage, price) == Decimal(usd)
    assert batch_cost_usd(usage, price) == Decimal(usd) / 2


TOKENS = st.integers(0, 10**7)
USAGES = st.builds(Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)


@given(st.lists(USAGES, max_size=20), st.sampled_from([SONNET, OPUS]))
@pytest.mark.trap("costs_by_value")
def test_the_sum_of_the_parts_is_the_total(usages, model):
    price = TABLE.price(model, TODAY, 0)
    together = Usage(*(sum(column) for column in zip(*map(as_row, usages), strict=True))) if usages else Usage(0, 0)
    assert sum(batch_cost_usd(usage, price) for usage in usages) == batch_cost_usd(together, price)


def as_row(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
    )


@given(USAGES)
def test_a_prompt_is_all_that_is_not_output(usage):
    assert usage.prompt_tokens == sum(as_row(usage)) - usage.output_tokens


def test_an_unknown_model_is_told_with_the_known_ones():
    with pytest.raises(UnknownPrice) as told:
        TABLE.price("claude-haiku-9", TODAY, 0)
    assert str(told.value).startswith(
        "no price for model 'claude-haiku-9' on 2026-11-22; known models: claude-fable-5-1,"
    )
    assert all(model in str(told.value) for model in TABLE.models())


def test_a_model_has_no_price_before_its_first_day():
    with pytest.raises(UnknownPrice, match="on 2025-12-31"):
        TABLE.price(HAIKU, date(2025, 12, 31), 0)


def test_each_price_names_its_model_day_and_band():
    bands = TABLE.bands(HAIKU, TODAY)
    assert [price.version for price in bands] == [f"{HAIKU}@2026-01-01<=100000", f"{HAIKU}@2026-01-01"]
    assert TABLE.price(SONNET, TODAY, 0).version == f"{SONNET}@2026-10-07"


@given(st.permutations(shipped_prices()), st.integers(0, 10**6), st.sampled_from(TABLE.models()))
def test_the_order_of_the_table_decides_nothing(prices, prompt_tokens, model):
    assert PriceTable(tuple(prices)).price(model, TODAY, prompt_tokens) == TABLE.price(model, TODAY, prompt_tokens)


OURS = replace(TABLE.price(OPUS, TODAY, 0), input_usd=Decimal(3))


def test_a_private_price_of_the_same_day_replaces_the_shipped_one():
    assert PriceTable((*TABLE.prices, OURS)).price(OPUS, TODAY, 0).input_usd == Decimal(3)


def test_a_newer_price_replaces_all_bands_of_the_older_one():
    newer = replace(TABLE.bands(HAIKU, TODAY)[1], valid_from=date(2026, 11, 1))
    assert PriceTable((*TABLE.prices, newer)).bands(HAIKU, TODAY) == (newer,)


def test_a_price_of_tomorrow_does_not_count_today():
    assert PriceTable((*TABLE.prices, replace(OURS, valid_from=date(2026, 11, 23)))).price(OPUS, TODAY, 0) != OURS


def test_a_prompt_above_all_bands_is_priced_by_the_last():
    only = (replace(OURS, up_to_prompt_tokens=1_000), replace(OURS, up_to_prompt_tokens=2_000))
    assert PriceTable(only).price(OPUS, TODAY, 5_000) is only[1]


def test_shipped_prices_are_whole():
    """One open band for each model and day, and bands that do not overlap."""
    for model in TABLE.models():
        bands = TABLE.bands(model, TODAY)
        assert bands[-1].up_to_prompt_tokens is None
        assert all(low.up_to_prompt_tokens < (high.up_to_prompt_tokens or 2**62) for low, high in pairwise(bands))
        assert all(price.batch_share == Decimal("0.5") for price in bands)


@pytest.mark.parametrize("price", TABLE.prices, ids=lambda price: price.version)
def test_shipped_prices_keep_the_proportions_that_the_api_documents(price: Price):
    assert price.cache_write_5m_usd == price.input_usd * Decimal("1.25")
    assert price.cache_write_1h_usd == price.input_usd * 2
    assert price.cache_read_usd in {price.input_usd * Decimal(share) for share in ("0.1", "0.05", "0.025")}
    assert price.output_usd == price.input_usd * 5
