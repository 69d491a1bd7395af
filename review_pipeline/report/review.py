"""A finished review as a developer reads it, and as programs do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from review_pipeline.core.comment import code, fenced, one_line, plain
from review_pipeline.core.fix import replacement, words
from review_pipeline.core.pull_request import FileResult, FileState
from review_pipeline.core.review_record import Call, CallEnd, FindingRow, ReviewRow

OFFLINE_NOTICE = "offline analyser, no model was called"
MOST_CHARACTERS = 60_000  # a forge cuts comments at 65,536
GROUPED_FROM = 4  # places with one and the same fault
_RANK = {"critical": 0, "warning": 1, "info": 2}
_SIGN = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
_STATES = {
    "reviewed": "**Reviewed.** Every changed file that can be reviewed was.",
    "incomplete": "**Incomplete.** Part of this change was not reviewed. What is missing stands below; this is not a clean result.",
    "nothing_to_review": "**Nothing to review.** No changed file is one that can be reviewed. That is not the same as clean.",
    "failed": "**Failed.** Nothing could be reviewed; earlier findings are as they were.",
    "planned": "**Not finished.**",
}


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """All that a review left in the ledger."""

    review: ReviewRow
    files: tuple[FileResult, ...]
    findings: tuple[FindingRow, ...]
    calls: tuple[tuple[Call, CallEnd], ...]
    offline: bool = False

    def open(self, route: str) -> tuple[FindingRow, ...]:
        """Without those that are told beside another one that is open."""
        standing = {row.finding for row in self.findings if row.status == "open"}
        found = [
            row
            for row in self.findings
            if row.status == "open" and row.route == route and row.duplicate_of not in standing
        ]
        return tuple(sorted(found, key=_rank))

    def beside(self, finding: str) -> tuple[str, ...]:
        """Where the duplicates of a finding stand."""
        return tuple(row.where for row in self.findings if row.status == "open" and row.duplicate_of == finding)

    @property
    def spent_usd(self) -> Decimal:
        return sum((end.cost_usd for _, end in self.calls if end.cost_usd is not None), Decimal(0))

    @property
    def is_clean(self) -> bool:
        return self.review.state in ("reviewed", "nothing_to_review")


def _rank(row: FindingRow) -> tuple[int, float, str, int]:
    return _RANK[row.severity], -row.confidence, row.path, row.start_line or 0


def markdown(page: ReviewPage, most: int = MOST_CHARACTERS) -> str:
    """At most so many characters; what does not fit is counted, the worst comes first."""
    head, tail = _head(page), [*_files(page.files), *_passes(page)]
    room = most - sum(len(line) + 1 for line in (*head, *tail)) - 400
    body: list[str] = []
    for title, note, rows in _sections(page):
        lines = [f"## {title} ({len(rows)})", "", *([note, ""] if note else [])]
        left_out = 0
        for entry in _entries(page, rows):
            size = sum(len(line) + 1 for line in (*lines, *entry))
            if size > room:
                left_out += 1
                continue
            lines += entry
        if left_out:
            lines += [f"... and {left_out} more that do not fit here; `review-pipeline query` tells all of them.", ""]
        room -= sum(len(line) + 1 for line in lines)
        body += lines
    return "\n".join([*head, *body, *tail]).rstrip() + "\n"


def _head(page: ReviewPage) -> list[str]:
    review, target = page.review, page.review.target
    lines = [
        f"# Review of {code(target.head_ref)} into {code(target.base_ref)}",
        "",
        _STATES[review.state],
        "",
        (
            f"{code(target.repo)} at {code(target.head[:12])}, compared with {code(target.merge_base[:12])}"
            f" · model {code(review.model)} · {len(page.calls)} call(s), ${page.spent_usd:.4f}"
        ),
    ]
    if page.offline:
        lines += ["", f"> {OFFLINE_NOTICE}"]
    if review.authored_by_claude:
        lines += [
            "",
            f"This change says that Claude wrote it ({code(review.authored_by_claude)}). The reviewer is another instance.",
        ]
    counts = [f"{number} {name.replace('_', ' ')}" for name, number in review.counts.items()]
    lines += ["", f"Findings: {', '.join(counts) if counts else 'none'}.", ""]
    if review.troubles:
        lines += ["**What is missing:**", "", *(f"- {one_line(trouble, 400)}" for trouble in review.troubles[:20])]
        lines += [f"- ... and {len(review.troubles) - 20} more"] if len(review.troubles) > 20 else []
        lines += [""]
    if review.summary:
        lines += [plain(review.summary), ""]
    return lines


def _sections(page: ReviewPage) -> Iterable[tuple[str, str, tuple[FindingRow, ...]]]:
    developer, human = page.open("developer"), page.open("human")
    if developer:
        yield "For the author", "", developer
    if human:
        yield "For a human to decide", "Too doubtful to bother the author with: `review-pipeline triage list`.", human
    ended = tuple(row for row in page.findings if row.status != "open" and row.last_review == page.review.key)
    if ended:
        yield "Ended with this head", "", tuple(sorted(ended, key=_rank))


def _entries(page: ReviewPage, rows: tuple[FindingRow, ...]) -> Iterable[list[str]]:
    """One fault at many places is one entry."""
    groups: dict[tuple[str, str, str], list[FindingRow]] = defaultdict(list)
    for row in rows:
        groups[row.category, row.status, " ".join(re.findall(r"\w+", row.issue.lower()))].append(row)
    for group in groups.values():
        if len(group) >= GROUPED_FROM:
            yield _entry(group[0], [row.where for row in group[1:]], page.beside(group[0].finding))
        else:
            yield from (_entry(row, [], page.beside(row.finding)) for row in group)


def _entry(row: FindingRow, elsewhere: list[str], also: tuple[str, ...]) -> list[str]:
    place = code(row.where)
    title = f"### {_SIGN[row.severity]} {row.severity} · {place} · {row.category.replace('_', ' ')}"
    lines = [title, "", plain(row.issue), ""]
    if row.evidence.strip():
        lines += [fenced(row.evidence), ""]
    if row.status != "open":
        lines += [f"**{row.status.replace('_', ' ')}**: {one_line(row.status_reason)}", ""]
        return lines
    if advice := words(row.suggestion):
        lines += [f"**Do:** {plain(advice)}", ""]
    if (text := replacement(row.suggestion)) is not None:
        lines += ["New text for these lines:", "", fenced(text), ""]
    told = [f"confidence {row.confidence:.0%}", *([f"because {one_line(row.reason)}"] if row.reason else [])]
    if row.anchor == "unanchored":
        told.append("no line of the change could be verified for it")
    if row.disputed:
        told.append(f"another pass disagrees: {one_line(row.disputed)}")
    if row.note:
        told.append(one_line(row.note))
    if also:
        told.append(f"also at {', '.join(code(where) for where in also[:20])}")
    if elsewhere:
        told.append(f"the same at {len(elsewhere)} more places: {', '.join(code(where) for where in elsewhere[:30])}")
    return [*lines, f"<sub>{row.finding[:8]} · {' · '.join(told)}</sub>", ""]


def _files(files: tuple[FileResult, ...]) -> list[str]:
    if not files:
        return ["## Files (0)", "", "The two commits do not differ.", ""]
    order = (FileState.FAILED, FileState.PARTLY, FileState.REVIEWED, FileState.SKIPPED)
    counts = ", ".join(f"{n} {state.value}" for state in order if (n := sum(f.state is state for f in files)))
    shown = sorted(files, key=lambda file: (order.index(file.state), file.path))[:100]
    more = [f"| ... and {len(files) - 100} more | | |"] if len(files) > 100 else []
    rows = [
        f"| {_cell(code(file.path, 150))} +{file.added} -{file.removed} | {file.state.value} | {one_line(file.reason, 120)} |"
        for file in shown
    ]
    return [f"## Files ({len(files)}: {counts})", "", "| file | state | why |", "|---|---|---|", *rows, *more, ""]


def _cell(text: str) -> str:
    """A bar ends a table's cell also inside of code."""
    return text.replace("|", "\\|")


