"""A large prompt that all requests share is written to the cache once and read by the others; what that saved is told to the last digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import Submission
from review_pipeline.core.failures import Outcome
from review_pipeline.defs.metadata import of_results, of_submissions
from review_pipeline.simulator import Simulator
from review_pipeline_tests.audit.world import PYTHON, World, long_python

MANY = 24
# They are part of every request, before the file.
CRITERIA = "# Notes\n\n## Review criteria\n\n" + "".join(
    f"{n}. Say so when rule {n} of our handbook is broken: no name without a meaning, no number without a unit.\n"
    for n in range(70)
)
FILES = {f"f{n}.py": PYTHON + f"value_{n} = {n}\n" for n in range(MANY)}


@pytest.fixture
def fresh(lone_api: Callable[..., Simulator], make: Callable[..., World]) -> World:
    """A world whose API has nothing in its cache."""
    api = lone_api(batch_seconds=0)
    world: World = make()
    world.api, world.sdk, world.calls_before = api, AnthropicBatches("made-up", api.base_url), 0
    world.configure()
    return world


def usages(world: World, submission: Submission) -> list[dict[str, Any]]:
    """What the result lines themselves say."""
    assert submission.batch_id is not None
    raw = world.pipeline.spool.result_files(submission.folder, submission.batch_id).raw
    results = [json.loads(line)["result"] for line in raw.read_bytes().splitlines()]
    return [result["message"]["usage"] for result in results if result["type"] == "succeeded"]


def saved_usd(usage: dict[str, Any]) -> Decimal:
    """At the half of Haiku's 0.10 plain, 0.01 read and 0.20 written for an hour, USD a million tokens."""
    read, written = usage["cache_read_input_tokens"], usage["cache_creation"]["ephemeral_1h_input_tokens"]
    return (read * (Decimal("0.10") - Decimal("0.01")) + written * (Decimal("0.10") - Decimal("0.20"))) / 2 / 1_000_000


def test_what_the_cache_did_is_told_as_the_result_lines_say_it_to_the_last_digit(fresh: World) -> None:
    fresh.commit({"CLAUDE.md": CRITERIA, **FILES})
    plan = fresh.submit()
    fresh.look()
    ((one, collected),) = fresh.collector.collect_cell(fresh.cell())
    fresh.publish()
    lines = usages(fresh, one)
    assert len(lines) == MANY
    assert {usage["cache_creation"]["ephemeral_5m_input_tokens"] for usage in lines} == {0}
    hits = sum(1 for usage in lines if usage["cache_read_input_tokens"])
    assert hits == MANY - 1, "the first one writes, and this API loses nothing"
    read = sum(usage["cache_read_input_tokens"] for usage in lines)
    written = sum(usage["cache_creation_input_tokens"] for usage in lines)
    assert read == hits * written > 0
    saved = sum((saved_usd(usage) for usage in lines), Decimal(0))
    assert fresh.query(
        "SELECT answers, hits, writes, read_tokens, written_tokens, plain_tokens, saved_usd FROM batch_caching"
    ) == [(MANY, hits, 1, read, written, sum(usage["input_tokens"] for usage in lines), saved)]
    assert (collected.cache.hits, collected.cache.read_tokens, collected.cache.written_tokens) == (hits, read, written)
    assert collected.cache.saved_usd == saved > 0
    plain = sum(usage["input_tokens"] for usage in lines) + read + written
    answered = sum(usage["output_tokens"] for usage in lines)
    ((cost,),) = fresh.query("SELECT cost_usd FROM batch_costs")
    assert cost + saved == (plain * Decimal("0.10") + answered * Decimal("0.50")) / 2 / 1_000_000
    told = of_results(fresh.ledger.submissions(), fresh.ledger.outcomes(fresh.cell()), ((one, collected),))
    assert (told["cache_hits_now"], told["cache_saved_usd_now"]) == (hits, float(saved))
    assert plan.caching.startswith("1h: prefix of ")
    assert f"shared by about {MANY} requests: at 60% hits saves $" in plan.caching
    assert of_submissions(plan, (one,))["prompt_cache"] == plan.caching == fresh.plan().caching


