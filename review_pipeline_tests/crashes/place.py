"""A home of its own for each audit that is to be killed, and what it came to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import duckdb
import yaml

from review_pipeline.simulator import Simulator
from review_pipeline.simulator.store import Call

DAY = date(2026, 11, 18)
SOURCE = "def read{n}(path):\n    try:\n        return eval(path)\n    except:\n        pass\n"


def made_repository(path: Path) -> Path:
    for number in range(3):
        (path / f"m{number}.py").write_text(SOURCE.format(n=number))
    git = ["git", "-C", str(path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return path


class Place:
    """The API's journal is read from where it stood when the place was made."""

    def __init__(self, folder: Path, repository: Path, api: Simulator, rules: Iterable[Mapping[str, object]]) -> None:
        self.home = folder / "home"
        config = folder / "review_pipeline.yaml"
        # Two requests a batch: two batches in the first round. One question at a time: one at most is lost with a process.
        batches = {"reconcile_grace_seconds": 0.2, "max_requests": 2, "sync_at_once": 1}
        config.parent.mkdir(parents=True)
        config.write_text(
            yaml.safe_dump({"repositories": [{"name": "acme", "path": str(repository)}], "batches": batches})
        )
        self.environment = {
            "PATH": os.environ["PATH"],
            "REVIEW_PIPELINE_HOME": str(self.home),
            "REVIEW_PIPELINE_CONFIG": str(config),
            "ANTHROPIC_API_KEY": "made-up",
            "ANTHROPIC_BASE_URL": api.base_url,
        }
        api.clear_scripts()
        api.script(*rules)
        self._api = api
        self._calls_before = len(api.journal())

    def creations(self) -> list[int]:
        """Requests of each batch that the API accepted: what is paid for."""
        return sorted(call.custom_ids or 0 for call in self._calls("create") if call.accepted)

    def asked(self) -> int:
        return len(self._calls("message"))

    def end_state(self) -> list[object]:
        with duckdb.connect(str(self.home / "findings.duckdb"), read_only=True) as db:
            return [
                db.execute(
                    "SELECT path, start_line, category, severity, anchor, status, fingerprint FROM findings ORDER BY ALL"
                ).fetchall(),
                db.execute("SELECT event, count(*) FROM finding_events GROUP BY event ORDER BY ALL").fetchall(),
                db.execute("SELECT path, state FROM coverage ORDER BY ALL").fetchall(),
                db.execute("SELECT route, sum(requests) FROM batches GROUP BY route ORDER BY ALL").fetchall(),
                db.execute("SELECT class, count(*) FROM outcomes GROUP BY class ORDER BY ALL").fetchall(),
                db.execute("SELECT count(*), count(DISTINCT custom_id) FROM requests").fetchall(),
                db.execute("SELECT sum(cost_usd) FROM outcomes").fetchall(),
            ]

    def reviewed(self) -> list[str]:
        with duckdb.connect(str(self.home / "findings.duckdb"), read_only=True) as db:
            rows = db.execute("SELECT path FROM coverage WHERE state = 'reviewed' ORDER BY path").fetchall()
        return [path for (path,) in rows]

    def _calls(self, operation: str) -> list[Call]:
        return [call for call in self._api.journal()[self._calls_before :] if call.operation == operation]
