"""What is posted of a review: its body, a comment at a line, a reply, and what a check says. All of it is neutralised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from review_pipeline.core.comment import code, fenced, one_line, plain, visible
from review_pipeline.core.fix import applicable, words
from review_pipeline.core.forge import Annotation, Conclusion, PullRequest
from review_pipeline.core.marker import mark
from review_pipeline.core.posting import Telling, Told
from review_pipeline.core.review_record import FindingRow
from review_pipeline.report.review import OFFLINE_NOTICE, ReviewPage

MOST_CHARACTERS = (
    60_000  # a forge takes 65,536; whether it counts characters or bytes is not documented, so bytes are counted
)
MOST_COMMENT = 30_000
_SIGN = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
_LEVEL = {"critical": "failure", "warning": "warning", "info": "notice"}
_STATES = {
    "reviewed": "Every changed file that can be reviewed was reviewed.",
    "incomplete": "**Incomplete:** part of this change was not reviewed, so this is not a clean result.",
    "nothing_to_review": "No changed file is one that can be reviewed. That is not the same as clean.",
    "failed": "**Failed:** nothing could be reviewed.",
}


@dataclass(frozen=True, slots=True)
class Posting:
    """All that the body is made of. closed: findings whose threads were resolved; kept: findings that ended, with why their threads stay open."""

    page: ReviewPage
    pull: PullRequest
    telling: Telling
    closed: frozenset[str] = frozenset()
    kept: tuple[tuple[str, str], ...] = ()


def review_body(posting: Posting, post: str, content: str) -> str:
    """Worst first; what does not fit is counted. The mark comes last, and always fits."""
    tail = ["", _foot(posting), mark(post, content)]
    room = MOST_CHARACTERS - _size(tail)
    lines: list[str] = []
    for block in _blocks(posting):
        room -= _append(lines, block, room - 200)
    return "\n".join([*lines, *tail])


def _blocks(posting: Posting) -> list[list[list[str]]]:
    """Each is a heading followed by entries, which are left out one by one where there is no more room."""
    telling = posting.telling
    blocks = [[_head(posting)]]
    if telling.body:
        title = "### Further findings"
        blocks.append([[title, ""], *(_body_entry(told, posting) for told in telling.body)])
    if telling.doubtful:
        head = [
            f"<details><summary>Needs a human ({len(telling.doubtful)})</summary>", "",
            "Not sure enough to ask the author for a change. Please decide: <code>review-pipeline triage</code>, or answer here.", "",
        ]  # fmt: skip
        blocks.append([head, *(_doubtful(row, posting) for row in telling.doubtful), ["</details>", ""]])
    if telling.ended:
        blocks.append([["### Ended with this head", ""], *([_ended(row, posting)] for row in telling.ended), [""]])
    if posting.page.review.troubles:
        missing = [[f"- {one_line(trouble, 400)}"] for trouble in posting.page.review.troubles[:20]]
        blocks.append([["### What was not reviewed", ""], *missing, [""]])
    return blocks


def _append(lines: list[str], block: list[list[str]], room: int) -> int:
    """An opened section is closed again, whatever had to be left out of it."""
    used = left_out = 0
    for number, entry in enumerate(block):
        is_end = entry == ["</details>", ""]
        if used + _size(entry) > room and not is_end and number:
            left_out += 1
            continue
        if is_end and left_out:
            lines.append(_left_out(left_out))
            left_out = 0
        lines += entry
        used += _size(entry)
    if left_out:
        lines.append(_left_out(left_out))
    return used


def _left_out(count: int) -> str:
    return f"... and {count} more that do not fit here; <code>review-pipeline query</code> tells all of them.\n"


def _size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _head(posting: Posting) -> list[str]:
    review, telling = posting.page.review, posting.telling
    new = sum(len(told.findings) for told in (*telling.inline, *telling.body))
    counts = [
        _many(new, "new finding") if new else "no new findings",
        *([f"{_many(len(telling.earlier), 'earlier finding')} still open"] if telling.earlier else []),
        *([f"{len(telling.ended)} ended"] if telling.ended else []),
    ]
    lines = [f"**Review of `{review.target.head[:12]}`**: {', '.join(counts)}. {_STATES.get(review.state, '')}", ""]
    if posting.pull.head != review.target.head:
        lines += [
            f"The branch has moved on to `{posting.pull.head[:12]}` meanwhile; that head gets a review of its own.",
            "",
        ]
    if posting.page.offline:
        lines += [f"> {OFFLINE_NOTICE}", ""]
    if review.summary:
        lines += [plain(review.summary), ""]
    return lines


def _foot(posting: Posting) -> str:
    review, page = posting.page.review, posting.page
    wrote = (
        " The change says that Claude wrote it; the reviewer is another instance." if review.authored_by_claude else ""
    )
    return f"<sub>review_pipeline · {code(review.model)} · {_many(len(page.calls), 'call')}, ${page.spent_usd:.4f} · {review.key[:12]}.{wrote}</sub>"


def _address(row: FindingRow, posting: Posting) -> str:
    """A link to the lines in the commit that was read; its text is code, so that nothing in a name is acted upon."""
    repository = posting.pull.url.rpartition("/pull/")[0]
    where = code(row.where)
    if not repository.startswith(("https://", "http://")) or row.side == "LEFT" or row.anchor == "unanchored":
        return where
    lines = f"#L{row.start_line}" if row.start_line else ""
    return f"[{where}]({repository}/blob/{row.head}/{quote(row.path)}{lines})"


def _title(row: FindingRow) -> str:
    return f"{_SIGN[row.severity]} **{row.severity}** · {row.category.replace('_', ' ')}"


def _body_entry(told: Told, posting: Posting) -> list[str]:
    row = told.first
    lines = [f"{_title(row)} · {_address(row, posting)}", "", plain(row.issue), ""]
    if row.evidence.strip():
        lines += [fenced(row.evidence, most=600), ""]
    return [*lines, *_advice(row), _small(told, posting), ""]


def _doubtful(row: FindingRow, posting: Posting) -> list[str]:
    why = f"another pass disagrees: {one_line(row.disputed)}" if row.disputed else f"{row.confidence:.0%} sure"
    return [f"- {_title(row)} · {_address(row, posting)} · {why}<br>{one_line(row.issue, 600)}"]


def _ended(row: FindingRow, posting: Posting) -> str:
    kept = dict(posting.kept).get(row.finding)
    after = (
        "; its thread is resolved"
        if row.finding in posting.closed
        else f"; its thread stays open: {kept}"
        if kept
        else ""
    )
    return f"- {row.status.replace('_', ' ')}: {code(row.where)} {one_line(row.issue, 160)} ({one_line(row.status_reason, 160)}{after})"


def _advice(row: FindingRow) -> list[str]:
    advice = words(row.suggestion)
    return [f"**Do:** {plain(advice)}", ""] if advice else []


def _small(told: Told, posting: Posting) -> str:
    row = told.first
    parts = [f"{row.confidence:.0%} sure", *([f"because {one_line(row.reason)}"] if row.reason else [])]
    if row.anchor == "unanchored":
        parts.append("no line of the change could be verified for it")
    if row.disputed:
        parts.append(f"another pass disagrees: {one_line(row.disputed)}")
    if row.note:
        parts.append(one_line(row.note))
    if also := posting.page.beside(row.finding):
        parts.append(f"also at {', '.join(code(where) for where in also[:20])}")
    if len(told.findings) > 1:
        places = ", ".join(code(other.where) for other in told.findings[1:30])
        parts.append(f"the same at {len(told.findings) - 1} more places: {places}")
    return f"<sub>{row.finding[:8]} · {' · '.join(parts)}</sub>"


def comment_body(told: Told, posting: Posting, post: str, before: Sequence[str] = ()) -> str:
    """With a change that can be applied with one click, where the new text is exact. before: the lines of the file as they are."""
    row = told.first
    lines = [_title(row), "", plain(row.issue), "", *_advice(row)]
    if (text := applicable(row, told.lines, before)) is not None:
        lines += [fenced(text, "suggestion", len(text)), ""]
    if posting.pull.head != posting.page.review.target.head:
        lines += [f"<sub>about `{posting.page.review.target.head[:12]}`; the branch has moved on</sub>", ""]
    return "\n".join([*lines, _small(told, posting), mark(post)])


def reply_body(row: FindingRow, head: str, post: str) -> str:
    where = f"now at {code(row.where)}" if row.head == head else "its code has changed"
    why = f": {one_line(row.status_reason, 300)}" if row.status_reason else ""
    return f"Still open at `{head[:12]}`, {where}{why}.\n{mark(post)}"


def begun() -> Conclusion:
    return Conclusion(
        "",
        "Review under way",
        "The change is being read. Findings come as one review; this check tells when it is complete.",
    )


def concluded(posting: Posting, verdict: str, url: str, troubles: tuple[str, ...]) -> Conclusion:
    """troubles: what could not be posted; the check is the place where people look for what is missing."""
    page = posting.page
    review, mine = page.review, page.open("developer")
    worst = ", ".join(f"{n} {severity}" for severity in _SIGN if (n := sum(row.severity == severity for row in mine)))
    titles = {
        "reviewed": f"{_many(len(mine), 'open finding')}{f': {worst}' if worst else ''}",
        "incomplete": f"incomplete: part of the change was not reviewed; {_many(len(mine), 'open finding')}",
        "nothing_to_review": "nothing to review: no changed file can be",
        "failed": "failed: nothing could be reviewed",
    }
    lines = [_STATES.get(review.state, ""), ""]
    lines += [f"> {OFFLINE_NOTICE}", ""] if page.offline else []
    lines += [plain(review.summary), ""] if review.summary else []
    lines += [f"- not reviewed: {one_line(trouble, 400)}" for trouble in review.troubles[:20]]
    lines += [f"- not posted: {one_line(trouble, 400)}" for trouble in troubles[:20]]
    waiting = len(page.open("human"))
    lines += [f"- {_many(waiting, 'finding')} for a human to decide: `review-pipeline triage list`"] if waiting else []
    return Conclusion(
        verdict, titles.get(review.state, review.state), "\n".join(lines), url,
        tuple(_annotation(row) for row in mine if verdict and row.side == "RIGHT" and row.in_diff and row.start_line and row.anchor != "unanchored"),
        is_incomplete=review.state in ("incomplete", "failed"),
    )  # fmt: skip


def _annotation(row: FindingRow) -> Annotation:
    """Annotations are shown as they are, without Markdown."""
    assert row.start_line is not None
    told = f"{' '.join(visible(row.issue).split())}\n{' '.join(visible(words(row.suggestion)).split())}".strip()
    title = f"{row.severity}: {row.category.replace('_', ' ')}"
    return Annotation(
        row.path, row.start_line, max(row.start_line, row.end_line or 0), _LEVEL[row.severity], title, told
    )


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
