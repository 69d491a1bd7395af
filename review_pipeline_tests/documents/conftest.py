"""A set of documents beside the world of audits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from review_pipeline_tests.audit.conftest import api, lone_api, make, shared_api, shared_sdk  # noqa: F401
from review_pipeline_tests.audit.world import World
from review_pipeline_tests.documents.files import POLICY, write

SET = {"name": "records", "path": "records", "policy": "policy.md"}


class Office:
    """A folder of documents, its policy, and the world that audits it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.config.parent / "records"
        self.folder.mkdir(exist_ok=True)
        self.policy = world.config.parent / "policy.md"
        self.policy.write_text(POLICY)

    def put(self, files: dict[str, str | bytes]) -> None:
        write(self.folder, files)

    def check(self, day: int = 0) -> dict[str, int]:
        """Counts of the plan, after everything was answered and published."""
        plan = self.world.submit(day, "documents-records")
        self.world.finish()
        return dict(plan.counts)

    def verdicts(self, document: str = "%") -> dict[tuple[str, str], str]:
        rows = self.world.query(
            f"SELECT document, rule, verdict FROM document_verdicts WHERE document LIKE '{document}' ORDER BY ALL"
        )
        assert len({row[:2] for row in rows}) == len(rows)
        return {(path, rule): verdict for path, rule, verdict in rows}

    def states(self) -> dict[str, tuple[str, str | None]]:
        rows = self.world.query("SELECT document, state, split_part(reason, ':', 1) FROM documents ORDER BY ALL")
        assert len({row[0] for row in rows}) == len(rows)
        return {path: (state, reason) for path, state, reason in rows}

    def compliance(self) -> dict[str, str]:
        return dict(self.world.query("SELECT document, state FROM document_compliance"))


@pytest.fixture
def office(make: Callable[..., World]) -> Office:  # noqa: F811
    return open_office(make)


def open_office(make: Callable[..., World], folder: str = "world", **config: Any) -> Office:  # noqa: F811
    return Office(make(folder, document_sets=[SET], repositories=[], **config))
