"""The command `plan`, as people and scripts call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from review_pipeline import cli
from review_pipeline_tests.audit.world import PYTHON, World


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def one(*arguments: str, yaml: str = "") -> Said:
        config = tmp_path / "review_pipeline.yaml"
        config.write_text(yaml)
        monkeypatch.setenv("REVIEW_PIPELINE_CONFIG", str(config))
        monkeypatch.setenv("REVIEW_PIPELINE_HOME", str(tmp_path / "home"))
        code = cli.guarded(lambda: cli.app(["plan", *arguments]))
        return Said(code, *capsys.readouterr())

    return one


def test_the_arithmetic_of_every_batch_workload_is_shown_line_by_line(run: Run) -> None:
    said = run()
    assert (said.code, said.err) == (0, "")
    shown = [line.split("│")[-2].strip() if "│" in line else line.strip() for line in said.out.splitlines()]
    start = shown.index("nightly_quality_audit: SLA 30 h")
    assert shown[start + 2 : start + 14] == [
        "every 4 h; as a cron line: 0 */4 * * *",
        "4 h to the next submission",
        "+ 24 h in the batch",
        "+ 5 min to notice",
        "+ 10 min to ingest",
        "+ 1.75 h margin",
        "= 30 h, within 30 h",
        "30 h",
        "- 115 min to ingest, and margin",
        "- 60 min to ask 1,000 requests one by one, 1,000 an hour",
        "- 10 min to notice that it is time, and that it has ended",
        "- 30 min to cancel",
    ]
    assert "= 26.42 h after it was planned: a batch that was sent at the last moment is cut after 22.42 h" in said.out
    assert "$0.00075 by batch, $0.0015 one by one" in said.out
    assert "pull_request_review" not in said.out  # nothing of it goes by batch


def test_the_price_is_that_of_the_model_of_the_workload(run: Run) -> None:
    told = json.loads(run("--json", yaml="workloads: {nightly_quality_audit: {model: claude-opus-5-5}}").out)
    one = next(row for row in told["workloads"] if row["workload"] == "nightly_quality_audit")
    assert (one["model"], float(one["batch_usd"]), float(one["sync_usd"])) == ("claude-opus-5-5", 0.03, 0.06)


@pytest.mark.parametrize(
    ("sla", "every", "cron", "worst"), [(30, 4, "0 */4 * * *", 30), (60, 24, "0 0 * * *", 50), (27, 1, "0 * * * *", 27)]
)
def test_any_sla_can_be_asked_for(run: Run, sla: int, every: int, cron: str, worst: int) -> None:
    said = run("--sla-hours", str(sla), "--json")
    assert said.code == 0
    for one in json.loads(said.out)["workloads"]:
        assert (one["submit_every_hours"], one["cron"], one["worst_case_hours"]) == (every, cron, worst)


def test_with_much_time_no_batch_is_cut(run: Run) -> None:
    assert "no batch is cut: it ends or expires after 24 h" in run("--sla-hours", "60").out


def test_a_sla_that_batches_cannot_hold_ends_with_1_and_the_sentence(run: Run) -> None:
    said = run("--sla-hours", "20")
    assert said.code == 1
    assert "not by batch. its SLA is 20 h, but at worst a batch takes 27 h" in " ".join(said.out.split())
    (told, *_) = json.loads(run("--sla-hours", "20", "--json").out)["workloads"]
    assert (told["submit_every_hours"], told["cron"]) == (None, None)
    assert told["refusal"].startswith("its SLA is 20 h")


def test_a_model_whose_price_begins_later_is_told_without_a_traceback(run: Run) -> None:
    rates = "input_usd: 1, output_usd: 1, cache_write_5m_usd: 1, cache_write_1h_usd: 1, cache_read_usd: 1"
    sizes = "context_tokens: 1000, max_output_tokens: 1000"
    said = run(
        yaml=f"prices: [{{model: claude-next, valid_from: 2999-01-01, {rates}, {sizes}}}]\n"
        "workloads: {nightly_quality_audit: {model: claude-next}}"
    )
    assert said.code == 1
    assert "refused: workload 'nightly_quality_audit': no price for model 'claude-next' on" in said.err


def test_what_is_in_flight_is_told_with_what_is_decided_about_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.commit({"more.py": PYTHON})
    world.plan()
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    assert cli.guarded(lambda: cli.app(["plan", "--json"])) == 0
    (decided,) = json.loads(capsys.readouterr().out)["in_flight"]
    assert (decided["step"], decided["requests"]) == ("batch", 4)
    assert "for a batch before it would have to be cut" in decided["reason"]
    assert decided["cut_at"] < decided["deadline_at"]
