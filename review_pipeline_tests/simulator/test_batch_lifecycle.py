"""Each state of a batch, as a client sees it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import anthropic
import httpx2
import pytest
from anthropic import Anthropic

from review_pipeline.simulator import Simulator
from review_pipeline_tests.simulator.prompts import requests

Start = Callable[..., tuple[Simulator, Anthropic]]
HOUR = 3600


def test_a_new_batch_is_in_progress_and_expires_24_hours_after_its_creation(start: Start) -> None:
    _, client = start(batch_seconds=60)
    batch = client.messages.batches.create(requests=requests(3))
    assert batch.processing_status == "in_progress"
    assert batch.results_url is None
    assert batch.ended_at is None
    assert batch.expires_at - batch.created_at == timedelta(hours=24)


def test_counts_stay_in_processing_until_the_whole_batch_has_ended(start: Start) -> None:
    api, client = start(batch_seconds=100)
    batch = client.messages.batches.create(requests=requests(3))
    api.advance(50)
    half_way = client.messages.batches.retrieve(batch.id)
    assert half_way.processing_status == "in_progress"
    assert half_way.request_counts.to_dict() == _counts(processing=3)
    api.advance(51)
    ended = client.messages.batches.retrieve(batch.id)
    assert ended.processing_status == "ended"
    assert ended.request_counts.to_dict() == _counts(succeeded=3)
    assert ended.ended_at is not None


def test_the_results_url_is_absolute_and_names_the_host_that_was_asked(client: Anthropic, api: Simulator) -> None:
    batch_id = client.messages.batches.create(requests=requests(1)).id
    api.settle()
    with httpx2.Client(
        headers={"x-api-key": "k", "anthropic-version": "2026-10-21", "host": "batches.test:81"}
    ) as http:
        batch = http.get(f"{api.base_url}/v1/messages/batches/{batch_id}").json()
    assert batch["results_url"] == f"http://batches.test:81/v1/messages/batches/{batch_id}/results"


def test_results_hold_every_request_once_in_shuffled_order(client: Anthropic, api: Simulator) -> None:
    sent = requests(30)
    batch = client.messages.batches.create(requests=sent)
    api.settle()
    got = [line.custom_id for line in client.messages.batches.results(batch.id)]
    assert sorted(got) == sorted(request["custom_id"] for request in sent)
    assert got != [request["custom_id"] for request in sent]


def test_the_same_seed_gives_the_same_order(start: Start) -> None:
    orders = []
    for seed in (1, 1, 2):
        api, client = start(batch_seconds=0, seed=seed)
        batch = client.messages.batches.create(requests=requests(20))
        api.settle()
        orders.append([line.custom_id for line in client.messages.batches.results(batch.id)])
    assert orders[0] == orders[1] != orders[2]


def test_results_are_jsonl_of_their_own_media_type(http: httpx2.Client, client: Anthropic, api: Simulator) -> None:
    batch = client.messages.batches.create(requests=requests(2))
    api.settle()
    answer = http.get(f"/v1/messages/batches/{batch.id}/results")
    assert answer.headers["content-type"].startswith("application/x-jsonl")
    assert answer.content.count(b"\n") == 2


def test_results_of_an_unfinished_batch_are_refused(start: Start) -> None:
    api, client = start(batch_seconds=60)
    batch = client.messages.batches.create(requests=requests(1))
    answer = httpx2.get(
        f"{api.base_url}/v1/messages/batches/{batch.id}/results",
        headers={"x-api-key": "k", "anthropic-version": "2026-10-21"},
    )
    assert answer.status_code == 400
    with pytest.raises(anthropic.AnthropicError):
        client.messages.batches.results(batch.id)


def test_a_cancelled_batch_is_canceling_and_then_ends_with_what_was_finished(start: Start) -> None:
    api, client = start(batch_seconds=100, cancel_seconds=10)
    batch = client.messages.batches.create(requests=requests(4))
    api.advance(51)
    canceling = client.messages.batches.cancel(batch.id)
    assert canceling.processing_status == "canceling"
    assert canceling.cancel_initiated_at is not None
    assert canceling.request_counts.to_dict() == _counts(processing=4)
    api.advance(11)
    ended = client.messages.batches.retrieve(batch.id)
    assert ended.processing_status == "ended"
    assert ended.request_counts.to_dict() == _counts(succeeded=2, canceled=2)
    kinds = sorted(line.result.type for line in client.messages.batches.results(batch.id))
    assert kinds == ["canceled", "canceled", "succeeded", "succeeded"]


def test_cancelling_twice_changes_nothing_and_an_ended_batch_cannot_be_cancelled(start: Start) -> None:
    api, client = start(batch_seconds=100, cancel_seconds=10)
    batch = client.messages.batches.create(requests=requests(2))
    first = client.messages.batches.cancel(batch.id)
    api.advance(5)
    assert client.messages.batches.cancel(batch.id).cancel_initiated_at == first.cancel_initiated_at
    api.advance(6)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.batches.cancel(batch.id)


def test_what_is_not_finished_after_24_hours_expires(start: Start) -> None:
    api, client = start(batch_seconds=48 * HOUR)
    batch = client.messages.batches.create(requests=requests(4))
    api.advance(24 * HOUR - 10)
    assert client.messages.batches.retrieve(batch.id).processing_status == "in_progress"
    api.advance(11)
    ended = client.messages.batches.retrieve(batch.id)
    assert ended.request_counts.to_dict() == _counts(succeeded=2, expired=2)
    assert ended.ended_at == ended.expires_at


def test_results_are_archived_29_days_after_creation_and_the_batch_stays_visible(start: Start) -> None:
    api, client = start(batch_seconds=0)
    batch = client.messages.batches.create(requests=requests(1))
    api.advance(29 * 24 * HOUR - 60)
    assert client.messages.batches.retrieve(batch.id).archived_at is None
    assert len(list(client.messages.batches.results(batch.id))) == 1
    api.advance(61)
    archived = client.messages.batches.retrieve(batch.id)
    assert archived.archived_at == archived.created_at + timedelta(days=29)
    assert archived.results_url is None
    with pytest.raises(anthropic.NotFoundError):
        client.get(f"/v1/messages/batches/{batch.id}/results", cast_to=object)


def test_an_ended_batch_can_be_deleted_and_is_gone(client: Anthropic, api: Simulator) -> None:
    batch = client.messages.batches.create(requests=requests(1))
    api.settle()
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)
    assert batch.id not in [other.id for other in client.messages.batches.list(limit=1000)]


def test_a_batch_in_progress_cannot_be_deleted(start: Start) -> None:
    _, client = start(batch_seconds=60)
    batch = client.messages.batches.create(requests=requests(1))
    with pytest.raises(anthropic.BadRequestError):
        client.messages.batches.delete(batch.id)


def test_an_unknown_batch_is_not_found(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.batches.retrieve("msgbatch_nobody")
    assert caught.value.type == "not_found_error"
    assert caught.value.request_id


def test_the_list_is_newest_first_and_pages_in_both_directions(start: Start, tmp_path: Path) -> None:
    _, client = start(state=tmp_path, batch_seconds=60)
    made = [client.messages.batches.create(requests=requests(1)).id for _ in range(5)]
    newest_first = made[::-1]
    page = client.messages.batches.list(limit=2)
    assert [batch.id for batch in page.data] == newest_first[:2]
    assert page.has_more
    assert (page.first_id, page.last_id) == (newest_first[0], newest_first[1])
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == newest_first
    before = client.messages.batches.list(limit=2, before_id=newest_first[3])
    assert [batch.id for batch in before.data] == newest_first[1:3]
    assert before.has_more
    last = client.messages.batches.list(limit=3, after_id=newest_first[2])
    assert [batch.id for batch in last.data] == newest_first[3:]
    assert not last.has_more


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many", "after_id=msgbatch_nobody"])
def test_an_impossible_page_is_refused(http: httpx2.Client, query: str) -> None:
    assert http.get(f"/v1/messages/batches?{query}").status_code == 400


def test_an_empty_list_has_no_cursors(start: Start) -> None:
    _, client = start()
    page = client.messages.batches.list()
    assert (page.data, page.has_more, page.first_id, page.last_id) == ([], False, None, None)


def _counts(**known: int) -> dict[str, object]:
    return {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0, **known}
