"""Nights of pull requests on a forge: which of them are asked about, and that each is told there once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.core.audit import Cell, State
from review_pipeline.core.backlog import BacklogPull
from review_pipeline.ports import Unavailable
from review_pipeline.settings import Settings
from review_pipeline.simulator import Simulator
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.wiring_backlog import BacklogWiring, conclude
from review_pipeline.wiring_forge import ForgeWiring
from review_pipeline.workflows.open_work import look_around
from review_pipeline.workflows.resubmission import plan_resubmission
from review_pipeline_tests.audit.world import DAY
from review_pipeline_tests.backlog.world import FAULTY
from review_pipeline_tests.forge.server import Forge
from review_pipeline_tests.forge.state import Pull

SLUG = "acme/api"
CELL = Cell("backlog-api", DAY)


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    with Forge(tmp_path / "forge") as running:
        yield running
    assert running.violations == []
    assert running.graph.wrong == []


class Team:
    """Every call of process() is another process."""

    def __init__(self, folder: Path, forge: Forge, api: Simulator) -> None:
        self.folder, self.forge, self.api = folder, forge, api
        self.sdk = AnthropicBatches("made-up", api.base_url)
        self.forge.world.repository(SLUG).roles["reviewer"] = "write"
        self.base = self.forge.world.push(SLUG, "main", {"base.py": "value = 1\n"})
        self.configure()

    def configure(self, **rules: object) -> None:
        document = {
            "repositories": [{"name": "api", "github": SLUG}], "github": {"settle_seconds": 0, **rules},
            "workloads": {"pull_request_review": {"unit_characters": 2_000}},
        }  # fmt: skip
        (self.folder / "review_pipeline.yaml").write_text(yaml.safe_dump(document))

    def opened(self, branch: str, **how: object) -> Pull:
        self.forge.world.push(SLUG, branch, {f"{branch}.py": FAULTY.format(name=branch)}, onto=self.base)
        return self.forge.world.open_pull(SLUG, branch, **how)  # type: ignore[arg-type]

    def process(self) -> Pipeline:
        variables = {
            "REVIEW_PIPELINE_HOME": str(self.folder / "home"), "REVIEW_PIPELINE_CONFIG": str(self.folder / "review_pipeline.yaml"),
            "GITHUB_API_URL": self.forge.api, "GITHUB_TOKEN": self.forge.token(), "ANTHROPIC_API_KEY": "made-up",
            "ANTHROPIC_BASE_URL": self.api.base_url,
        }  # fmt: skip
        return Pipeline(Settings.read(variables))

    def ask(self, cell: Cell = CELL) -> None:
        pipeline = self.process()
        BacklogWiring(pipeline, pipeline.settings.repository("api")).plan(cell)
        pipeline.sender.send_due(cell)

    def finish(self) -> None:
        pipeline = self.process()
        self.api.settle()
        for cell in look_around(pipeline.ledger, lambda: pipeline.sender, utc_now).to_collect:
            pipeline.collector.collect_cell(cell)
            plan_resubmission(
                cell, pipeline.ledger, pipeline.spool, cut_costs=pipeline.cut_costs, limits=pipeline.limits, prices=pipeline.prices,
                nonce="0", clock=utc_now,
            )  # fmt: skip
            conclude(pipeline, cell)
        assert all(one.state is State.COLLECTED for one in pipeline.ledger.submissions())

    def night(self, cell: Cell = CELL) -> dict[str, BacklogPull]:
        self.ask(cell)
        self.finish()
        return self.pulls(cell)

    def pulls(self, cell: Cell = CELL) -> dict[str, BacklogPull]:
        return {pull.number: pull for pull in self.process().ledger.backlog(cell)}


@pytest.fixture
def team(tmp_path: Path, forge: Forge, night_api: Simulator) -> Team:
    return Team(tmp_path, forge, night_api)


def test_each_pull_request_is_told_once_at_the_lines_of_its_head(team: Team) -> None:
    first, second = team.opened("one"), team.opened("two")
    assert {pull.note for pull in team.night().values()} == {"reviewed"}
    for pull in (first, second):
        (review,) = pull.reviews
        assert (review.commit, review.state) == (pull.head, "COMMENTED")
        assert review.threads
    pipeline = team.process()
    publisher = ForgeWiring(pipeline).publisher(pipeline.settings.repository("api"))
    assert all(publisher.is_published(row) for row in pipeline.ledger.reviews("api"))  # nothing is left to the sensor
    written = len(team.forge.writes())
    team.finish()
    again = team.night(Cell(CELL.audit, DAY.replace(day=DAY.day + 1)))
    assert {pull.state.value for pull in again.values()} == {"already_reviewed"}
    assert len(team.forge.writes()) == written
    assert len(team.api.billed()) == 2


def test_who_is_reviewed_is_the_sensors_policy_and_every_other_one_is_told_with_its_reason(team: Team) -> None:
    team.opened("one")
    team.opened("draft", is_draft=True)
    closed = team.opened("closed")
    closed.state = "closed"
    states = {number: (pull.state.value, pull.note) for number, pull in team.night().items()}
    assert states == {"1": ("reviewed", "reviewed"), "2": ("skipped", "it is a draft")}
    team.configure(drafts=True)
    assert team.night(Cell(CELL.audit, DAY.replace(day=DAY.day + 1)))["2"].note == "reviewed"


def test_a_forge_that_is_down_at_night_is_no_empty_night(team: Team) -> None:
    team.opened("one")
    team.forge.fault("POST", "/graphql$", "answer", status=503, times=500)
    with pytest.raises(Unavailable):
        team.ask()
    assert team.pulls() == {}
    team.forge.faults.clear()
    assert team.night()["1"].note == "reviewed"


def test_a_review_that_could_not_be_posted_is_posted_by_a_later_run_that_pays_for_nothing(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    pulls = [team.opened("one"), team.opened("two")]
    team.ask()
    team.forge.fault("POST", "/pulls/1/reviews$", "answer", status=503, times=500)
    with pytest.raises(Unavailable, match=r"^1: "):
        team.finish()
    assert [len(pull.reviews) for pull in pulls] == [0, 1]
    assert {number: pull.state.value for number, pull in team.pulls().items()} == {"1": "asked", "2": "reviewed"}
    team.forge.faults.clear()
    team.finish()
    assert [len(pull.reviews) for pull in pulls] == [1, 1]
    assert len(team.api.billed()) == 2


def test_a_pull_request_that_is_closed_overnight_keeps_its_findings_in_the_ledger(team: Team) -> None:
    pull = team.opened("one")
    team.ask()
    pull.state = "closed"
    team.finish()
    assert team.pulls()["1"].note == "reviewed"
    assert pull.reviews == []
    assert team.process().ledger.finding_rows("api", "1")


def test_a_push_overnight_leaves_the_review_with_the_head_that_was_read(team: Team) -> None:
    pull = team.opened("one")
    read = pull.head
    team.ask()
    team.forge.world.push(SLUG, "one", {"one.py": "value = 2\n"})
    team.finish()
    (review,) = pull.reviews
    assert review.commit == read != pull.head
    assert "moved on" in review.body


def test_an_incomplete_review_is_told_as_that_and_its_check_is_no_success(team: Team) -> None:
    filler = "".join(f"    # step {n}\n" for n in range(70))
    files = {f"{name}/{name}.py": FAULTY.format(name=name) + filler for name in ("good", "bad")}
    team.forge.world.push(SLUG, "one", files, onto=team.base)
    pull = team.forge.world.open_pull(SLUG, "one")
    team.api.script({"effect": "refusal", "contains": "bad/bad.py"})
    assert team.night()["1"].note == "incomplete"
    (review,) = pull.reviews
    assert "ncomplete" in review.body
    assert "success" not in {status["state"] for status in team.forge.world.repositories[SLUG].statuses}
