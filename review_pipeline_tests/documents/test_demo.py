"""The one command of the README, on the documents of this repository: no key, real files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def command() -> list[str]:
    found = re.search(r"^\.venv/bin/review-pipeline (documents demo .*)$", README, re.MULTILINE)
    assert found
    return found[1].split()


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("ANTHROPIC_API_KEY", None)
    main = "from review_pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", main, *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=240
    )  # fmt: skip


def test_it_checks_the_documents_of_this_repository_and_goes_on_with_what_changed(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "var").mkdir()
    shown = {
        name: (ROOT / name).read_text() for name in ("README.md", "CHANGELOG.md", "config/document_policy.example.md")
    }
    for name, text in shown.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "old.txt").write_text("The summary is still to be written.\n")
    first = run(tmp_path, *command)
    assert first.returncode == 0, first.stderr
    assert "no model is called" in first.stderr
    assert "still to be written" in first.stdout
    (published,) = (tmp_path / "var" / "documents-demo").glob("findings.duckdb")
    with duckdb.connect(str(published), read_only=True) as db:
        rows = db.execute(
            "SELECT document, count(*), count(DISTINCT rule) FROM document_verdicts GROUP BY 1 ORDER BY 1"
        ).fetchall()
        explained = db.execute(
            "SELECT count(*) FROM document_verdicts WHERE explanation NOT LIKE '%no model was called%'"
        )
        assert explained.fetchall() == [(0,)]
        assert db.execute("SELECT DISTINCT anchor FROM document_verdicts WHERE passage <> ''").fetchall() == [
            ("exact",)
        ]
    assert rows == [
        ("CHANGELOG.md", 5, 5),
        ("README.md", 5, 5),
        ("old.txt", 5, 5),
    ]  # the policy is no document of its own
    assert "Offline analyser, no model was called" in (tmp_path / "var" / "matrix.html").read_text()

    (tmp_path / "old.txt").write_text("The summary is written.\n")
    second = run(tmp_path, *command)
    assert second.returncode == 0, second.stderr
    assert "1 files submitted" in " ".join(second.stdout.split())
    assert "2 files unchanged" in " ".join(second.stdout.split())
    told = run(tmp_path, "documents", "show", tmp_path.name, "--offline")
    assert told.returncode == 0, told.stderr
    assert "still to be written" not in told.stdout
