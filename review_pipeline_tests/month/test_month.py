"""A month on the movable clock: whatever goes wrong in it, every number of the history is the server's own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import Cell, State
from review_pipeline.core.spending import month_of
from review_pipeline.ports import Refused
from review_pipeline.settings import shipped_prices
from review_pipeline.simulator import Simulator
from review_pipeline.simulator.store import Billed
from review_pipeline_tests.audit.world import PYTHON, World

DAYS = 30
HOUR = 3_600.0
BATCH_HOURS = 2.0
OUTAGE, SLOW = 11, 19  # the days without credit, and of an API that takes twice a day for a batch
FILES, CHANGED_A_DAY = 60, 6
EXPIRED = {"effect": "expired", "every": 50, "via": "batch"}
TOO_LONG = {"effect": "error", "error": "too_long", "every": 100, "via": "batch"}
NO_CREDIT = {"effect": "error", "on": "create", "error": "credit_balance"}
MILLION = Decimal(1_000_000)


class Month:
    """One team's month, a few hours at a time: what is due is planned, what can go on goes on."""

    def __init__(self, api: Simulator, folder: Path) -> None:
        self.api = api
        self.world = World(folder / "team", api, AnthropicBatches("made-up", api.base_url))
        self.pauses: list[tuple[str, str]] = []

    def live(self) -> None:
        self.api.script(EXPIRED, TOO_LONG)
        self.world.commit({f"src/{n}.py": source(n, 0) for n in range(FILES)})
        for day in range(DAYS):
            self._begin(day)
            hours = 0.25 if SLOW <= day <= SLOW + 1 else 2.0  # deadlines are met by looking often
            for _ in range(int(24 / hours)):
                self._after(hours)
        self.api.clear_scripts()
        for _ in range(48):
            if not self._after(2):
                break
        self.world.publish()

    def _begin(self, day: int) -> None:
        changed = [(day * CHANGED_A_DAY + n) % FILES for n in range(CHANGED_A_DAY)]
        if day:
            self.world.commit({f"src/{n}.py": source(n, day) for n in changed})
        if day == OUTAGE:
            self.api.clear_scripts()
            self.api.script(NO_CREDIT)
        if day == OUTAGE + 1:
            self.api.clear_scripts()
            self.api.script(EXPIRED, TOO_LONG)
            self.pauses += [(scope, reason) for scope, reason, _ in self.world.ledger.pauses()]
            self.world.ledger.resume()
        self.api.take_for_each_batch((48 if day == SLOW else BATCH_HOURS) * HOUR)
        today = self.world.now().date()
        for audit in ["nightly-acme", *(["security-acme"] if day % 7 == 5 else [])]:
            self._submit(Cell(audit, today))

    def _submit(self, cell: Cell) -> None:
        days = (cell.day - self.world.cell().day).days
        self.world.plan(days, cell.audit)
        if not self.world.ledger.pauses():
            self._sent(cell)

    def _sent(self, cell: Cell) -> None:
        try:
            self.world.sender.send_due(cell)
        except Refused:
            assert self.world.ledger.pauses()  # nothing else refuses in this month

    def _after(self, hours: float) -> bool:
        """What the sensor and its runs do then; False when nothing is left to do."""
        world = self.world
        self.api.advance(hours * HOUR)
        world.move_clock(hours * HOUR)
        work = world.look()
        for cell in work.to_submit:
            self._sent(cell)
        for cell in work.to_collect:
            world.collector.collect_cell(cell)
            world.resubmit(cell)
            self._sent(cell)
        if work.unpublished:
            world.publish()
        return any(one.state is not State.COLLECTED for one in world.ledger.submissions())


def source(number: int, day: int) -> str:
    return PYTHON + f"value_{number} = {day}\n\n\ndef of_day_{day}(path):\n    return eval(path + '{number}')\n"


def price_of(one: Billed) -> Decimal:
    """Worked out here again, a row at a time, from the price list alone."""
    usage, day = one.usage, datetime.fromtimestamp(one.at, UTC).date()
    written = usage["cache_creation"]
    tokens = [
        usage["input_tokens"], usage["output_tokens"], usage["cache_read_input_tokens"],
        written["ephemeral_5m_input_tokens"], written["ephemeral_1h_input_tokens"],
    ]  # fmt: skip
    prompt = sum(tokens) - usage["output_tokens"]
    rows = [row for row in shipped_prices() if row.model == one.model and row.valid_from <= day]
    newest = max(row.valid_from for row in rows)
    bands = sorted((row.up_to_prompt_tokens or 2**40, row.rates) for row in rows if row.valid_from == newest)
    rates = next(rates for up_to, rates in bands if prompt <= up_to)
    full = sum((count * rate for count, rate in zip(tokens, rates, strict=True)), Decimal()) / MILLION
    return full / 2 if one.is_batch else full


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    folder = tmp_path_factory.mktemp("month")
    with Simulator(folder / "api", batch_seconds=BATCH_HOURS * HOUR) as api:
        lived = Month(api, folder)
        lived.live()
        yield lived


def one_row(month: Month, sql: str) -> tuple[object, ...]:
    (row,) = month.world.query(sql)
    return row


