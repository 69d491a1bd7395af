"""Draws the week's charts as inline SVG that follows the page's colours, and the trend as a PNG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any

from review_pipeline.report.week import SEVERITIES, CategoryTrend, QualityWeek, WeekFlow
from review_pipeline.report.words import clipped, label, short_day

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The page's light colours. In SVG they become var(--name), so the charts follow a dark screen and stay light on paper.
# Severities differ in lightness, and the others are Okabe and Ito's: both hold without colour vision and in grey print.
COLOURS = {
    "ink": "#1b2433",
    "muted": "#5b6678",
    "rule": "#d9dee6",
    "critical": "#a3162f",
    "warning": "#e08e0b",
    "info": "#8fb3d1",
    "new": "#0072b2",
    "again": "#cc79a7",
    "fixed": "#009e73",
    "closed": "#9aa3b0",
    "soft": "#b9d3e6",
}
MOST_CATEGORIES = 12
_COLUMNS = 4
_MOST_TITLE = 40
_WIDE, _HALF = 10.6, 5.2
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "weekly-report",
    "text.parse_math": False,  # a '$' in a name is a '$'
    "font.size": 9,
    "font.family": ["DejaVu Sans"],
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": COLOURS["ink"],
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}


def trend_svg(week: QualityWeek) -> str:
    with _styled():
        return _svg(_trend(week), "trend", "Open and new findings by category")


def trend_png(week: QualityWeek) -> bytes:
    with _styled():
        out = BytesIO()
        _trend(week).savefig(out, format="png", dpi=110, facecolor="white", metadata={"Software": None})
        return out.getvalue()


def severity_svg(week: QualityWeek) -> str:
    with _styled():
        return _svg(_severity(week.flows), "severity", "Open findings by severity")


def flow_svg(week: QualityWeek) -> str:
    with _styled():
        return _svg(_flow(week.flows), "flow", "Findings that came and went")


@contextmanager
def _styled() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def _figure(width: float, height: float) -> Figure:
    """Not pyplot's: that one keeps every figure in a list of its process."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(hspace=0.09, wspace=0.03))


