"""Messages as JSON and as a stream, tools, tokens, cache and models."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic

from review_pipeline.simulator import Simulator
from review_pipeline_tests.simulator.prompts import AUDIT_SCHEMA, BAD_PYTHON, audit, file_block, params

Start = Callable[..., tuple[Simulator, Anthropic]]
STRUCTURED: dict[str, Any] = {"name": "StructuredOutput", "input_schema": AUDIT_SCHEMA}


def test_a_schema_gets_json_and_the_id_says_that_no_model_was_called(client: Anthropic) -> None:
    message = client.messages.create(**audit())
    assert message.id.startswith("msg_offline_")
    assert message.stop_reason == "end_turn"
    assert message.usage.service_tier == "standard"
    assert message.content[0].type == "text"
    assert json.loads(message.content[0].text)["findings"]


def test_without_a_schema_the_answer_is_a_markdown_list(client: Anthropic) -> None:
    message = client.messages.create(**params(f"Review:\n```python\n{BAD_PYTHON}```\n"))
    assert message.content[0].type == "text"
    assert "- **critical** (bug" in message.content[0].text
    assert ":4`" in message.content[0].text


def test_code_that_has_nothing_to_report_gives_an_empty_list(client: Anthropic) -> None:
    message = client.messages.create(**audit("VALUE = 1\n"))
    assert message.content[0].type == "text"
    assert json.loads(message.content[0].text) == {"findings": []}


def test_a_stream_adds_up_to_the_message_that_json_gives(client: Anthropic) -> None:
    whole = client.messages.create(**audit())
    with client.messages.stream(**audit()) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].to_dict() | {"parsed_output": None} == whole.content[0].to_dict() | {
        "parsed_output": None
    }
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_a_stream_has_the_events_of_the_protocol_in_order(http: httpx2.Client) -> None:
    answer = http.post("/v1/messages?beta=true", json=audit(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("event: ") for line in answer.text.split("\n") if line.startswith("event: ")]
    once = list(dict.fromkeys(events))
    assert once == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_the_structured_output_tool_is_called_with_the_same_json(client: Anthropic) -> None:
    prompt = file_block("src/load.py", BAD_PYTHON)
    as_text = client.messages.create(**audit())
    with client.messages.stream(**params(prompt, tools=[STRUCTURED, {"name": "Read", "input_schema": {}}])) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    (block,) = message.content
    assert block.type == "tool_use"
    assert block.name == "StructuredOutput"
    assert as_text.content[0].type == "text"
    assert block.input == json.loads(as_text.content[0].text)


def test_a_forced_tool_is_called(client: Anthropic) -> None:
    tool = {"name": "report", "input_schema": AUDIT_SCHEMA}
    choice = {"type": "tool", "name": "report"}
    message = client.messages.create(**params(file_block("a.py", BAD_PYTHON), tools=[tool], tool_choice=choice))
    assert message.content[0].type == "tool_use"
    assert message.content[0].name == "report"


def test_after_a_tool_result_the_turn_ends_with_a_short_text(client: Anthropic) -> None:
    wish = params(file_block("src/load.py", BAD_PYTHON), tools=[STRUCTURED])
    first = client.messages.create(**wish)
    assert first.content[0].type == "tool_use"
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "ok"}
    wish["messages"] += [
        {"role": "assistant", "content": [first.content[0].to_dict()]},
        {"role": "user", "content": [result]},
    ]
    second = client.messages.create(**wish)
    assert second.stop_reason == "end_turn"
    assert second.content[0].type == "text"


def test_counting_tokens_agrees_with_the_usage_of_the_message(client: Anthropic) -> None:
    wish = params("Ünïcode " * 100, system="Be short.")
    counted = client.messages.count_tokens(model=wish["model"], messages=wish["messages"], system=wish["system"])
    assert counted.input_tokens == client.messages.create(**wish).usage.input_tokens


def test_a_cached_prefix_is_written_once_read_later_and_forgotten_after_its_ttl(start: Start) -> None:
    api, client = start()
    wish = params("What now?", system=[_cached("rules " * 1000, "1h")])
    first, second = (client.messages.create(**wish).usage for _ in range(2))
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_1h_input_tokens > 1000
    assert first.cache_creation.ephemeral_5m_input_tokens == 0
    assert first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0
    assert second.input_tokens == first.input_tokens < 10
    api.advance(3601)
    assert client.messages.create(**wish).usage.cache_read_input_tokens == 0


def test_a_longer_prefix_reads_the_known_part_and_writes_the_rest(start: Start) -> None:
    _, client = start()
    shared = _cached("rules " * 1000, "5m")
    known = client.messages.create(**params("?", system=[shared])).usage
    longer = client.messages.create(**params("?", system=[shared, _cached("more " * 600, "5m")])).usage
    assert longer.cache_read_input_tokens == known.cache_creation_input_tokens
    assert longer.cache_creation is not None
    assert longer.cache_creation.ephemeral_5m_input_tokens > 500


def test_a_prefix_below_512_tokens_is_silently_not_cached(client: Anthropic) -> None:
    usage = client.messages.create(**params("?", system=[_cached("short", "5m")])).usage
    assert usage.cache_creation_input_tokens == 0
    assert usage.cache_read_input_tokens == 0


def test_the_requests_of_a_batch_share_the_cache_and_have_the_batch_tier(start: Start) -> None:
    api, client = start(batch_seconds=0)
    wish: Any = params("?", system=[_cached("rules " * 1000, "1h")])
    batch = client.messages.batches.create(requests=[{"custom_id": f"c{n}", "params": wish} for n in range(3)])
    api.settle()
    usages = [
        line.result.message.usage
        for line in client.messages.batches.results(batch.id)
        if line.result.type == "succeeded"
    ]
    assert sorted(usage.cache_read_input_tokens == 0 for usage in usages) == [False, False, True]
    assert {usage.service_tier for usage in usages} == {"batch"}


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
def test_models_have_limits_and_a_lifecycle_that_follows_the_clock(start: Start) -> None:
    api, client = start()
    models = {model.id: model for model in client.models.list()}
    assert {"claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-2"} <= set(models)
    assert models["claude-opus-5-5"].max_input_tokens == 1_000_000
    assert "no model is called" in models["claude-opus-5-5"].display_name
    assert models["claude-opus-5-5"].lifecycle == "active"
    assert client.models.retrieve("claude-haiku-4-5").id == "claude-haiku-4-5-20251001"
    api.advance(5 * 365 * 24 * 3600)
    assert client.models.retrieve("claude-sonnet-4-5").lifecycle == "retired"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**params(model="claude-sonnet-4-5"))


def test_an_unknown_model_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-nobody")
    with pytest.raises(anthropic.NotFoundError, match="model: claude-nobody"):
        client.messages.create(**params(model="claude-nobody"))


def test_the_root_answers_head_as_the_claude_cli_expects(api: Simulator) -> None:
    assert httpx2.head(api.base_url + "/").status_code == 200


def test_an_answer_takes_as_long_as_the_latency_says(start: Start) -> None:
    api, client = start(latency_seconds=0.2)
    before = api.now()
    client.messages.create(**params())
    assert api.now() - before >= 0.2


def _cached(text: str, ttl: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}
