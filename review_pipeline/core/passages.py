"""Whether a passage that an answer quotes stands in what the request showed, and where."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from review_pipeline.core.finding import Anchor, ShownLine

LEAST_CHARACTERS = 4  # of a quotation that is less than a line: shorter ones stand anywhere
_UNSEEN = re.compile(r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+")
_HYPHEN = re.compile(r"-(?!\d)")
_ALIKE = str.maketrans("\u2018\u2019\u201a\u201c\u201d\u201e\u2010\u2011\u2012\u2013\u2014\u2212", "'''\"\"\"------")


@dataclass(frozen=True, slots=True)
class Place:
    """Lines first..last of the document; both None where the passage was not found."""

    anchor: Anchor
    first: int | None
    last: int | None


def folded(text: str) -> str:
    """What of a text a quotation must repeat: not spaces, hyphens of split words, ligatures and kinds of quotation marks."""
    return _HYPHEN.sub("", _without_layout(text))


def _without_layout(text: str) -> str:
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).translate(_ALIKE)


class ShownText:
    """The lines of one request as one text: a passage may begin and end within lines and run over several."""

    def __init__(self, shown: Sequence[ShownLine]) -> None:
        bare = [(line, _without_layout(line.text)) for line in shown]
        self._lines = [(line, text) for line, text in bare if text]
        self._starts: list[int] = []
        pieces, length = [], 0
        for at, (_, text) in enumerate(self._lines):
            following = self._lines[at + 1][1][:1] if at + 1 < len(self._lines) else ""
            piece = _HYPHEN.sub("", text + following)
            piece = piece[: len(piece) - len(_HYPHEN.sub("", following))] if following else piece
            self._starts.append(length)
            pieces.append(piece)
            length += len(piece)
        self._text = "".join(pieces)
        self._whole = set(pieces)

    def place(self, claimed: str, passage: str) -> Place:
        """Exact where it begins in the line of the claimed label; moved where it stands exactly once elsewhere; nothing is guessed."""
        wanted = folded(passage)
        if not wanted or (len(wanted) < LEAST_CHARACTERS and wanted not in self._whole):
            return Place(Anchor.UNANCHORED, None, None)
        found = self._found(wanted)
        for at in found:
            if self._line(at).label == claimed.strip():
                return self._placed(Anchor.EXACT, at, wanted)
        return self._placed(Anchor.MOVED, found[0], wanted) if len(found) == 1 else Place(Anchor.UNANCHORED, None, None)

    def _found(self, wanted: str) -> list[int]:
        found, at = [], self._text.find(wanted)
        while at >= 0:
            found.append(at)
            at = self._text.find(wanted, at + 1)
        return found

    def _line(self, at: int) -> ShownLine:
        return self._lines[bisect_right(self._starts, at) - 1][0]

    def _placed(self, anchor: Anchor, at: int, wanted: str) -> Place:
        return Place(anchor, self._line(at).number, self._line(at + len(wanted) - 1).number)
