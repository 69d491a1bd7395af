"""An offline API for each test, because nights count what everybody has paid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.simulator import Simulator
from review_pipeline_tests.backlog.world import FAULTY, Nights


@pytest.fixture
def night_api() -> Iterator[Simulator]:
    with Simulator(batch_seconds=0) as running:
        yield running


@pytest.fixture
def make(tmp_path: Path, night_api: Simulator) -> Callable[..., Nights]:
    sdk = AnthropicBatches("made-up", night_api.base_url)

    def one(name: str = "world", **config: Any) -> Nights:
        return Nights(tmp_path / name, night_api, sdk, config)

    return one


@pytest.fixture
def nights(make: Callable[..., Nights]) -> Nights:
    """Three open branches."""
    made = make()
    for name in ("one", "two", "three"):
        made.branch(name, {f"{name}.py": FAULTY.format(name=name)})
    return made
