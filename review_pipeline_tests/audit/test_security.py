"""The weekly security audit: another question about the same files, with a kind of weakness for each finding."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from review_pipeline.core.audit import Cell
from review_pipeline.core.workloads import QUALITY, SECURITY, WORKLOADS, audit_name, parsed_audit
from review_pipeline_tests.audit.world import DAY, World

VULNERABLE = """\
import subprocess
import yaml


def read(path, Seen=[]):
    try:
        return yaml.load(open(path), Loader=yaml.Loader)
    except:
        pass


def remove(name: str) -> None:
    subprocess.run(f"rm -rf /srv/{name}", shell=True, check=True)
"""


@pytest.fixture
def bare(make: Callable[..., World]) -> World:
    return make()


def audit(world: World, day: int = 0) -> None:
    world.submit(day, audit_name(SECURITY, "acme"))
    world.finish()


def test_it_finds_weaknesses_and_nothing_else_and_names_their_kind(bare: World) -> None:
    bare.commit({"app.py": VULNERABLE})
    audit(bare)
    found = bare.query("SELECT DISTINCT category, cwe FROM findings ORDER BY cwe")
    assert found == [("security", "CWE-502"), ("security", "CWE-78")]
    assert bare.query("SELECT cwe, critical, worst_place FROM weaknesses ORDER BY cwe") == [
        ("CWE-502", 1, "app.py:7"),
        ("CWE-78", 1, "app.py:13"),
    ]
    assert bare.query("SELECT DISTINCT workload, model FROM cells") == [("weekly_security_audit", "claude-sonnet-5-5")]
    bare.assert_all_counted()


def test_the_same_file_is_asked_about_once_by_each_workload(bare: World) -> None:
    bare.commit({"app.py": VULNERABLE})
    bare.audit()
    audit(bare)
    assert bare.accepted() == [1, 1]
    audit(bare, day=7)
    assert bare.accepted() == [1, 1]


def test_a_weakness_that_both_audits_see_is_one_finding_and_keeps_its_kind(bare: World) -> None:
    bare.commit({"app.py": VULNERABLE})
    audit(bare)
    before = bare.query("SELECT fingerprint, cwe FROM findings WHERE category = 'security' ORDER BY 1")
    bare.audit(day=1)
    after = bare.query("SELECT fingerprint, cwe FROM findings WHERE category = 'security' ORDER BY 1")
    assert after == before
    assert bare.query("SELECT count(*) FROM findings WHERE category <> 'security' AND cwe IS NOT NULL") == [(0,)]


def test_an_answer_without_a_kind_or_with_an_invented_one_is_repaired_once(bare: World) -> None:
    bare.commit({"app.py": VULNERABLE})
    answer = (
        '{"findings": [{"anchor": "1#0000", "end_line": 1, "category": "security", "severity": "info", "confidence": 1,'
        ' "issue": "i", "suggestion": "s", "evidence": "import subprocess", "cwe": "very bad"}]}'
    )
    bare.script({"on": "request", "effect": "text", "text": answer, "times": 1})
    audit(bare)
    assert bare.attempts() == [("first", "bad_output"), ("repaired", "ok")]


def test_an_answer_of_the_quality_audit_needs_no_kind(bare: World) -> None:
    bare.commit({"app.py": VULNERABLE})
    bare.audit()
    assert bare.attempts() == [("first", "ok")]


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda one: one.name)
@pytest.mark.parametrize("repo", ["acme", "2nd", "nightly-acme", "security2-x"])
@pytest.mark.parametrize("number", [1, 2, 31])
def test_an_audits_name_tells_its_workload_and_repository(workload, repo, number):
    assert parsed_audit(audit_name(workload, repo, number)) == (workload, repo)


def test_names_of_earlier_versions_are_still_read_and_others_are_refused():
    assert parsed_audit("adhoc2-acme") == (QUALITY, "acme")
    assert parsed_audit("acme") is None
    assert str(Cell(audit_name(SECURITY, "acme"), DAY)) == "security-acme|2026-11-16"