def _passes(page: ReviewPage) -> list[str]:
    lines = ["## How it was reviewed", ""]
    for planned in page.review.plan:
        made = sum(call.pass_name == planned.name for call, _ in page.calls)
        lines.append(f"- {planned.name}: {made} call(s); {one_line(planned.reason)}")
    versions = sorted({end.version for _, end in page.calls if end.version})
    lines += [f"- claude {', '.join(versions)}"] if versions else []
    return [*lines, ""]


def as_json(page: ReviewPage) -> dict[str, Any]:
    review = page.review
    return {
        "review": review.key,
        "state": review.state,
        **asdict(review.target),
        "model": review.model,
        "authored_by_claude": review.authored_by_claude,
        "offline": page.offline,
        "summary": review.summary,
        "counts": dict(review.counts),
        "troubles": list(review.troubles),
        "plan": [asdict(planned) for planned in review.plan],
        "cost_usd": str(page.spent_usd),
        "files": [
            {"path": f.path, "state": f.state.value, "reason": f.reason, "added": f.added, "removed": f.removed} for f in page.files
        ],
        "findings": [{**_public(row), "delivery": row.delivery} for row in sorted(page.findings, key=_rank)],
        "calls": [
            {
                "session_id": call.session_id, "pass": call.pass_name, "unit": call.unit, "state": end.state, "mishap": end.mishap,
                "said": end.said, "version": end.version, "model": end.model, "input_tokens": end.input_tokens,
                "output_tokens": end.output_tokens, "cache_read_tokens": end.cache_read_tokens, "cache_write_tokens": end.cache_write_tokens,
                "cost_usd": str(end.cost_usd) if end.cost_usd is not None else None, "turns": end.turns, "denials": list(end.denials),
            }
            for call, end in page.calls
        ],
    }  # fmt: skip


def _public(row: FindingRow) -> dict[str, Any]:
    told = asdict(row)
    for internal in ("code", "occurrence", "blob", "repo", "number"):
        told.pop(internal)
    told["first_seen_at"], told["last_seen_at"] = row.first_seen_at.isoformat(), row.last_seen_at.isoformat()
    return told
