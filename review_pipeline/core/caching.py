"""Whether the prefix that all requests of a batch share is worth writing to the prompt cache, and what the cache did for a batch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from review_pipeline.core.cost import Price, PriceTable
from review_pipeline.core.planning import estimated_tokens

TTL = "1h"  # a batch takes longer than the 5 minutes that the cheaper write lives
# Hits in batches are best effort: 30 to 98 % are reported. This is below the middle of that and above where one-hour writes
# break even (53 % at a read of a tenth), so that caching is chosen only where the saving has room; the view batch_caching tells the real share.
EXPECTED_HITS = Decimal("0.6")
# Above the 3.5 or so of English prose, so that a prefix which is said to reach a minimum does.
_PROSE_BYTES_PER_TOKEN = 4
_PER_TOKEN = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What the cache did for one batch: requests that read from it, tokens, and USD saved against the plain input price (negative: lost)."""

    hits: int = 0
    read_tokens: int = 0
    written_tokens: int = 0
    saved_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Caching:
    """ttl: for how long the shared prefix is written, None if it is not; reason: why, in a sentence."""

    ttl: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.ttl}: {self.reason}" if self.ttl else f"not cached: {self.reason}"


def decide_for_files(
    prices: PriceTable,
    model: str,
    day: date,
    prefix: str,
    file_bytes: Collection[int],
    chunk_bytes: int,
    expected_hits: Decimal,
) -> Caching:
    """For files that are to be shown after the prefix, each in pieces of at most chunk_bytes. Raises UnknownPrice."""
    requests = sum(max(1, -(-size // chunk_bytes)) for size in file_bytes)
    prefix_tokens = len(prefix.encode()) // _PROSE_BYTES_PER_TOKEN
    typical_bytes = sum(file_bytes) // requests if requests else 0
    price = prices.price(model, day, prefix_tokens + estimated_tokens(typical_bytes))
    return decide(prefix_tokens, requests, price, expected_hits)


def decide(prefix_tokens: int, requests: int, price: Price, expected_hits: Decimal = EXPECTED_HITS) -> Caching:
    """Writes the prefix only where that is expected to cost less than sending it plainly; expected_hits: of the requests after the first."""
    if requests < 2:
        return Caching(None, f"{_requests(requests)}: nobody would read what is written")
    if prefix_tokens < price.cache_minimum_tokens:
        return Caching(
            None, f"prefix of {prefix_tokens:,} tokens is below the model's minimum of {price.cache_minimum_tokens:,}"
        )
    saving_usd = expected_saving_usd(prefix_tokens, requests, price, expected_hits)
    at, needed = f"at {expected_hits:.0%} hits", _needed(requests, price)
    if saving_usd < 0:
        lost = f"{_requests(requests)} {at} lose {_usd(-saving_usd)}{needed}"
        return Caching(None, f"would cost more than it saves: {lost}")
    if saving_usd == 0:
        return Caching(None, f"would save nothing: {_requests(requests)} {at}{needed}")
    plain_usd = _batch_usd(prefix_tokens * requests * price.input_usd, price)
    return Caching(
        TTL,
        f"prefix of {prefix_tokens:,} tokens shared by about {_requests(requests)}: {at} saves {_usd(saving_usd)} of "
        f"{_usd(plain_usd)}{needed}",
    )


def expected_saving_usd(prefix_tokens: int, requests: int, price: Price, hits: Decimal) -> Decimal:
    """Of all requests together, against the plain input price; the first one can only write, of the others the share `hits` reads."""
    readers = hits * (requests - 1)
    writers = requests - readers
    per_token_usd = readers * (price.input_usd - price.cache_read_usd) + writers * (
        price.input_usd - price.cache_write_1h_usd
    )
    return _batch_usd(prefix_tokens * per_token_usd, price)


def break_even_hits(requests: int, price: Price) -> Decimal | None:
    """The share of hits after the first request at which caching costs as much as not caching; above 1: never. None: hits make no difference."""
    per_hit_usd = price.cache_write_1h_usd - price.cache_read_usd
    if requests < 2 or per_hit_usd <= 0:
        return None
    return requests * (price.cache_write_1h_usd - price.input_usd) / (per_hit_usd * (requests - 1))


def _needed(requests: int, price: Price) -> str:
    share = break_even_hits(requests, price)
    if share is None:
        return ""
    return f"; it pays from {share:.0%} on" if share <= 1 else "; no share of hits would pay"


def _requests(count: int) -> str:
    return f"{count:,} request" if count == 1 else f"{count:,} requests"


def _batch_usd(usd_of_million_tokens: Decimal, price: Price) -> Decimal:
    return usd_of_million_tokens / _PER_TOKEN * price.batch_share


def _usd(amount: Decimal) -> str:
    """Two digits that say something, and never less than cents."""
    return f"${amount:,.{max(2, 1 - amount.adjusted())}f}"
