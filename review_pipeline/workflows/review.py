"""One review from end to end in one process, with its calls side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from review_pipeline.core.pull_request import Target, Unit
from review_pipeline.core.review import Finding
from review_pipeline.core.review_record import ReviewRow
from review_pipeline.ports import Changes, ReviewDesk, Reviewing, Reviews
from review_pipeline.workflows.pull_request import Planned, Planner
from review_pipeline.workflows.review_end import Concluder, Gathered, gather, local_findings
from review_pipeline.workflows.review_passes import CACHED_TOKENS, PassResult, Reviewer

# What is told while a review runs: the pass, what of it, and how it went.
Progress = Callable[[str, str, str], None]
Across = tuple[PassResult, Mapping[str, Finding]]


def silent(_pass_name: str, _what: str, _how: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that one review needs. calls_at_once: processes of the reviewer side by side."""

    changes: Changes
    ledger: Reviews
    claude: Reviewing
    planner: Planner
    open_desk: Callable[[str], AbstractContextManager[ReviewDesk]]
    calls_at_once: int
    clock: Callable[[], datetime]
    pause: Callable[[float], None] = time.sleep

    @property
    def reviewer(self) -> Reviewer:
        return Reviewer(self.claude, self.ledger, self.clock, self.pause)

    @property
    def reader(self) -> Reviewer:
        """Tells what was answered, and asks nothing."""
        return Reviewer(None, self.ledger, self.clock)

    def run(self, target: Target, progress: Progress = silent) -> ReviewRow:
        """Idempotent: a finished review is returned as it is, an unfinished or incomplete one is gone on with."""
        planned = self.planner.plan(target)
        if planned.row.is_finished:
            if planned.row.state not in ("incomplete", "failed") and not planned.row.is_diff_only:
                return planned.row
            self.ledger.reopen_review(planned.key, planned.passes)
        with self.open_desk(planned.key) as desk:
            first = self.first_pass(planned, desk, progress)
            across = self.second_pass(planned, first, desk, progress)
            gathered = gather(planned, first, across, self.changes)
            summaries, troubles = self.third_pass(planned, gathered, desk, progress)
        Concluder(self.ledger, self.clock).conclude(
            planned, first, tuple(result for result, _ in across), gathered, summaries, troubles
        )
        row = self.ledger.review(planned.key)
        assert row is not None
        return row

    def first_pass(
        self, planned: Planned, desk: ReviewDesk, progress: Progress = silent, *, asks: bool = True
    ) -> PassResult:
        """asks: False tells again what was answered and what failed, as a later step needs it."""
        if not asks:
            return sum((self.reader.review_unit(planned, unit, desk) for unit in planned.units), PassResult())
        waiting = list(planned.units)
        result = PassResult()
        # Instructions long enough for the API's cache are written to it once, before the others read them.
        if len(waiting) > 1 and len(planned.prompts.file) / 4 >= CACHED_TOKENS:
            result += self._unit(planned, waiting.pop(0), desk, progress)
        for part in self._side_by_side(lambda unit: self._unit(planned, unit, desk, progress), waiting):
            result += part
        return result

    def _unit(self, planned: Planned, unit: Unit, desk: ReviewDesk, progress: Progress) -> PassResult:
        progress("file", ", ".join(unit.paths), "asked")
        result = self.reviewer.review_unit(planned, unit, desk)
        count = sum(len(answered.answer["findings"]) for answered in result.answers)
        progress("file", ", ".join(unit.paths), result.failures[0].said if result.failures else f"{count} findings")
        return result

    def second_pass(
        self, planned: Planned, first: PassResult, desk: ReviewDesk, progress: Progress = silent, *, asks: bool = True
    ) -> list[Across]:
        found = local_findings(planned, first)
        reviewer = self.reviewer if asks else self.reader

        def one(numbered: tuple[int, Any]) -> Across:
            number, portion = numbered
            what = f"{len(portion)} files together"
            progress("across", what, "asked")
            result, names = reviewer.review_across(planned, portion, number, found, desk, self.changes)
            count = sum(len(answered.answer["findings"]) for answered in result.answers)
            progress("across", what, result.failures[0].said if result.failures else f"{count} findings")
            return result, names

        return list(self._side_by_side(one, list(enumerate(planned.outlines, start=1))))

    def third_pass(
        self, planned: Planned, gathered: Gathered, desk: ReviewDesk, progress: Progress = silent
    ) -> tuple[list[tuple[Mapping[str, Finding], Mapping[str, Any]]], list[str]]:
        """A single new finding has nothing to be merged with or ranked against."""
        if len(gathered.new) < 2:
            return [], []
        progress("summary", f"{len(gathered.new)} new findings", "asked")
        accepted, troubles = self.reviewer.summarise(planned, gathered.new, desk)
        progress("summary", f"{len(gathered.new)} new findings", troubles[0] if troubles else "graded")
        return accepted, troubles

    def _side_by_side(self, do: Callable[[Any], Any], things: list[Any]) -> Iterator[Any]:
        """In the order of the things, whatever comes back first."""
        with ThreadPoolExecutor(max_workers=max(1, self.calls_at_once)) as pool:
            futures = {pool.submit(do, thing): n for n, thing in enumerate(things)}
            try:
                done = {futures[future]: future.result() for future in as_completed(futures)}
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        yield from (done[n] for n in range(len(things)))
