"""What is posted of a review, and where: at a line, in the body, in the human's section, or not again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from review_pipeline.core.forge import Actor, Thread
from review_pipeline.core.pull_request import Difference
from review_pipeline.core.review_record import FindingRow

MOST_INLINE = 40  # beyond it forges answer with limits, and nobody reads on
MOST_REPLIES = 20  # of one review
GROUPED_FROM = 4  # places with one and the same fault
CHECK_NAME = "review_pipeline"

_RANK = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Commentable:
    """Lines of a change at which a forge takes comments: those of its hunks, hunk by hunk."""

    hunks: Mapping[tuple[str, str], tuple[tuple[int, int], ...]]

    @classmethod
    def of(cls, differences: Iterable[Difference]) -> Commentable:
        """A forge cuts hunks as git does, with three lines around each change; a file without hunks takes no comments."""
        found: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
        for difference in differences:
            if difference.patch is None or difference.entry.path != difference.path.encode():
                continue  # behind a limit, or with a name that cannot be written as it is
            for side, other in (("LEFT", "+"), ("RIGHT", "-")):
                shown = [[line.old if side == "LEFT" else line.new for line in hunk.lines if line.kind != other] for hunk in difference.patch.hunks]  # fmt: skip
                if any(shown):
                    found[difference.path, side] = tuple((numbers[0], numbers[-1]) for numbers in shown if numbers)
        return cls(found)

    def lines(self, path: str, side: str, start: int | None, end: int | None) -> tuple[int | None, int] | None:
        """First (None for a single line) and last line of a comment; None where none can be put. Never clamped to a line nobody meant."""
        if start is None:
            return None
        for first, last in self.hunks.get((path, side), ()):
            if first <= start <= last:
                if end is not None and start < end <= last:
                    return start, end
                return None, start
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """findings: the first is told in full, the others beside it. lines: where, None for the body."""

    findings: tuple[FindingRow, ...]
    lines: tuple[int | None, int] | None = None

    @property
    def first(self) -> FindingRow:
        return self.findings[0]


@dataclass(frozen=True, slots=True)
class Telling:
    """What one review says of findings. earlier: open ones that were told before; ended: those that this head has closed."""

    inline: tuple[Told, ...]
    body: tuple[Told, ...]
    doubtful: tuple[FindingRow, ...]
    earlier: tuple[FindingRow, ...]
    ended: tuple[FindingRow, ...]


def telling(
    rows: Sequence[FindingRow],
    review: str,
    head: str,
    told: frozenset[str],
    asked: frozenset[str],
    where: Commentable,
    refused: frozenset[str] = frozenset(),
    most_inline: int = MOST_INLINE,
) -> Telling:
    """told, asked: findings that earlier reviews told the developer, or put before a human; none of them is told again.

    refused: findings whose place the forge did not take. The worst come first; what does not fit at lines goes into the body.
    """
    standing = {row.finding for row in rows if row.status == "open"}
    open_rows = sorted(
        (row for row in rows if row.status == "open" and row.duplicate_of not in standing),
        key=lambda row: (_RANK[row.severity], -row.confidence, row.path, row.start_line or 0, row.finding),
    )
    new = [row for row in open_rows if row.route == "developer" and row.finding not in told]
    inline: list[Told] = []
    body: list[Told] = []
    for group in _groups(new):
        lines = _lines(group[0], head, where) if group[0].finding not in refused else None
        if lines is None or len(inline) >= most_inline:
            body.append(Told(group))
        else:
            inline.append(Told(group, lines))
    return Telling(
        inline=tuple(inline),
        body=tuple(body),
        doubtful=tuple(row for row in open_rows if row.route == "human" and row.finding not in asked | told),
        earlier=tuple(row for row in open_rows if row.finding in told),
        ended=tuple(row for row in rows if row.status in ("fixed", "not_verifiable") and row.last_review == review and row.finding in told | asked),
    )  # fmt: skip


def _lines(row: FindingRow, head: str, where: Commentable) -> tuple[int | None, int] | None:
    if row.anchor == "unanchored" or row.head != head:
        return None  # its lines are those of another commit
    return where.lines(row.path, row.side, row.start_line, row.end_line)


def _groups(rows: Iterable[FindingRow]) -> list[tuple[FindingRow, ...]]:
    """One fault at many places is told once, with the other places beside it."""
    alike: dict[tuple[str, str], list[FindingRow]] = defaultdict(list)
    for row in rows:
        alike[row.category, " ".join(re.findall(r"\w+", row.issue.lower()))].append(row)
    groups: list[tuple[FindingRow, ...]] = []
    for group in alike.values():
        groups += [tuple(group)] if len(group) >= GROUPED_FROM else [(row,) for row in group]
    return sorted(groups, key=lambda group: (_RANK[group[0].severity], -group[0].confidence))


def conclusion(state: str, rows: Iterable[FindingRow], block_on: str) -> str:
    """success only for a complete review; block_on: the mildest severity that stops a merge, or 'never'.

    What is not complete stops a merge where anything does: nobody knows what it would have found.
    """
    blocks = block_on != "never"
    if state not in ("reviewed", "nothing_to_review"):
        return "failure" if blocks else "neutral"
    bad = list(_RANK)[: _RANK[block_on] + 1] if blocks else []
    found = [row for row in rows if row.status == "open" and row.route == "developer"]
    if any(row.severity in bad for row in found):
        return "failure"
    if state == "nothing_to_review" or any(row.severity == "critical" for row in found):
        return "neutral"
    return "success"


def may_resolve(
    thread: Thread, us: Actor, our_comments: frozenset[int], *, code_changed: bool, model_agrees: bool
) -> str:
    """'' if a thread may be resolved, else why not. Whoever has the last word is not overruled by a program."""
    if thread.is_resolved:
        return "it is resolved already"
    if not thread.comments or not _is_ours(thread.comments[0].id, thread.comments[0].author, us, our_comments):
        return "it is not ours"
    if not code_changed:
        return "its code has not changed"
    if not model_agrees:
        return "the reviewer did not say so"
    if thread.has_more or not all(_is_ours(c.id, c.author, us, our_comments) for c in thread.comments[-1:]):
        return "somebody else had the last word"
    if not thread.can_resolve:
        return "this account may not resolve it (it takes write access to contents)"
    return ""


def _is_ours(comment: int, author: Actor, us: Actor, our_comments: frozenset[int]) -> bool:
    """By the ledger, also after the account was renamed or replaced."""
    return comment in our_comments or author.is_same(us)


def spoke_last(thread: Thread, us: Actor, our_comments: frozenset[int]) -> bool:
    """Whether the last word in a thread is ours."""
    last = thread.comments[-1] if thread.comments else None
    return last is not None and not thread.has_more and _is_ours(last.id, last.author, us, our_comments)
