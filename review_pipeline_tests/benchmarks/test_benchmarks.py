import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.child import ROOT
from benchmarks.data import COMMIT, GeneratedRepository, content_of
from benchmarks.forge import Asked, serving
from benchmarks.measure import BENCHMARKS
from review_pipeline.adapters.github.auth import TokenCredentials
from review_pipeline.adapters.github.client import GitHubClient
from review_pipeline.ports import Gone


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_small_run_holds_its_assertions_and_prints_a_ratio(name):
    command = [sys.executable, "-m", "benchmarks", "--small", "--only", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split()[:4] == ["benchmark", "baseline", "ours", "ratio"]
    assert rows
    assert any(re.search(r"\d(\.\d+)?x ", row) for row in rows)
    assert all(row.startswith(name) for row in rows)


def test_a_failed_child_stops_the_run(tmp_path: Path):
    from benchmarks.child import measured

    with pytest.raises(RuntimeError, match="its words are above"):
        measured("results_to_findings:bare_query", str(tmp_path), str(tmp_path))


def test_the_forge_in_another_process_tells_what_it_was_asked(tmp_path: Path):
    with serving("many", str(tmp_path), 1, 1) as forge:
        client = GitHubClient(forge.url, TokenCredentials(forge.secret))
        before = forge.asked()
        assert client.get("repos/acme/r0000").status == 200
        assert forge.asked().since(before) == Asked(requests=1, writes=0, wrong=0)
        with pytest.raises(Gone):
            client.get("repos/acme/ghost")
        assert forge.asked().since(before) == Asked(requests=2, writes=0, wrong=1)


def test_the_generated_files_are_the_same_each_time():
    first, second = (list(GeneratedRepository(3).tree(COMMIT)) for _ in range(2))
    assert first == second
    assert [entry.bytes for entry in first] == [len(content_of(number)) for number in range(3)]
