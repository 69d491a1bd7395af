"""The demo with the real daemon, killed midway, run again, and looked at through the real webserver."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "review-pipeline"
CODE = "def read(path):\n    try:\n        return open(path).read()\n    except:\n        pass\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a fresh checkout, and beside it a repository to audit."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copy(ROOT / "dagster.yaml", folder)
    repository = folder / "acme"
    repository.mkdir()
    (repository / "reader.py").write_text(CODE)
    (repository / "main.go").write_text("package main\n\nfunc main() {\n\t_ = run()\n}\n")
    (repository / "README.md").write_text("# acme\n")
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return folder


def environment(place: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(place / "nobody"), "LANG": "C.UTF-8"}


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def query(place: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(place / "var" / "demo" / "findings.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


@pytest.fixture(scope="module")
def finished(place: Path) -> str:
    """The output of a demo whose machine stopped when its requests had been written down, and which was run again."""
    killed = start(place, "demo", "--repo", "acme")
    assert killed.stdout is not None
    for line in killed.stdout:
        if "planned by run" in line:
            break
    while left := _processes_of(place):  # the daemon, its code servers and the runs, too
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.wait()
    again = start(place, "demo", "--repo", "acme")
    output, _ = again.communicate(timeout=240)
    assert again.returncode == 0, output
    return output


def test_a_killed_demo_goes_on_where_it_stopped_and_pays_once(place: Path, finished: str) -> None:
    assert query(place, "SELECT count(*), sum(requests) FROM batches") == [(1, 2)]
    states = query(place, "SELECT state, count(*) FROM coverage GROUP BY state ORDER BY state")
    assert states == [("reviewed", 2), ("skipped", 1)]
    assert (3,) not in query(place, "SELECT count(*) FROM findings WHERE anchor <> 'exact'")


def test_the_demo_ends_by_telling_everything_a_newcomer_asks(place: Path, finished: str) -> None:
    for told in (
        "offline analyser, no model is called",
        "reviewed",
        "skipped: not_source",
        "missing_error_handling",
        "batch_usd",
        "synchronous_usd",
        "findings.duckdb",
        "weekly-",
        "Three queries to begin with",
        "make dev",
    ):
        assert told in finished


def test_no_process_outlives_the_demo(place: Path, finished: str) -> None:
    deadline = time.monotonic() + 45  # a code server whose daemon was killed notices it by its missing heartbeat
    while time.monotonic() < deadline and (left := _processes_naming(place)):
        time.sleep(0.5)
    assert left == []


def _processes_of(place: Path) -> list[int]:
    """By what they inherited: the process of a run does not name its folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"HOME={place / 'nobody'}\0".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def _processes_naming(place: Path) -> list[str]:
    commands = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(place) in command:
                commands.append(command)
    return commands


def test_an_unchanged_repository_submits_nothing_and_says_so(place: Path, finished: str) -> None:
    again = start(place, "demo", "--repo", "acme")
    output, _ = again.communicate(timeout=240)
    assert again.returncode == 0, output
    assert "Nothing was submitted" in output
    assert query(place, "SELECT count(*) FROM batches") == [(1,)]


@contextmanager
def served(place: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start(place, "dev", "--port", str(port))
    try:
        deadline = time.monotonic() + 90
        while not _answers(f"http://127.0.0.1:{port}/server_info"):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode == 130


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _asked(base_url: str, graphql: str) -> dict[str, object]:
    body = json.dumps({"query": graphql}).encode()
    request = urllib.request.Request(f"{base_url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        data = json.load(answer)["data"]
    assert isinstance(data, dict)
    return data


def test_the_ui_shows_the_runs_and_what_they_made(place: Path, finished: str) -> None:
    with served(place) as base_url:
        data = _asked(
            base_url,
            "{ runsOrError { ... on Runs { results { jobName status } } }"
            "  assetsOrError { ... on AssetConnection { nodes { key { path } assetMaterializations(limit: 1) { metadataEntries { label } } } } } }",
        )
    runs = data["runsOrError"]["results"]  # type: ignore[index,call-overload]
    assert {"submit_audit", "collect_batches", "weekly_report"} <= {
        run["jobName"] for run in runs if run["status"] == "SUCCESS"
    }
    labels = {
        node["key"]["path"][0]: {
            entry["label"] for made in node["assetMaterializations"] for entry in made["metadataEntries"]
        }
        for node in data["assetsOrError"]["nodes"]  # type: ignore[index,call-overload]
    }
    assert {"batches", "requests", "files", "route"} <= labels["batch_submissions"]
    assert {"batches", "requests_by_state", "cost_usd", "saved_usd"} <= labels["batch_results"]
    assert {"top_findings", "findings.duckdb"} <= labels["findings_history"]
    assert {"report", "trend", "summary"} <= labels["weekly_quality_report"]
