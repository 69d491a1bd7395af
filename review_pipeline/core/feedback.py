"""What people make of findings on a forge: who may dismiss one, by which words or signs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from review_pipeline.core.forge import Actor, Thread, ThreadComment

WRITERS = ("admin", "maintain", "write")


@dataclass(frozen=True, slots=True)
class FeedbackRules:
    """words: an answer that begins or ends with one of them dismisses; reactions: a thumbs down does, too."""

    words: tuple[str, ...] = ()
    reactions: bool = True


@dataclass(frozen=True, slots=True)
class Dismissal:
    by: str
    why: str


def dismissal(
    thread: Thread,
    is_ours: Callable[[ThreadComment], bool],
    may_write: Callable[[Actor], bool],
    rules: FeedbackRules,
    *,
    resolved_counts: bool,
) -> Dismissal | None:
    """The first that counts. resolved_counts: the code stands as it was told, so resolving the thread says that it may."""
    answers = [comment for comment in thread.comments[1:] if not is_ours(comment)]
    for comment in answers:
        if dismisses(comment.body, rules.words) and may_write(comment.author):
            return Dismissal(comment.author.login, _first_line(comment.body))
    if rules.reactions and thread.comments:
        for reaction in thread.comments[0].reactions:
            if reaction.content == "THUMBS_DOWN" and may_write(reaction.by):
                return Dismissal(reaction.by.login, "a thumbs down")
    by = thread.resolved_by
    if resolved_counts and thread.is_resolved and by is not None:
        said = f": {_first_line(answers[-1].body)}" if answers else ""
        return Dismissal(by.login, f"resolved the thread{said}")
    return None


def dismisses(text: str, words: Iterable[str]) -> bool:
    """'Not a bug, because ...' and 'this is a false positive.' do; 'are you sure it is not a bug? I think it is' does not.

    Quoted lines are somebody else's words.
    """
    own = " ".join(line for line in text.splitlines() if not line.lstrip().startswith(">"))
    said = " ".join(re.findall(r"[\w/']+", own.lower().replace("\u2019", "'")))
    for word in words:
        wanted = " ".join(re.findall(r"[\w/']+", word.lower()))
        if not wanted:
            continue
        opening = re.match(
            rf"(?:(?:this|that|it|its|it's|is|i|think|imo|nah|no|nope|sorry|a|definitely|clearly|really)\s+)*{re.escape(wanted)}\b",
            said,
        )
        if opening and "?" not in own[: len(word) + 40]:
            return True
        if (
            said.endswith(f" {wanted}")
            and len(said.split()) <= 12
            and "?" not in own
            and not re.search(r"\b(?:not|isn't|no)\s+(?:a\s+)?" + re.escape(wanted), said)
        ):
            return True
    return False


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(">")]
    return lines[0][:300] if lines else ""
