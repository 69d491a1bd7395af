"""A shared offline API without delay, one SDK client for it, and a world for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.simulator import Simulator
from review_pipeline_tests.audit.world import GO, PYTHON, World


@pytest.fixture(scope="session")
def shared_api() -> Iterator[Simulator]:
    with Simulator(batch_seconds=0) as running:
        yield running


@pytest.fixture(scope="session")
def shared_sdk(shared_api: Simulator) -> AnthropicBatches:
    return AnthropicBatches("made-up", shared_api.base_url)


@pytest.fixture
def api(shared_api: Simulator) -> Iterator[Simulator]:
    yield shared_api
    shared_api.clear_scripts()


@pytest.fixture
def make(tmp_path: Path, api: Simulator, shared_sdk: AnthropicBatches) -> Callable[..., World]:
    def one(name: str = "world", **config: Any) -> World:
        return World(tmp_path / name, api, shared_sdk, config)

    return one


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    """Three files to review, two languages, and one that is none."""
    made = make()
    made.commit({"one.py": PYTHON, "two.py": PYTHON.replace("read", "load"), "main.go": GO, "notes.txt": "no code\n"})
    return made


@pytest.fixture
def lone_api() -> Iterator[Callable[..., Simulator]]:
    """Servers of their own, for tests that move the clock or count the batches in the list."""
    running: list[Simulator] = []

    def start(**options: Any) -> Simulator:
        running.append(Simulator(**options).__enter__())
        return running[-1]

    yield start
    for one in running:
        one.__exit__(None, None, None)
