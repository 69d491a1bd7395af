"""The workflow and its reader: files in their place, sentences for people, and light imports."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from review_pipeline.adapters.analyst import Analyst
from review_pipeline.ports import Refused, Unavailable
from review_pipeline.workflows.weekly_report import WeeklyReport, covers_week, write_weekly_report
from review_pipeline_tests.weekly_report.conftest import WEEK, days
from review_pipeline_tests.weekly_report.history import HistoryOfTest

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)


def test_the_report_lies_under_its_week_and_under_latest(six_weeks: Analyst, tmp_path: Path) -> None:
    report = write_weekly_report(WEEK, six_weeks, tmp_path / "reports", now=NOW, offline=False)
    assert report.path == tmp_path / "reports" / "weekly-2026-11-16.html"
    assert (tmp_path / "reports" / "latest.html").read_bytes() == report.path.read_bytes()
    assert sorted(file.name for file in report.path.parent.iterdir()) == ["latest.html", "weekly-2026-11-16.html"]
    assert (report.open_findings, report.opened, report.fixed, report.audits, report.waiting) == (5, 1, 1, 3, 1)
    assert sum(report.files.values()) == 10
    assert report.audit_days == (days(6), days(6, 1), days(6, 2))


def test_an_old_week_written_again_does_not_become_the_latest(six_weeks: Analyst, tmp_path: Path) -> None:
    newest = write_weekly_report(WEEK, six_weeks, tmp_path, now=NOW, offline=False)
    write_weekly_report(days(5), six_weeks, tmp_path, now=NOW, offline=False)
    assert (tmp_path / "latest.html").read_bytes() == newest.path.read_bytes()


def test_the_same_report_again_replaces_the_page(six_weeks: Analyst, tmp_path: Path) -> None:
    first = write_weekly_report(WEEK, six_weeks, tmp_path, now=NOW, offline=True)
    second = write_weekly_report(WEEK, six_weeks, tmp_path, now=NOW, offline=False)
    assert first.path == second.path
    assert "Offline analyser" not in second.path.read_text(encoding="utf-8")


def test_a_week_begins_on_a_monday(six_weeks: Analyst, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2026-11-17 is no Monday; its week begins on 2026-11-16"):
        write_weekly_report(date(2026, 11, 17), six_weeks, tmp_path, now=NOW, offline=False)


def test_a_folder_that_takes_no_file_is_told_with_its_name(six_weeks: Analyst, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    with pytest.raises(Unavailable, match=r"cannot write .*weekly-2026-11-16\.html"):
        write_weekly_report(WEEK, six_weeks, tmp_path / "reports", now=NOW, offline=False)


UNANSWERED = (
    "1 file still waits for results",
    "1 file failed: no answer could be used",
    "1 file reviewed only in part",
)


def test_days_without_an_audit_and_files_without_an_answer_are_not_covered(six_weeks: Analyst, tmp_path: Path) -> None:
    report = write_weekly_report(WEEK, six_weeks, tmp_path, now=NOW, offline=False)
    missed = tuple(f"no audit on 2026-11-{day}" for day in (19, 20, 21, 22))
    assert covers_week(report, WEEK, NOW) == (*missed, *UNANSWERED)
    assert covers_week(report, WEEK, datetime(2026, 11, 21, tzinfo=UTC)) == (*missed[:2], *UNANSWERED)
    assert covers_week(report, WEEK, datetime(2026, 11, 18, 9, tzinfo=UTC)) == UNANSWERED


@pytest.mark.parametrize(
    ("waiting", "files", "said"),
    [
        (0, {"reviewed": 9, "skipped": 3, "unchanged": 2}, ()),
        (3, {"waiting": 3}, ("3 files still wait for results",)),
        (0, {"failed": 1200}, ("1,200 files failed: no answer could be used",)),
        (0, {"partly_reviewed": 2}, ("2 files reviewed only in part",)),
    ],
)
def test_a_week_is_covered_when_every_day_and_every_file_is(
    waiting: int, files: dict[str, int], said: tuple[str, ...]
) -> None:
    every_day = tuple(days(6, day) for day in range(7))
    report = WeeklyReport(Path("weekly.html"), "", b"", 0, 0, 0, files, waiting, 7, every_day, days(1))
    assert covers_week(report, WEEK, NOW) == said


def test_days_before_the_first_audit_ever_are_not_missed(history: HistoryOfTest, tmp_path: Path) -> None:
    history.audit(days(6, 5), "acme-api", {"README.md": "skipped: not_source: no code"})
    reader = Analyst(history.close(datetime(2026, 11, 23)))  # noqa: DTZ001
    report = write_weekly_report(WEEK, reader, tmp_path, now=NOW, offline=False)
    assert covers_week(report, WEEK, NOW) == ("no audit on 2026-11-22",)


def test_a_history_that_does_not_exist_yet_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"there is no .*findings\.duckdb yet.*first audit"):
        write_weekly_report(WEEK, Analyst(tmp_path / "findings.duckdb"), tmp_path, now=NOW, offline=False)


def test_a_history_without_our_views_says_how_to_publish_it_again(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "findings.duckdb")).close()
    with pytest.raises(Refused, match=r"published by another version.*Publish it again"):
        Analyst(tmp_path / "findings.duckdb").frame("week_standing", week=WEEK)


def test_a_history_that_another_process_writes_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "findings.duckdb"
    hold = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = (sys.executable, "-c", hold, str(path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(Unavailable, match=r"cannot open .*Close the program that holds it for writing"):
            Analyst(path).frame("week_standing", week=WEEK)
        holder.communicate()


def test_the_history_is_never_written(six_weeks: Analyst) -> None:
    with pytest.raises(Refused, match="read-only"):
        six_weeks.query("CREATE TABLE mine (n INTEGER)")


def test_importing_the_workflow_and_its_reader_costs_nothing() -> None:
    script = (
        "import sys, review_pipeline.workflows.weekly_report, review_pipeline.adapters.analyst\n"
        "print(sorted({'pandas', 'matplotlib', 'duckdb', 'jinja2', 'numpy'} & set(sys.modules)))"
    )
    told = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
