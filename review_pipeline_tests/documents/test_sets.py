"""Sets of documents: configured, in folders and in git, seen by doctor, Dagster and the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from review_pipeline.adapters.documents import DocumentFolder, blob_of
from review_pipeline.cli import app
from review_pipeline.core.selection import SelectionRules
from review_pipeline.ports import Refused
from review_pipeline.settings import Config
from review_pipeline.wiring import Pipeline
from review_pipeline_tests.audit.world import World, git
from review_pipeline_tests.documents.conftest import Office, open_office
from review_pipeline_tests.documents.files import pdf


def test_a_set_may_move_into_git_and_is_not_asked_again(office: Office) -> None:
    files: dict[str, str | bytes] = {"a.md": "Contact: us.\n", "b.pdf": pdf([["kept for a year"]])}
    office.put(files)
    office.check()
    before = office.verdicts()
    git(office.folder, "init", "-q")
    git(office.folder, "add", "-A")
    git(office.folder, "commit", "-q", "-m", "documents")
    (office.folder / "a.md").write_text("not committed\n")
    entry = {"name": "records", "path": "records", "policy": "policy.md", "ref": "HEAD"}
    office.world.configure(document_sets=[entry], repositories=[])
    assert office.check(day=1) == {"unchanged": 2}
    assert office.verdicts() == before


def test_patterns_choose_and_what_they_leave_out_is_counted(make: Callable[..., World]) -> None:
    entry = {"name": "records", "path": "records", "policy": "policy.md", "include": ["*.md"], "exclude": ["drafts/"]}
    office = open_office(make)
    office.world.configure(document_sets=[entry], repositories=[])
    office.put({"a.md": "Contact: us.\n", "drafts/b.md": "kept for ever\n", "c.txt": "kept for ever\n"})
    assert office.check() == {"submitted": 1, "skipped: excluded": 2}
    assert {document for document, _ in office.verdicts()} == {"a.md"}


def test_a_file_in_the_folder_has_the_name_that_git_gives_it(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"text\n")
    told = subprocess.run(["git", "hash-object", str(tmp_path / "a.md")], capture_output=True, text=True, check=True)
    folder = DocumentFolder(tmp_path, SelectionRules())
    (entry,) = folder.tree(folder.resolve("").commit)
    assert entry.blob == blob_of(b"text\n") == told.stdout.strip()


def test_a_document_that_changes_between_listing_and_reading_is_not_judged_under_the_old_name(tmp_path: Path) -> None:
    from review_pipeline.adapters.documents import DocumentReading

    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text("before\n")
    folder = DocumentFolder(tmp_path, SelectionRules())
    entries = list(folder.tree(folder.resolve("").commit))
    (tmp_path / "a.md").write_text("after\n")
    (tmp_path / "b.md").unlink()
    (tmp_path / "c.md").unlink()
    (tmp_path / "c.md").symlink_to("/etc/hostname")
    read = list(DocumentReading().texts(folder, entries, SelectionRules()))
    assert [getattr(one, "reason", None) for one in read] == ["unreadable"] * 3


def test_the_policy_is_the_shared_part_that_is_cached_and_gives_every_rule_room_in_the_answer(office: Office) -> None:
    rules = "".join(f"## R{n}: Rule {n}\n{'What it says. ' * 40}\n" for n in range(1, 61))
    office.policy.write_text(rules)
    office.put({f"{n}.md": f"Document {n}.\n" for n in range(30)})
    office.check()
    (submission,) = office.world.ledger.submissions()
    sent = [request["params"] for request in office.world.sent(submission)]
    assert len({json.dumps([one["system"], one["output_config"]]) for one in sent}) == 1
    assert rules.strip() in sent[0]["system"][0]["text"]
    assert sent[0]["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert sent[0]["max_tokens"] == 15_000
    assert len(office.verdicts()) == 30 * 60


def test_a_missing_folder_and_a_faulty_policy_are_told_before_anything_is_planned(office: Office) -> None:
    office.policy.write_text("## R1 No colon\n")
    with pytest.raises(Refused, match=r"2 fault\(s\)"):
        office.check()
    office.policy.unlink()
    with pytest.raises(Refused, match=r"policy\.md of 'records' cannot be read"):
        office.check()
    assert not office.world.ledger.submissions()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"document_sets": [{"name": "a", "path": "."}]}, "policy"),
        ({"document_sets": [{"name": "a b", "path": ".", "policy": "p"}]}, "pattern"),
        ({"document_sets": [{"name": "a", "path": ".", "policy": "p", "include": ["!"]}]}, "not a pattern"),
        ({"document_sets": [{"name": "a", "path": ".", "policy": "p"}] * 2}, "called a"),
        ({"repositories": [{"name": "a", "path": "."}], "document_sets": [{"name": "a", "path": ".", "policy": "p"}]}, "called a"),
        ({"workloads": {"document_compliance": {"model": "none-such"}}}, "unknown model"),
        ({"workloads": {"document_compliance": {"needs_tools": True}}}, "document_compliance"),
    ],
)  # fmt: skip
def test_a_faulty_configuration_is_refused(config: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config.model_validate(config)


@pytest.fixture
def in_environment(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    for name, value in office.world.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(office.folder.parent)
    return office


def test_doctor_counts_documents_and_rules_and_tells_a_policy_that_is_wrong(in_environment: Office) -> None:
    from review_pipeline.doctor import examine

    in_environment.put({"a.md": "x\n", "b.exe": "x"})
    told = {one.name: one for one in examine()}
    assert told["documents records"].said == "1 documents, 3 rules in policy.md"
    assert told["schedule of document_compliance"].state == "ok"
    in_environment.policy.write_text("nothing\n")
    assert {one.name: one.state for one in examine()}["documents records"] == "fail"


def test_the_command_line_checks_shows_and_writes_a_matrix(in_environment: Office) -> None:
    in_environment.put(
        {"a.md": "kept for ever [bold]\n<script>alert(1)</script>\n", "scan.pdf": pdf([[]], picture_on=[0])}
    )
    run = CliRunner().invoke
    before = run(app, ["documents", "show", "records"])
    assert isinstance(before.exception, Refused)
    done = run(app, ["audit", "records", "--workload", "document_compliance", "--day", "2026-11-16"])
    assert done.exit_code == 0, done.output
    assert "1 files submitted" in " ".join(done.output.split())
    in_environment.world.finish()
    html, markdown = in_environment.folder.parent / "m.html", in_environment.folder.parent / "m.md"
    shown = run(app, ["documents", "show", "records", "--matrix", str(html)])
    assert "kept for ever [bold]" in shown.output
    assert "1 skipped" in shown.output
    page = html.read_text()
    assert "offline analyser, no model was called" in page.lower()
    assert "kept for ever" in page
    assert "<script>" not in page
    assert run(app, ["documents", "show", "records", "--matrix", str(markdown)]).exit_code == 0
    assert "| a\\.md | violations | ✓ | ✗ | ○ |" in markdown.read_text()
    assert "| scan.pdf | skipped: no_text: none of its 1 page(s)" in markdown.read_text().replace("\\", "")
    told = json.loads(run(app, ["documents", "show", "records", "--json"]).output)
    assert {one["verdict"] for one in told["verdicts"] if one["document"] == "scan.pdf"} == {"unread"}
    assert isinstance(run(app, ["documents", "show", "records", "--matrix", "m.txt"]).exception, Refused)
    assert isinstance(run(app, ["documents", "show", "others"]).exception, Refused)


def test_dagster_asks_for_every_set_when_it_is_due_and_does_the_trip(in_environment: Office) -> None:
    from review_pipeline.definitions import defs
    from review_pipeline.defs.audit import batch_submissions

    in_environment.put({"a.md": "kept for ever\n"})
    schedule = defs.resolve_schedule_def("document_checks")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 11, 22, 3, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        ticked = schedule.evaluate_tick(context)
        assert [one.partition_key for one in ticked.run_requests or ()] == ["documents-records|2026-11-22"]
        made = dg.materialize([batch_submissions], instance=instance, partition_key="documents-records|2026-11-22")
        assert made.success
    in_environment.world.finish()
    assert in_environment.verdicts()["a.md", "R2"] == "violated"


def test_without_sets_the_schedule_says_so(make: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    from review_pipeline.definitions import defs

    world = make()
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 11, 22, 3, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        assert "no sets of documents" in (
            defs.resolve_schedule_def("document_checks").evaluate_tick(context).skip_message or ""
        )


def test_a_set_that_is_no_longer_configured_is_told_by_name(office: Office) -> None:
    pipeline: Pipeline = office.world.pipeline
    with pytest.raises(Refused, match="no set of documents is called 'others'"):
        pipeline.asked_by(office.world.cell(0, "documents-others"))
