"""The same claims against the real API, when a key is given: the double must not drift from what it stands for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic

from review_pipeline_tests.simulator.prompts import MODEL, params

KEY = os.environ.get("RP_LIVE_API_KEY")
pytestmark = [pytest.mark.live, pytest.mark.skipif(not KEY, reason="RP_LIVE_API_KEY is not set")]


@pytest.fixture(scope="module")
def live() -> Iterator[Anthropic]:
    with Anthropic(api_key=KEY, max_retries=0) as client:
        yield client


def test_a_repeated_custom_id_is_refused_by_the_real_api(live: Anthropic) -> None:
    twice = {"custom_id": "same", "params": params(max_tokens=1)}
    with pytest.raises(anthropic.BadRequestError):
        live.messages.batches.create(requests=[twice, twice])  # type: ignore[list-item]


def test_an_illegal_custom_id_is_refused_by_the_real_api(live: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        live.messages.batches.create(requests=[{"custom_id": "a b", "params": params(max_tokens=1)}])  # type: ignore[typeddict-item]


def test_an_empty_batch_is_refused_by_the_real_api(live: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        live.messages.batches.create(requests=[])


def test_an_unknown_batch_is_not_found_by_the_real_api(live: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        live.messages.batches.retrieve("msgbatch_0000000000000000000000")
    assert caught.value.type == "not_found_error"


def test_a_new_batch_of_the_real_api_counts_everything_as_processing_and_can_be_cancelled(live: Anthropic) -> None:
    batch = live.messages.batches.create(requests=[{"custom_id": "one", "params": params(max_tokens=1)}])  # type: ignore[typeddict-item]
    assert batch.request_counts.processing == 1
    assert live.messages.batches.cancel(batch.id).processing_status in ("canceling", "ended")


def test_the_models_of_the_real_api_have_limits(live: Anthropic) -> None:
    model = live.models.retrieve(MODEL)
    assert model.max_input_tokens
    assert model.max_tokens
