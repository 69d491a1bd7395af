"""Which finding of an earlier review is the one that is claimed now: a cascade from certain to likely, near-linear in the history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rapidfuzz import fuzz

from review_pipeline.core.finding import FAMILIES, Category
from review_pipeline.core.placing import Files, coded
from review_pipeline.core.review import Finding, Status

NEAR_TEXT = 80.0  # of 100, for an edited line
LIKE_WORDS = 70.0
MOST_PAIRS = 100  # compared by words for one finding; beyond them only certain matches count
_SHORTEST_MOVED = 12  # a line as short as 'return None' proves nothing in another file


@dataclass(frozen=True, slots=True)
class Prior:
    """A finding of an earlier review of the same change, as it stood then."""

    id: UUID
    path: str
    side: str
    line: int | None
    code: str
    occurrence: int
    category: Category
    severity: str
    confidence: float
    issue: str
    suggestion: str
    evidence: str
    status: Status
    status_reason: str
    head: str
    first_seen_at: datetime
    route: str = "human"
    anchor: str = "exact"
    first_review: str = ""

    @property
    def family(self) -> str:
        return FAMILIES[self.category]


@dataclass(frozen=True, slots=True)
class Moves:
    """Where things of the earlier heads stand now. line_at: head, old path and number -> number; 0 if it was removed or
    edited, None if nobody can say."""

    renames: Mapping[str, str]
    line_at: Callable[[str, str, int], int | None] = lambda _head, _path, _line: None

    def path(self, path: str) -> str:
        return self.renames.get(path, path)


@dataclass(frozen=True, slots=True)
class Matched:
    """claims: with the identity of what they were known as; seen: prior ids that were found again, and by which step."""

    claims: tuple[Finding, ...]
    seen: Mapping[UUID, str]
    suppressed: tuple[UUID, ...]


def match(priors: Iterable[Prior], claims: Iterable[Finding], moves: Moves) -> Matched:
    """Each claim takes at most one prior, each prior answers one claim; the surest pairs go first."""
    matcher = _Matcher(tuple(priors), moves)
    waiting = list(claims)
    pairs: dict[int, tuple[Prior, str]] = {}
    for step in (matcher.same_line, matcher.same_code, matcher.moved_code, matcher.edited_line, matcher.same_words):
        for n, claim in enumerate(waiting):
            if n not in pairs and (prior := step(claim)) is not None:
                pairs[n] = (prior, step.__name__)
                matcher.taken.add(prior.id)
    told, suppressed = [], []
    for n, claim in enumerate(waiting):
        prior, step_name = pairs.get(n, (None, ""))
        if prior is None:
            told.append(claim)
        elif prior.status is Status.DISMISSED:
            if prior.code == claim.place.code or step_name in ("same_line", "same_code", "moved_code"):
                suppressed.append(prior.id)
            else:
                why = f"dismissed earlier ({prior.status_reason}); the code has changed since"
                told.append(replace(claim, note=why))
        else:
            note = "found again after it was fixed" if prior.status is Status.FIXED else claim.note
            told.append(replace(claim, id=prior.id, is_new=prior.status is Status.FIXED, note=note))
    seen = {prior.id: step_name for prior, step_name in pairs.values()}
    return Matched(tuple(told), seen, tuple(suppressed))


class _Matcher:
    def __init__(self, priors: tuple[Prior, ...], moves: Moves) -> None:
        self.taken: set[UUID] = set()
        self._moves = moves
        self._by_code: dict[tuple[str, str], list[Prior]] = defaultdict(list)
        self._by_text: dict[str, list[Prior]] = defaultdict(list)
        self._by_path: dict[str, list[Prior]] = defaultdict(list)
        for prior in priors:
            path = moves.path(prior.path)
            self._by_code[path, prior.code].append(prior)
            self._by_text[prior.code].append(prior)
            self._by_path[path].append(prior)

    def same_line(self, claim: Finding) -> Prior | None:
        """The same code at the line to which the earlier one has moved: of twins, the one that is left."""
        return self._best(
            claim,
            (
                prior
                for prior in self._by_code[claim.place.path, claim.place.code]
                if prior.line is not None and claim.place.start_line == self._now(prior)
            ),
        )

    def same_code(self, claim: Finding) -> Prior | None:
        """Identity as the history knows it; twins by their number, then whichever is left."""
        there = self._by_code[claim.place.path, claim.place.code]
        alike = [prior for prior in there if prior.occurrence == claim.place.occurrence]
        return self._best(claim, alike) or self._best(claim, (p for p in there if self._now(p) is None))

    def moved_code(self, claim: Finding) -> Prior | None:
        """A block that moved to another file; only where the text is long enough to prove it, and stands once."""
        code = claim.place.code
        there = [prior for prior in self._by_text[code] if self._moves.path(prior.path) != claim.place.path]
        return self._best(claim, there) if len(code) >= _SHORTEST_MOVED and len(there) == 1 else None

    def edited_line(self, claim: Finding) -> Prior | None:
        near = [
            prior
            for prior in self._by_path[claim.place.path][:MOST_PAIRS]
            if prior.family == FAMILIES[claim.category]
            and self._is_near(prior, claim)
            and fuzz.ratio(prior.code, claim.place.code) >= NEAR_TEXT
        ]
        return self._best(claim, near)

    def same_words(self, claim: Finding) -> Prior | None:
        alike = [
            prior
            for prior in self._by_path[claim.place.path][:MOST_PAIRS]
            if prior.family == FAMILIES[claim.category]
            and (self._is_near(prior, claim) or claim.place.start_line is None or prior.line is None)
            and _likeness(prior, claim) >= LIKE_WORDS
        ]
        return self._best(claim, alike)

    def _now(self, prior: Prior) -> int | None:
        return None if prior.line is None else self._moves.line_at(prior.head, prior.path, prior.line)

    def _is_near(self, prior: Prior, claim: Finding) -> bool:
        now = self._now(prior) or prior.line
        return now is not None and claim.place.start_line is not None and abs(now - claim.place.start_line) <= 3

    def _best(self, claim: Finding, candidates: Iterable[Prior]) -> Prior | None:
        """Of the candidates that may be this fault the likeliest; an open one before one that has ended."""
        fitting = [
            prior for prior in candidates if prior.id not in self.taken and _may_be(prior, claim)
        ]  # fmt: skip
        order = {Status.OPEN: 0, Status.NOT_VERIFIABLE: 1, Status.DISMISSED: 2, Status.FIXED: 3}
        return min(
            fitting,
            key=lambda p: (
                p.id != claim.id,
                p.family != FAMILIES[claim.category],
                order[p.status],
                -_likeness(p, claim),
            ),
            default=None,
        )


def _may_be(prior: Prior, claim: Finding) -> bool:
    """One place can have two faults: of one kind unless the words are far apart, of two kinds only if they are alike."""
    if prior.family == FAMILIES[claim.category]:
        return True
    return _likeness(prior, claim) >= LIKE_WORDS


def _likeness(prior: Prior, claim: Finding) -> float:
    return float(fuzz.token_set_ratio(prior.issue.lower(), claim.issue.lower()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an earlier open finding, and why. is_answered: False if a model was asked and said nothing."""

    id: UUID
    status: Status
    reason: str
    is_answered: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """What of an earlier finding can be seen in the code: where it stands now, if anywhere. is_known: False if nobody can say."""

    path: str
    line: int | None
    is_known: bool


