"""Creations that get no answer, a wrong one or somebody else's: every intended batch is paid for once."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import Batch, State
from review_pipeline.ports import InDoubt, OutOfCredit, Refused, Unavailable
from review_pipeline.simulator import Simulator
from review_pipeline_tests.audit.world import PYTHON, World

FILES = 3
Lone = Callable[..., World]


@pytest.fixture
def lone(lone_api: Callable[..., Simulator], tmp_path: Path) -> Lone:
    """A world whose workspace holds nobody else's batches, and whose batches end when the test says so."""

    def one(batch_seconds: float = 100.0) -> World:
        api = lone_api(state=tmp_path / "api", batch_seconds=batch_seconds)
        made = World(tmp_path / "lone", api, AnthropicBatches("made-up", api.base_url))
        made.commit({f"{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(FILES)})
        return made

    return one


def others_batch(api: Simulator, requests: int = FILES, name: str = "theirs") -> str:
    client = Anthropic(api_key="another", base_url=api.base_url, max_retries=0)
    params: Any = {"model": "claude-haiku-5-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}
    with client:
        made = client.messages.batches.create(
            requests=[{"custom_id": f"{name}-{n}", "params": params} for n in range(requests)]
        )
    return made.id


def state(world: World) -> State:
    (submission,) = world.ledger.submissions()
    return submission.state


def undisturbed(world: World) -> None:
    """The end that an audit without faults has."""
    world.finish()
    ours = [one.batch_id for one in world.ledger.submissions()]
    assert len(set(ours)) == len(ours)
    assert world.coverage() == {"reviewed": FILES, "skipped": 1} or world.coverage() == {"reviewed": FILES}
    world.assert_all_counted()


@pytest.mark.parametrize("effect", ["accept_then_drop", "error_500_after_accept", "overloaded_after_accept"])
@pytest.mark.trap("retried_create", "accepted_without_receipt")
def test_a_batch_that_was_accepted_without_a_receipt_is_found_and_not_created_again(world: World, effect: str) -> None:
    world.script({"on": "create", "effect": effect, "times": 1})
    world.submit()
    assert world.accepted() == [3]
    undisturbed(world)
    assert world.accepted() == [3]


@pytest.mark.parametrize("effect", ["overloaded", "drop"])
@pytest.mark.trap("retried_create")
def test_a_creation_that_may_have_been_accepted_waits_for_the_grace_and_is_then_sent_once(
    world: World, effect: str
) -> None:
    world.script({"on": "create", "effect": effect, "times": 1})
    world.plan()
    with pytest.raises(Unavailable, match="in doubt"):
        world.send()
    world.move_clock(290)
    world.look()
    assert state(world) is State.SENDING
    world.send()
    assert world.accepted() == []
    world.move_clock(20)
    world.look()
    assert "not accepted" in (world.ledger.submissions()[0].note or "")
    undisturbed(world)
    assert world.accepted() == [3]


@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.trap("rate_limited_create")
def test_a_rate_limited_creation_was_turned_away_at_the_door(world: World, retry_after: int | None) -> None:
    world.script({"on": "create", "effect": "rate_limit", "times": 1, "retry_after": retry_after})
    world.plan()
    with pytest.raises(Unavailable, match="429"):
        world.send()
    assert (state(world), world.accepted()) == (State.INTENDED, [])
    world.send()
    undisturbed(world)
    assert world.accepted() == [3]


@pytest.mark.parametrize("error", ["permission", "invalid"])
def test_a_refused_creation_says_why_and_goes_out_when_that_is_settled(world: World, error: str) -> None:
    world.script({"on": "create", "effect": "error", "error": error, "times": 1})
    world.plan()
    with pytest.raises(Refused, match="was not accepted: the API answered 40"):
        world.send()
    assert state(world) is State.INTENDED
    world.send()
    undisturbed(world)


@pytest.mark.parametrize("error", ["credit_balance", "spend_limit", "spend_cap"])
@pytest.mark.trap("billing_as_invalid")
def test_a_creation_that_cannot_be_paid_pauses_all_until_somebody_resumes(world: World, error: str) -> None:
    world.script({"on": "create", "effect": "error", "error": error, "times": 1})
    world.plan()
    with pytest.raises(OutOfCredit, match="was not accepted: the API answered 4"):
        world.send()
    assert [scope for scope, _, _ in world.ledger.pauses()] == ["billing"]
    with pytest.raises(Refused, match="review-pipeline resume"):
        world.send()
    assert (state(world), world.accepted()) == (State.INTENDED, [])
    world.ledger.resume()
    world.send()
    undisturbed(world)
    assert world.accepted() == [3]


def test_a_refused_connection_has_sent_nothing(world: World) -> None:
    world.plan()
    reachable, world.sdk = world.sdk, _reachable_for_the_list_only(world)
    with pytest.raises(Unavailable, match="nothing was sent"):
        world.send()
    assert state(world) is State.INTENDED
    world.sdk = reachable
    world.send()
    undisturbed(world)
    assert world.accepted() == [3]


def _reachable_for_the_list_only(world: World) -> AnthropicBatches:
    class GoneAfterTheList(AnthropicBatches):
        def newest(self) -> Iterator[Batch]:
            return world.api_sdk().newest()

    return GoneAfterTheList("made-up", "http://127.0.0.1:9")


class SlowAndLate:
    """A creation that takes long and gets no answer, and a list that shows the batch only minutes later."""

    def __init__(self, real: AnthropicBatches, world: World) -> None:
        self._real, self._world, self._shown_at = real, world, datetime.max.replace(tzinfo=UTC)

    def create(self, body: Path) -> Batch:
        self._real.create(body)
        self._world.move_clock(600)  # 250 MB on a slow line, and a read timeout
        self._shown_at = self._world.now() + timedelta(seconds=120)
        raise InDoubt("the connection broke during a batch creation: timed out")

    def newest(self) -> Iterator[Batch]:
        batches = self._real.newest()
        return batches if self._world.now() > self._shown_at else itertools.islice(batches, 1, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_the_grace_begins_when_nobody_sends_any_more(world: World) -> None:
    """Not when sending began: an upload may take longer than the grace, and the list lags behind it."""
    others_batch(world.api, requests=1)
    world.sdk = SlowAndLate(world.api_sdk(), world)  # type: ignore[assignment]
    world.plan()
    with pytest.raises(Unavailable, match="in doubt"):
        world.send()
    world.move_clock(130)
    undisturbed(world)
    assert world.accepted() == [1, 3]


def test_a_killed_sender_gives_the_list_its_grace_too(world: World) -> None:
    """The process died with the last byte of a long upload: its row says only when it began."""
    world.plan()
    (submission,) = world.ledger.submissions()
    fence = next(world.sdk.newest()).id
    world.ledger.begin(submission.id, world.now(), fence)
    world.move_clock(600)
    world.look()
    assert state(world) is State.SENDING
    world.sdk.create(world.pipeline.spool.body(submission.folder))  # listed only now
    undisturbed(world)
    assert world.accepted() == [3]


def _settle(world: World) -> None:
    for _ in range(6):
        world.api.advance(200)
        world.move_clock(400)
        if not world.step():
            break
    world.publish()


@pytest.mark.parametrize("is_accepted", [True, False])
@pytest.mark.parametrize("has_ended", [True, False])
@pytest.mark.trap("foreign_batch")
def test_a_foreign_batch_made_in_the_same_moment_is_never_ours(lone: Lone, has_ended: bool, is_accepted: bool) -> None:
    world = lone(batch_seconds=0 if has_ended else 100)
    effect = "accept_then_drop" if is_accepted else "drop"
    world.plan()

    class MeetsAnother(AnthropicBatches):
        foreign = ""

        def create(self, body: Path) -> Batch:
            if not self.foreign:
                self.foreign = others_batch(world.api)
                world.api.settle()
                world.script({"on": "create", "effect": effect, "times": 1})
            return super().create(body)

    world.sdk = met = MeetsAnother("made-up", world.api.base_url)
    try:
        world.send()
    except Unavailable as error:
        assert "in doubt" in str(error)  # noqa: PT017 (some of the four cases are settled at once)
    _settle(world)
    (submission,) = world.ledger.submissions()
    assert submission.state is State.COLLECTED
    assert submission.batch_id != met.foreign
    assert len(world.accepted()) == 2
    assert world.coverage() == {"reviewed": FILES}
    world.assert_all_counted()


@pytest.mark.trap("equal_counts")
def test_two_batches_of_ours_with_one_size_are_never_in_doubt_together(lone: Lone) -> None:
    world = lone(batch_seconds=0)
    world.configure(batches={"max_requests": 1, "poll_seconds": 5})
    world.script({"on": "create", "effect": "drop", "times": 1})
    world.plan()
    with pytest.raises(Unavailable, match="in doubt"):
        world.send()
    with pytest.raises(Unavailable, match="one of the same size"):
        world.send()
    assert world.accepted() == []
    world.move_clock(301)
    undisturbed(world)
    assert world.accepted() == [1, 1, 1]


class LosesItsReceipt(AnthropicBatches):
    """While this creation is under way, another process settles the doubt of an earlier submission; then the receipt is lost, or not."""

    def __init__(self, world: World, *, is_lost: bool) -> None:
        super().__init__("made-up", world.api.base_url)
        self._world, self._is_lost = world, is_lost

    def create(self, body: Path) -> Batch:
        batch = super().create(body)
        first = self._world.ledger.submissions()[0]
        self._world.collector.collect_cell(self._world.cell())  # disowns the foreign batch
        assert self._world.sender.reconcile(first).submission.batch_id == batch.id
        if self._is_lost:
            raise InDoubt("the connection broke")
        return batch


@pytest.mark.parametrize("is_lost", [True, False])
@pytest.mark.trap("equal_counts")
def test_a_batch_that_another_submission_took_on_a_guess_is_not_created_again(lone: Lone, is_lost: bool) -> None:
    world = lone()
    world.configure(batches={"max_requests": 2, "poll_seconds": 5})
    world.commit({"3.py": PYTHON})
    world.plan()
    first, _ = world.ledger.submissions()
    world.ledger.begin(first.id, world.now(), "")  # never accepted; its process was killed
    foreign = others_batch(world.api, requests=2)
    world.look()
    assert world.ledger.submissions()[0].batch_id == foreign
    world.api.advance(101)
    world.look()
    world.sdk = LosesItsReceipt(world, is_lost=is_lost)
    try:
        world.sender.send_due(world.cell())
    except Unavailable as error:
        assert "in doubt" in str(error)  # noqa: PT017
    world.sdk = world.api_sdk()
    world.move_clock(400)
    world.look()
    assert len(world.accepted()) == 2
    _settle(world)
    assert world.accepted() == [2, 2, 2]
    assert world.coverage() == {"reviewed": 4}
    world.assert_all_counted()


@pytest.mark.parametrize("skew_seconds", [-300, 300])
@pytest.mark.trap("clock_skew")
def test_clocks_may_disagree_by_five_minutes(lone: Lone, skew_seconds: int) -> None:
    world = lone(batch_seconds=0)
    world.api.advance(skew_seconds)
    others_batch(world.api)
    world.script({"on": "create", "effect": "accept_then_drop", "times": 1})
    world.submit()
    undisturbed(world)
    assert world.accepted() == [FILES, FILES]


@pytest.mark.parametrize("skew_seconds", [-299, 299])
@pytest.mark.trap("clock_skew")
def test_clocks_may_disagree_even_where_the_batch_before_ours_was_deleted(lone: Lone, skew_seconds: int) -> None:
    world = lone(batch_seconds=0)
    world.api.advance(skew_seconds)
    fence = others_batch(world.api)
    world.api.settle()
    world.plan()

    class DeletesTheFence(AnthropicBatches):
        def create(self, body: Path) -> Batch:
            self._client.messages.batches.delete(fence)
            return super().create(body)

    world.sdk = DeletesTheFence("made-up", world.api.base_url)
    world.script({"on": "create", "effect": "accept_then_drop", "times": 1})
    world.send()
    undisturbed(world)
    assert world.accepted() == [FILES, FILES]


def crowd(state: Path, count: int) -> None:
    """Ended batches of others, cheaper than by as many calls."""
    row = "INSERT INTO batches (id, created_at, batch_seconds, total, version, ended_at, succeeded) VALUES (?, ?, 0, 1, '', ?, 1)"
    with sqlite3.connect(state / "simulator.sqlite") as db:
        db.executemany(row, [(f"msgbatch_crowd_{n}", time.time(), time.time()) for n in range(count)])


@pytest.mark.trap("first_page_only")
def test_ours_is_found_behind_eleven_hundred_others(lone: Lone, tmp_path: Path) -> None:
    world = lone(batch_seconds=0)
    others_batch(world.api, requests=1)

    class CrowdedMeanwhile(AnthropicBatches):
        def create(self, body: Path) -> Batch:
            try:
                return super().create(body)
            finally:
                crowd(tmp_path / "api", 1_100)

    world.sdk = CrowdedMeanwhile("made-up", world.api.base_url)
    world.script({"on": "create", "effect": "accept_then_drop", "times": 1})
    world.submit()
    assert state(world) is State.IN_PROGRESS
    assert world.calls("list") <= 1 + 12  # the fence needs one page, the search eleven and the one that ours is on
    undisturbed(world)
    assert world.accepted().count(FILES) == 1


@pytest.mark.trap("404_after_create")
def test_results_that_are_404_for_minutes_are_waited_for_and_never_sent_again(world: World) -> None:
    world.script(
        {"on": "retrieve", "effect": "not_found", "calls": 2}, {"on": "results", "effect": "not_found", "calls": 4}
    )
    world.submit()
    for _ in range(2):
        work = world.look()
        assert "transient" in dict(work.troubled).popitem()[1]
        assert state(world) is State.IN_PROGRESS
    with pytest.raises(Unavailable):
        world.step()
    undisturbed(world)
    assert world.accepted() == [3]


def test_a_doubtful_submission_is_not_settled_by_stale_knowledge(world: World) -> None:
    """Another process settled it and sent it anew between our look at the ledger and our turn."""
    world.script({"on": "create", "effect": "drop", "times": 1})
    world.plan()
    with pytest.raises(Unavailable):
        world.send()
    (stale,) = world.ledger.submissions()
    world.move_clock(301)
    world.look()
    (fresh,) = world.ledger.submissions()
    fence = next(world.sdk.newest()).id
    assert world.ledger.begin(fresh.id, world.now(), fence)
    assert world.sender.reconcile(stale).submission.state is State.SENDING
