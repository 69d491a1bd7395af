"""The command line, and what survives the death of the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic

from review_pipeline_tests.simulator.prompts import audit, requests

Launch = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    with ExitStack() as stack:

        def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
            command = [sys.executable, "-m", "review_pipeline.simulator", *arguments]
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(server.terminate)
            assert server.stdout is not None
            return server, server.stdout.readline().strip()

        yield start


def _eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_everything_survives_kill_9_and_a_restart_on_another_port(
    launch: Launch, shared_client: Anthropic, tmp_path: Path
) -> None:
    server, url = launch("--state", str(tmp_path), "--batch-seconds", "3600")
    client = shared_client.with_options(base_url=url)
    client.post("/_simulator/scripts", body=[{"effect": "refusal", "custom_id": "audit-1"}], cast_to=object)
    made = client.messages.batches.create(requests=requests(3))
    client.post("/_simulator/clock", body={"advance_seconds": 1000}, cast_to=object)
    server.send_signal(signal.SIGKILL)
    server.wait()

    _, other_url = launch("--state", str(tmp_path))
    assert other_url != url
    client = shared_client.with_options(base_url=other_url)
    found = client.messages.batches.retrieve(made.id)
    assert (found.created_at, found.processing_status) == (made.created_at, "in_progress")
    client.post("/_simulator/clock", body={"advance_seconds": 2600}, cast_to=object)
    stops = {
        line.custom_id: line.result.message.stop_reason
        for line in client.messages.batches.results(made.id)
        if line.result.type == "succeeded"
    }
    assert stops == {"audit-0": "end_turn", "audit-1": "refusal", "audit-2": "end_turn"}
    calls = httpx2.get(f"{other_url}/_simulator/journal?operation=create").json()["calls"]
    assert [(call["batch_id"], call["accepted"]) for call in calls] == [(made.id, True)]


def test_work_in_progress_is_done_again_after_kill_9(launch: Launch, shared_client: Anthropic, tmp_path: Path) -> None:
    server, url = launch("--state", str(tmp_path), "--batch-seconds", "0")
    client = shared_client.with_options(base_url=url)
    sent: list[Any] = [
        {"custom_id": f"c{number}", "params": audit(f"import os\nx = {number}\n" * 20)} for number in range(1500)
    ]
    made = client.messages.batches.create(requests=sent)
    server.send_signal(signal.SIGKILL)
    server.wait()
    _, url = launch("--state", str(tmp_path))
    client = shared_client.with_options(base_url=url)
    assert _eventually(lambda: client.messages.batches.retrieve(made.id).processing_status == "ended")
    got = sorted(line.custom_id for line in client.messages.batches.results(made.id))
    assert got == sorted(request["custom_id"] for request in sent)


def test_it_leaves_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    program = (
        "import subprocess, sys, time; "
        "subprocess.Popen([sys.executable, '-m', 'review_pipeline.simulator', '--exit-with-parent', "
        "'--port-file', sys.argv[1]]); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(port_file)], stdout=subprocess.DEVNULL)
    try:
        assert _eventually(port_file.exists)
        url = f"http://127.0.0.1:{port_file.read_text().strip()}/"
        assert _eventually(lambda: _answers(url))
    finally:
        parent.kill()
        parent.wait()
    assert _eventually(lambda: not _answers(url))


def test_without_a_state_folder_nothing_stays_behind(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server, url = launch()
    assert _answers(url)
    assert list(tmp_path.iterdir())
    server.send_signal(signal.SIGTERM)
    server.wait(10)
    assert list(tmp_path.iterdir()) == []


def test_rules_can_come_from_a_file(launch: Launch, shared_client: Anthropic, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"effect": "refusal"}]))
    _, url = launch("--scripts", str(rules))
    assert shared_client.with_options(base_url=url).messages.create(**audit()).stop_reason == "refusal"


def test_an_impossible_rules_file_is_named_with_the_reason(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('[{"effect": "explode"}]')
    ran = _run("--scripts", str(rules))
    assert ran.returncode == 2
    assert "rules.json" in ran.stderr
    assert "explode" in ran.stderr


def test_the_help_teaches_with_examples_and_says_that_no_model_is_called() -> None:
    ran = _run("--help")
    assert ran.returncode == 0
    for words in ("calls no model", "curl", "anthropic.Anthropic(base_url=", "accept_then_drop", "credit_balance"):
        assert words in ran.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "review_pipeline.simulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def _answers(url: str) -> bool:
    try:
        return httpx2.head(url, timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def test_a_body_that_was_cut_off_by_a_crash_is_swept_away(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "bodies").mkdir()
    left_over = tmp_path / "bodies" / "arriving-0123"
    left_over.write_bytes(b'{"requests": [')
    _, url = launch("--state", str(tmp_path))
    assert _answers(url)
    assert not left_over.exists()
