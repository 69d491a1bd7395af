"""What other batch pipelines were found to get wrong, where no other test here meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import Batch, State
from review_pipeline.ports import Unavailable
from review_pipeline.simulator import Simulator
from review_pipeline_tests.audit.world import World

DAY = 86_400


class ListsNothing(AnthropicBatches):
    """The fence is there; after a creation the list gives no answer."""

    is_asked = False

    def create(self, body: Path) -> Batch:
        self.is_asked = True
        return super().create(body)

    def newest(self) -> Iterator[Batch]:
        if self.is_asked:
            raise Unavailable("the list of batches: the API answered 529")
        return super().newest()


@pytest.mark.trap("clock_jump")
@pytest.mark.parametrize("jump_seconds", [-2 * DAY, -3_600, 3_600, 2 * DAY])
def test_a_clock_that_jumps_during_a_doubt_creates_nothing_twice(world: World, jump_seconds: int) -> None:
    """Two days forwards is past the deadline, too: what was certainly not accepted would be asked one by one."""
    world.script({"on": "create", "effect": "accept_then_drop", "times": 1})
    world.plan()
    world.sdk = ListsNothing("made-up", world.api.base_url)
    with pytest.raises(Unavailable, match="529"):
        world.send()
    world.sdk = world.api_sdk()
    world.move_clock(jump_seconds)
    world.finish()
    assert (world.accepted(), world.calls("message")) == ([3], 0)
    assert world.coverage()["reviewed"] == 3
    world.assert_all_counted()


@pytest.mark.trap("clock_jump")
def test_a_plan_that_seems_to_be_of_tomorrow_is_sent_today(world: World) -> None:
    world.plan()
    world.move_clock(-DAY)
    world.finish()
    assert world.accepted() == [3]
    assert world.coverage()["reviewed"] == 3


@pytest.mark.trap("clock_jump")
def test_the_grace_of_a_doubt_does_not_wait_for_a_clock_that_was_put_back(world: World) -> None:
    world.script({"on": "create", "effect": "drop", "times": 1})
    world.plan()
    with pytest.raises(Unavailable, match="in doubt"):
        world.send()
    world.move_clock(-DAY)
    world.look()
    world.move_clock(301)
    world.finish()
    assert world.accepted() == [3]


@pytest.mark.trap("clock_jump")
@pytest.mark.parametrize("jump_seconds", [-2 * DAY, 2 * DAY])
def test_a_clock_that_jumps_while_a_batch_runs_changes_nothing_that_was_paid(world: World, jump_seconds: int) -> None:
    """Two days ahead its deadline has passed: it is not cut, because by our clock it has long expired, and the API knows better."""
    world.submit()
    world.move_clock(jump_seconds)
    world.finish()
    assert world.accepted() == [3]
    assert world.calls("message") == 0
    assert world.coverage()["reviewed"] == 3


@pytest.mark.trap("canceling")
def test_a_batch_that_is_being_canceled_is_waited_for(lone_api: Callable[..., Simulator], tmp_path: Path) -> None:
    api = lone_api(state=tmp_path / "api", batch_seconds=3_600, cancel_seconds=600)
    world = World(tmp_path / "world", api, AnthropicBatches("made-up", api.base_url))
    world.commit({"one.py": "value = 1\n", "two.py": "value = 2\n"})
    world.submit()
    (sent,) = world.ledger.submissions()
    assert sent.batch_id is not None
    assert world.sdk.cancel(sent.batch_id).status == "canceling"
    work = world.look()
    assert work.troubled == ()
    assert [one.state for one in world.ledger.submissions()] == [State.IN_PROGRESS]
    api.advance(700)
    world.finish()
    assert world.accepted() == [2]  # somebody canceled it: that is no reason to send it again
    assert set(world.coverage()) == {"failed"}
    world.assert_all_counted()
