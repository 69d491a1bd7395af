"""Scripted faults: each effect, and the conditions under which a rule applies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic

from review_pipeline.simulator import IllegalRule, Rule, Simulator
from review_pipeline.simulator.rules import READY_MADE_ERRORS
from review_pipeline_tests.simulator.prompts import HEADERS, audit, params, requests

Start = Callable[..., tuple[Simulator, Anthropic]]


def _lines(api: Simulator, client: Anthropic, *rules: Any, count: int = 3) -> list[dict[str, Any]]:
    api.script(*rules)
    batch = client.messages.batches.create(requests=requests(count))
    api.settle()
    raw = client.messages.batches.with_raw_response.results(batch.id).read()
    return sorted((json.loads(line) for line in raw.splitlines()), key=lambda line: str(line["custom_id"]))


@pytest.mark.parametrize(
    ("rule", "stop_reason"),
    [
        ({"effect": "max_tokens"}, "max_tokens"),
        ({"effect": "context_window"}, "model_context_window_exceeded"),
        ({"effect": "pause_turn"}, "pause_turn"),
        ({"effect": "bad_json"}, "end_turn"),
        ({"effect": "stop_reason", "stop_reason": "stop_sequence"}, "stop_sequence"),
    ],
    ids=str,
)
def test_a_scripted_request_stops_as_asked_and_its_neighbours_do_not(
    api: Simulator, client: Anthropic, rule: dict[str, Any], stop_reason: str
) -> None:
    lines = _lines(api, client, rule | {"custom_id": "^audit-1$"})
    messages = [line["result"]["message"] for line in lines]
    assert [message["stop_reason"] for message in messages] == ["end_turn", stop_reason, "end_turn"]
    if rule["effect"] != "stop_reason":
        with pytest.raises(ValueError, match=r"."):
            json.loads(messages[1]["content"][0]["text"])


def test_a_refusal_has_no_content_and_names_its_category(api: Simulator, client: Anthropic) -> None:
    api.script(Rule(effect="refusal", category="cyber", times=1))
    message = client.messages.create(**audit())
    assert message.stop_reason == "refusal"
    assert message.content == []
    assert message.stop_details is not None
    assert message.stop_details.category == "cyber"
    assert client.messages.create(**audit()).stop_reason == "end_turn"


def test_schema_breaking_json_is_json_of_another_shape(api: Simulator, client: Anthropic) -> None:
    (line,) = _lines(api, client, {"effect": "bad_schema"}, count=1)
    assert "findings" not in json.loads(line["result"]["message"]["content"][0]["text"])


def test_a_scripted_text_is_given_word_for_word(api: Simulator, client: Anthropic) -> None:
    (line,) = _lines(api, client, {"effect": "text", "text": '{"findings": []}'}, count=1)
    assert line["result"]["message"]["content"][0]["text"] == '{"findings": []}'


@pytest.mark.parametrize("name", READY_MADE_ERRORS)
def test_every_ready_made_error_can_be_a_result_line(api: Simulator, client: Anthropic, name: str) -> None:
    (line,) = _lines(api, client, {"effect": "error", "error": name}, count=1)
    error = line["result"]["error"]
    assert (line["result"]["type"], error["type"]) == ("errored", "error")
    assert error["error"]["type"] == READY_MADE_ERRORS[name].type
    assert error["error"]["message"] == READY_MADE_ERRORS[name].message
    assert "details" in error["error"]


def test_an_error_can_be_of_any_type_with_any_details(api: Simulator, client: Anthropic) -> None:
    unheard_of = {"type": "brand_new_error", "message": "Never seen", "details": {"error_code": "x"}}
    (line,) = _lines(api, client, {"effect": "error", "error": unheard_of}, count=1)
    assert line["result"]["error"]["error"] == unheard_of


@pytest.mark.parametrize("fate", ["expired", "canceled"])
def test_single_requests_can_expire_or_be_cancelled(api: Simulator, client: Anthropic, fate: str) -> None:
    api.script({"effect": fate, "custom_id": "audit-2"})
    batch = client.messages.batches.create(requests=requests(3))
    api.settle()
    counts = client.messages.batches.retrieve(batch.id).request_counts.to_dict()
    assert counts[fate] == 1
    assert counts["succeeded"] == 2
    kinds = Counter(line.result.type for line in client.messages.batches.results(batch.id))
    assert kinds == {fate: 1, "succeeded": 2}


def test_a_line_can_be_missing_although_it_was_counted(api: Simulator, client: Anthropic) -> None:
    lines = _lines(api, client, {"effect": "missing", "custom_id": "audit-0"})
    assert [line["custom_id"] for line in lines] == ["audit-1", "audit-2"]
    newest = client.messages.batches.list(limit=1).data[0]
    assert newest.request_counts.succeeded == 3


def test_a_line_can_come_twice(api: Simulator, client: Anthropic) -> None:
    lines = _lines(api, client, {"effect": "duplicate", "custom_id": "audit-0"})
    assert [line["custom_id"] for line in lines] == ["audit-0", "audit-0", "audit-1", "audit-2"]


def test_a_line_can_name_an_id_that_nobody_sent(api: Simulator, client: Anthropic) -> None:
    lines = _lines(api, client, {"effect": "unknown_id", "custom_id": "audit-0"})
    assert [line["custom_id"] for line in lines] == ["audit-0", "audit-1", "audit-2", "nobody-sent-this"]


def test_a_rule_may_look_for_text_and_count_every_nth_up_to_a_limit(api: Simulator, client: Anthropic) -> None:
    rule = {"effect": "error", "contains": "def load", "every": 2, "times": 2}
    kinds = [line["result"]["type"] for line in _lines(api, client, rule, count=8)]
    assert kinds == ["succeeded", "errored", "succeeded", "errored", *["succeeded"] * 4]


def test_a_rule_via_batch_leaves_the_messages_endpoint_alone(api: Simulator, client: Anthropic) -> None:
    api.script({"effect": "error", "error": "overloaded", "via": "batch"})
    assert client.messages.create(**params()).stop_reason == "end_turn"


def test_a_batch_that_is_cut_short_uses_a_rule_no_more_often_than_one_that_is_not(start: Start) -> None:
    api, client = start(batch_seconds=1000)
    api.script({"effect": "refusal", "custom_id": "audit-0", "times": 1})
    batch = client.messages.batches.create(requests=requests(2))
    api.advance(600)
    client.messages.batches.cancel(batch.id)
    api.settle()
    lines = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
    assert lines["audit-0"].type == "succeeded"
    assert lines["audit-0"].message.stop_reason == "refusal"
    assert lines["audit-1"].type == "canceled"


@pytest.mark.parametrize(
    ("error", "status"),
    [("overloaded", 529), ("api_error", 500), ("too_long", 400), ("rate_limit", 429), ("billing", 402)],
)
def test_an_error_at_the_messages_endpoint_has_its_http_status(
    api: Simulator, http: httpx2.Client, error: str, status: int
) -> None:
    api.script({"effect": "error", "error": error, "retry_after": 7})
    answer = http.post("/v1/messages", json=audit())
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    assert answer.json()["error"]["message"] == READY_MADE_ERRORS[error].message


@pytest.mark.parametrize(
    ("effect", "raised", "accepted"),
    [
        ("accept_then_drop", anthropic.APIConnectionError, True),
        ("error_500_after_accept", anthropic.InternalServerError, True),
        ("overloaded_after_accept", anthropic.OverloadedError, True),
        ("drop", anthropic.APIConnectionError, False),
        ("rate_limit", anthropic.RateLimitError, False),
        ("overloaded", anthropic.OverloadedError, False),
        ("error", anthropic.InternalServerError, False),
    ],
)
def test_a_failed_creation_says_in_the_journal_whether_it_was_accepted(
    start: Start, effect: str, raised: type[Exception], accepted: bool
) -> None:
    api, client = start(batch_seconds=0)
    api.script({"on": "create", "effect": effect, "times": 1})
    with pytest.raises(raised):
        client.messages.batches.create(requests=requests(2))
    api.settle()
    listed = client.messages.batches.list().data
    assert [batch.request_counts.succeeded for batch in listed] == ([2] if accepted else [])
    (call,) = api.journal("create")
    assert call.accepted is accepted
    assert (call.batch_id, call.custom_ids) == ((listed[0].id, 2) if accepted else (None, None))


def test_the_sdk_with_its_own_retries_creates_twice(start: Start) -> None:
    api, client = start()
    api.script({"on": "create", "effect": "error_500_after_accept", "times": 1})
    client.with_options(max_retries=1).messages.batches.create(requests=requests(1))
    assert [call.accepted for call in api.journal("create")] == [True, True]


@pytest.mark.parametrize("retry_after", [None, 30])
def test_a_rate_limit_comes_with_and_without_retry_after(
    api: Simulator, http: httpx2.Client, retry_after: int | None
) -> None:
    api.script({"on": "create", "effect": "rate_limit", "retry_after": retry_after})
    answer = http.post("/v1/messages/batches", json={"requests": requests(1)})
    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == (None if retry_after is None else "30")


def test_a_new_batch_can_be_unknown_for_its_first_calls(start: Start) -> None:
    api, client = start(batch_seconds=60)
    api.script({"on": "retrieve", "effect": "not_found", "calls": 2})
    batch = client.messages.batches.create(requests=requests(1))
    for _ in range(2):
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(batch.id)
    assert client.messages.batches.retrieve(batch.id).id == batch.id


def test_a_new_batch_can_be_unknown_for_its_first_seconds(start: Start) -> None:
    api, client = start(batch_seconds=600)
    api.script({"on": "retrieve", "effect": "not_found", "seconds": 90})
    batch = client.messages.batches.create(requests=requests(1))
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)
    api.advance(91)
    assert client.messages.batches.retrieve(batch.id).id == batch.id


@pytest.mark.parametrize("on", ["retrieve", "list", "cancel", "delete"])
@pytest.mark.parametrize(("effect", "status"), [("error", 500), ("overloaded", 529), ("not_found", 404)])
def test_every_call_can_fail(api: Simulator, client: Anthropic, on: str, effect: str, status: int) -> None:
    batch_id = client.messages.batches.create(requests=requests(1)).id
    api.settle()
    api.script({"on": on, "effect": effect})
    calls: dict[str, Callable[[], object]] = {
        "retrieve": lambda: client.messages.batches.retrieve(batch_id),
        "list": client.messages.batches.list,
        "cancel": lambda: client.messages.batches.cancel(batch_id),
        "delete": lambda: client.messages.batches.delete(batch_id),
    }
    with pytest.raises(anthropic.APIStatusError) as caught:
        calls[on]()
    assert caught.value.status_code == status


def _ended_batch(api: Simulator, client: Anthropic) -> str:
    batch = client.messages.batches.create(requests=requests(10))
    api.settle()
    return f"{api.base_url}/v1/messages/batches/{batch.id}/results"


def test_results_cut_at_a_row_end_without_an_error_and_the_next_download_is_whole(
    api: Simulator, client: Anthropic
) -> None:
    url = _ended_batch(api, client)
    api.script({"on": "results", "effect": "cut_at_row", "rows": 4, "times": 1})
    assert httpx2.get(url, headers=HEADERS).content.count(b"\n") == 4
    assert httpx2.get(url, headers=HEADERS).content.count(b"\n") == 10


def test_results_cut_in_a_row_break_the_connection_after_half_a_row(api: Simulator, client: Anthropic) -> None:
    url = _ended_batch(api, client)
    api.script({"on": "results", "effect": "cut_in_row", "times": 1})
    got = bytearray()

    def read(answer: httpx2.Response) -> None:
        for piece in answer.iter_bytes():
            got.extend(piece)

    with httpx2.stream("GET", url, headers=HEADERS) as answer, pytest.raises(httpx2.RemoteProtocolError):
        read(answer)
    assert got.count(b"\n") == 5
    assert not got.endswith(b"\n")
    assert httpx2.get(url, headers=HEADERS).content.count(b"\n") == 10


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"effect": "explode"},
        {"effect": "refusal", "on": "lunch"},
        {"effect": "refusal", "on": "create"},
        {"effect": "refusal", "custom_id": "("},
        {"effect": "refusal", "every": 0},
        {"effect": "refusal", "via": "post"},
        {"effect": "error", "error": "no_such_error"},
        {"effect": "refusal", "custom_ids": "a typo"},
    ],
    ids=str,
)
def test_a_rule_that_cannot_mean_anything_is_refused(api: Simulator, http: httpx2.Client, rule: dict[str, Any]) -> None:
    with pytest.raises(IllegalRule):
        api.script(rule)
    assert http.post("/_simulator/scripts", json=[rule]).status_code == 400


def test_scripts_clock_and_journal_work_over_http_without_a_key(start: Start) -> None:
    api, client = start(batch_seconds=30)
    with httpx2.Client(base_url=api.base_url) as admin:
        added = admin.post("/_simulator/scripts", json=[{"effect": "refusal"}]).json()["scripts"]
        assert [(rule["effect"], rule["used"]) for rule in added] == [("refusal", 0)]
        assert admin.delete("/_simulator/scripts").json() == {"scripts": []}
        batch = client.messages.batches.create(requests=requests(2))
        assert admin.post("/_simulator/clock", json={"advance_seconds": 31}).json()["offset_seconds"] == 31
        assert admin.get("/_simulator/clock").json()["offset_seconds"] == 31
        assert client.messages.batches.retrieve(batch.id).processing_status == "ended"
        (call,) = admin.get("/_simulator/journal?operation=create").json()["calls"]
        assert (call["batch_id"], call["custom_ids"], call["accepted"]) == (batch.id, 2, True)
        assert admin.post("/_simulator/clock", json={"advance_seconds": -1}).status_code == 400
