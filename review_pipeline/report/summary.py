"""Sums the week up in Markdown, for places that show a few lines: the Dagster UI, a chat, a mail."""

from __future__ import annotations

from datetime import datetime

from review_pipeline.report import words
from review_pipeline.report.page import gaps, headline, is_running
from review_pipeline.report.week import QualityWeek, TopFinding

_MOST_FINDINGS = 10
_MOST_ISSUE = 160


def summary_md(week: QualityWeek, now: datetime, *, offline: bool) -> str:
    running = ", still running" if is_running(week.monday, now) else ""
    lines = [f"**{words.span(week.monday, week.sunday)}**{running}: {words.plural(len(week.audits), 'audit')}", ""]
    if offline:
        lines += ["**Offline analyser, no model was called.**", ""]
    if not week.audits:
        lines += ["**No audit ran in this week.**", ""]
    if missing := gaps(week):
        lines += [f"**Not complete:** {' '.join(missing)}", ""]
    lines += ["| | | |", "|---|---:|---|"]
    lines += [f"| {card.name} | **{card.value}** | {card.note} |" for card in headline(week)]
    if week.top_findings.rows:
        lines += ["", "| Severity | Confidence | Where | Issue |", "|---|---:|---|---|"]
        lines += [_row(finding) for finding in week.top_findings.rows[:_MOST_FINDINGS]]
        if (more := week.top_findings.total - _MOST_FINDINGS) > 0:
            lines += ["", f"and {more:,} more"]
    return "\n".join(lines) + "\n"


def _row(finding: TopFinding) -> str:
    where = words.markdown(f"{finding.repo}: {finding.place}")
    issue = words.markdown(words.clipped(finding.issue, _MOST_ISSUE))
    return f"| {words.markdown(finding.severity)} | {finding.confidence:.2f} | {where} | {issue} |"
