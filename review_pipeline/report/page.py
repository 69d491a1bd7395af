"""Renders the week as one HTML page that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from review_pipeline.report import words
from review_pipeline.report.charts import COLOURS, drawn_categories, flow_svg, severity_svg, trend_svg
from review_pipeline.report.week import SEVERITIES, STATES, QualityWeek

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_MOST_WORDS = 700
_MOST_CODE = 400
_MOST_REASON = 240
_MOST_PATH = 240


@dataclass(frozen=True, slots=True)
class Card:
    """One headline figure."""

    name: str
    value: str
    note: str
    tone: str = "plain"  # good | bad | plain: never the only carrier of the message


def render_page(week: QualityWeek, now: datetime, *, offline: bool) -> str:
    from markupsafe import Markup

    charts = {"trend": trend_svg(week), "severity": severity_svg(week), "flow": flow_svg(week)}
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            week=week,
            now=now.astimezone(UTC),
            is_running=is_running(week.monday, now),
            offline=offline,
            cards=headline(week),
            gaps=gaps(week),
            categories=drawn_categories(week.categories),
            # Our own drawings; every other value is escaped.
            charts={name: Markup(svg) for name, svg in charts.items()},  # noqa: S704
            states=STATES,
            severities=SEVERITIES,
            colours=COLOURS,
            most_words=_MOST_WORDS,
            most_code=_MOST_CODE,
            most_reason=_MOST_REASON,
        )
    )


def is_running(monday: date, now: datetime) -> bool:
    return 0 <= (now.astimezone(UTC).date() - monday).days < 7


def headline(week: QualityWeek) -> tuple[Card, ...]:
    flow, before = week.flow, week.flow_before
    states, spent = week.by_state, week.spent
    return (
        _counted("Open findings", flow.open_at_end, before.open_at_end if before else None, is_good_up=False),
        _counted("New", flow.opened, before.opened if before else None, is_good_up=False),
        _counted("Fixed", flow.fixed, before.fixed if before else None, is_good_up=True),
        _counted("Reopened", flow.reopened, before.reopened if before else None, is_good_up=False),
        Card(
            "Files with an answer",
            f"{states['reviewed'] + states['unchanged']:,}",
            f"{states['reviewed']:,} reviewed, {states['unchanged']:,} unchanged since an earlier answer",
        ),
        _unanswered(week),
        Card("Cost", words.usd(spent.cost_usd), _spent_before(week)),
        Card("Saved by batching", words.usd(spent.saved_usd), _saving(week), "good" if spent.saved_usd else "plain"),
    )


def _counted(name: str, count: int, before: int | None, *, is_good_up: bool) -> Card:
    if before is None:
        return Card(name, f"{count:,}", "first week of the history")
    tone = "plain" if count == before else "good" if (count > before) == is_good_up else "bad"
    return Card(name, f"{count:,}", words.change(count, before), tone)


def _unanswered(week: QualityWeek) -> Card:
    states = week.by_state
    failed, waiting = (
        states["failed"] + states["partly_reviewed"] + week.given_up,
        states["waiting"] + states["in_flight"],
    )
    note = (
        f"{failed:,} failed or in part, {waiting:,} waiting; {states['skipped'] - week.given_up:,} skipped on purpose"
    )
    return Card("Files without an answer", f"{failed + waiting:,}", note, "bad" if failed + waiting else "plain")


def _spent_before(week: QualityWeek) -> str:
    if not week.standing.audits_before:
        return "no audit in the week before"
    return f"{words.usd(week.spent_before.cost_usd)} in the week before"


def _saving(week: QualityWeek) -> str:
    if not week.spent.sync_cost_usd:
        return "nothing was spent"
    return (
        f"{words.share(week.spent.saved_share)} of the {words.usd(week.spent.sync_cost_usd)} that single requests cost"
    )


def gaps(week: QualityWeek) -> tuple[str, ...]:
    """Why this week must not be read as clean, one sentence each."""
    states = week.by_state
    found = (
        (states["failed"], "failed", "no answer could be used"),
        (states["partly_reviewed"], "reviewed in part", "the rest has no answer"),
        (week.given_up, "given up", "the model has no answer while the content stays as it is"),
        (states["waiting"] + states["in_flight"], "waiting", "results are not in yet"),
    )
    return tuple(f"{words.plural(count, 'file')} {what}: {why}." for count, what, why in found if count)


def templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("review_pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "label",
        "number",
        "plural",
        "usd",
        "share",
        "tokens",
        "duration",
        "day",
        "short_day",
        "weekday",
        "minute",
    ):
        templates.filters[name] = getattr(words, name)
    templates.filters.update(plain=words.plain, clipped=words.clipped, breakable=_breakable)
    templates.globals["span"] = words.span
    return templates


def _breakable(path: str) -> Markup:
    """A long path breaks after its slashes, before anything else."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in words.clipped(path, _MOST_PATH).split("/"))