def _trend(week: QualityWeek) -> Figure:
    categories = drawn_categories(week.categories)
    if len(week.flows) == 1:
        return _categories_of_one_week(categories)
    rows = max(1, -(-len(categories) // _COLUMNS))
    figure = _figure(_WIDE, 0.35 + 1.55 * rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    weeks = [flow.week for flow in week.flows]
    for panel, trend in zip(panels.flat, categories, strict=False):
        _draw_category(panel, trend, weeks)
    for panel in panels.flat[len(categories) :]:
        panel.set_axis_off()
    handles = panels.flat[0].get_legend_handles_labels() if categories else ([], [])
    figure.legend(*handles, loc="outside upper left", ncols=2)
    return figure


def drawn_categories(categories: tuple[CategoryTrend, ...]) -> tuple[CategoryTrend, ...]:
    """The last panel holds the sum of those for which there is no room."""
    if len(categories) <= MOST_CATEGORIES:
        return categories
    head, rest = categories[: MOST_CATEGORIES - 1], categories[MOST_CATEGORIES - 1 :]
    open_at_end = tuple(map(sum, zip(*(trend.open_at_end for trend in rest), strict=True)))
    opened = tuple(map(sum, zip(*(trend.opened for trend in rest), strict=True)))
    return (*head, CategoryTrend(f"{len(rest)} other categories", open_at_end, opened))


def _title(trend: CategoryTrend) -> str:
    return clipped(label(trend.category), _MOST_TITLE)


def _draw_category(panel: Axes, trend: CategoryTrend, weeks: list[date]) -> None:
    places = range(len(weeks))
    panel.bar(places, trend.opened, width=0.62, color=COLOURS["soft"], label="new in the week")
    panel.plot(
        places,
        trend.open_at_end,
        color=COLOURS["new"],
        linewidth=1.8,
        label="open at the end of the week",
        clip_on=False,
    )
    panel.plot(places[-1], trend.open_at_end[-1], marker="o", markersize=4, color=COLOURS["new"], clip_on=False)
    last = trend.open_at_end[-1]
    panel.annotate(
        f"{last:,}",
        (places[-1], last),
        (6, 0),
        textcoords="offset points",
        va="center",
        weight="bold",
        color=COLOURS["new"],
    )
    panel.set_title(_title(trend), loc="left", fontsize=9.5, weight="bold", pad=7)
    panel.set_xlim(-0.6, len(weeks) - 1 + max(0.9, len(weeks) * 0.14))
    _count_axis(panel, max(*trend.open_at_end, *trend.opened), ticks=2)
    panel.set_xticks([0, places[-1]], [short_day(weeks[0]), short_day(weeks[-1])])


def _categories_of_one_week(categories: tuple[CategoryTrend, ...]) -> Figure:
    figure = _figure(_WIDE, 0.75 + 0.33 * max(1, len(categories)))
    panel = figure.subplots()
    names = [_title(trend) for trend in categories]
    still = [trend.open_at_end[-1] for trend in categories]
    panel.barh(names, still, height=0.55, color=COLOURS["new"])
    for place, count in enumerate(still):
        panel.annotate(f"{count:,}", (count, place), (5, 0), textcoords="offset points", va="center", weight="bold")
    panel.invert_yaxis()
    panel.set_xlim(0, max([*still, 1]) * 1.06)
    panel.set_xticks([])
    panel.spines["bottom"].set_visible(False)
    panel.tick_params(axis="y", labelcolor=COLOURS["ink"])
    panel.set_title("Open findings", loc="left", fontsize=9.5, weight="bold")
    return figure


def _severity(flows: tuple[WeekFlow, ...]) -> Figure:
    figure = _figure(_HALF, 3.5)
    panel = figure.subplots()
    places = range(len(flows))
    base = [0] * len(flows)
    for severity in reversed(SEVERITIES):
        counts = [flow.by_severity[severity] for flow in flows]
        panel.bar(places, counts, bottom=base, width=0.66, color=COLOURS[severity], label=severity)
        base = [low + count for low, count in zip(base, counts, strict=True)]
    for place, total in enumerate(base):
        panel.annotate(f"{total:,}", (place, total), (0, 3), textcoords="offset points", ha="center", fontsize=8.5)
    _count_axis(panel, max(base), ticks=4)
    _week_axis(panel, flows)
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=3, handlelength=1.1)
    return figure


def _flow(flows: tuple[WeekFlow, ...]) -> Figure:
    """Above the line what came, below it what went, so that a week's balance is seen at once."""
    figure = _figure(_HALF, 3.5)
    panel = figure.subplots()
    places = range(len(flows))
    opened, again = [flow.opened for flow in flows], [flow.reopened for flow in flows]
    fixed, closed = [-flow.fixed for flow in flows], [-flow.dismissed - flow.not_verifiable for flow in flows]
    panel.bar(places, opened, width=0.66, color=COLOURS["new"], label="new")
    panel.bar(places, again, bottom=opened, width=0.66, color=COLOURS["again"], label="reopened")
    panel.bar(places, fixed, width=0.66, color=COLOURS["fixed"], label="fixed")
    panel.bar(places, closed, bottom=fixed, width=0.66, color=COLOURS["closed"], label="closed otherwise")
    for place, flow in enumerate(flows):
        came, went = flow.opened + flow.reopened, flow.fixed + flow.dismissed + flow.not_verifiable
        _mark(panel, place, came, f"+{came:,}", 3, "bottom")
        _mark(panel, place, -went, f"\N{MINUS SIGN}{went:,}", -3, "top")
    panel.axhline(0, color=COLOURS["muted"], linewidth=0.8)
    highest, lowest = max(map(sum, zip(opened, again, strict=True))), min(map(sum, zip(fixed, closed, strict=True)))
    room = max(highest - lowest, 1) * 0.12
    panel.set_ylim(lowest - room, highest + room)
    panel.set_yticks([])
    panel.spines["bottom"].set_visible(False)
    _week_axis(panel, flows)
    figure.legend(loc="outside upper left", ncols=4, handlelength=1.1, columnspacing=1.1)
    return figure


def _mark(panel: Axes, place: int, height: int, text: str, offset: int, va: str) -> None:
    if height:
        panel.annotate(text, (place, height), (0, offset), textcoords="offset points", ha="center", va=va, fontsize=8.5)


def _count_axis(panel: Axes, highest: int, ticks: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    panel.set_ylim(0, max(highest, 1) * 1.18)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True, min_n_ticks=2))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    panel.grid(axis="y")


def _week_axis(panel: Axes, flows: tuple[WeekFlow, ...]) -> None:
    """At most six labels, always the last one; never a lone bar as wide as the chart."""
    step = 1 if len(flows) <= 6 else 2
    shown = range((len(flows) - 1) % step, len(flows), step)
    panel.set_xticks(list(shown), [short_day(flows[place].week) for place in shown])
    spare = max(0.0, (6 - len(flows)) / 2)
    panel.set_xlim(-0.6 - spare, len(flows) - 0.4 + spare)


def _svg(figure: Figure, name: str, said: str) -> str:
    """Only the element, without its own colours, fonts and prolog, and with ids that are alone on the page."""
    out = BytesIO()
    silent = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", transparent=True, metadata=silent)
    svg = out.getvalue().decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'xlink:href="#|(?<=url\()#', lambda match: f"{match[0].removeprefix('xlink:')}{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'", "system-ui", svg)
    for colour, value in COLOURS.items():
        svg = svg.replace(value, f"var(--{colour})")
    return svg.replace(
        "<svg", f'<svg role="img" focusable="false" aria-label="{said}, drawn; the table below has the numbers"', 1
    )