EDITED_TEXT = 60.0  # of 100: an added line that may be what has become of a removed one


def standing(prior: Prior, priors: Iterable[Prior], files: Files, moves: Moves) -> Standing:
    """Followed through the difference; then looked for where no other finding stands; then among the lines that were added."""
    path = moves.path(prior.path)
    now = None if prior.line is None else moves.line_at(prior.head, prior.path, prior.line)
    if prior.side == "LEFT" or not prior.code or prior.line is None:
        return Standing(path, prior.line, is_known=False)
    if now:
        return Standing(path, now, is_known=True)
    taken = {
        (moves.path(other.path), moves.line_at(other.head, other.path, other.line))
        for other in priors
        if other.id != prior.id and other.code == prior.code and other.line is not None
    }
    places = [
        (source.path, number)
        for source in files.changed.values()
        for number, text in enumerate(source.lines, start=1)
        if coded(text) == prior.code and (source.path, number) not in taken
    ]
    same_file = [place for place in places if place[0] == path]
    if now is None:  # no difference to follow: the text alone tells
        count = len(same_file)
        return Standing(path, same_file[0][1] if count == 1 else None, is_known=count > 0)
    found = same_file or (places if len(prior.code) >= _SHORTEST_MOVED else [])
    if len(found) == 1:
        return Standing(*found[0], is_known=True)
    return Standing(path, _edited(prior, path, files), is_known=True)


def _edited(prior: Prior, path: str, files: Files) -> int | None:
    source = files.changed.get(path)
    if source is None:
        return None
    added = [line for hunk in source.hunks for line in hunk.lines if line.number in hunk.added]
    texts = [(line.number, coded(line.text)) for line in added]
    likely = [(fuzz.ratio(prior.code, text), number) for number, text in texts if text != prior.code]
    score, number = max(likely, default=(0.0, 0))
    return number if score >= EDITED_TEXT else None


def verdict(
    prior: Prior,
    answer: tuple[str, str] | None,
    *,
    was_asked: bool,
    stands: Standing,
    files: Files,
    gone: frozenset[str],
    in_change: frozenset[str],
) -> Verdict:
    """Of a finding that no claim repeats. answer: status and reason as the model gave them. Code decides over claims."""
    if stands.path in gone:
        return Verdict(prior.id, Status.FIXED, "the file was deleted")
    if stands.path not in in_change:
        return Verdict(prior.id, Status.FIXED, "the change no longer touches its file")
    if answer is None:
        if not was_asked:
            return Verdict(prior.id, Status.OPEN, "its file has not changed since")
        return Verdict(prior.id, Status.OPEN, "unanswered: the review said nothing about it", is_answered=False)
    status, reason = answer
    if status == "resolved":
        if stands.is_known and stands.line is not None and _reads(files, stands, prior):
            return Verdict(prior.id, Status.OPEN, "claimed to be resolved, but the code it is about is unchanged")
        return Verdict(prior.id, Status.FIXED, reason or "resolved")
    if status == "not_verifiable":
        return Verdict(prior.id, Status.NOT_VERIFIABLE, reason or "not verifiable")
    if stands.is_known and stands.line is None:
        return Verdict(prior.id, Status.FIXED, "its code was removed")
    return Verdict(prior.id, Status.OPEN, reason or "still open")


def _reads(files: Files, stands: Standing, prior: Prior) -> bool:
    source = files.changed.get(stands.path)
    assert stands.line is not None
    return (
        source is not None and stands.line <= len(source.lines) and coded(source.lines[stands.line - 1]) == prior.code
    )


def still_reads(prior: Prior, path: str, files: Files) -> bool:
    """As many lines of its text as were counted up to it."""
    source = files.changed.get(path)
    if source is None or not prior.code or prior.side == "LEFT":
        return False
    return sum(coded(text) == prior.code for text in source.lines) >= max(1, abs(prior.occurrence))
