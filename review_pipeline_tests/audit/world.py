"""One team's world: a git repository, a home, the offline API, and the steps that Dagster or the CLI would take."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from review_pipeline.adapters.anthropic_messages import AnthropicMessages
from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
from review_pipeline.core.audit import Cell, PlannedCell, State, Submission
from review_pipeline.settings import Settings
from review_pipeline.simulator import Simulator
from review_pipeline.wiring import Pipeline, nonce
from review_pipeline.workflows.audit import plan_audit
from review_pipeline.workflows.collection import Collector
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline.workflows.late import LatePath
from review_pipeline.workflows.open_work import Work, look_around
from review_pipeline.workflows.resubmission import Resubmitted, plan_resubmission
from review_pipeline.workflows.submission import Sender

if TYPE_CHECKING:
    from collections.abc import Mapping

    from review_pipeline.ports import Batches

DAY = date(2026, 11, 16)
PYTHON = """\
import os


def read(path, seen=[]):
    try:
        return eval(open(path).read())
    except:
        pass
"""
GO = "package main\n\nfunc main() {\n\t_ = run()\n}\n"


def long_python(functions: int) -> str:
    """Each function is four lines with a fault of its own, so that no two findings are alike."""
    return "".join(
        f"def work_{n}(path: str) -> None:\n    # step {n}\n    handle_{n} = eval(path)\n    print(handle_{n})\n"
        for n in range(functions)
    )


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)
    return done.stdout.decode()


class World:
    def __init__(self, folder: Path, api: Simulator, sdk: Batches, config: Mapping[str, Any] | None = None) -> None:
        self.api, self.sdk, self._real_sdk = api, sdk, sdk
        self.home, self.repository, self.config = folder / "home", folder / "acme", folder / "review_pipeline.yaml"
        self.clock_moved_by = timedelta()
        self.repository.mkdir(parents=True)
        git(self.repository, "init", "-q")
        self.configure(**(config or {}))
        self.calls_before = len(api.journal())

    def api_sdk(self) -> Batches:
        """The one that behaves, whatever stands in its place."""
        return self._real_sdk

    def configure(self, **sections: Any) -> None:
        declared = {
            "repositories": [{"name": "acme", "path": "acme"}],
            "batches": {"poll_seconds": 5, "reconcile_grace_seconds": 300},
        }
        self.config.write_text(json.dumps({**declared, **sections}))
        self.pipeline = Pipeline(Settings.read(self.environment()))

    def environment(self) -> dict[str, str]:
        return {
            "REVIEW_PIPELINE_HOME": str(self.home),
            "REVIEW_PIPELINE_CONFIG": str(self.config),
            "REVIEW_PIPELINE_OFFLINE": "1",
            "ANTHROPIC_API_KEY": "made-up",
            "ANTHROPIC_BASE_URL": self.api.base_url,
        }

    def commit(self, files: Mapping[str, str | bytes | None]) -> str:
        """None removes a file."""
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text.encode() if isinstance(text, str) else text)
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", "change")
        return git(self.repository, "rev-parse", "HEAD").strip()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_moved_by

    @property
    def ledger(self) -> AuditLedger:
        """A new one at each call, like another process."""
        return AuditLedger(LedgerDatabase(self.home / "ledger.sqlite"))

    @property
    def sender(self) -> Sender:
        grace = timedelta(seconds=self.pipeline.settings.config.batches.reconcile_grace_seconds)
        return Sender(
            self.sdk,
            self.ledger,
            self.pipeline.spool,
            self.pipeline.results,
            self.now,
            grace,
            self.pipeline.caps,
            self.late,
        )

    @property
    def late(self) -> LatePath:
        messages = AnthropicMessages("made-up", self.api.base_url)
        policy = self.pipeline.policy
        return LatePath(messages, self.ledger, self.pipeline.spool, self.now, self.pipeline.prices, policy, 4)

    @property
    def collector(self) -> Collector:
        return Collector(self.sdk, self.ledger, self.pipeline.spool, self.pipeline.results, self.now)

    def cell(self, day: int = 0, audit: str = "nightly-acme") -> Cell:
        return Cell(audit, DAY + timedelta(days=day))

    def plan(self, day: int = 0, audit: str = "nightly-acme") -> PlannedCell:
        workload, entry = self.pipeline.asked_by(self.cell(day, audit))
        return plan_audit(
            self.pipeline.audit(entry, workload),
            self.cell(day, audit),
            self.pipeline.repository(entry),
            self.ledger,
            self.pipeline.spool,
            cut_costs=self.pipeline.cut_costs,
            nonce=nonce(),
            now=self.now(),
            reading=self.pipeline.reading(entry),
        )

    def send(self, day: int = 0, audit: str = "nightly-acme") -> tuple[Submission, ...]:
        return self.sender.send_due(self.cell(day, audit))

    def submit(self, day: int = 0, audit: str = "nightly-acme") -> PlannedCell:
        plan = self.plan(day, audit)
        self.send(day, audit)
        return plan

    def look(self) -> Work:
        self.api.settle()
        return look_around(self.ledger, lambda: self.sender, self.now, self.pipeline.caps)

    def resubmit(self, cell: Cell) -> Resubmitted:
        return plan_resubmission(
            cell,
            self.ledger,
            self.pipeline.spool,
            cut_costs=self.pipeline.cut_costs,
            limits=self.pipeline.limits,
            prices=self.pipeline.prices,
            nonce=nonce(),
            clock=self.now,
        )

    def step(self) -> bool:
        """What a sensor tick and its runs do; False when nothing is open."""
        work = self.look()
        for cell in work.to_submit:
            self.sender.send_due(cell)
        for cell in work.to_collect:
            self.collector.collect_cell(cell)
            self.resubmit(cell)
            self.sender.send_due(cell)
        return any(one.state is not State.COLLECTED for one in self.ledger.submissions())

    def finish(self) -> None:
        for _ in range(40):
            if not self.step():
                break
        else:
            raise AssertionError(f"never done: {self.ledger.submissions()}")
        self.publish()

    def publish(self) -> Path:
        return bring_up_to_date(self.ledger, self.pipeline.history, self.now).published

    def audit(self, day: int = 0) -> PlannedCell:
        plan = self.submit(day)
        self.finish()
        return plan

    def script(self, *rules: Mapping[str, object]) -> None:
        self.api.script(*rules)

    def restart(self) -> None:
        """Another process: nothing is kept in memory."""
        self.pipeline = Pipeline(Settings.read(self.environment()))

    def move_clock(self, seconds: float) -> None:
        self.clock_moved_by += timedelta(seconds=seconds)

    def calls(self, operation: str) -> int:
        return sum(call.operation == operation for call in self.api.journal()[self.calls_before :])

    def accepted(self) -> list[int]:
        """Requests of each batch that the API accepted: what is paid for."""
        calls = self.api.journal("create")
        earlier = [call for call in self.api.journal()[: self.calls_before] if call.operation == "create"]
        return [call.custom_ids or 0 for call in calls[len(earlier) :] if call.accepted]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home / "findings.duckdb"), read_only=True) as db:
            return db.execute(sql).fetchall()

    def coverage(self, day: int = 0) -> dict[str, int]:
        counted = self.query(f"SELECT state, count(*) FROM coverage WHERE cell = '{self.cell(day)}' GROUP BY state")
        return dict(counted)

    def findings(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT path, start_line, end_line, category, severity, confidence, issue, evidence, anchor, status, route"
            " FROM findings ORDER BY ALL"
        )

    def attempts(self, path: str = "%") -> list[tuple[str, str]]:
        """Change and outcome of every request about a file, in order."""
        return self.query(
            "SELECT change, class FROM requests LEFT JOIN outcomes USING (custom_id)"
            f" WHERE path LIKE '{path}' ORDER BY path, attempt, start_line"
        )

    def sent(self, submission: Submission) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = json.loads(self.pipeline.spool.body(submission.folder).read_bytes())[
            "requests"
        ]
        return requests

    def assert_all_counted(self) -> None:
        """Every request that was written down has come to exactly one counted end, in the ledger and in the history."""
        for cell in {Cell.parse(one.cell) for one in self.ledger.submissions()}:
            standing = self.ledger.outcomes(cell)
            assert "waiting" not in standing
            assert sum(standing.values()) == sum(one.requests for one in self.ledger.submissions(cell=cell))
        assert self.query("SELECT count(*) FROM requests") == self.query("SELECT count(*) FROM outcomes")
        assert self.query("SELECT count(*) - count(DISTINCT custom_id) FROM outcomes") == [(0,)]
        assert self.query("SELECT count(*) FROM files") == self.query("SELECT count(*) FROM coverage")
        assert self.query("SELECT count(*) FROM coverage WHERE state = 'waiting'") == [(0,)]


def without_ids(requests: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(request["params"], sort_keys=True) for request in requests)
