"""The page: what it says, what it never does with other people's text, and that it needs nothing from outside."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from review_pipeline.adapters.analyst import Analyst
from review_pipeline.report.charts import severity_svg, trend_png, trend_svg
from review_pipeline.report.numbers import read_week
from review_pipeline.report.page import render_page
from review_pipeline.report.summary import summary_md
from review_pipeline_tests.weekly_report.conftest import WEEK, days
from review_pipeline_tests.weekly_report.history import HistoryOfTest

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
APPLIED = datetime(2026, 11, 23, 5, 30)  # noqa: DTZ001
SNAPSHOTS = Path(__file__).parent / "snapshots"
HOSTILE = "</style></svg><script>alert('x')</script><img src=http://evil.test/a onerror=\"x\"> {{ 7*7 }} $x$ \u202eRTL"


def page_of(reader: Analyst, monday: date = WEEK, now: datetime = NOW, *, offline: bool = False) -> str:
    return render_page(read_week(reader, monday), now, offline=offline)


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def _same_as_snapshot(name: str, text: str) -> None:
    """RENEW_SNAPSHOTS=1 writes it; look at the difference before you commit it."""
    path = SNAPSHOTS / name
    if os.environ.get("RENEW_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_page_of_a_known_week_is_the_one_in_the_snapshot(six_weeks: Analyst) -> None:
    page = page_of(six_weeks)
    page = re.sub(
        r"<svg.*?</svg>", "[chart]", page, flags=re.DOTALL
    )  # their shapes depend on the version of matplotlib
    page = re.sub(r"<style>.*?</style>", "[style]", page, flags=re.DOTALL)
    _same_as_snapshot("weekly-2026-11-16.html", page)


@pytest.mark.parametrize(
    ("saved", "told"),
    [("0.25", "$0.25 less than the same tokens"), ("-0.25", "it cost $0.25 more than the same tokens")],
)
def test_a_cache_that_cost_more_than_it_saved_is_told_as_a_loss(history: HistoryOfTest, saved: str, told: str) -> None:
    cell = history.audit(WEEK, "acme-api", {"app/db.py": "submitted"})
    asked = history.request(cell, "app/db.py")
    history.outcome(asked, "msgbatch_1", cached=20, cache_saved=saved, day=WEEK)
    history.batch("msgbatch_1", cell, 1, 1, WEEK)
    page = page_of(Analyst(history.close(APPLIED)))
    assert f"Prompt cache: 20 tokens read, 0 written; {told} at the plain input price." in page


def test_the_summary_of_a_known_week_is_the_one_in_the_snapshot(six_weeks: Analyst) -> None:
    _same_as_snapshot("summary-2026-11-16.md", summary_md(read_week(six_weeks, WEEK), NOW, offline=True))


def test_the_same_week_gives_the_same_bytes(six_weeks: Analyst) -> None:
    week = read_week(six_weeks, WEEK)
    assert page_of(six_weeks) == page_of(six_weeks)
    assert trend_png(week) == trend_png(week)
    assert trend_png(week).startswith(b"\x89PNG")


def test_hostile_text_stays_text_everywhere(history: HistoryOfTest) -> None:
    cell = history.audit(
        WEEK, HOSTILE, {HOSTILE: "submitted", "b": f"skipped: {HOSTILE}", "c": "submitted"}, prompt=HOSTILE
    )
    history.outcome(history.request(cell, HOSTILE), HOSTILE, "invalid", message=HOSTILE, day=WEEK)
    history.batch(HOSTILE, cell, 1, 0, WEEK)
    for severity in ("critical", HOSTILE):
        history.finding(
            HOSTILE, HOSTILE, HOSTILE, severity, WEEK, issue=HOSTILE, suggestion=HOSTILE, evidence=HOSTILE,
        )  # fmt: skip
    reader = Analyst(history.close(APPLIED))
    page = page_of(reader)
    elements = Elements(page).seen
    assert not [tag for tag, _ in elements if tag in {"script", "img", "a", "iframe", "link", "object"}]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in elements].count("style") == 1 + 3  # the page's own, and one in each chart
    assert "\u202e" not in page
    assert "49" not in re.findall(r"\{\{ ?(\d+)", page)
    summary = summary_md(read_week(reader, WEEK), NOW, offline=False)
    assert "<script" not in summary
    assert "\u202e" not in summary


def test_nothing_is_fetched_from_anywhere(six_weeks: Analyst) -> None:
    page = page_of(six_weeks, offline=True)
    references = [
        value or ""
        for _, attributes in Elements(page).seen
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}
    ]
    assert all(reference.startswith("#") for reference in references)
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)'\"]+)", page))
    assert "@import" not in page
    assert "://" not in page
    assert "default-src 'none'" in page


def test_ids_are_unique_and_every_reference_has_its_target(six_weeks: Analyst) -> None:
    page = page_of(six_weeks)
    ids = [attributes["id"] for _, attributes in Elements(page).seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {*re.findall(r'href="#([^"]+)"', page), *re.findall(r"url\(#([^)]+)\)", page)} <= set(ids)


def test_every_table_has_a_caption_and_every_chart_a_name(six_weeks: Analyst) -> None:
    elements = Elements(page_of(six_weeks)).seen
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert all("scope" in attributes for tag, attributes in elements if tag == "th")
    assert all({"aria-label", "aria-labelledby"} & attributes.keys() for tag, attributes in elements if tag == "figure")
    assert all(attributes["role"] == "img" and attributes["aria-label"] for tag, attributes in elements if tag == "svg")


def test_a_week_without_an_audit_does_not_look_clean(six_weeks: Analyst) -> None:
    page = page_of(six_weeks, days(8), datetime(2026, 12, 7, tzinfo=UTC))
    assert "No audit ran in this week." in page
    assert "Nothing was looked at, so nothing is known to be clean. What is shown as open was found earlier." in page
    assert "No file was looked at in this week." in page


def test_an_empty_history_says_that_it_is_empty(history: HistoryOfTest) -> None:
    history.db.close()
    page = page_of(Analyst(history.path))
    assert "empty, nothing was applied yet" in page
    assert "No audit ran in this week." in page
    assert "No finding was open, and no audit looked for one in this week." in page


def test_failed_and_waiting_files_are_told_before_any_number(six_weeks: Analyst) -> None:
    head = page_of(six_weeks).partition("<main>")[0]
    assert "This week is not complete." in head
    for sentence in ("1 file failed:", "1 file reviewed in part:", "1 file given up:", "1 file waiting:"):
        assert sentence in head


def test_a_clean_week_has_no_notice(history: HistoryOfTest) -> None:
    cell = history.audit(WEEK, "acme-api", {"app/db.py": "submitted"})
    history.outcome(history.request(cell, "app/db.py"), "msgbatch_a", day=WEEK)
    page = page_of(Analyst(history.close(APPLIED)))
    assert "not complete" not in page
    assert "No finding is open, and every audited file has an answer or a reason to be skipped." in page
    assert "Every request that came back ended well." in page


@pytest.mark.parametrize("offline", [True, False])
def test_the_offline_analyser_is_named_wherever_its_results_are(six_weeks: Analyst, offline: bool) -> None:
    said = "Offline analyser, no model was called."
    assert (said in page_of(six_weeks, offline=offline)) is offline
    assert (said in summary_md(read_week(six_weeks, WEEK), NOW, offline=offline)) is offline


@pytest.mark.parametrize(("now", "is_said"), [(NOW, False), (datetime(2026, 11, 22, 23, 59, tzinfo=UTC), True)])
def test_a_running_week_says_so(six_weeks: Analyst, now: datetime, is_said: bool) -> None:
    assert ("This week is still running." in page_of(six_weeks, now=now)) is is_said


def test_calibration_is_left_out_while_nobody_acted(six_weeks: Analyst) -> None:
    assert "Confidence against outcomes" not in page_of(six_weeks, days(3))
    assert "Nobody has dismissed a finding yet" in page_of(six_weeks, days(4))
    assert "Nobody has dismissed a finding yet" not in page_of(six_weeks)


def test_fifty_thousand_findings_make_a_page_under_a_megabyte(history: HistoryOfTest) -> None:
    history.audit(WEEK, "acme-api", {"app/db.py": "submitted"})
    issue = "an issue that is told at some length " * 100
    template = history.finding("acme-api", "app/db.py:1", "bug", "critical", WEEK, issue=issue, evidence=issue)
    history.db.execute(
        "INSERT INTO findings SELECT findings.* REPLACE (uuid() AS fingerprint, 'src/' || n || '.py' AS path) "
        "FROM findings, range(49999) AS numbers(n) WHERE fingerprint = ?",
        [template],
    )
    history.db.execute(
        "INSERT INTO finding_events SELECT findings.fingerprint, 'opened', NULL, first_cell, NULL, ?, first_seen_at "
        "FROM findings WHERE fingerprint <> ?",
        [WEEK, template],
    )
    page = page_of(Analyst(history.close(APPLIED)))
    assert len(page.encode()) < 1_000_000
    assert "and 49,975 findings more" in page
    assert "50,000" in page
    assert "more characters)" in page


def test_charts_follow_the_colours_of_the_page(six_weeks: Analyst) -> None:
    week = read_week(six_weeks, WEEK)
    assert "var(--critical)" in severity_svg(week)
    assert "var(--new)" in trend_svg(week)
    assert "#a3162f" not in severity_svg(week)
