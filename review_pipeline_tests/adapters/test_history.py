import re
import stat
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from review_pipeline.adapters.history import History
from review_pipeline.core.audit import Event
from review_pipeline.core.finding import Category, line_key
from review_pipeline.ports import Refused, Unavailable
from review_pipeline_tests.nights import THRESHOLDS, Nights
from review_pipeline_tests.results import Asked, Line, answer, claim, ended, errored, found, succeeded

LINES = ("import os", "def read(path):", "    return open(path).read()", "x = 1")
ASKED = Asked("a1", LINES, blob="v1")


def again(number: int, lines: tuple[str, ...] = LINES, blob: str | None = None) -> Asked:
    """The same file, asked about on a later day in another version."""
    keys = tuple({line_key(line) for line in lines})
    return Asked(f"a{number}", lines, blob=blob or f"v{number}", line_keys=keys)


WITHOUT_LINE_3 = (*LINES[:2], "    return None", LINES[3])
OTHER_CHANGE = (*LINES[:3], "x = 2")


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def query(nights: Nights, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(nights.history.publish()), read_only=True) as db:
        return db.execute(sql).fetchall()


def events(nights: Nights) -> list[object]:
    return [row[0] for row in query(nights, "SELECT event FROM finding_events ORDER BY event_at, event")]


def status(nights: Nights) -> list[tuple[object, ...]]:
    return query(nights, "SELECT status FROM findings ORDER BY start_line")


def tables(nights: Nights) -> dict[str, list[tuple[object, ...]]]:
    names = ("cells", "files", "requests", "outcomes", "batches", "findings", "finding_events")
    return {name: query(nights, f"FROM {name} ORDER BY ALL") for name in names}


# -- applying


