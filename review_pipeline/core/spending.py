"""What batches may cost in a month: the most that a submission can cost is reserved before it is sent, and settled by its usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_UP, Decimal
from types import MappingProxyType

from review_pipeline.core.cost import Price, PriceTable, Usage, batch_cost_usd
from review_pipeline.core.planning import estimated_tokens

_NANO = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Spending:
    """Of one workload in one calendar month (UTC). reserved: for what was sent and is not collected yet."""

    settled_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)

    @property
    def total_usd(self) -> Decimal:
        return self.settled_usd + self.reserved_usd


@dataclass(frozen=True, slots=True)
class Caps:
    """USD a calendar month (UTC): of all batches together, and of single workloads by name. None and absent: no limit."""

    month_usd: Decimal | None = None
    workload_usd: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))

    def refusal(self, workload: str, most_usd: Decimal, spent: Mapping[str, Spending]) -> str | None:
        """Why a submission that costs at most so much must not be sent now, or None."""
        own = spent.get(workload, Spending())
        everything = Spending(
            sum((one.settled_usd for one in spent.values()), Decimal(0)),
            sum((one.reserved_usd for one in spent.values()), Decimal(0)),
        )
        limits = (
            (f"of {workload}", self.workload_usd.get(workload), own),
            ("of all batches", self.month_usd, everything),
        )
        for whose, cap, so_far in limits:
            if cap is not None and so_far.total_usd + most_usd > cap:
                return (
                    f"the spend cap {whose} is ${cap} a month: ${so_far.settled_usd:.4f} is spent, ${so_far.reserved_usd:.4f} reserved, "
                    f"and this costs up to ${most_usd:.4f}. Raise most_usd_per_month, or wait for batches to settle or for the next month"
                )
        return None


UNCAPPED = Caps()


class Reserve:
    """The most that the requests added so far can cost as a batch: bytes at 2.5 to a token, answers as long as they may be."""

    def __init__(self, prices: PriceTable, model: str, day: date) -> None:
        self._bands = prices.bands(model, day)
        self._tokens = {price: [0, 0, 0] for price in self._bands}

    def add(self, request_bytes: int, max_tokens: int, written_bytes: int = 0) -> None:
        """written_bytes: those among request_bytes that each request may have to write to the cache, for more than the input price."""
        written = estimated_tokens(written_bytes) if written_bytes else 0
        plain = estimated_tokens(request_bytes - written_bytes)
        counted = self._tokens[self._band(plain + written)]
        counted[0] += plain
        counted[1] += max_tokens
        counted[2] += written

    def taken_usd(self) -> Decimal:
        """The sum, to the nano-dollar and never less; counting starts anew."""
        usd = sum(
            (
                batch_cost_usd(Usage(plain, output, cache_write_1h_tokens=written), price)
                for price, (plain, output, written) in self._tokens.items()
            ),
            Decimal(0),
        )
        self._tokens = {price: [0, 0, 0] for price in self._bands}
        return usd.quantize(_NANO, rounding=ROUND_UP)

    def _band(self, tokens: int) -> Price:
        fitting = (
            price for price in self._bands if price.up_to_prompt_tokens is None or tokens <= price.up_to_prompt_tokens
        )
        return next(fitting, self._bands[-1])


def month_of(day: date) -> tuple[date, date]:
    """The first day of a calendar month, and of the next."""
    first = day.replace(day=1)
    return first, (first.replace(day=28) + timedelta(days=5)).replace(day=1)
