"""What people and machines get wrong, through the command line: one sentence that names what, which and what now; no traceback."""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from review_pipeline import cli
from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
from review_pipeline.ports import Unavailable
from review_pipeline_tests.audit.world import PYTHON, World

ROOT = Path(__file__).parents[2]


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The CLI in this process, as its main() runs it."""

    def one(*arguments: str, **changed: str | None) -> Said:
        for name, value in {**world.environment(), **changed}.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        code = cli.guarded(lambda: cli.app(list(arguments)))
        return Said(code, *capsys.readouterr())

    return one


def assert_refused_beforehand(run: Run, *naming: str, **changed: str | None) -> None:
    """By the audit, and by the doctor before it."""
    for said in (run("audit", "acme", **changed), run("doctor", **changed)):
        assert said.code == 1
        told = said.out + said.err
        assert "Traceback" not in told
        for name in naming:
            assert name in told


def test_a_missing_key_names_both_ways_on(run: Run) -> None:
    assert_refused_beforehand(run, "ANTHROPIC_API_KEY is not set", ANTHROPIC_API_KEY=None)
    assert "make demo" in run("audit", "acme", ANTHROPIC_API_KEY=None).err


def test_an_unknown_model_is_refused_before_anything_is_planned(world: World, run: Run) -> None:
    world.config.write_text('{"workloads": {"nightly_quality_audit": {"model": "claude-9"}}}')
    assert_refused_beforehand(run, "claude-9", "prices")
    assert not (world.home / "spool").exists()


def test_broken_yaml_is_shown_by_line(world: World, run: Run) -> None:
    world.config.write_text("repositories:\n  - {name: acme, path: acme\nbatches: 1\n")
    assert_refused_beforehand(run, str(world.config), "line 3")


def test_what_is_no_repository_is_named(world: World, run: Run) -> None:
    world.repository.rename(world.repository.with_name("elsewhere"))
    assert_refused_beforehand(run, "acme")


def test_an_unknown_ref_is_named(world: World, run: Run) -> None:
    world.configure(repositories=[{"name": "acme", "path": "acme", "ref": "no-such-branch"}])
    assert_refused_beforehand(run, "no-such-branch")


def test_an_unknown_name_tells_the_known_ones(run: Run) -> None:
    said = run("audit", "acmee")
    assert (said.code, "there: acme" in said.err) == (1, True)


def test_an_api_that_cannot_be_reached_is_named_and_nothing_is_lost(world: World, run: Run) -> None:
    nowhere = "http://127.0.0.1:9"
    said = run("audit", "acme", ANTHROPIC_BASE_URL=nowhere)
    assert (said.code, nowhere in said.err) == (3, True)
    assert run("doctor", ANTHROPIC_BASE_URL=nowhere).code == 1
    assert run("audit", "acme").code == 0
    assert world.accepted() == [3]


def test_a_creation_in_doubt_says_so_and_reconcile_tells_what_became_of_it(world: World, run: Run) -> None:
    world.script({"on": "create", "effect": "drop", "times": 1})
    said = run("audit", "acme")
    assert (said.code, "in doubt" in said.err) == (3, True)
    said = run("reconcile")
    assert (said.code, "in doubt" in said.out, "not listed by the API" in " ".join(said.out.split())) == (3, True, True)
    assert "reconcile" in run("doctor").out
    (told,) = json.loads(run("reconcile", "--json").out)
    assert (told["verdict"], told["requests"], told["candidates"], told["state"]) == ("in doubt", 3, [], "sending")


def test_reconcile_tells_what_it_adopted_and_why(world: World, run: Run) -> None:
    world.plan()
    (submission,) = world.ledger.submissions()
    world.ledger.begin(submission.id, world.now(), next((batch.id for batch in world.sdk.newest()), ""))
    world.sdk.create(world.pipeline.spool.body(submission.folder))  # and killed before the receipt
    said = run("reconcile", "--json")
    assert said.code == 0
    (told,) = json.loads(said.out)
    assert (told["verdict"], told["candidates"]) == ("adopted", [told["batch_id"]])
    assert told["why"].startswith(f"{told['batch_id']}: ")
    assert json.loads(run("reconcile", "--json").out) == []
    assert "Nothing is in doubt" in run("reconcile").out
    assert world.accepted() == [3]


def test_a_pause_is_told_by_the_audit_and_the_doctor_until_it_is_lifted(world: World, run: Run) -> None:
    world.script({"effect": "error", "error": "credit_balance", "contains": "main.go", "times": 1})
    assert run("audit", "acme").code == 0
    world.api.settle()
    said = run("collect")
    assert (said.code, "credit balance" in said.err, "review-pipeline resume" in said.err) == (1, True, True)
    said = run("doctor")
    assert (said.code, "paused" in said.out) == (1, True)
    assert "1 pause" in run("resume").out
    assert run("doctor").code == 0


@pytest.mark.trap("cut_in_row")
def test_a_torn_download_is_told_and_collected_later(world: World, run: Run) -> None:
    world.script({"on": "results", "effect": "cut_in_row", "times": 3})
    assert run("audit", "acme").code == 0
    world.api.settle()
    said = run("collect")
    assert (said.code, "run the same command again" in said.err) == (3, True)
    assert run("collect").code == 0
    assert world.query("SELECT count(*) FROM coverage WHERE state = 'reviewed'") == [(3,)]


def test_a_locked_ledger_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    AuditLedger(LedgerDatabase(path)).last_event()
    ledger = AuditLedger(LedgerDatabase(path, lock_seconds=0.2))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"ledger\.sqlite is locked by another process \(waited 0\.2 s\)"):
            ledger.resume()
        other.execute("ROLLBACK")
    assert ledger.resume() == 0


@pytest.mark.parametrize("most_bytes", [1_000, 100_000, 300_000])
@pytest.mark.trap("disk_full")
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(world: World, run: Run, most_bytes: int) -> None:
    world.commit({"large.py": PYTHON + "# a comment that fills a line\n" * 12_000})
    full = subprocess.run(
        [sys.executable, "-c", "from review_pipeline.cli import main; main()", "audit", "acme"],
        cwd=ROOT,
        env={**world.environment(), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 3
    assert "Traceback" not in full.stderr
    assert re.search(r"not now: .*(cannot write|full or failing).*run the same command again", full.stderr, re.DOTALL)
    assert run("audit", "acme").code == 0
    world.api.settle()
    assert run("collect").code == 0
    assert sum(world.accepted()) == world.query("SELECT count(*) FROM requests")[0][0]
    assert world.query("SELECT count(*) FROM coverage WHERE state = 'reviewed'") == [(4,)]


def test_a_ledger_that_was_put_back_or_begun_anew_is_refused_before_anything_is_paid_again(
    world: World, run: Run
) -> None:
    ledger = world.home / "ledger.sqlite"
    assert run("audit", "acme").code == 0
    earlier = ledger.read_bytes()
    world.api.settle()
    assert run("collect").code == 0
    creations, findings = world.accepted(), world.findings()
    for restored in (None, earlier):
        for path in world.home.glob("ledger.sqlite*"):
            path.unlink()
        if restored is not None:
            ledger.write_bytes(restored)
        assert_refused_beforehand(run, "filled from another ledger", str(world.home), "start anew")
    assert (world.accepted(), world.findings()) == (creations, findings)


def test_a_history_begun_anew_is_filled_again(world: World, run: Run) -> None:
    assert run("audit", "acme").code == 0
    world.api.settle()
    assert run("collect").code == 0
    findings = world.findings()
    (world.home / "history.duckdb").unlink()
    assert "not there yet; the ledger has" in run("doctor").out
    assert run("collect").code == 0
    assert world.findings() == findings


@pytest.mark.parametrize("command", ["doctor", "collect", "audit"])
def test_a_home_that_is_no_folder_is_told_in_one_sentence(tmp_path: Path, run: Run, command: str) -> None:
    (tmp_path / "file").write_text("")
    said = run(command, *(["acme"] if command == "audit" else []), REVIEW_PIPELINE_HOME=str(tmp_path / "file"))
    assert "Traceback" not in said.out + said.err
    assert ("REVIEW_PIPELINE_HOME" in said.out + said.err, said.code) == (True, 1)


def test_the_doctor_writes_nothing(tmp_path: Path, run: Run) -> None:
    run("doctor", REVIEW_PIPELINE_HOME=str(tmp_path / "home"))
    assert not (tmp_path / "home").exists()


def test_an_impossible_schedule_is_found_by_the_doctor(world: World, run: Run) -> None:
    world.config.write_text('{"workloads": {"nightly_quality_audit": {"schedule": "99 1 * * *"}}}')
    said = run("doctor")
    assert (said.code, "'99 1 * * *' is no cron schedule" in said.out) == (1, True)


def test_a_query_answers_one_statement_and_in_json_that_others_can_read(world: World, run: Run) -> None:
    assert run("audit", "acme").code == 0
    assert "2 statements" in run("query", "SELECT 1; SELECT 2").err
    assert run("query", "SELEC 1").code == 1
    answer = run("query", "--json", "SELECT 1 / 0 AS none, ['nan'::DOUBLE, 1] AS list, DATE '2026-11-18' AS day")
    assert json.loads(answer.out) == [{"none": None, "list": [None, 1.0], "day": "2026-11-18"}]
    (world.home / "findings.duckdb").resolve().unlink()
    assert "points to a copy that is gone" in run("query", "SELECT 1").err
