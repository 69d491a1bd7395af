"""What tokens cost: a dated price table, exact to the last nano-dollar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

_PER_TOKEN = Decimal(1_000_000)
_UNBOUNDED = 2**62


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; input_tokens excludes what was read from or written to the cache."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens of one model from one day on, for prompts up to a size."""

    model: str
    valid_from: date
    input_usd: Decimal
    output_usd: Decimal
    cache_write_5m_usd: Decimal
    cache_write_1h_usd: Decimal
    cache_read_usd: Decimal
    context_tokens: int
    max_output_tokens: int
    up_to_prompt_tokens: int | None = None
    batch_share: Decimal = Decimal("0.5")
    retires_on: date | None = None
    cache_minimum_tokens: int = 4_096

    @property
    def rates(self) -> tuple[Decimal, ...]:
        """input, output, cache read, cache write for 5 minutes and for 1 hour."""
        return (self.input_usd, self.output_usd, self.cache_read_usd, self.cache_write_5m_usd, self.cache_write_1h_usd)

    @property
    def version(self) -> str:
        band = f"<={self.up_to_prompt_tokens}" if self.up_to_prompt_tokens else ""
        return f"{self.model}@{self.valid_from}{band}"


class UnknownPrice(LookupError):
    """No price of that model on that day: a configuration fault, told before anything is sent."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    prices: tuple[Price, ...]

    def models(self) -> tuple[str, ...]:
        return tuple(sorted({price.model for price in self.prices}))

    def bands(self, model: str, day: date) -> tuple[Price, ...]:
        """The newest prices in force on that day, the smallest prompts first; of two alike the later one. Raises UnknownPrice."""
        in_force = [price for price in self.prices if price.model == model and price.valid_from <= day]
        if not in_force:
            raise UnknownPrice(f"no price for model {model!r} on {day}; known models: {', '.join(self.models())}")
        newest = max(price.valid_from for price in in_force)
        current = {price.up_to_prompt_tokens or _UNBOUNDED: price for price in in_force if price.valid_from == newest}
        return tuple(current[up_to] for up_to in sorted(current))

    def price(self, model: str, day: date, prompt_tokens: int) -> Price:
        """In a banded model the size of the prompt prices the whole request. Raises UnknownPrice."""
        bands = self.bands(model, day)
        fitting = (price for price in bands if prompt_tokens <= (price.up_to_prompt_tokens or _UNBOUNDED))
        return next(fitting, bands[-1])


def sync_cost_usd(usage: Usage, price: Price) -> Decimal:
    return (
        usage.input_tokens * price.input_usd
        + usage.output_tokens * price.output_usd
        + usage.cache_read_tokens * price.cache_read_usd
        + usage.cache_write_5m_tokens * price.cache_write_5m_usd
        + usage.cache_write_1h_tokens * price.cache_write_1h_usd
    ) / _PER_TOKEN


def cache_saved_usd(usage: Usage, price: Price) -> Decimal:
    """What a batch would have cost more with all of its prompt at the plain input price; negative where the cache cost more."""
    plain = Usage(usage.prompt_tokens, usage.output_tokens)
    return batch_cost_usd(plain, price) - batch_cost_usd(usage, price)


def batch_cost_usd(usage: Usage, price: Price) -> Decimal:
    return sync_cost_usd(usage, price) * price.batch_share
