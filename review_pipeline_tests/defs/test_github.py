"""Pull requests of a forge through Dagster: the sensor asks for one run of each head, and the run posts one review."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from review_pipeline.definitions import defs
from review_pipeline.defs.github_pull_requests import github_pull_requests
from review_pipeline.simulator import Simulator
from review_pipeline.wiring import Pipeline
from review_pipeline_tests.forge.server import Forge
from review_pipeline_tests.forge.state import Pull

FAULTY = "import json\n\n\ndef read(path, seen=[]):\n    return eval(path)\n"
SLUG = "acme/api"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    with Forge(tmp_path / "forge") as running:
        yield running
    assert running.violations == []
    assert running.graph.wrong == []


@pytest.fixture
def pull(forge: Forge, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pull:
    config = tmp_path / "review_pipeline.yaml"
    document = {"repositories": [{"name": "api", "github": SLUG}], "github": {"settle_seconds": 0}}
    config.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("GITHUB_API_URL", forge.api)
    monkeypatch.setenv("GITHUB_TOKEN", forge.token())
    forge.world.repository(SLUG).roles["reviewer"] = "write"
    base = forge.world.push(SLUG, "main", {"one.py": "value = 1\n"})
    forge.world.push(SLUG, "feature", {"one.py": FAULTY}, onto=base)
    return forge.world.open_pull(SLUG, "feature")


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> list[dg.RunRequest]:
    outcome = github_pull_requests(dg.build_sensor_context(instance=instance, cursor=cursor))
    return list(outcome.run_requests or []) if isinstance(outcome, dg.SensorResult) else []


def run(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("review_pull_request").execute_in_process(
        instance=instance, run_config=request.run_config, tags=dict(request.tags), raise_on_error=False
    )


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [e for e in result.all_node_events if e.is_successful_output and e.step_key == "post_review"]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def test_a_new_head_is_reviewed_and_posted_once_and_then_nothing_waits(
    pull: Pull, instance: dg.DagsterInstance, api: Simulator
) -> None:
    (request,) = tick(instance)
    assert (request.tags["repo"], request.tags["number"], request.tags["head"]) == ("api", "1", pull.head[:12])
    result = run(instance, request)
    assert result.success
    assert told(result)["posted"] == "posted"
    assert told(result)["comments_at_lines"] >= 1
    (review,) = pull.reviews
    assert (review.commit, review.state) == (pull.head, "COMMENTED")
    assert tick(instance) == []
    assert Pipeline.from_environment().ledger.wanted_heads() == ()
    paid = len(api.journal("message"))
    assert run(instance, request).success  # somebody launches it again
    assert len(api.journal("message")) == paid
    assert len(pull.reviews) == 1


@pytest.mark.case(47)
def test_two_daemons_that_tick_at_once_ask_for_one_and_the_same_run(pull: Pull, instance: dg.DagsterInstance) -> None:
    first, second = tick(instance), tick(instance)
    assert [request.run_key for request in first] == [request.run_key for request in second]
    assert len(first) == 1


def test_a_pull_request_that_is_closed_before_its_run_ends_it_quietly(pull: Pull, instance: dg.DagsterInstance) -> None:
    (request,) = tick(instance)
    pull.state = "closed"
    result = run(instance, request)
    assert result.success
    assert "post_review" not in {event.step_key for event in result.all_node_events if event.is_step_success}
    assert tick(instance) == []
    pull.state = "open"
    assert len(tick(instance)) == 1


def test_a_pull_request_that_is_closed_while_it_is_reviewed_is_asked_about_until_that_is_known(
    pull: Pull, instance: dg.DagsterInstance, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("review_pipeline.defs.github_pull_requests.FIRST_PAUSE_SECONDS", 0.0)
    (request,) = tick(instance)
    begun = forge.rest._status

    def closing(*arguments: Any) -> Any:
        pull.state = "closed"
        return begun(*arguments)

    forge.rest._status = closing  # type: ignore[method-assign]
    assert run(instance, request).success
    assert pull.reviews == []
    (again,) = tick(instance)
    assert run(instance, again).success
    assert tick(instance) == []
    pull.state = "open"
    (reopened,) = tick(instance)
    assert run(instance, reopened).success
    assert len(pull.reviews) == 1
    assert tick(instance) == []


def test_a_review_that_could_not_be_posted_is_posted_by_a_later_run_that_pays_for_nothing(
    pull: Pull, instance: dg.DagsterInstance, forge: Forge, api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = tick(instance)
    forge.fault("POST", "/reviews$", "answer", status=503, times=50)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    result = run(instance, request)
    assert not result.success
    assert [event.step_key for event in result.all_node_events if event.is_step_failure] == ["post_review"]
    forge.faults.clear()
    paid = len(api.journal("message"))
    (again,) = tick(instance)
    assert again.tags["review_pipeline/unit"].startswith("post ")
    assert run(instance, again).success
    assert len(api.journal("message")) == paid
    assert len(pull.reviews) == 1


def test_an_incomplete_review_is_completed_before_it_is_posted(
    pull: Pull, instance: dg.DagsterInstance, forge: Forge, api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = tick(instance)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    result = run(instance, request)
    assert not result.success
    assert pull.reviews == []
    assert [status["state"] for status in forge.world.repositories[SLUG].statuses] == ["pending"]
    monkeypatch.setenv("ANTHROPIC_BASE_URL", api.base_url)
    monkeypatch.setattr("review_pipeline.defs.github_pull_requests.FIRST_PAUSE_SECONDS", 0.0)
    (again,) = tick(instance)
    assert run(instance, again).success
    assert len(pull.reviews) == 1


def test_a_head_that_no_run_finishes_is_given_up_and_says_so(
    pull: Pull, instance: dg.DagsterInstance, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("review_pipeline.defs.github_pull_requests.FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("review_pipeline.defs.github_pull_requests.MOST_REVIEWS", 2)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    requests = tick(instance)
    forge.fault("GET", "/pulls/1$", "answer", status=503, times=500)
    for _ in range(2):
        assert not run(instance, requests[0]).success
        requests = tick(instance)
    assert requests == []
    (queued,) = Pipeline.from_environment().ledger.known_heads(["api"]).values()
    assert (queued.is_wanted, queued.note.startswith("given up after 2 runs")) == (False, True)


def test_without_repositories_on_github_nothing_is_asked(home: Path, instance: dg.DagsterInstance) -> None:
    outcome = github_pull_requests(dg.build_sensor_context(instance=instance))
    assert isinstance(outcome, dg.SkipReason)
    assert "no repository says" in str(outcome.skip_message)


@pytest.mark.parametrize("cursor", ["{", "[]", '{"batch": "x"}', '{"batch": 999}', '{"batch": -1}'])
def test_a_cursor_that_cannot_be_read_begins_anew(pull: Pull, instance: dg.DagsterInstance, cursor: str) -> None:
    assert len(tick(instance, cursor)) == 1


def command(*arguments: str) -> tuple[int, str]:
    """As a person types it: in a process of its own."""
    code = "from review_pipeline.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_command_reviews_a_pull_request_and_posts_it_only_when_told_to(pull: Pull, forge: Forge) -> None:
    code, said = command("review", "--github", SLUG, "--number", "1")
    assert code == 4, said
    assert "`one.py:5`" in said
    assert forge.writes() == []
    code, said = command("review", "--github", "api", "--number", "1", "--post")
    assert code == 4, said
    assert "posted:" in said
    assert len(pull.reviews) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--github", SLUG], "--number"),
        (["--post"], "--github"),
        (["--github", "nonsense", "--number", "1"], "owner/name"),
        (["--github", SLUG, "--number", "99"], "not there"),
        (["--github", SLUG, "--number", "1", "--offline"], "--offline"),
    ],
)
def test_what_the_command_cannot_do_is_said_in_one_sentence(pull: Pull, arguments: list[str], words: str) -> None:
    code, said = command("review", *arguments)
    assert code == 1
    assert words in said
    assert "Traceback" not in said


def test_the_doctor_sees_the_repository_on_github(pull: Pull) -> None:
    _, said = command("doctor")
    assert "seen as reviewer; verdicts are told as a commit status" in said


def test_outcomes_come_back_by_the_hour(pull: Pull, instance: dg.DagsterInstance, forge: Forge) -> None:
    (request,) = tick(instance)
    assert run(instance, request).success
    forge.world.reply(pull, pull.reviews[0].threads[0], "reviewer", "Still looking.")
    result = defs.resolve_job_def("hear_feedback").execute_in_process(instance=instance)
    assert result.success
    (event,) = result.asset_materializations_for_node("review_feedback")
    assert event.metadata["pull_requests"].value == 1
    assert "told" in str(event.metadata["new_outcomes"].value)


def test_a_repository_that_is_on_github_alone_is_audited_from_a_copy(pull: Pull, home: Path) -> None:
    code, said = command("audit", "api")
    assert code == 0, said
    assert "1 files submitted" in " ".join(said.split())
