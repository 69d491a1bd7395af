"""Spend caps: the most that a submission can cost is reserved before it is sent, and settled by its usage."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from review_pipeline.core.audit import State
from review_pipeline.core.spending import Spending
from review_pipeline.core.workloads import SECURITY, audit_name
from review_pipeline.ports import OverBudget
from review_pipeline_tests.audit.test_together import twice
from review_pipeline_tests.audit.world import PYTHON, World

QUALITY = "nightly_quality_audit"
# Three small files of 8,000 tokens of answer each: 24,000 * $0.25 / 1e6 and a little input.
MOST = Decimal("0.0065")


def capped(make: Callable[..., World], usd: float, **more: float) -> World:
    batches = {"poll_seconds": 5, "reconcile_grace_seconds": 300, "most_usd_per_month": usd}
    workloads = {name: {"most_usd_per_month": cap} for name, cap in more.items()}
    world = make(batches=batches, workloads=workloads)
    world.commit({f"{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(3)})
    return world


def spent(world: World) -> Spending:
    return world.ledger.spent(world.now()).get(QUALITY, Spending())


def test_the_most_it_can_cost_is_reserved_while_it_is_out_and_settled_to_the_nano_dollar(world: World) -> None:
    world.plan()
    assert spent(world) == Spending()
    world.send()
    (sent,) = world.ledger.submissions()
    assert spent(world) == Spending(reserved_usd=Decimal(sent.most_usd))
    world.finish()
    ((cost,),) = world.query("SELECT sum(cost_usd) FROM outcomes")
    assert spent(world) == Spending(settled_usd=cost)
    assert 0 < cost < Decimal(sent.most_usd) < MOST


def test_what_does_not_fit_under_the_cap_waits_with_the_reason_and_goes_out_when_it_fits(
    make: Callable[..., World],
) -> None:
    world = capped(make, 0.001)
    world.plan()
    with pytest.raises(OverBudget, match=r"spend cap of all batches is \$0.001 a month.*costs up to \$0.006"):
        world.send()
    assert world.accepted() == []
    world.move_clock(60)
    (told,) = world.look().held
    assert "held back: the spend cap of all batches" in told
    assert world.look().to_submit == ()
    assert "held back" in world.look().sentence
    world.configure(batches={"most_usd_per_month": 1, "reconcile_grace_seconds": 300})
    world.finish()
    assert world.accepted() == [3]
    world.assert_all_counted()


def test_a_new_month_has_its_own_money(make: Callable[..., World]) -> None:
    world = capped(make, 1)
    world.audit()
    (done,) = world.ledger.submissions()
    patient = {"nightly_quality_audit": {"sla_hours": 24 * 60}}
    # Room for one at its worst, and less than another.
    world.configure(batches={"most_usd_per_month": done.most_usd}, workloads=patient)
    world.commit({f"{n}.py": PYTHON + f"other_{n} = {n}\n" for n in range(3)})
    world.plan(day=1)
    with pytest.raises(OverBudget):
        world.send(day=1)
    world.move_clock(31 * 86_400)
    world.send(day=1)
    assert world.accepted() == [3, 3]


def test_a_workloads_own_cap_holds_back_only_that_workload(make: Callable[..., World]) -> None:
    world = capped(make, 100, weekly_security_audit=0.0001)
    security = audit_name(SECURITY, "acme")
    world.plan(audit=security)
    with pytest.raises(OverBudget, match="spend cap of weekly_security_audit"):
        world.send(audit=security)
    world.submit()
    assert world.accepted() == [3]


def test_two_that_fit_only_one_by_one_are_not_sent_together(make: Callable[..., World]) -> None:
    world = capped(make, 0.007)
    world.plan(audit="nightly-acme")
    world.commit({"3.py": PYTHON, "4.py": PYTHON + "x = 1\n"})
    world.plan(audit="nightly2-acme")
    first, second = (one.cell for one in world.ledger.submissions())

    def send(cell: str) -> object:
        try:
            return world.send(audit=cell.split("|", maxsplit=1)[0])
        except OverBudget as error:
            return error

    from review_pipeline_tests.audit.test_together import at_once

    ended = at_once(lambda: send(first), lambda: send(second))
    assert sum(isinstance(one, OverBudget) for one in ended) == 1
    assert len(world.accepted()) == 1


def test_what_was_certainly_not_accepted_is_not_reserved(world: World) -> None:
    world.script({"on": "create", "effect": "rate_limit", "times": 1})
    world.plan()
    twice(world.send)
    states = [one.state for one in world.ledger.submissions()]
    assert (spent(world).reserved_usd == 0) == (states == [State.INTENDED])


def test_what_is_sent_again_is_reserved_and_settled_as_well(world: World) -> None:
    world.script({"effect": "max_tokens", "contains": "main.go", "times": 1})
    world.audit()
    first, second = world.ledger.submissions()
    assert Decimal(second.most_usd) > Decimal(first.most_usd) / 2  # one of three files, with twice the room
    ((cost,),) = world.query("SELECT sum(cost_usd) FROM outcomes")
    assert spent(world) == Spending(settled_usd=cost)
