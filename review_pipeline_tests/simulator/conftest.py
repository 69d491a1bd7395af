"""A shared server with the clock at rest, a server per test where a test moves the clock, and the SDK as the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic

from review_pipeline.simulator import Simulator
from review_pipeline_tests.simulator.prompts import HEADERS


@pytest.fixture(scope="session")
def shared_api() -> Iterator[Simulator]:
    with Simulator(batch_seconds=0, max_body_bytes=200_000, max_requests=50, max_message_bytes=9_000_000) as api:
        yield api


@pytest.fixture
def api(shared_api: Simulator) -> Iterator[Simulator]:
    yield shared_api
    shared_api.clear_scripts()


@pytest.fixture(scope="session")
def shared_client(shared_api: Simulator) -> Iterator[Anthropic]:
    # Making a client costs more than most tests: it reads the system's certificates.
    with Anthropic(base_url=shared_api.base_url, api_key="made-up", max_retries=0) as client:
        yield client


@pytest.fixture
def client(api: Simulator, shared_client: Anthropic) -> Anthropic:
    return shared_client


@pytest.fixture(scope="session")
def shared_http(shared_api: Simulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=shared_api.base_url, headers=HEADERS) as http:
        yield http


@pytest.fixture
def http(api: Simulator, shared_http: httpx2.Client) -> httpx2.Client:
    return shared_http


@pytest.fixture
def start(shared_client: Anthropic) -> Iterator[Callable[..., tuple[Simulator, Anthropic]]]:
    """Starts a server of its own for tests that move the clock or count from zero."""
    with ExitStack() as stack:

        def start_one(**options: Any) -> tuple[Simulator, Anthropic]:
            api = stack.enter_context(Simulator(**options))
            return api, shared_client.with_options(base_url=api.base_url)

        yield start_one
