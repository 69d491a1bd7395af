"""The pipeline as it is wired in production, over a forge of this machine and a model that a test scripts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from review_pipeline.core.review_record import FindingRow, ReviewRow
from review_pipeline.settings import Settings
from review_pipeline.wiring import Pipeline
from review_pipeline.wiring_forge import ForgeWiring
from review_pipeline.workflows.publishing import Published
from review_pipeline_tests.forge.server import Forge
from review_pipeline_tests.forge.state import Pull, Repository, Review, Thread
from review_pipeline_tests.review.world import Model

SLUG = "acme/api"
# What an installation of the App is allowed.
GRANTED = {
    "metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "checks": "write", "statuses": "write",
    "security_events": "write", "merge_queues": "read",
}  # fmt: skip
FAULT = "x = 1  # FAULT(bug, critical, 0.9, The value is wrong)\n"


def fault(words: str, severity: str = "warning", confidence: float = 0.9) -> str:
    return f"{words.replace(' ', '_').lower()} = 1  # FAULT(bug, {severity}, {confidence}, {words})\n"


@dataclass
class Office:
    """Every call of process() is another process: nothing but the files in home is shared with the one before."""

    folder: Path
    forge: Forge
    rules: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    model: Model = field(default_factory=Model)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = {"GITHUB_TOKEN": self.forge.token(), **self.environment} if "GITHUB_APP_ID" not in self.environment else self.environment  # fmt: skip
        self.config = self.folder / "review_pipeline.yaml"
        self.configure(**self.rules)

    def configure(self, **rules: Any) -> None:
        self.rules = rules
        told = {"repositories": [{"name": "api", "github": SLUG}], "github": {"settle_seconds": 0, **rules}}
        self.config.write_text(yaml.safe_dump(told), encoding="utf-8")

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def variables(self) -> dict[str, str]:
        return {
            "REVIEW_PIPELINE_HOME": str(self.home),
            "REVIEW_PIPELINE_CONFIG": str(self.config),
            "GITHUB_API_URL": self.forge.api,
            **self.environment,
        }

    def process(self) -> ForgeWiring:
        pipeline = Pipeline(Settings.read(self.variables()))
        pipeline.__dict__["claude"] = self.model
        wiring = ForgeWiring(pipeline)
        for forge in (wiring.forge, wiring._watching):
            forge.client.pause = self.slept.append
        return wiring

    def dying(self, step: str, moment: str) -> ForgeWiring:
        """A process that is killed before or after the forge did what it was asked in one step, written as method and path."""
        wiring, (method, _, path) = self.process(), step.partition(" ")
        client = wiring.forge.client
        once = client._once

        def killed(verb: str, url: str, *rest: Any) -> Any:
            hit = verb == method and re.search(path, urlsplit(url).path)
            if hit and moment == "before":
                raise KeyboardInterrupt
            answer = once(verb, url, *rest)
            if hit:
                raise KeyboardInterrupt
            return answer

        client.__dict__["_once"] = killed
        return wiring

    def review(self, number: int = 1, head: str | None = None, wiring: ForgeWiring | None = None) -> ReviewRow:
        wiring = wiring or self.process()
        pipeline = wiring.pipeline
        entry = pipeline.settings.repository("api")
        target = wiring.pulls(entry).prepare(number, head)
        review = pipeline.review(entry, target.base, on_forge=True)
        wiring.publisher(entry).begin(review.planner.plan(target).row)
        return review.run(target)

    def is_published(self, row: ReviewRow) -> bool:
        wiring = self.process()
        return wiring.publisher(wiring.pipeline.settings.repository("api")).is_published(row)

    def begin(self, row: ReviewRow, wiring: ForgeWiring) -> str:
        return wiring.publisher(wiring.pipeline.settings.repository("api")).begin(row)

    def publish(self, row: ReviewRow, wiring: ForgeWiring | None = None) -> Published:
        wiring = wiring or self.process()
        return wiring.publisher(wiring.pipeline.settings.repository("api")).publish(row)

    def told(self, number: int = 1) -> Published:
        """A review of the newest head from beginning to end."""
        return self.publish(self.review(number))

    def hear(self, number: int = 1) -> Any:
        wiring = self.process()
        return wiring.feedback(wiring.pipeline.settings.repository("api")).hear(number)

    def findings(self, status: str | None = "open", number: int = 1) -> list[FindingRow]:
        rows = self.process().pipeline.ledger.finding_rows("api", str(number))
        return [row for row in rows if status in (None, row.status)]

    # What stands on the forge.

    @property
    def repository(self) -> Repository:
        return self.forge.world.repositories[SLUG]

    def pull(self, number: int = 1) -> Pull:
        return self.repository.pulls[number]

    def reviews(self, number: int = 1) -> list[Review]:
        return [review for review in self.pull(number).reviews if review.state == "COMMENTED"]

    def threads(self, number: int = 1) -> list[Thread]:
        return list(self.pull(number).threads())

    def thread(self, words: str, number: int = 1) -> Thread:
        (found,) = [thread for thread in self.threads(number) if words in thread.comments[0].body]
        return found

    def push(self, files: dict[str, str | bytes | None], branch: str = "feature", **how: Any) -> str:
        return self.forge.world.push(SLUG, branch, files, **how)

    def opened(self, before: dict[str, str | bytes | None], after: dict[str, str | bytes | None], **how: Any) -> Pull:
        """A pull request from feature into main; the account that reviews may write."""
        repository = self.forge.world.repository(SLUG)
        repository.roles |= {"reviewer": "write", "maintainer": "admin", "dev": "write", "reader": "read"}
        assert repository.bare is not None
        base = self.push(before, "main", message="Base")
        self.push(after, "feature", onto=base)
        return self.forge.world.open_pull(SLUG, "feature", **how)


def said(entry: Any) -> str:
    return json.dumps(entry.body, ensure_ascii=False)


def many(forge: Forge, repositories: int, pulls: int) -> list[dict[str, str]]:
    """Without git: nothing of them is fetched."""
    author, moment = forge.world.account("dev"), datetime(2026, 11, 20, tzinfo=UTC)
    entries = []
    for n in range(repositories):
        slug = f"acme/r{n:04}"
        repository = Repository("acme", f"r{n:04}", f"R_x{n}", None)
        for number in range(1, pulls + 1):
            repository.pulls[number] = Pull(number, "A change", author, f"{n:020x}{number:020x}", f"b{number}", "main", slug, updated_at=moment + timedelta(seconds=number))  # fmt: skip
        forge.world.repositories[slug] = repository
        entries.append({"name": f"r{n:04}", "github": slug})
    return entries
