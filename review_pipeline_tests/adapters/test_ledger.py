import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
from review_pipeline.core.audit import (
    Batch,
    Cell,
    GivenUp,
    Known,
    NewEvent,
    PlannedCell,
    PlannedRequest,
    State,
    Submission,
)
from review_pipeline.core.caching import CacheUse
from review_pipeline.ports import Collected, Refused, RequestOutcome, Unavailable

NOW = datetime(2026, 11, 22, 1, tzinfo=UTC)
CELL = Cell("nightly-acme-api", date(2026, 11, 22))
PLAN = PlannedCell(
    CELL,
    "nightly_quality_audit",
    "acme/api",
    "c0ffee",
    "claude-haiku-5-5",
    "v1",
    "it can wait",
    {"submitted": 3},
    NOW,
    caching="1h: it pays",
)


def submission(number: int, requests: int = 2, round_: int = 0) -> Submission:
    name = f"{CELL}/r{round_}-{number:03d}"
    folder = f"plans/p/{number:03d}"
    return Submission(name, str(CELL), round_, State.INTENDED, folder, 100, requests, PLAN.model, NOW)


FIRST, SECOND = submission(0), submission(1, requests=1)
REQUESTS = (
    PlannedRequest("a", FIRST.id, None, "a", "key-a", "src/a.py", 1),
    PlannedRequest("b", FIRST.id, None, "b", "key-b", "src/b.py", 1),
    PlannedRequest("c", SECOND.id, None, "c", "key-c", "src/c.py", 1),
)
PLANNED = NewEvent(f"cell_planned {CELL}", "cell_planned", {"cell": str(CELL)})
BATCH = Batch("msgbatch_1", "in_progress", NOW, None, {"processing": 2})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> AuditLedger:
    return AuditLedger(LedgerDatabase(path, lock_seconds=0.05))


@pytest.fixture
def planned(ledger: AuditLedger) -> AuditLedger:
    assert ledger.record_plan(PLAN, (FIRST, SECOND), REQUESTS, PLANNED)
    return ledger


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def collected(*failed: RequestOutcome) -> Collected:
    return Collected(2, failed, Decimal("0.0001"), Decimal("0.0002"), 10, 20, {}, CacheUse())


def end(ledger: AuditLedger, one: Submission = FIRST, batch: Batch = BATCH) -> None:
    assert ledger.begin(one.id, NOW, "")
    ledger.confirm(one.id, batch)
    ledger.record_end(one.id, replace(batch, status="ended", ended_at=NOW, counts={"succeeded": one.requests}), NOW)


def collect(ledger: AuditLedger, *failed: str, one: Submission = FIRST, key: str = "batch_collected 1") -> bool:
    outcomes = [RequestOutcome(name, "expired", None, None) for name in failed]
    return ledger.record_collection(one, collected(*outcomes), NewEvent(key, "batch_collected", {}), NOW)


# -- migrations


def test_a_ledger_is_made_once_and_opened_again(path, ledger):
    assert ledger.submissions() == ()
    made = dump(path)
    assert AuditLedger(LedgerDatabase(path)).submissions() == ()
    assert dump(path) == made
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT number FROM migrations").fetchall() == [(n,) for n in (*range(1, 9), 12)]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_ledger_of_a_newer_program_is_refused(path, ledger):
    ledger.submissions()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO migrations VALUES (9999, '9999_from_the_future.sql')")
    with pytest.raises(Refused, match=r"newer review_pipeline \(migration 9999\)"):
        AuditLedger(LedgerDatabase(path)).submissions()


def test_a_file_that_is_no_ledger_is_refused(path, ledger):
    path.write_bytes(b"something else" * 1_000)
    with pytest.raises(Refused, match=r"ledger\.sqlite is not a ledger or is damaged.*Restore it"):
        ledger.submissions()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refused, match=r"cannot make the folder .*REVIEW_PIPELINE_HOME"):
        AuditLedger(LedgerDatabase(tmp_path / "file" / "var" / "ledger.sqlite")).submissions()


# -- locks and disks


def test_a_ledger_that_another_process_writes_is_told_in_one_sentence_and_can_be_read(path, planned):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"ledger\.sqlite is locked by another process \(waited 0\.05 s\)"):
            planned.begin(FIRST.id, NOW, "")
        assert planned.planned(CELL) == PLAN
        other.execute("ROLLBACK")
    assert planned.begin(FIRST.id, NOW, "")


def test_a_new_ledger_that_another_process_is_making_is_told_in_one_sentence(path, ledger):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked by another process"):
            ledger.submissions()


def test_a_full_disk_is_told_in_one_sentence_and_loses_nothing(path, planned):
    before = dump(path)

    def write_too_much():
        with LedgerDatabase(path).write() as db:
            db.exec_driver_sql("PRAGMA max_page_count = 1")
            db.execute(text("INSERT INTO pauses VALUES ('x', :reason, 'now')"), {"reason": "x" * 1_000_000})

    with pytest.raises(Unavailable, match=r"disk of .*ledger\.sqlite is full.*nothing was lost"):
        write_too_much()
    assert dump(path) == before


class Broken(Exception):
    """Something else went wrong inside a transaction."""


def test_what_fails_inside_a_transaction_leaves_nothing(path, planned):
    before = dump(path)

    def requests():
        yield PlannedRequest("d", f"{other}/r0-000", None, "d", "key-d", "src/d.py", 1)
        raise Broken

    other = Cell("nightly-acme-web", CELL.day)
    theirs = replace(FIRST, id=f"{other}/r0-000", cell=str(other))
    with pytest.raises(Broken):
        planned.record_plan(replace(PLAN, cell=other), (theirs,), requests(), replace(PLANNED, key="other"))
    assert dump(path) == before


# -- plans


def test_a_plan_is_read_back_as_it_was_written(planned):
    assert planned.planned(CELL) == PLAN
    assert planned.submissions() == (FIRST, SECOND)
    assert planned.submissions(cell=CELL, states=(State.SENDING,)) == ()
    contents, paths = planned.known("acme/api", PLAN.workload)
    assert contents["key-a"] == Known("asked", str(CELL), None)
    assert paths == {"src/a.py", "src/b.py", "src/c.py"}
    assert [(event.seq, event.kind, event.payload) for event in planned.events(0)] == [
        (1, "cell_planned", {"cell": str(CELL)})
    ]


def test_nothing_is_known_of_another_repository_or_workload(planned):
    assert planned.known("acme/web", PLAN.workload) == ({}, set())
    assert planned.known("acme/api", "weekly_security_audit") == ({}, set())


def test_a_cell_is_planned_once_and_the_second_plan_doubles_nothing(path, planned):
    before = dump(path)
    theirs = tuple(replace(request, custom_id=f"{request.custom_id}2") for request in REQUESTS)
    assert planned.record_plan(replace(PLAN, revision="0ther"), (FIRST, SECOND), theirs, PLANNED) is False
    assert dump(path) == before


def test_a_plan_that_breaks_a_rule_of_the_ledger_is_an_error_and_not_somebody_elses_plan(path, ledger):
    doubled = (REQUESTS[0], REQUESTS[0])
    with pytest.raises(IntegrityError):
        ledger.record_plan(PLAN, (FIRST, SECOND), doubled, PLANNED)
    assert ledger.planned(CELL) is None
    assert ledger.events(0) == ()


def test_what_was_asked_for_waits_until_it_is_planned(ledger):
    for _ in range(2):
        ledger.ask(CELL, NOW)
    assert ledger.asked() == (CELL,)
    ledger.record_plan(PLAN, (FIRST, SECOND), REQUESTS, PLANNED)
    assert ledger.asked() == ()
    ledger.ask(CELL, NOW)
    assert ledger.asked() == ()


# -- sending


def test_a_submission_is_taken_by_one_sender_only(planned):
    assert [planned.begin(FIRST.id, NOW, "") for _ in range(3)] == [True, False, False]


def test_two_submissions_of_the_same_size_are_never_in_doubt_together(ledger):
    twins = (submission(0), submission(1), submission(2, requests=3))
    ledger.record_plan(PLAN, twins, (), PLANNED)
    assert [ledger.begin(one.id, NOW, "") for one in twins] == [True, False, True]
    ledger.confirm(twins[0].id, BATCH)
    assert ledger.begin(twins[1].id, NOW, "")


def test_a_submission_that_was_not_accepted_can_be_taken_again(planned):
    planned.begin(FIRST.id, NOW, "")
    planned.release(FIRST.id, "429")
    (released,) = planned.submissions(states=(State.INTENDED,))[:1]
    assert (released.note, released.sent_at) == ("429", None)
    assert planned.begin(FIRST.id, NOW, "")


def test_a_receipt_counts_only_for_what_was_being_sent(path, planned):
    before = dump(path)
    planned.confirm(FIRST.id, BATCH)
    planned.release(FIRST.id, "late")
    planned.record_end(FIRST.id, BATCH, NOW)
    planned.disown(FIRST.id, ("msgbatch_9",), "late")
    assert dump(path) == before


def test_a_submission_goes_its_way_from_intent_to_end(planned):
    end(planned)
    (ended,) = planned.submissions(states=(State.ENDED,))
    assert (ended.batch_id, ended.created_at, ended.ended_at, ended.sent_at) == ("msgbatch_1", NOW, NOW, NOW)
    assert ended.counts == {"succeeded": 2}
    assert planned.claimed_batches() == {"msgbatch_1"}


def test_one_batch_cannot_be_two_submissions(planned):
    end(planned)
    planned.begin(SECOND.id, NOW, "")
    planned.confirm(SECOND.id, BATCH)
    assert [one.id for one in planned.submissions(states=(State.SENDING,))] == [SECOND.id]


def test_a_receipt_takes_its_batch_from_a_submission_that_only_guessed(planned):
    planned.begin(FIRST.id, NOW, "")
    planned.doubt(FIRST.id, NOW)
    planned.confirm(FIRST.id, BATCH)
    planned.begin(SECOND.id, NOW, "")
    planned.confirm(SECOND.id, BATCH)
    first, second = planned.submissions()[:2]
    assert (first.state, first.batch_id, first.not_batches) == (State.SENDING, None, (BATCH.id,))
    assert (second.state, second.batch_id) == (State.IN_PROGRESS, BATCH.id)


def test_somebody_elses_batch_is_given_back_and_remembered(planned):
    end(planned)
    planned.disown(FIRST.id, ("msgbatch_1",), "it holds other requests")
    (doubtful,) = planned.submissions(states=(State.SENDING,))
    assert (doubtful.batch_id, doubtful.not_batches, doubtful.counts) == (None, ("msgbatch_1",), {})
    planned.note(FIRST.id, "still looking")
    assert planned.submissions(states=(State.SENDING,))[0].not_batches == ("msgbatch_1",)


# -- outcomes


def test_a_batch_is_collected_once(path, planned):
    end(planned)
    assert collect(planned, "b")
    after = dump(path)
    assert collect(planned, "b", key="again") is False
    assert dump(path) == after
    assert planned.outcomes(CELL) == {"ok": 1, "expired": 1, "waiting": 1}


def test_a_collection_before_the_end_is_not_recorded(path, planned):
    before = dump(path)
    assert collect(planned) is False
    assert dump(path) == before


def test_an_answer_is_known_and_a_failure_waits_to_be_dealt_with(planned):
    end(planned)
    collect(planned, "b")
    contents, _ = planned.known("acme/api", PLAN.workload)
    assert {key: known.state for key, known in contents.items()} == {
        "key-a": "answered",
        "key-b": "asked",
        "key-c": "asked",
    }
    (failed,) = planned.failed_requests(CELL)
    assert (failed.custom_id, failed.outcome, failed.batch_id, failed.history) == ("b", "expired", "msgbatch_1", ())
    assert planned.unsettled_cells() == (CELL,)


AGAIN = submission(0, requests=1, round_=1)
CHILD = PlannedRequest("b2", AGAIN.id, "b", "b", "key-b", "src/b.py", 2, ("expired",))
RESENT = NewEvent("resubmission_planned r1", "resubmission_planned", {})


@pytest.fixture
def with_failure(planned: AuditLedger) -> AuditLedger:
    end(planned)
    collect(planned, "b")
    return planned


def test_a_failure_is_replaced_once_whoever_comes_second(path, with_failure):
    assert with_failure.next_round(CELL) == 1
    assert with_failure.record_resubmission((AGAIN,), (CHILD,), (), RESENT, NOW)
    after = dump(path)
    theirs = replace(CHILD, custom_id="b2-theirs")
    assert with_failure.record_resubmission((AGAIN,), (theirs,), (), replace(RESENT, key="r1 theirs"), NOW) is False
    assert dump(path) == after
    assert with_failure.failed_requests(CELL) == ()
    assert with_failure.unsettled_cells() == ()
    assert with_failure.next_round(CELL) == 2
    assert with_failure.outcomes(CELL) == {"ok": 1, "replaced": 1, "waiting": 2}


def test_of_two_resubmissions_of_different_failures_in_one_round_the_second_waits(path, with_failure):
    """Both looked before either wrote: the second finds its round taken and plans anew."""
    assert with_failure.record_resubmission((AGAIN,), (CHILD,), (), RESENT, NOW)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE requests SET outcome = 'expired' WHERE custom_id = 'c'")
    after = dump(path)
    theirs = PlannedRequest("c2", AGAIN.id, "c", "c", "key-c", "src/c.py", 2, ("expired",))
    assert with_failure.record_resubmission((AGAIN,), (theirs,), (), replace(RESENT, key="theirs"), NOW) is False
    assert dump(path) == after


def test_a_resubmission_that_breaks_a_rule_is_an_error_and_not_a_lost_race(path, with_failure):
    """Else the same failures would be planned and thrown away on every run, in silence."""
    before = dump(path)
    with pytest.raises(IntegrityError):
        with_failure.record_resubmission((AGAIN,), (CHILD, CHILD), (), RESENT, NOW)
    assert dump(path) == before


def test_the_history_of_a_chain_is_kept_for_its_next_decision(with_failure):
    with_failure.record_resubmission((AGAIN,), (CHILD,), (), RESENT, NOW)
    end(with_failure, AGAIN, replace(BATCH, id="msgbatch_2"))
    collect(with_failure, "b2", one=AGAIN, key="batch_collected 2")
    (failed,) = with_failure.failed_requests(CELL)
    assert (failed.custom_id, failed.history, failed.attempt, failed.root) == ("b2", ("expired",), 2, "b")


def test_an_answer_to_a_replacement_answers_the_content(with_failure):
    with_failure.record_resubmission((AGAIN,), (CHILD,), (), RESENT, NOW)
    end(with_failure, AGAIN, replace(BATCH, id="msgbatch_2"))
    collect(with_failure, one=AGAIN, key="batch_collected 2")
    assert with_failure.known("acme/api", PLAN.workload)[0]["key-b"].state == "answered"


def test_a_content_in_pieces_is_answered_only_when_every_piece_is(with_failure):
    pieces = (submission(0, requests=1, round_=1), submission(1, requests=1, round_=1))
    children = [replace(CHILD, custom_id=f"b2{one.id[-1]}", submission=one.id) for one in pieces]
    with_failure.record_resubmission(pieces, tuple(children), (), RESENT, NOW)
    states = []
    for number, piece in enumerate(pieces):
        end(with_failure, piece, replace(BATCH, id=f"msgbatch_{number + 2}"))
        collect(with_failure, one=piece, key=f"batch_collected {number + 2}")
        states.append(with_failure.known("acme/api", PLAN.workload)[0]["key-b"].state)
    assert states == ["asked", "answered"]


@pytest.mark.parametrize(("is_final", "state"), [(True, "final"), (False, "failed")])
def test_what_is_given_up_is_settled_and_says_why_and_whether_for_good(with_failure, is_final, state):
    given_up = GivenUp("b", "b", "refusal: the model will not review this file", is_final)
    assert with_failure.record_resubmission((), (), (given_up,), RESENT, NOW)
    assert with_failure.failed_requests(CELL) == ()
    assert with_failure.known("acme/api", PLAN.workload)[0]["key-b"] == Known(state, str(CELL), given_up.reason)
    assert with_failure.record_resubmission((), (), (given_up,), replace(RESENT, key="twice"), NOW) is False


# -- pauses and outbox


def test_a_pause_holds_with_its_first_reason_until_somebody_resumes(ledger):
    ledger.pause("billing", "credit balance is too low", NOW)
    ledger.pause("billing", "another reason", NOW)
    assert ledger.pauses() == (("billing", "credit balance is too low", NOW.isoformat()),)
    assert ledger.resume() == 1
    assert ledger.pauses() == ()


def test_events_come_in_order_in_portions_and_are_published_once(with_failure):
    assert [event.seq for event in with_failure.events(0)] == [1, 2]
    assert [event.seq for event in with_failure.events(1, limit=1)] == [2]
    assert (with_failure.unpublished(), with_failure.last_event()) == (2, 2)
    with_failure.record_published(2)
    with_failure.record_published(1)
    assert with_failure.unpublished() == 0


def test_an_event_that_was_written_already_undoes_the_whole_change(path, with_failure):
    before = dump(path)
    with pytest.raises(IntegrityError):
        with_failure.record_resubmission((AGAIN,), (CHILD,), (), replace(RESENT, key=PLANNED.key), NOW)
    assert dump(path) == before
