"""What becomes of told findings comes back into the history, once for each outcome, and acceptance can be reckoned from it."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from review_pipeline.wiring import utc_now
from review_pipeline.workflows.findings_history import bring_up_to_date
from review_pipeline_tests.forge.office import FAULT, Office, fault
from review_pipeline_tests.forge.server import Forge

CODE = "start = 0\n" + fault("First", "critical") + fault("Second") + fault("Third") + fault("Fourth", "info")


@pytest.fixture
def told(office: Office) -> Office:
    office.opened({"a.py": "start = 0\n"}, {"a.py": CODE})
    office.told()
    return office


def hear_all(office: Office) -> Any:
    wiring = office.process()
    heard = wiring.hear(100)
    bring_up_to_date(wiring.pipeline.ledger, wiring.pipeline.history, utc_now)
    return heard


def query(office: Office, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(office.home / "findings.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def outcomes(office: Office) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for issue, outcome, actor in query(
        office, "SELECT issue, outcome, actor FROM finding_outcomes JOIN findings USING (fingerprint)"
    ):
        found.setdefault(issue, set()).add((outcome, actor))
    return found


def test_every_outcome_is_in_the_history_with_who_and_why(told: Office) -> None:
    world, pull = told.forge.world, told.pull()
    told.thread("First").comments[0].reactions.append(("THUMBS_UP", world.account("reader")))
    world.reply(pull, told.thread("Second"), "dev", "Not a bug, see the contract.")
    world.resolve(pull, told.thread("Third"), "maintainer")
    told.push({"a.py": CODE.replace("first = 1", "first = 2 #").replace("FAULT(bug, critical, 0.9, First)", "")})
    told.told()
    world.merge("acme/api", 1)
    hear_all(told)
    assert outcomes(told) == {
        "First": {("told", ""), ("liked", "reader"), ("fixed", "")},
        "Second": {("told", ""), ("dismissed", "dev")},
        "Third": {("told", ""), ("resolved", "maintainer"), ("dismissed", "maintainer")},
        "Fourth": {("told", ""), ("merged_open", "")},
    }
    (why,) = query(told, "SELECT why FROM finding_outcomes WHERE outcome = 'dismissed' AND actor = 'dev'")
    assert why == ("Not a bug, see the contract.",)


def test_an_outcome_is_told_once_however_often_is_heard(told: Office) -> None:
    told.forge.world.reply(told.pull(), told.thread("Second"), "dev", "False positive")
    first, second = hear_all(told), hear_all(told)
    assert first.outcomes == {"told": 4, "dismissed": 1}
    assert second.outcomes == {}


def test_a_finding_that_was_merged_and_mended_later_is_seen_on_the_base(told: Office) -> None:
    told.forge.world.merge("acme/api", 1)
    hear_all(told)
    assert ("merged_open", "") in outcomes(told)["First"]
    told.push({"a.py": "start = 0\n" + fault("Second")}, "main")
    heard = hear_all(told)
    assert heard.outcomes == {"fixed_later": 3}
    assert ("fixed_later", "") not in outcomes(told)["Second"]


def test_what_is_settled_is_not_asked_about_again(told: Office, forge: Forge) -> None:
    told.pull().state = "closed"
    assert hear_all(told).outcomes == {"told": 4, "closed_open": 4}
    before = len(forge.journal)
    assert hear_all(told).pulls == 0
    assert len(forge.journal) == before


def test_one_pull_request_that_cannot_be_heard_hides_no_other(told: Office, forge: Forge) -> None:
    assert told.repository.bare is not None
    told.push({"b.py": FAULT}, "other", onto=told.repository.bare.tip("refs/heads/main"))
    forge.world.open_pull("acme/api", "other")
    told.told(2)
    forge.fault("GET", "/pulls/1$", "answer", status=503, times=4)
    heard = hear_all(told)
    assert (heard.pulls, len(heard.troubles)) == (1, 1)
    assert "acme/api#1" in heard.troubles[0]
    assert hear_all(told).outcomes == {"told": 4}


def test_acceptance_by_category_model_prompt_and_confidence(told: Office) -> None:
    told.forge.world.reply(told.pull(), told.thread("Second"), "dev", "False positive")
    told.push({"a.py": CODE.replace("FAULT(bug, critical, 0.9, First)", "")})
    told.told()
    told.pull().state = "closed"
    hear_all(told)
    rows = query(
        told,
        "SELECT category, model, confidence_from, told, accepted, rejected, ignored, still_open, acceptance FROM acceptance",
    )
    assert rows == [("bug", "claude-sonnet-5-5", 0.9, 4, 1, 1, 2, 0, 0.25)]
    assert len(query(told, "SELECT DISTINCT prompt_version FROM acceptance")) == 1