def test_the_month_saw_all_that_it_was_made_for(month: Month) -> None:
    classes = dict(month.world.query("SELECT class, count(*) FROM outcomes GROUP BY class"))
    assert {"ok", "expired", "too_long", "canceled"} <= classes.keys()
    assert [scope for scope, _ in month.pauses] == ["billing"]
    assert one_row(month, "SELECT count(DISTINCT cell) FROM cells") == (DAYS + 4,)
    assert {route for (route,) in month.world.query("SELECT DISTINCT route FROM batches")} == {"batch", "sync"}


def test_every_request_that_was_written_down_came_to_one_counted_end(month: Month) -> None:
    month.world.assert_all_counted()


@pytest.mark.trap("costs_by_value")
def test_what_the_history_says_was_paid_is_the_invoice_to_the_cent(month: Month) -> None:
    billed = month.api.billed()
    invoice = sum((price_of(one) for one in billed), Decimal())
    (told,) = one_row(month, "SELECT sum(cost_usd) FROM outcomes")
    assert isinstance(told, Decimal)
    assert round(told, 2) == round(invoice, 2)
    assert abs(told - invoice) < Decimal("1e-9") * len(billed)  # each row is rounded to a nano-dollar
    for is_batch, route in ((True, "batch"), (False, "sync")):
        part = sum((price_of(one) for one in billed if one.is_batch == is_batch), Decimal())
        (share,) = one_row(
            month, f"SELECT sum(cost_usd) FROM outcomes JOIN batches USING (batch_id) WHERE route = '{route}'"
        )
        assert isinstance(share, Decimal)
        assert abs(share - part) < Decimal("1e-9") * len(billed)


def test_tokens_are_those_that_the_server_counted(month: Month) -> None:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counted = tuple(sum(one.usage[name] for one in month.api.billed()) for name in names)
    told = one_row(
        month,
        "SELECT sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens + cache_write_1h_tokens) FROM outcomes",
    )
    assert told == counted


def test_batches_and_their_requests_are_those_that_the_server_accepted(month: Month) -> None:
    accepted = {call.batch_id: call.custom_ids for call in month.api.journal("create") if call.accepted}
    told = dict(month.world.query("SELECT batch_id, requests FROM batches WHERE route = 'batch'"))
    assert told == accepted
    sync = one_row(month, "SELECT coalesce(sum(requests), 0) FROM batches WHERE route = 'sync'")
    assert sync == (sum(not one.is_batch for one in month.api.billed()),)


def test_ends_are_those_that_the_server_told(month: Month) -> None:
    told = one_row(
        month,
        "SELECT sum(succeeded), sum(errored), sum(canceled), sum(expired) FROM batches WHERE route = 'batch'",
    )
    by_class = Counter(dict(month.world.query(
        "SELECT class, count(*) FROM outcomes JOIN batches USING (batch_id) WHERE route = 'batch' GROUP BY class"
    )))  # fmt: skip
    answered = sum(one.is_batch for one in month.api.billed())
    assert told == (answered, by_class["too_long"], by_class["canceled"], by_class["expired"])


def test_no_content_was_paid_for_twice(month: Month) -> None:
    doubled = month.world.query(
        "SELECT root, start_line, count(*) FROM requests JOIN outcomes USING (custom_id) WHERE class = 'ok' GROUP BY ALL HAVING count(*) > 1"
    )
    assert doubled == []
    versions = 2 * FILES + (DAYS - 1) * CHANGED_A_DAY  # each night's versions, and what the security audits saw of them
    (quality,) = one_row(month, "SELECT count(DISTINCT root) FROM requests WHERE workload = 'nightly_quality_audit'")
    assert quality == versions - FILES


def test_what_was_settled_under_the_monthly_caps_is_what_the_history_says(month: Month) -> None:
    by_month: defaultdict[tuple[date, date], Decimal] = defaultdict(Decimal)
    for sent, cost in month.world.query("SELECT created_at, cost_usd FROM outcomes JOIN batches USING (batch_id)"):
        by_month[month_of(sent.date())] += cost
    ledger = month.world.ledger
    start = min(one.created_at for one in ledger.submissions() if one.created_at)
    for days in (0, 31):
        spent = ledger.spent(start + timedelta(days=days))
        assert sum(one.reserved_usd for one in spent.values()) == 0
        assert (
            sum(one.settled_usd for one in spent.values()) == by_month[month_of((start + timedelta(days=days)).date())]
        )


def test_only_the_day_without_credit_was_late(month: Month) -> None:
    """Nothing can be sent while it is not paid for; the slow day costs money instead of time."""
    late = month.world.query("SELECT cell FROM deadlines WHERE NOT is_met ORDER BY cell")
    planned = {str(cell): planned for cell, planned in month.world.query("SELECT cell, planned_at FROM cells")}
    start = min(planned.values())
    days = {(planned[str(cell)] - start).days for (cell,) in late}
    assert days <= {OUTAGE}
    (of_batches,) = one_row(month, "SELECT sum(surcharge_usd) FROM batches")
    (of_requests,) = one_row(
        month,
        "SELECT sum(cost_usd - sync_cost_usd * 0.5) FROM outcomes JOIN batches USING (batch_id) WHERE route = 'sync'",
    )
    assert isinstance(of_batches, Decimal)
    assert of_batches == of_requests > 0


def test_the_month_is_the_same_whoever_asks(month: Month) -> None:
    """The sums of the weeks, of the audits and of the costs view are one sum."""
    (total,) = one_row(month, "SELECT sum(cost_usd) FROM outcomes")
    (of_view,) = one_row(month, "SELECT sum(cost_usd) FROM batch_costs")
    assert of_view == total
