"""What the API refuses: at the door, for a whole batch, or for one line of it."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic

from review_pipeline.simulator import Simulator
from review_pipeline_tests.simulator.prompts import audit, params, requests


@pytest.mark.parametrize("headers", [{"x-api-key": "k"}, {"authorization": "Bearer k"}])
def test_both_kinds_of_credentials_are_accepted(api: Simulator, headers: dict[str, str]) -> None:
    answer = httpx2.get(f"{api.base_url}/v1/models", headers=headers | {"anthropic-version": "2026-10-21"})
    assert answer.status_code == 200
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}])
def test_a_call_without_credentials_is_an_authentication_error(api: Simulator, headers: dict[str, str]) -> None:
    answer = httpx2.get(f"{api.base_url}/v1/messages/batches", headers=headers | {"anthropic-version": "2026-10-21"})
    body = answer.json()
    assert answer.status_code == 401
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    assert body["request_id"] == answer.headers["request-id"]


def test_a_call_without_a_version_is_refused(api: Simulator) -> None:
    answer = httpx2.get(f"{api.base_url}/v1/messages/batches", headers={"x-api-key": "k"})
    assert answer.status_code == 400
    assert "anthropic-version" in answer.json()["error"]["message"]


def test_an_unknown_path_is_a_not_found_error_in_the_shape_of_the_api(http: httpx2.Client) -> None:
    answer = http.get("/v1/nothing")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


def test_a_body_over_the_limit_is_too_large(client: Anthropic, api: Simulator) -> None:
    before = len(api.journal("create"))
    with pytest.raises(anthropic.RequestTooLargeError) as caught:
        client.messages.batches.create(requests=requests(2, code="x = 1\n" * 40_000))
    assert (caught.value.status_code, caught.value.type) == (413, "request_too_large")
    refused = api.journal("create")[before:]
    assert [(call.status, call.accepted) for call in refused] == [(413, False)]


def test_an_empty_batch_is_refused(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        client.messages.batches.create(requests=[])


def test_more_requests_than_the_limit_are_refused(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="at most 50"):
        client.messages.batches.create(requests=requests(51, code="x = 1\n"))


def test_a_repeated_custom_id_is_refused(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="Duplicate custom_id: audit-0"):
        client.messages.batches.create(requests=requests(1) + requests(1))


@pytest.mark.parametrize("custom_id", ["", "a" * 65, "a b", "a/b", "ä", "a\n"])
def test_an_illegal_custom_id_is_refused(client: Anthropic, custom_id: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match="custom_id"):
        client.messages.batches.create(requests=[{"custom_id": custom_id, "params": params()}])  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"requests": {}}',
        b'{"requests": [1]}',
        b'{"requests": [{"custom_id": "a"}]}',
        b'{"requests": [{"custom_id": "a", "params": {}}], "metadata": {}}',
        b'{"requests": [{"custom_id": "a", "params": {}, "label": 1}]}',
        b'{"requests": [{"custom_id": "a", "params": {}}]',
        b'{"requests": [{"custom_id": "a", "params": {"x": 01}}]}',
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_and_nothing_is_accepted(http: httpx2.Client, body: bytes) -> None:
    answer = http.post("/v1/messages/batches", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


FAULTY_LINES: list[tuple[dict[str, Any], str, str]] = [
    ({"temperature": 0.5}, "invalid_request_error", "temperature"),
    ({"top_p": 1}, "invalid_request_error", "top_p"),
    ({"top_k": 5}, "invalid_request_error", "top_k"),
    ({"stream": True}, "invalid_request_error", "stream"),
    ({"max_tokens": 0}, "invalid_request_error", "max_tokens"),
    ({"max_tokens": 999_999}, "invalid_request_error", "999999 > 128000"),
    ({"model": "claude-that-is-not-there"}, "not_found_error", "model: claude-that-is-not-there"),
    ({"messages": []}, "invalid_request_error", "messages"),
]


@pytest.mark.parametrize(("change", "kind", "words"), FAULTY_LINES, ids=lambda value: str(value)[:30])
def test_a_faulty_request_is_accepted_and_errors_in_its_own_line(
    client: Anthropic, api: Simulator, change: dict[str, Any], kind: str, words: str
) -> None:
    faulty: Any = {"custom_id": "faulty", "params": audit() | change}
    batch = client.messages.batches.create(requests=[faulty, *requests(1)])
    api.settle()
    lines = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
    assert lines["audit-0"].type == "succeeded"
    result = lines["faulty"]
    assert result.type == "errored"
    assert (result.error.type, result.error.error.type) == ("error", kind)
    assert words in result.error.error.message


def test_an_older_version_still_takes_sampling_parameters(http: httpx2.Client) -> None:
    answer = http.post("/v1/messages", json=params(temperature=0), headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200
    refused = http.post("/v1/messages", json=params(temperature=0))
    assert refused.status_code == 400


LONG = "word " * 150_000  # 750 kB: more than 200,000 tokens, less than a million


def test_a_prompt_beyond_the_context_is_too_long_by_itself(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 200000 maximum"):
        client.messages.create(**params(LONG, model="claude-haiku-4-5"))


def test_a_prompt_and_max_tokens_together_beyond_the_context_are_too_long(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"exceed context limit: \d+ \+ 20000 > 200000"):
        client.messages.create(**params(LONG[:665_000], model="claude-haiku-4-5", max_tokens=20_000))


def test_an_answer_longer_than_max_tokens_is_cut_by_itself(client: Anthropic) -> None:
    message = client.messages.create(**audit(max_tokens=10))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 10
    assert message.content[0].type == "text"
    assert not message.content[0].text.endswith("}")


def test_a_message_over_the_size_limit_is_too_large(client: Anthropic) -> None:
    with pytest.raises(anthropic.RequestTooLargeError):
        client.messages.create(**params("x" * 9_000_001))
