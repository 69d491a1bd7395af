"""A process that forks whole audits and lets each be killed at its n-th step boundary; it has no threads, and imports once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401  imported before the forks, as the adapters would do after them
import duckdb  # noqa: F401

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.adapters.history import History
from review_pipeline.adapters.ledger import AuditLedger
from review_pipeline.adapters.results import BatchResults
from review_pipeline.adapters.spool import Spool
from review_pipeline.core.audit import State
from review_pipeline.settings import Settings
from review_pipeline.wiring import Pipeline, nonce, utc_now
from review_pipeline.workflows.audit import plan_audit
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline.workflows.open_work import look_around
from review_pipeline.workflows.resubmission import plan_resubmission

# Whatever leaves something outside the process; each call has a boundary before it and one after it.
STEPS: tuple[tuple[type, str], ...] = (
    *((AuditLedger, name) for name in ("record_plan", "begin", "doubt", "confirm", "release", "record_end", "pause", "record_collection", "record_resubmission", "record_published")),
    *((AnthropicBatches, name) for name in ("create", "download")),
    (BatchResults, "read"),
    (History, "apply"),
    (History, "publish"),
    (Spool, "discard"),
    *((Path, name) for name in ("rename", "replace", "symlink_to")),
)  # fmt: skip


def install(fatal: int) -> Callable[[], int]:
    """Counts boundaries and dies at the fatal one; returns how to ask for the count."""
    passed = 0

    def cross() -> None:
        nonlocal passed
        passed += 1
        if passed == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def between(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            cross()
            outcome = step(*arguments, **named)
            cross()
            return outcome

        return stepped

    for owner, name in STEPS:
        setattr(owner, name, between(getattr(owner, name)))
    return lambda: passed


def trip(pipeline: Pipeline, day: date) -> None:
    """What the CLI and the sensor do, until nothing is open; a pause is lifted by the person who reads about it."""
    cell = pipeline.cell(pipeline.settings.repository("acme"), day)
    _, entry = pipeline.asked_by(cell)
    audit, repository = pipeline.audit(entry), pipeline.repository(entry)
    plan_audit(
        audit,
        cell,
        repository,
        pipeline.ledger,
        pipeline.spool,
        cut_costs=pipeline.cut_costs,
        nonce=nonce(),
        now=utc_now(),
    )
    deadline = time.monotonic() + 30
    while _is_open(pipeline):
        assert time.monotonic() < deadline, f"still open after 30 s: {pipeline.ledger.submissions()}"
        pipeline.ledger.resume()
        if not pipeline.ledger.submissions(states=(State.SENDING,)):
            pipeline.sender.send_due(cell)
        work = look_around(pipeline.ledger, lambda: pipeline.sender, utc_now)
        for due in work.to_collect:
            pipeline.collector.collect_cell(due)
            plan_resubmission(due, pipeline.ledger, pipeline.spool, cut_costs=pipeline.cut_costs, limits=pipeline.limits, prices=pipeline.prices, nonce=nonce(), clock=utc_now)  # fmt: skip
        time.sleep(0.02)
    bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)


def _is_open(pipeline: Pipeline) -> bool:
    is_collected = [one.state is State.COLLECTED for one in pipeline.ledger.submissions()]
    return not all(is_collected) or bool(pipeline.ledger.unsettled_cells())


Trip = Callable[[dict[str, str], date, int], dict[str, Any]]


@contextmanager
def trips() -> Iterator[Trip]:
    """Runs trips in forks of a process of its own: (environment, day, boundary at which it is killed; 0 is none)."""
    command = [sys.executable, "-m", "review_pipeline_tests.crashes.killable"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None

        def run(environment: dict[str, str], day: date, fatal: int) -> dict[str, Any]:
            order = {"environment": environment, "day": day.isoformat(), "fatal": fatal}
            print(json.dumps(order), file=runner.stdin, flush=True)
            ended: dict[str, Any] = json.loads(runner.stdout.readline())
            assert not ended["failed"], "the trip failed; its traceback is above"
            return ended

        yield run
        runner.stdin.close()


def run_apart(environment: dict[str, str], day: str, fatal: int) -> dict[str, object]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            passed = install(fatal)
            trip(Pipeline(Settings.read(environment)), date.fromisoformat(day))
            os.write(writing, str(passed()).encode())
            code = 0
        except BaseException:  # noqa: BLE001 (the parent tells it)
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        passed_text = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"killed": os.WIFSIGNALED(status), "failed": bool(os.WEXITSTATUS(status)), "passed": int(passed_text or 0)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run_apart(**json.loads(line))), flush=True)
