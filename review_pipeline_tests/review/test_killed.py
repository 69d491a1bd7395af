"""A review whose processes are all killed midway goes on where it stopped: what was answered is kept, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
from review_pipeline.simulator import Simulator
from review_pipeline_tests.review.world import World

PROGRAM = Path(sys.executable).parent / "review-pipeline"
CODE = "def read_{n}(path, seen=[]):\n    try:\n        return eval(path)\n    except:\n        pass\n"


def processes_of(home: Path) -> list[int]:
    """By what they inherited from the review, or were given by it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if str(home).encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_review_goes_on_and_pays_only_for_what_was_not_answered(world: World, after: int) -> None:
    home = world.folder / "run"
    world.commit({"a.py": ""})
    world.branch("feature")
    world.commit({f"pkg/m{n}.py": CODE.format(n=n) + "# filler\n" * 150 for n in range(6)})
    config = world.folder / "review_pipeline.yaml"
    config.write_text(
        yaml.safe_dump({"workloads": {"pull_request_review": {"unit_characters": 4_000, "calls_at_once": 2}}})
    )
    with Simulator(latency_seconds=0.3) as api:
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(home / "nobody"), "LANG": "C.UTF-8", "REVIEW_PIPELINE_HOME": str(home),
            "REVIEW_PIPELINE_CONFIG": str(config), "ANTHROPIC_API_KEY": "made-up-key", "ANTHROPIC_BASE_URL": api.base_url,
        }  # fmt: skip
        command = [PROGRAM, "review", "--repo", "acme", "--format", "json", "--fail-on", "never"]
        ledger = AuditLedger(LedgerDatabase(home / "ledger.sqlite"))
        first = subprocess.Popen(
            command, cwd=world.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        answered = wait_for(ledger, first, after)
        while left := processes_of(home):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            first.wait()
            time.sleep(0.05)
        again = subprocess.run(
            command, cwd=world.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    assert again.returncode == 0, again.stderr
    (row,) = ledger.reviews()
    assert row.state == "reviewed"
    calls = ledger.calls(row.key)
    keys = [call.key for call, end in calls if end.state == "answered"]
    assert len(keys) == len(set(keys))
    assert answered <= {call.session_id for call, end in calls if end.state == "answered"}
    assert len({finding.finding for finding in ledger.finding_rows()}) == len(ledger.finding_rows()) >= 12
    assert processes_of(home) == []
    assert not (home / "desks").exists() or list((home / "desks").iterdir()) == []


def wait_for(ledger: AuditLedger, process: subprocess.Popen[bytes], count: int) -> set[str]:
    """Until so many calls are answered and another is under way; the sessions that were answered."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        for row in ledger.reviews():
            calls = ledger.calls(row.key)
            answered = {call.session_id for call, end in calls if end.state == "answered"}
            if len(answered) >= count and any(end.state == "asked" for _, end in calls):
                return answered
        time.sleep(0.02)
    raise AssertionError("nothing was asked within a minute")
