"""Where a line of an earlier commit stands in a later one, read from the difference between the two."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from review_pipeline.core.change import Patch, Status
from review_pipeline.core.pull_request import Difference


@dataclass(frozen=True, slots=True)
class LineMap:
    """known: lines inside of hunks, 0 for those that are gone. ends, shifts: behind the hunk that ends at a line, how far lines moved."""

    known: dict[int, int]
    ends: tuple[int, ...]
    shifts: tuple[int, ...]

    @classmethod
    def of(cls, patch: Patch) -> LineMap:
        known: dict[int, int] = {}
        ends, shifts, shift = [], [], 0
        for hunk in patch.hunks:
            for line in hunk.lines:
                if line.kind == "+":
                    shift += 1
                    continue
                if line.kind == "-":
                    shift -= 1
                known[line.old] = line.new
            if old := [line.old for line in hunk.lines if line.old]:
                ends.append(old[-1])
                shifts.append(shift)
        return cls(known, tuple(ends), tuple(shifts))

    def at(self, line: int) -> int:
        if line in self.known:
            return self.known[line]
        nth = bisect_right(self.ends, line)
        return line + (self.shifts[nth - 1] if nth else 0)


@dataclass(frozen=True, slots=True)
class Since:
    """What happened to files between an earlier head and this one. unread: changed, but nobody can say how."""

    maps: dict[str, LineMap]
    unread: frozenset[str]
    renames: dict[str, str]

    @classmethod
    def of(cls, differences: Iterable[Difference]) -> Since:
        maps: dict[str, LineMap] = {}
        unread: set[str] = set()
        renames: dict[str, str] = {}
        for difference in differences:
            if difference.patch is None or difference.patch.is_binary:
                unread.add(difference.old_path)
            else:
                maps[difference.old_path] = LineMap.of(difference.patch)
            if difference.entry.status is Status.RENAMED:
                renames[difference.old_path] = difference.path
        return cls(maps, frozenset(unread), renames)

    def line(self, path: str, line: int) -> int | None:
        if path in self.unread:
            return None
        return self.maps[path].at(line) if path in self.maps else line
