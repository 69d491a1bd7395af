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
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import anthropic  # noqa: F401  imported before the forks, as the adapters would do after them
import duckdb  # noqa: F401

from review_pipeline import wiring
from review_pipeline.adapters.answer_book import AnswerBook
from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.adapters.anthropic_messages import AnthropicMessages
from review_pipeline.adapters.history import History
from review_pipeline.adapters.ledger import AuditLedger
from review_pipeline.adapters.results import BatchResults
from review_pipeline.adapters.spool import Spool
from review_pipeline.core.audit import State
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.settings import Settings
from review_pipeline.wiring import Pipeline, nonce
from review_pipeline.wiring import utc_now as real_now
from review_pipeline.workflows.audit import plan_audit
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline.workflows.open_work import look_around
from review_pipeline.workflows.resubmission import plan_resubmission

# Whatever leaves something outside the process, or asks for something there. What happens between two of them is forgotten with the process,
# so that being killed after one is being killed before the next.
STEPS: tuple[tuple[type, str], ...] = (
    *((AuditLedger, name) for name in (
        "record_plan", "begin", "doubt", "confirm", "release", "note", "pause", "record_end", "record_collection", "record_resubmission",
        "ask_cancel", "escalate", "record_asked", "record_published",
    )),
    *((AnthropicBatches, name) for name in ("create", "retrieve", "cancel", "download")),
    (AnthropicMessages, "ask"),
    *((AnswerBook, name) for name in ("asking", "answered", "finish")),
    (BatchResults, "read"),
    (History, "apply"),
    (History, "publish"),
    (Spool, "discard"),
    *((Path, name) for name in ("rename", "replace", "symlink_to")),
)  # fmt: skip
LAST_MOMENT_HOURS = (
    28.5  # of an SLA of 30 hours, for a few requests: too late for a batch, in time for single questions
)
NAMES = tuple(f"{owner.__name__}.{name}" for owner, name in STEPS)


def install(fatal: int) -> list[str]:
    """Dies before the fatal step, counted from 1; returns the growing list of the steps that were begun."""
    begun: list[str] = []

    def dying(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            begun.append(name)
            if len(begun) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **named)

        return stepped

    for (owner, method), name in zip(STEPS, NAMES, strict=True):
        setattr(owner, method, dying(name, getattr(owner, method)))
    return begun


def trip(pipeline: Pipeline, day: date, hours_late: float) -> None:
    """What the CLI and the sensor do, until nothing is open; a pause is lifted by the person who reads about it.

    hours_late: how long the plan waits before it is sent; then its batches are looked at when they would be late.
    """
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
        now=real_now(),
    )
    deadline = time.monotonic() + 30
    while _is_open(pipeline):
        assert time.monotonic() < deadline, f"still open after 30 s: {pipeline.ledger.submissions()}"
        wiring.utc_now = clock = _clock(pipeline, hours_late)
        for one in ("sender", "late", "collector"):
            pipeline.__dict__.pop(one, None)  # made again, with the clock of now
        pipeline.ledger.resume()
        if not any(not one.is_sync for one in pipeline.ledger.submissions(states=(State.SENDING,))):
            with suppress(Refused, Unavailable):  # said in the ledger, too; the next look goes on
                pipeline.sender.send_due(cell)
        work = look_around(pipeline.ledger, lambda: pipeline.sender, clock)
        for due in work.to_collect:
            pipeline.collector.collect_cell(due)
            plan_resubmission(due, pipeline.ledger, pipeline.spool, cut_costs=pipeline.cut_costs, limits=pipeline.limits, prices=pipeline.prices, nonce=nonce(), clock=clock)  # fmt: skip
        time.sleep(0.02)
    bring_up_to_date(pipeline.ledger, pipeline.history, real_now)


def _clock(pipeline: Pipeline, hours_late: float) -> Callable[[], datetime]:
    """Real time; in a late trip that of sending, and once all was sent that of the last moment to cut it."""
    ahead = timedelta()
    if hours_late:
        unsent = (State.INTENDED, State.SENDING)
        is_sent = not any(one.round == 0 and one.state in unsent for one in pipeline.ledger.submissions())
        ahead = timedelta(hours=LAST_MOMENT_HOURS if is_sent else hours_late)
    return lambda: real_now() + ahead


def _is_open(pipeline: Pipeline) -> bool:
    is_collected = [one.state is State.COLLECTED for one in pipeline.ledger.submissions()]
    return not all(is_collected) or bool(pipeline.ledger.unsettled_cells())


class Trip(Protocol):
    def __call__(self, environment: dict[str, str], day: date, fatal: int, hours_late: float = 0) -> dict[str, Any]: ...


@contextmanager
def trips() -> Iterator[Trip]:
    """Runs trips in forks of a process of its own. fatal: the step before which it is killed; 0 is none."""
    command = [sys.executable, "-m", "review_pipeline_tests.crashes.killable"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None

        def run(environment: dict[str, str], day: date, fatal: int, hours_late: float = 0) -> dict[str, Any]:
            order = {"environment": environment, "day": day.isoformat(), "fatal": fatal, "hours_late": hours_late}
            print(json.dumps(order), file=runner.stdin, flush=True)
            ended: dict[str, Any] = json.loads(runner.stdout.readline())
            assert not ended["failed"], "the trip failed; its traceback is above"
            return ended

        yield run
        runner.stdin.close()


def run_apart(environment: dict[str, str], day: str, fatal: int, hours_late: float) -> dict[str, object]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            begun = install(fatal)
            trip(Pipeline(Settings.read(environment)), date.fromisoformat(day), hours_late)
            os.write(writing, json.dumps(begun).encode())
            code = 0
        except BaseException:  # noqa: BLE001 (the parent tells it)
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        steps = json.loads(pipe.read() or "[]")
    _, status = os.waitpid(child, 0)
    return {"killed": os.WIFSIGNALED(status), "failed": bool(os.WEXITSTATUS(status)), "steps": steps}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run_apart(**json.loads(line))), flush=True)
