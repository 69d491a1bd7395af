"""Reviews of a change: what the model is billed for against one prompt that holds the diff, and what we add to the time of its calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING

from benchmarks.child import ROOT, Timed

if TYPE_CHECKING:
    from review_pipeline.core.review_record import CallEnd
    from review_pipeline.wiring import Pipeline

KEY = "benchmark-made-up-key"
# What a run's own process does, from its start; it tells when the run has ended, for Python takes a second to leave.
_RUN = """
import json, sys, time
import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
repository = ReconstructableRepository.for_module("review_pipeline.definitions", "defs")
job = repository.get_reconstructable_job("review_pull_request")
with dg.DagsterInstance.get() as instance, dg.execute_job(job, instance, run_config=json.loads(sys.argv[1])) as result:
    assert result.success
    print(time.time())
"""
CACHE_READ, CACHE_WRITE = 0.1, 1.25  # of the price of an input token


def billed_tokens(scratch: str, files: int, lines: int) -> Timed:
    """A first review, and one after a push to one file; beside it the tokens of the bare diff in a single prompt."""
    from review_pipeline.simulator import Simulator

    folder = Path(scratch)
    repository = _changed(folder, files, lines // files)
    with Simulator() as api:
        pipeline = _pipeline(folder, repository, api.base_url)
        began = perf_counter()
        first = _review(pipeline)
        seconds = perf_counter() - began
        diff = _git(repository, "diff", "-U3", "main", "feature")
        alone = _count_tokens(api.base_url, diff)
        path = repository / "pkg" / "part_0.py"
        path.write_text(path.read_text(encoding="utf-8").replace("limit_3 =", "bound_3 ="), encoding="utf-8")
        _git(repository, "commit", "-qam", "push")
        again = _review(pipeline)
    lines_changed = sum(line.startswith("+") for line in diff.split("\n"))
    return Timed(
        seconds,
        {"diff": alone, "first": round(first[0]), "again": round(again[0]), "calls": first[1], "calls_again": again[1], "lines": lines_changed},
    )  # fmt: skip


def through_dagster(scratch: str, files: int, lines: int, latency_ms: int) -> Timed:
    """One run of the job from the start of its process to its end. call_us: in which at least one call was under way."""
    from review_pipeline.simulator import Simulator

    folder = Path(scratch)
    repository = _changed(folder, files, lines // files)
    with Simulator(latency_seconds=latency_ms / 1_000) as api:
        pipeline = _pipeline(folder, repository, api.base_url)
        (folder / "dagster").mkdir()
        (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        head = _git(repository, "rev-parse", "feature").strip()
        change = {"repo": "acme", "head": head, "number": "feature", "base": "main"}
        command = [sys.executable, "-c", _RUN, json.dumps({"ops": {"plan_review": {"config": change}}})]
        environment = {**os.environ, **_environment(folder, api.base_url), "DAGSTER_HOME": str(folder / "dagster")}
        began = time()
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-3_000:])
        seconds = float(done.stdout.split()[-1]) - began
    (row,) = pipeline.ledger.reviews()
    assert row.state == "reviewed", row
    calls = [end for _, end in pipeline.ledger.calls(row.key)]
    return Timed(
        seconds, {"calls": len(calls), "call_us": round(_under_way(calls) * 1e6), "found": row.counts.get("new", 0)}
    )


def _under_way(calls: list[CallEnd]) -> float:
    spans = sorted(
        (end.asked_at.timestamp(), end.ended_at.timestamp()) for end in calls if end.asked_at and end.ended_at
    )
    total, reached = 0.0, 0.0
    for start, stop in spans:
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def _review(pipeline: Pipeline) -> tuple[float, int]:
    """Billed input tokens in units of an uncached one, and calls."""
    review = pipeline.review(pipeline.settings.repository("acme"), "main")
    row = review.run(review.planner.target("acme", "main", "feature"))
    assert row.state == "reviewed", row
    calls = [end for _, end in pipeline.ledger.calls(row.key)]
    billed = sum(
        end.input_tokens + CACHE_READ * end.cache_read_tokens + CACHE_WRITE * end.cache_write_tokens for end in calls
    )
    return billed, len(calls)


def _count_tokens(base_url: str, text: str) -> int:
    import anthropic

    client = anthropic.Anthropic(api_key=KEY, base_url=base_url)
    return client.messages.count_tokens(
        model="claude-sonnet-5-5", messages=[{"role": "user", "content": text}]
    ).input_tokens


def _environment(folder: Path, base_url: str) -> dict[str, str]:
    return {
        "REVIEW_PIPELINE_HOME": str(folder / "home"),
        "REVIEW_PIPELINE_CONFIG": str(folder / "review_pipeline.yaml"),
        "REVIEW_PIPELINE_OFFLINE": "1",
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": base_url,
    }


def _pipeline(folder: Path, repository: Path, base_url: str) -> Pipeline:
    from review_pipeline.settings import Settings
    from review_pipeline.wiring import Pipeline

    config = {"repositories": [{"name": "acme", "path": str(repository), "pull_requests": {"base": "main"}}]}
    (folder / "review_pipeline.yaml").write_text(json.dumps(config))
    return Pipeline(Settings.read(_environment(folder, base_url)))


def _changed(folder: Path, files: int, lines: int) -> Path:
    """A branch that rewrites each file: most functions stand alone, every fifth file uses one of another file."""
    repository = folder / "acme"
    (repository / "pkg").mkdir(parents=True)
    _git(repository, "init", "-q")
    _git(repository, "symbolic-ref", "HEAD", "refs/heads/main")
    for number in range(files):
        (repository / "pkg" / f"part_{number}.py").write_text(
            f'"""Part {number}."""\n\nVERSION_{number} = 1\n', encoding="utf-8"
        )
    _git(repository, "add", "-A")
    _git(repository, "commit", "-qm", "base")
    _git(repository, "checkout", "-qb", "feature")
    for number in range(files):
        (repository / "pkg" / f"part_{number}.py").write_text(_part(number, files, lines), encoding="utf-8")
    _git(repository, "commit", "-qam", "change")
    return repository


def _part(number: int, files: int, lines: int) -> str:
    rows = [f'"""Part {number}."""', "", f"VERSION_{number} = 2", ""]
    if number % 5 == 0:
        other = (number + 1) % files
        rows += [f"from pkg.part_{other} import measure_{other}_0", ""]
    count = 0
    while len(rows) < lines:
        rows += [
            f"def measure_{number}_{count}(values: list[float], scale: float) -> float:",
            f"    limit_{count} = scale * {count + 2}",
            f"    chosen = [value for value in values if value < limit_{count}]",
            "    if not chosen:",
            "        return 0.0",
            "    return sum(chosen) / len(chosen)",
            "",
        ]
        count += 1
    if number % 5 == 0:
        rows.append(f"TOTAL_{number} = measure_{(number + 1) % files}_0([1.0], 2.0)")
    if number % 4 == 0:
        rows += ["def risky(path):", "    return eval(path)"]
    return "\n".join(rows[: lines + 4]) + "\n"


def _git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=b", "-c", "user.email=b@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout
