"""Answers about documents: whole or repaired, passages that stand there or go to a human, pieces that become one word."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review_pipeline.adapters.history import History
from review_pipeline.core.compliance import Verdict, merged
from review_pipeline_tests.audit.world import World
from review_pipeline_tests.documents.conftest import Office, open_office

TEXT = "# Keeping\n\nThe retention period is ten years\nand not a day longer.\n\nContact: the office.\n"


def told(
    rule: str, verdict: str = "not_applicable", passage: str = "", anchor: str = "", confidence: float = 0.9
) -> dict[str, object]:
    return {
        "rule": rule,
        "verdict": verdict,
        "anchor": anchor,
        "passage": passage,
        "confidence": confidence,
        "explanation": "e",
    }


def answer(*verdicts: dict[str, object]) -> str:
    return json.dumps({"verdicts": list(verdicts)})


ALL = (told("R1"), told("R2"), told("R3"))


@pytest.mark.parametrize(
    "verdicts",
    [
        pytest.param((), id="no verdict at all"),
        pytest.param(ALL[:2], id="a rule left out"),
        pytest.param((*ALL, ALL[0]), id="a rule twice"),
        pytest.param((ALL[0], ALL[1], ALL[1]), id="a rule twice instead of another"),
        pytest.param((*ALL[:2], told("R9")), id="a rule that nobody asked for"),
        pytest.param((*ALL[:2], told("R3", "fine")), id="a verdict that there is not"),
        pytest.param((*ALL[:2], told("R3", "met")), id="met without a passage"),
        pytest.param((*ALL[:2], told("R3", "violated", "  ")), id="violated without a passage"),
        pytest.param((*ALL[:2], told("R3", confidence=1.5)), id="more than sure"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_repaired_once(office: Office, verdicts: tuple[dict[str, object], ...]) -> None:
    office.put({"a.md": TEXT})
    office.world.script({"on": "request", "effect": "text", "text": answer(*verdicts), "times": 1})
    office.check()
    assert office.world.attempts() == [("first", "bad_output"), ("repaired", "ok")]
    assert office.verdicts() == {("a.md", "R1"): "met", ("a.md", "R2"): "not_applicable", ("a.md", "R3"): "met"}
    assert office.world.query("SELECT count(*) FROM verdicts") == [(3,)]
    office.world.assert_all_counted()


def test_an_answer_that_never_becomes_whole_leaves_its_document_incomplete(office: Office) -> None:
    office.put({"a.md": TEXT})
    office.world.script({"on": "request", "effect": "text", "text": answer(*ALL[:2])})
    office.check()
    assert set(office.verdicts().values()) == {"incomplete"}
    assert office.compliance() == {"a.md": "incomplete"}
    assert office.world.query("SELECT DISTINCT route FROM document_verdicts") == [("human",)]


@pytest.mark.parametrize(
    ("passage", "verdict", "route", "lines"),
    [
        ("The retention period is ten years and not a day longer.", "met", "none", (3, 4)),
        ("retention  period", "met", "none", (3, 3)),
        ("The retention period is nine years", "unverified", "human", (None, None)),
        ("e", "unverified", "human", (None, None)),
        ("The retention period ... not a day longer.", "unverified", "human", (None, None)),
    ],
)
def test_a_passage_is_looked_for_in_the_document(
    office: Office, passage: str, verdict: str, route: str, lines: tuple[int | None, int | None]
) -> None:
    office.put({"a.md": TEXT})
    office.world.script(
        {"on": "request", "effect": "text", "text": answer(told("R1", "met", passage, "9#0000"), *ALL[1:])}
    )
    office.check()
    rows = office.world.query(
        "SELECT verdict, route, start_line, end_line, claimed FROM document_verdicts WHERE rule = 'R1'"
    )
    assert rows == [(verdict, route, *lines, "met")]
    assert office.compliance() == {"a.md": "needs_review" if verdict == "unverified" else "compliant"}


def test_what_is_not_sure_goes_to_a_human_and_is_not_compliant(office: Office) -> None:
    office.put({"a.md": TEXT})
    unsure = told("R1", "met", "The retention period", confidence=0.4)
    office.world.script({"on": "request", "effect": "text", "text": answer(unsure, *ALL[1:])})
    office.check()
    assert office.world.query("SELECT verdict, route FROM document_verdicts WHERE rule = 'R1'") == [("met", "human")]
    assert office.compliance() == {"a.md": "needs_review"}


def test_pieces_of_one_document_become_one_word(make: Callable[..., World]) -> None:
    office = open_office(make, workloads={"document_compliance": {"chunk_bytes": 2_000}})
    filler = "".join(f"Paragraph {n} says nothing of interest to anybody at all.\n\n" for n in range(120))
    office.put({"long.md": f"Contact: us.\n\n{filler}kept for ever\n\n{filler}kept for a year\n"})
    office.check()
    ((pieces,),) = office.world.query("SELECT pieces FROM documents")
    assert pieces > 4
    assert office.verdicts() == {
        ("long.md", "R1"): "met", ("long.md", "R2"): "violated", ("long.md", "R3"): "met",
    }  # fmt: skip
    assert office.world.query("SELECT start_line FROM document_verdicts WHERE rule = 'R2'") == [(243,)]
    office.world.assert_all_counted()


def test_one_piece_without_an_answer_keeps_the_document_incomplete_but_a_violation_stands(
    make: Callable[..., World],
) -> None:
    office = open_office(make, workloads={"document_compliance": {"chunk_bytes": 2_000}})
    filler = "".join(f"Paragraph {n} says nothing of interest to anybody at all.\n\n" for n in range(60))
    office.put({"long.md": f"kept for ever\n\n{filler}Contact: the ombudsman\n\n{filler}"})
    office.world.script({"on": "request", "contains": "ombudsman", "effect": "refusal"})
    office.check()
    assert office.verdicts() == {
        ("long.md", "R1"): "incomplete", ("long.md", "R2"): "violated", ("long.md", "R3"): "incomplete",
    }  # fmt: skip
    assert office.compliance() == {"long.md": "incomplete"}


def test_expired_requests_come_back_and_the_document_is_read(office: Office) -> None:
    office.put({"a.md": TEXT, "b.md": "kept for ever\n"})
    office.world.script({"on": "request", "effect": "expired", "times": 2})
    office.world.submit(0, "documents-records")
    office.world.step()
    office.world.publish()
    assert set(office.verdicts().values()) == {"waiting"}
    assert set(office.compliance().values()) == {"waiting"}
    office.world.finish()
    assert sorted(office.world.attempts()) == [("first", "expired")] * 2 + [("unchanged", "ok")] * 2
    assert set(office.compliance().values()) == {"needs_review", "violations"}
    office.world.assert_all_counted()


def test_costs_add_up(office: Office) -> None:
    office.put({"a.md": TEXT, "b.md": "kept for ever\n"})
    office.check()
    ((outcomes, verdicts, batches),) = office.world.query(
        "SELECT (SELECT sum(cost_usd) FROM outcomes), (SELECT sum(cost_usd) FROM verdicts), (SELECT sum(cost_usd) FROM batch_costs)"
    )
    assert outcomes == batches > 0
    assert abs(outcomes - verdicts) < 6 * 10**-9 * 3


CLAIM = st.tuples(st.sampled_from(list(Verdict)), st.booleans())


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """An empty history that can be written to."""
    home = tmp_path_factory.mktemp("home")
    empty = History(home, home, {})
    empty.apply((), datetime.now(UTC))
    writable = home / "writable.duckdb"
    shutil.copyfile(empty.publish(), writable)
    return duckdb.connect(str(writable))


@settings(deadline=None, max_examples=60)
@given(st.lists(CLAIM, min_size=1, max_size=6))
def test_the_view_merges_pieces_as_the_rule_says(
    history: duckdb.DuckDBPyConnection, pieces: list[tuple[Verdict, bool]]
) -> None:
    for table in ("cells", "files", "policy_rules", "requests", "outcomes", "verdicts"):
        history.execute(f"DELETE FROM {table}")
    insert(history, "cells", cell="c", audit="documents-s", audit_date="2026-11-16", workload="document_compliance", repo="s", revision="r", model="m", prompt_version="p", planned_at="2026-11-16")  # fmt: skip
    insert(history, "files", cell="c", path="d.md", blob="b", bytes=1, plan="submitted")
    insert(history, "policy_rules", cell="c", position=1, rule="R1", title="t")
    for number, (verdict, found) in enumerate(pieces):
        key = {"custom_id": f"q{number}"}
        insert(history, "requests", **key, root=f"q{number}", submission="s", cell="c", workload="document_compliance", repo="s", path="d.md", blob="b", start_line=1, end_line=2, round=0, attempt=1, change="first", model="m", prompt_version="p")  # fmt: skip
        insert(history, "outcomes", **key, **{"class": "ok"}, batch_id="b", billed=True, model="m", input_tokens=1, output_tokens=1, cache_read_tokens=0, cache_write_5m_tokens=0, cache_write_1h_tokens=0, cost_usd=0, sync_cost_usd=0, price_version="v", findings=1, collected_at="2026-11-16")  # fmt: skip
        insert(history, "verdicts", **key, repo="s", path="d.md", blob="b", rule="R1", verdict=verdict.value, confidence=1, explanation="", passage="", anchor="exact" if found else "unanchored", cost_usd=0, threshold=0.5, collected_at="2026-11-16")  # fmt: skip
    assert history.execute("SELECT verdict FROM document_verdicts").fetchall() == [(merged(pieces),)]


def insert(db: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values()))


def test_no_order_of_pieces_and_no_further_piece_turns_a_violation_or_an_unverified_claim_into_compliance() -> None:
    claims = list(product(Verdict, (True, False)))
    for first, second in product(claims, claims):
        word = merged((first, second))
        assert word == merged((second, first))
        if (Verdict.VIOLATED, True) in (first, second):
            assert word == "violated"
        elif (Verdict.VIOLATED, False) in (first, second):
            assert word == "unverified"
        elif word == "met":
            assert (Verdict.MET, True) in (first, second)