def test_the_shared_prefix_comes_first_and_is_the_same_bytes_in_every_request(world: World) -> None:
    world.commit({"CLAUDE.md": CRITERIA, **FILES})
    world.plan()
    (one,) = world.ledger.submissions()
    body = world.pipeline.spool.body(one.folder).read_bytes()
    shared = {piece.partition(b'"messages":')[0] for piece in body.split(b'"params":')[1:]}
    assert body.count(b'"custom_id"') == MANY + 3
    assert len(shared) == 1
    (prefix,) = shared
    assert prefix.count(b'"cache_control":{"type":"ephemeral","ttl":"1h"}') == 1
    assert body.count(b"cache_control") == MANY + 3
    assert prefix.index(b'"system"') < prefix.index(b'"output_config"')
    params = world.sent(one)[0]["params"]
    assert params["system"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert b"f1.py" not in prefix


def test_instructions_below_the_minimum_are_not_marked(world: World) -> None:
    world.configure(workloads={"nightly_quality_audit": {"model": "claude-haiku-4-5"}})
    world.commit(FILES)
    plan = world.audit()
    assert plan.caching.startswith("not cached: prefix of ")
    assert plan.caching.endswith("below the model's minimum of 4,096")
    (one,) = world.ledger.submissions()
    assert b"cache_control" not in world.pipeline.spool.body(one.folder).read_bytes()
    assert world.query("SELECT hits, writes, read_tokens, written_tokens, saved_usd FROM batch_caching") == [
        (0, 0, 0, 0, Decimal(0))
    ]


@pytest.mark.parametrize(("files", "told"), [(MANY, "1h: prefix of 5"), (0, "not cached: would cost more than it saves: 3 requests")])  # fmt: skip
def test_the_shipped_prompt_decides_by_the_number_of_files_and_says_why(world: World, files: int, told: str) -> None:
    world.commit({"more.txt": "no code\n", **{name: FILES[name] for name in list(FILES)[:files]}})
    plan = world.plan()
    assert plan.caching.startswith(told)
    (one,) = world.ledger.submissions()
    assert (b"cache_control" in world.pipeline.spool.body(one.folder).read_bytes()) is plan.caching.startswith("1h")


def test_an_answer_stands_whether_its_prompt_was_cached_or_not(world: World) -> None:
    """Nothing is asked again because the decision is another one."""
    world.commit({"CLAUDE.md": CRITERIA, **FILES})
    first = world.audit()
    assert first.caching.startswith("1h")
    world.configure(batches={"expected_cache_hits": 0, "poll_seconds": 5})
    world.commit({"f0.py": PYTHON + "value_0 = 'another'\n", "f1.py": PYTHON + "value_1 = 'another'\n"})
    second = world.audit(day=1)
    assert second.caching.startswith("not cached: would cost more than it saves: 2 requests at 0% hits")
    assert second.prompt_version == first.prompt_version
    assert second.counts["unchanged"] == MANY + 1
    assert second.counts["submitted"] == 2


def test_what_is_sent_again_keeps_what_its_original_had(world: World) -> None:
    world.commit({"CLAUDE.md": CRITERIA, **FILES, "long.py": long_python(5)})
    world.script(
        {"effect": "error", "error": "overloaded", "contains": '"f0.py"', "times": 1},
        {"effect": "error", "error": "too_long", "contains": 'path="long.py" language="python" lines="1-20"'},
    )
    world.audit()
    first, second = world.ledger.submissions()
    prefix = {json.dumps([r["params"]["system"], r["params"]["output_config"]]) for r in world.sent(first)}
    again = world.sent(second)
    assert len(again) == 1 + 2
    assert {json.dumps([r["params"]["system"], r["params"]["output_config"]]) for r in again} == prefix
    assert "cache_control" in prefix.pop()
    world.assert_all_counted()
    assert Outcome.TOO_LONG.value in {outcome for _, outcome in world.attempts("long.py")}


def test_what_is_reserved_covers_a_prefix_that_every_request_writes_anew(make: Callable[..., World]) -> None:
    reserved = []
    for name, hits in (("cached", 0.6), ("plain", 0)):
        world = make(name, batches={"expected_cache_hits": hits})
        world.commit({"CLAUDE.md": CRITERIA, **FILES})
        world.plan()
        (one,) = world.ledger.submissions()
        reserved.append(Decimal(one.most_usd))
    prefix_tokens = len(world.sent(one)[0]["params"]["system"][0]["text"]) / Decimal("2.5")
    # Written instead of plain: 0.20 instead of 0.10 a million, half of it in a batch.
    assert reserved[0] - reserved[1] >= MANY * prefix_tokens * Decimal("0.10") / 2 / 1_000_000
