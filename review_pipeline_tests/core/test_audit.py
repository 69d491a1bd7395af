from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.audit import Batch, Cell


@given(st.text(min_size=1), st.dates())
def test_a_cell_is_read_back_from_its_name(audit, day):
    assert Cell.parse(str(Cell(audit, day))) == Cell(audit, day)


def test_a_cell_names_the_audit_and_the_day():
    assert str(Cell("nightly-acme-api", date(2026, 11, 22))) == "nightly-acme-api|2026-11-22"


@pytest.mark.parametrize("text", ["", "nightly", "2026-11-22", "|2026-11-22", "nightly|", "nightly|tomorrow"])
def test_what_is_no_cell_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a cell|Invalid isoformat"):
        Cell.parse(text)


@pytest.mark.parametrize(("status", "has_ended"), [("in_progress", False), ("canceling", False), ("ended", True)])
def test_a_batch_has_ended_only_when_the_api_says_so(status, has_ended):
    batch = Batch("msgbatch_1", status, datetime(2026, 11, 22, tzinfo=UTC), None, {"processing": 1, "succeeded": 2})
    assert batch.has_ended is has_ended
    assert batch.requests == 3
