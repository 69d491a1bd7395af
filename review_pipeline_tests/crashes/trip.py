"""A whole audit in a process of its own that can be killed at its n-th step boundary."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401  once, not in every fork
import duckdb  # noqa: F401

from review_pipeline.adapters.anthropic_batches import AnthropicBatches
from review_pipeline.adapters.history import History
from review_pipeline.adapters.ledger import AuditLedger
from review_pipeline.adapters.results import BatchResults
from review_pipeline.core.audit import State
from review_pipeline.settings import Settings
from review_pipeline.wiring import Pipeline, nonce, utc_now
from review_pipeline.workflows.audit import plan_audit
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline.workflows.open_work import look_around
from review_pipeline.workflows.resubmission import plan_resubmission

DAY = date(2026, 11, 18)
# Whatever changes something outside the process; each call has a boundary before it and one after it.
STEPS: dict[type, tuple[str, ...]] = {
    AuditLedger: (
        "record_plan", "begin", "confirm", "release", "record_end", "record_collection", "record_resubmission", "record_published",
    ),
    AnthropicBatches: ("create", "download"),
    BatchResults: ("read",),
    History: ("apply", "publish"),
    Path: ("rename", "replace", "symlink_to"),
}  # fmt: skip


class Boundaries:
    """Counts step boundaries and, at the chosen one, kills the process as if the power had gone."""

    def __init__(self, fatal: int | None) -> None:
        self.passed = 0
        self._fatal = fatal

    def install(self) -> None:
        for owner, names in STEPS.items():
            for name in names:
                setattr(owner, name, self._between(getattr(owner, name)))

    def _between(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            self._cross()
            outcome = step(*arguments, **named)
            self._cross()
            return outcome

        return stepped

    def _cross(self) -> None:
        self.passed += 1
        if self.passed == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def run_in_child(environment: dict[str, str], fatal: int | None) -> dict[str, object]:
    """Forked, so that a hundred trips do not import everything a hundred times."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            boundaries = Boundaries(fatal)
            boundaries.install()
            trip(Pipeline(Settings.read(environment)))
            os.write(writing, str(boundaries.passed).encode())
            code = 0
        except BaseException:  # noqa: BLE001  the exit code tells it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        passed = pipe.read()
    _, status = os.waitpid(child, 0)
    return {
        "killed": os.WIFSIGNALED(status),
        "failed": os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0,
        "passed": int(passed or 0),
    }


def trip(pipeline: Pipeline) -> None:
    """What the sensor and its runs do, one after the other, until nothing is open."""
    entry = pipeline.settings.repository("acme")
    cell = pipeline.cell(entry, DAY)
    plan_audit(
        pipeline.audit(entry),
        cell,
        pipeline.repository(entry),
        pipeline.ledger,
        pipeline.spool,
        nonce=nonce(),
        now=utc_now(),
    )
    deadline = time.monotonic() + 30
    while True:
        for submission in pipeline.ledger.submissions(states=(State.SENDING,)):
            pipeline.sender.reconcile(submission)
        if not pipeline.ledger.submissions(states=(State.SENDING,)):
            pipeline.sender.send_due(cell)
        work = look_around(pipeline.ledger, lambda: pipeline.sender, utc_now)
        for due in work.to_collect:
            pipeline.collector.collect_cell(due)
            plan_resubmission(
                due,
                pipeline.ledger,
                pipeline.spool,
                limits=pipeline.limits,
                most_output_tokens=pipeline.most_output_tokens,
                nonce=nonce(),
                clock=utc_now,
            )
        open_ = pipeline.ledger.submissions(states=(State.INTENDED, State.SENDING, State.IN_PROGRESS, State.ENDED))
        if not open_ and not pipeline.ledger.unsettled_cells():
            break
        assert time.monotonic() < deadline, f"still open after 30 s: {open_}"
        time.sleep(0.02)
    bring_up_to_date(pipeline.ledger, pipeline.history, utc_now)


def main() -> None:
    """A process without threads, which alone may be forked: one JSON line in is one trip, one line out its end."""
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(run_in_child(order["environment"], order["fatal"])), flush=True)


if __name__ == "__main__":
    main()
