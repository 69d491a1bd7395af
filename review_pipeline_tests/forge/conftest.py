from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from review_pipeline_tests.forge.office import Office
from review_pipeline_tests.forge.server import Forge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """What GitHub's description does not allow, and refusals that no script asked for, fail the test that caused them."""
    with Forge(tmp_path / "forge") as running:
        yield running
    assert running.violations == []
    assert running.graph.wrong == []
    assert [(e.method, e.path, e.status) for e in running.caused_4xx() if e not in running.expected] == []


@pytest.fixture
def office(tmp_path: Path, forge: Forge) -> Office:
    folder = tmp_path / "office"
    folder.mkdir()
    return Office(folder, forge)