def test_an_event_that_comes_twice_counts_once(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    before = tables(nights)
    assert nights.apply() == 0
    assert (
        History(nights.history.published.parent, Path("unused"), THRESHOLDS).apply(tuple(nights.events), nights.now)
        == 0
    )
    assert tables(nights) == before
    assert nights.history.applied() == 2


def test_an_empty_history_has_applied_nothing(nights):
    assert nights.history.applied() == 0
    assert nights.history.apply((), nights.now) == 0


def test_events_are_applied_in_order_and_only_new_ones(nights):
    nights.plan(0, [ASKED])
    assert nights.apply() == 1
    nights.collect(0, [ASKED], [found(ASKED, 3)])
    nights.plan(1)
    assert nights.apply() == 2
    assert nights.history.applied() == 3
    assert query(nights, "SELECT seq FROM applied") == [(3,)]


class CutOff(Exception):
    """The process that applies dies here."""


class CutOffEvent(Event):
    """Is good until it is read."""

    @property
    def payload(self):
        raise CutOff


def test_a_crash_while_applying_leaves_mark_and_rows_as_they_were(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    before = tables(nights)
    nights.plan(1, [again(2)])
    nights.collect(1, [again(2)], [found(again(2), 3)])
    deadly = object.__new__(CutOffEvent)
    object.__setattr__(deadly, "seq", 5)
    object.__setattr__(deadly, "kind", "batch_collected")
    with pytest.raises(CutOff):
        nights.history.apply((*nights.events, deadly), nights.now)
    assert nights.history.applied() == 2
    assert tables(nights) == before
    assert nights.apply() == 2
    assert nights.history.applied() == 4


def test_a_process_killed_while_applying_leaves_mark_and_rows_as_they_were(nights, tmp_path):
    """kill -9 between the statements of a transaction: the file is opened again as if nothing had been said."""
    nights.audit(0, ASKED, found(ASKED, 3))
    code = (
        "import duckdb, os, sys; db = duckdb.connect(sys.argv[1]); db.execute('BEGIN');"
        "db.execute('DELETE FROM applied'); db.execute('DELETE FROM findings'); os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "history.duckdb")], check=False)
    assert killed.returncode == 9
    assert nights.history.applied() == 2
    assert query(nights, "SELECT count(*) FROM findings") == [(1,)]


def test_an_event_of_a_kind_that_is_not_known_is_refused_and_not_passed_over(nights):
    strange = Event(1, "pull_request_reviewed", {}, nights.now)
    with pytest.raises(Refused, match=r"'pull_request_reviewed'.*newer"):
        nights.history.apply((strange,), nights.now)
    assert nights.history.applied() == 0


# -- the life of a finding


def test_a_finding_opens_once_and_is_seen_again(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    nights.audit(1, again(2, OTHER_CHANGE), found(again(2, OTHER_CHANGE), 3))
    assert events(nights) == ["opened", "seen"]
    assert query(nights, "SELECT status, first_cell, last_cell, last_custom_id, blob FROM findings") == [
        ("open", "nightly-acme-api|2026-11-16", "nightly-acme-api|2026-11-17", "a2", "v2")
    ]


def test_a_finding_that_moves_keeps_its_identity_and_gets_its_new_line(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    moved = again(2, ("", "", *LINES))
    nights.audit(1, moved, found(moved, 5))
    assert query(nights, "SELECT start_line, status FROM findings") == [(5, "open")]


def test_a_finding_is_fixed_when_its_code_is_gone(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    nights.audit(1, again(2, WITHOUT_LINE_3), succeeded(again(2)))
    assert events(nights) == ["opened", "fixed"]
    assert query(nights, "SELECT status, status_reason FROM findings") == [
        ("fixed", "the code it was about is no longer in the file")
    ]


@pytest.mark.parametrize("evidence", ["open(path)", "def read(path):\n    return open(path).read()", "x   = 1"])
def test_absence_is_not_a_fix(nights, evidence):
    """The model did not say it again, but the code is still there; however much of it was quoted."""
    number = next(n for n, line in enumerate(LINES, 1) if evidence.split("\n")[0].split(" ")[0] in line)
    said = claim(ASKED.label(number), evidence, end_line=number)
    nights.audit(0, ASKED, succeeded(ASKED, answer(said)))
    changed = again(2, ("import sys", *LINES[1:]))
    nights.audit(1, changed, succeeded(changed))
    assert events(nights) == ["opened"]
    assert status(nights) == [("open",)]


def test_an_answer_about_the_same_version_ends_nothing(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    same = again(2, WITHOUT_LINE_3, blob="v1")
    nights.audit(1, same, succeeded(same))
    assert status(nights) == [("open",)]


def test_a_failed_answer_ends_nothing(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    changed = again(2, WITHOUT_LINE_3)
    nights.audit(1, changed, errored(changed, "overloaded_error"))
    assert status(nights) == [("open",)]


def test_another_file_ends_nothing(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    other = replace(again(2, WITHOUT_LINE_3), path="src/other.py")
    nights.audit(1, other, succeeded(other))
    assert status(nights) == [("open",)]


def test_a_fixed_finding_that_comes_back_is_reopened(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    nights.audit(1, again(2, WITHOUT_LINE_3), succeeded(again(2)))
    nights.audit(2, again(3), found(again(3), 3))
    assert events(nights) == ["opened", "fixed", "reopened"]
    assert query(nights, "SELECT status, status_reason FROM findings") == [("open", "found again")]


def test_a_finding_without_a_verified_line_cannot_be_verified_once_the_file_changes(nights):
    nights.audit(0, ASKED, succeeded(ASKED, answer(claim("1#0000", "somewhere"))))
    changed = again(2, OTHER_CHANGE)
    nights.audit(1, changed, succeeded(changed))
    assert events(nights) == ["opened", "not_verifiable"]
    nights.audit(2, again(3), succeeded(again(3), answer(claim("1#0000", "somewhere"))))
    assert events(nights) == ["opened", "not_verifiable", "reopened"]


def test_findings_of_a_removed_file_are_fixed_once(nights):
    nights.audit(0, ASKED, found(ASKED, 1, 3))
    for day in (1, 2):
        nights.plan(day, removed=[ASKED.path])
    nights.apply()
    assert events(nights) == ["opened", "opened", "fixed", "fixed"]
    assert query(nights, "SELECT DISTINCT status, status_reason FROM findings") == [("fixed", "the file was removed")]


def dismiss(nights: Nights) -> None:
    with duckdb.connect(str(nights.history.published.parent / "history.duckdb")) as db:
        db.execute("UPDATE findings SET status = 'dismissed', status_reason = 'false positive'")


def test_a_dismissed_finding_stays_dismissed_whatever_is_said_about_it(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    dismiss(nights)
    reworded = again(2, OTHER_CHANGE)
    louder = reworded.claim(3, issue="It REALLY breaks.", severity="critical")
    nights.audit(1, reworded, succeeded(reworded, answer(louder)))
    nights.audit(2, again(3, WITHOUT_LINE_3), succeeded(again(3)))
    nights.audit(3, again(4), found(again(4), 3))
    nights.plan(4, removed=[ASKED.path])
    nights.apply()
    assert query(nights, "SELECT status, status_reason FROM findings") == [("dismissed", "false positive")]


# -- late results


def test_late_results_of_an_older_day_do_not_overwrite_a_newer_one(nights):
    nights.plan(0, [ASKED])
    nights.audit(1, again(2), succeeded(again(2), answer(again(2).claim(3, issue="new words"))))
    nights.collect(0, [ASKED], [succeeded(ASKED, answer(ASKED.claim(3, issue="old words")))])
    nights.apply()
    assert query(nights, "SELECT issue, blob, last_custom_id FROM findings") == [("new words", "v2", "a2")]
    assert query(nights, "SELECT event, event_date::VARCHAR FROM finding_events ORDER BY event_at") == [
        ("opened", "2026-11-17"),
        ("seen", "2026-11-16"),
    ]


def test_late_results_of_an_older_day_do_not_reopen_what_a_newer_day_saw_fixed(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    late = again(2, OTHER_CHANGE)
    nights.plan(1, [late])
    nights.audit(2, again(3, WITHOUT_LINE_3), succeeded(again(3)))
    nights.collect(1, [late], [found(late, 3)])
    nights.apply()
    assert status(nights) == [("fixed",)]
    assert events(nights) == ["opened", "fixed", "seen"]


def test_late_results_of_an_older_day_do_not_end_what_a_newer_day_saw(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    late = again(2, WITHOUT_LINE_3)
    nights.plan(1, [late])
    nights.audit(2, again(3), found(again(3), 3))
    nights.collect(1, [late], [succeeded(late)])
    nights.apply()
    assert status(nights) == [("open",)]


def test_the_cost_of_a_finding_is_the_sum_of_what_was_paid_for_it(nights):
    nights.plan(0, [ASKED])
    nights.audit(1, again(2), found(again(2), 3))
    nights.collect(0, [ASKED], [found(ASKED, 3)])
    nights.apply()
    assert query(nights, "SELECT cost_usd FROM findings") == [(Decimal("0.0002"),)]


# -- doubled claims


def test_claims_about_one_line_and_one_kind_of_fault_become_one_finding_with_all_words(nights):
    claims = [
        ASKED.claim(3, severity="info", confidence=1.0, issue="Leaks a file.", suggestion="Use with."),
        ASKED.claim(3, severity="critical", confidence=0.6, issue="No encoding.", category="data_flow"),
        ASKED.claim(3, severity="critical", confidence=0.5, issue="No encoding."),
    ]
    nights.audit(0, ASKED, succeeded(ASKED, answer(*claims)))
    (row,) = query(nights, "SELECT severity, confidence, category, issue, suggestion, cost_usd, route FROM findings")
    assert row[:3] == ("critical", 0.6, "data_flow")
    assert row[3:5] == ("Leaks a file. No encoding.", "Mend it. Use with.")
    assert row[5:] == (Decimal("0.000099999"), "human")
    assert events(nights) == ["opened"]


def test_claims_about_different_lines_or_kinds_stay_apart(nights):
    claims = [ASKED.claim(3), ASKED.claim(3, category="security"), ASKED.claim(4)]
    nights.audit(0, ASKED, succeeded(ASKED, answer(*claims)))
    assert query(nights, "SELECT count(*), count(DISTINCT fingerprint) FROM findings") == [(3, 3)]


def test_a_finding_seen_from_two_overlapping_pieces_of_a_file_is_one(nights):
    top = replace(ASKED, first=1, last=3)
    rest = replace(ASKED, custom_id="a1b", first=3, last=4, root="a1")
    nights.plan(0, [top, rest])
    nights.collect(0, [top, rest], [found(top, 3), found(rest, 3)])
    nights.apply()
    assert query(nights, "SELECT start_line FROM findings") == [(3,)]


# -- pieces


def chunked(day_blob: str = "v2") -> tuple[Asked, Asked, Asked]:
    whole = again(2, WITHOUT_LINE_3, blob=day_blob)
    top = replace(whole, custom_id="a2t", last=2, parent="a2", root="a2", attempt=2, line_keys=None)
    rest = replace(top, custom_id="a2r", first=3, last=4)
    return whole, top, rest


def test_a_file_in_pieces_ends_a_finding_only_when_every_piece_was_reviewed(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    whole, top, rest = chunked()
    nights.plan(1, [whole])
    nights.collect(1, [whole], [errored(whole, "invalid_request_error", "prompt is too long: 3 > 2")])
    nights.plan(1, [top, rest], round_=1)
    nights.collect(1, [top], [succeeded(top)], round_=1)
    nights.apply()
    assert status(nights) == [("open",)]
    nights.collect(1, [rest], [succeeded(rest)], round_=2)
    nights.apply()
    assert status(nights) == [("fixed",)]


def test_a_file_with_a_piece_that_failed_ends_nothing(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    whole, top, rest = chunked()
    nights.plan(1, [whole])
    nights.collect(1, [whole], [errored(whole, "invalid_request_error", "prompt is too long: 3 > 2")])
    nights.plan(1, [top, rest], round_=1)
    nights.collect(1, [top, rest], [succeeded(top), ended(rest, "expired")], round_=1)
    nights.apply()
    assert status(nights) == [("open",)]
    assert query(nights, "SELECT state, reason FROM coverage WHERE audit_date = '2026-11-17'") == [
        ("partly_reviewed", "expired")
    ]


# -- routes


@pytest.mark.parametrize(
    ("confidence", "route"), [(0.7, "developer"), (1, "developer"), (0.699, "human"), (0, "human")]
)
def test_what_is_sure_enough_goes_to_the_developer(nights, confidence, route):
    nights.audit(0, ASKED, succeeded(ASKED, answer(ASKED.claim(3, confidence=confidence))))
    assert query(nights, "SELECT route FROM findings") == [(route,)]


def test_a_category_without_a_threshold_goes_to_a_human_and_is_not_lost(tmp_path):
    nights = Nights(tmp_path)
    nights.history = History(tmp_path, tmp_path / "spool", {Category.SECURITY.value: 0.1})
    nights.audit(0, ASKED, found(ASKED, 3))
    assert query(nights, "SELECT route FROM findings") == [("human",)]


# -- what analysts open


def test_a_published_copy_is_read_only_and_behind_a_link(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    published = nights.history.publish()
    assert published == nights.history.published
    assert published.is_symlink()
    assert not published.readlink().is_absolute()
    assert stat.S_IMODE(published.stat().st_mode) == 0o444


def test_publishing_flips_the_link_and_a_reader_keeps_its_copy(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    with duckdb.connect(str(nights.history.publish().resolve()), read_only=True) as reader:
        nights.audit(1, again(2, OTHER_CHANGE), found(again(2, OTHER_CHANGE), 1, 3))
        for _ in range(4):
            nights.history.publish()
        assert reader.execute("SELECT count(*) FROM findings").fetchone() == (1,)
    assert query(nights, "SELECT count(*) FROM findings") == [(2,)]


def test_a_stray_wal_beside_the_published_file_is_harmless(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    published = nights.history.publish()
    published.with_name("findings.duckdb.wal").write_bytes(b"left by a reader that was killed")
    nights.audit(1, again(2, OTHER_CHANGE), found(again(2, OTHER_CHANGE), 1, 3))
    assert query(nights, "SELECT count(*) FROM findings") == [(2,)]


def test_three_copies_are_kept_and_nothing_of_a_killed_publisher(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    copies = nights.history.published.parent / "published"
    copies.mkdir()
    (copies / "findings-1-dead.part").write_bytes(b"half a copy")
    named = [nights.history.publish().resolve() for _ in range(5)]
    assert sorted(copies.iterdir()) == sorted(named[-3:])
    assert not list(nights.history.published.parent.glob("*.link"))


def test_every_table_and_view_says_what_one_row_is(nights):
    nights.history.applied()
    described = query(
        nights,
        "SELECT table_name, comment FROM duckdb_tables() WHERE table_name <> 'migrations'"
        " UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal",
    )
    assert {name for name, _ in described} >= {"findings", "coverage", "open_findings", "batch_costs", "failures"}
    assert [name for name, comment in described if not re.match(r"(All|One row)\b.*\.$", comment or "")] == []


def test_every_view_can_be_queried(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    for (view,) in query(nights, "SELECT view_name FROM duckdb_views() WHERE NOT internal"):
        query(nights, f"FROM {view}")


def test_views_are_made_again_so_that_a_newer_program_publishes_its_own(nights):
    nights.audit(0, ASKED, found(ASKED, 3))
    with duckdb.connect(str(nights.history.published.parent / "history.duckdb")) as db:
        db.execute("CREATE OR REPLACE VIEW open_findings AS SELECT 'of an older program' AS repo")
    assert query(nights, "SELECT repo FROM open_findings") == [("acme/api",)]


# -- what the prompt cache did


def written(one: Asked, *, read: int = 0, hour: int = 0, plain: int = 10) -> Line:
    usage = {
        "input_tokens": plain,
        "output_tokens": 5,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": hour,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": hour},
    }
    return succeeded(one, usage=usage)


def test_writes_that_nobody_read_are_a_loss_and_not_nothing(nights):
    asked = [replace(ASKED, custom_id=name, path=f"{name}.py") for name in "abcd"]
    nights.plan(0, asked)
    lost = [written(one, hour=1_000) for one in asked[:2]]
    nights.collect(0, asked, [*lost, written(asked[2], read=1_000, hour=100), errored(asked[3], "api_error")])
    nights.apply()
    # 2,100 x (0.10 - 0.20) and 1,000 x (0.10 - 0.01), half of it, USD a million; who reads and writes is a hit
    assert query(
        nights,
        "SELECT answers, hits, writes, hit_share, read_tokens, written_tokens, plain_tokens, saved_usd FROM batch_caching",
    ) == [(3, 1, 2, 0.333, 1_000, 2_100, 30, Decimal("-0.000060"))]


def test_a_spool_file_of_before_the_cache_was_accounted_is_applied(nights):
    """Its batch asked for no caching, so that nothing was saved."""
    nights.plan(0, [ASKED])
    nights.collect(0, [ASKED], [found(ASKED, 3)])
    outcomes = nights.spool.path(str(nights.events[-1].payload["outcomes"]))
    older = outcomes.with_suffix(".older")
    duckdb.execute(f"COPY (SELECT * EXCLUDE (cache_saved_usd) FROM '{outcomes}') TO '{older}' (FORMAT parquet)")
    older.replace(outcomes)
    nights.apply()
    assert query(nights, "SELECT class, findings, cache_saved_usd FROM outcomes") == [("ok", 1, Decimal(0))]
    assert query(nights, "SELECT hits, hit_share, saved_usd FROM batch_caching") == [(0, None, Decimal(0))]


def test_a_history_of_before_the_cache_was_accounted_is_carried_on(nights, tmp_path):
    nights.audit(0, ASKED, found(ASKED, 3))
    with duckdb.connect(str(tmp_path / "history.duckdb")) as db:  # as the program before left it
        db.execute("DROP VIEW batch_caching")
        db.execute("ALTER TABLE outcomes DROP COLUMN cache_saved_usd")
        db.execute("DELETE FROM migrations WHERE name LIKE '%caching%'")
    asked = again(2, OTHER_CHANGE)
    nights.audit(1, asked, written(asked, read=1_000))
    assert query(nights, "SELECT cache_saved_usd FROM outcomes ORDER BY collected_at") == [
        (Decimal(0),),
        (Decimal("0.000045"),),
    ]


# -- what can go wrong with the file


def test_a_history_that_another_process_holds_open_is_told_in_one_sentence(nights, tmp_path):
    nights.history.applied()
    code = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "history.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(
            Unavailable, match=r"history\.duckdb is open in another process.*PID \d+.*Query findings\.duckdb"
        ):
            nights.history.applied()
        other.stdin.close()
    assert nights.history.applied() == 0


def test_a_file_that_is_no_database_is_refused_with_where_to_restore_it_from(nights, tmp_path):
    (tmp_path / "history.duckdb").write_bytes(b"something else" * 1_000)
    with pytest.raises(Refused, match=r"history\.duckdb cannot be opened.*Restore it from .*published"):
        nights.history.applied()


def test_a_history_of_a_newer_program_is_refused(nights, tmp_path):
    nights.history.applied()
    with duckdb.connect(str(tmp_path / "history.duckdb")) as db:
        db.execute("INSERT INTO migrations VALUES (9999, '9999_from_the_future.sql')")
    with pytest.raises(Refused, match=r"newer review_pipeline \(migration 9999\)"):
        nights.history.applied()


def test_migrations_run_once(nights):
    for _ in range(2):
        nights.history.applied()
    numbers = [number for (number,) in query(nights, "SELECT number FROM migrations ORDER BY number")]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_what_an_earlier_version_collected_is_applied_after_an_upgrade(nights):
    nights.plan(0, [ASKED])
    nights.collect(0, [ASKED], [found(ASKED, 3)])
    findings = nights.spool.path(str(nights.events[-1].payload["findings"]))
    older = findings.with_suffix(".older")
    duckdb.sql(f"COPY (SELECT * EXCLUDE (cwe) FROM '{findings}') TO '{older}' (FORMAT parquet)")
    older.replace(findings)
    nights.apply()
    assert query(nights, "SELECT category, cwe FROM findings") == [("bug", None)]
