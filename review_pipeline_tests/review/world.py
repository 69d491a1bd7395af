"""One repository, a ledger, and a model that says what a test lets it say."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from review_pipeline.adapters.desk import Desks
from review_pipeline.adapters.git_change import GitChanges
from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
from review_pipeline.core.claude_call import Call
from review_pipeline.core.claude_end import Answer, Failed, Mishap, Spent
from review_pipeline.core.cost import Usage
from review_pipeline.core.finding import Category
from review_pipeline.core.pull_request import Target
from review_pipeline.core.review_record import FindingRow, ReviewRow
from review_pipeline.core.review_rules import Prompts, ReviewRules
from review_pipeline.core.selection import SelectionRules
from review_pipeline.workflows.pull_request import Planner
from review_pipeline.workflows.review import Review

_HEAD = re.compile(r'^<(?:file|outline|removed) path=("(?:[^"\\]|\\.)*")')
ROW = re.compile(r"^(\d+)#([0-9a-f]{4})\|(.*)$")
_FAULT = re.compile(r"FAULT\((\w+), (\w+), ([0-9.]+)(?:, ([^)]*))?\)")
USAGE = Spent(Usage(1_000, 100), Decimal("0.01"), 1, ("claude-sonnet-5-5",))


def git(repository: Path, *arguments: str, when: str = "2026-11-20T10:00:00Z") -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/dev/null", "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    done = subprocess.run(
        ["git", "-C", str(repository), *settings, *arguments], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "replace")


def pass_of(call: Call) -> str:
    assert call.schema is not None
    names = set(call.schema["properties"])  # type: ignore[call-overload]
    return "summary" if "summary" in names else "file" if "prior_findings" in names else "across"


def faults_in(prompt: str) -> list[dict[str, Any]]:
    """What an honest model would find: every line that says FAULT(category, severity, confidence, words)."""
    found, path = [], ""
    for line in prompt.split("\n"):
        if head := _HEAD.match(line):
            path = json.loads(head[1])
        elif (row := ROW.match(line)) and (fault := _FAULT.search(row[3])):
            found.append(
                {
                    "path": path, "anchor": f"{row[1]}#{row[2]}", "end_line": int(row[1]), "category": fault[1], "severity": fault[2],
                    "confidence": float(fault[3]), "issue": fault[4] or "This line has a fault of the seeded kind",
                    "suggestion": "Take the fault out", "evidence": row[3],
                }
            )  # fmt: skip
    return found


def listed(prompt: str, block: str) -> list[dict[str, Any]]:
    inside = re.search(rf"^<{block}>\n(.*?)^</{block}>", prompt, re.DOTALL | re.MULTILINE)
    return [json.loads(row) for row in inside[1].splitlines()] if inside else []


def honest(call: Call) -> dict[str, Any]:
    prompt = call.prompt
    match pass_of(call):
        case "file":
            priors = [
                {"id": p["id"], "status": "still_open" if p["line"] or f"|{p['evidence']}" in prompt else "resolved", "reason": "looked"}
                for p in listed(prompt, "earlier_findings")
            ]  # fmt: skip
            known = [p["evidence"] for p in listed(prompt, "earlier_findings")]
            return {"findings": [f for f in faults_in(prompt) if f["evidence"] not in known], "prior_findings": priors}
        case "across":
            return {"findings": []}
        case _:
            rows = listed(prompt, "findings")
            return {
                "summary": f"{len(rows)} findings.",
                "findings": [
                    {"id": r["id"], "duplicate_of": None, "severity": r["severity"], "confidence": r["confidence"], "reason": "it is shown"}
                    for r in rows
                ],
            }  # fmt: skip


@dataclass
class Model:
    """Answers honestly unless a test gives a pass another way; remembers every call."""

    ways: dict[str, Callable[[Call], dict[str, Any] | Failed]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    text: str = ""

    def run(self, call: Call, session_id: str, home: Path, folder: Path) -> Answer | Failed:
        self.calls.append(call)
        self.sessions.append(session_id)
        told = self.ways.get(pass_of(call), honest)(call)
        if isinstance(told, Failed):
            return replace(told, session_id=session_id)
        return Answer(told, self.text or json.dumps(told), session_id, call.model, USAGE, (), "2.1.330")

    def made(self, name: str) -> list[Call]:
        return [call for call in self.calls if pass_of(call) == name]


def failure(mishap: Mishap, said: str = "scripted") -> Failed:
    return Failed(mishap, said, "", None, "2.1.330")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "acme"
        self.path.mkdir(parents=True)
        git(self.path, "init", "-q")
        git(self.path, "symbolic-ref", "HEAD", "refs/heads/main")
        self.model = Model()
        self.ledger = AuditLedger(LedgerDatabase(folder / "home" / "ledger.sqlite"))
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.rules = ReviewRules(
            model="claude-sonnet-5-5", independent_model=None, claude_authors=(), budget_usd=Decimal(5), call_budget_usd=Decimal(1),
            limit_seconds=60, attempts=2, max_files=400, max_calls=100, unit_characters=14_000, max_diff_bytes=64_000_000,
            selection=SelectionRules(), thresholds=dict.fromkeys(Category, 0.7),
            prompts=Prompts("Review these files.", "Review them together.", "Put them together."),
        )  # fmt: skip

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def commit(self, files: dict[str, str | bytes | None], message: str = "change") -> str:
        for name, content in files.items():
            place = self.path / name
            if content is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "--allow-empty", "-m", message)
        return git(self.path, "rev-parse", "HEAD").strip()

    def branch(self, name: str, at: str = "HEAD") -> None:
        git(self.path, "checkout", "-q", "-B", name, at)

    def checkout(self, name: str) -> None:
        git(self.path, "checkout", "-q", name)

    def change(
        self, before: dict[str, str | bytes | None], after: dict[str, str | bytes | None], message: str = "change"
    ) -> None:
        self.commit(before, "base")
        self.branch("feature")
        self.commit(after, message)

    @property
    def review_of(self) -> Review:
        changes = GitChanges(self.path)
        desks = Desks(self.folder / "desks")
        planner = Planner(changes, self.ledger, self.rules, self.clock)
        return Review(changes, self.ledger, self.model, planner, desks.open, 4, self.clock, pause=lambda _seconds: None)

    def target(self, base: str = "main", head: str = "feature", number: str = "7") -> Target:
        return self.review_of.planner.target("acme", base, head, number)

    def review(self, base: str = "main", head: str = "feature", number: str = "7") -> ReviewRow:
        return self.review_of.run(self.target(base, head, number))

    def findings(self, status: str | None = "open", number: str = "7") -> list[FindingRow]:
        return [row for row in self.ledger.finding_rows("acme", number) if status is None or row.status == status]

    def places(self, status: str | None = "open") -> list[str]:
        return [row.where for row in self.findings(status)]
