"""Brings the findings history up to date with the outbox and publishes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from review_pipeline.core.audit import Event
    from review_pipeline.ports import Clock, HistoryReader


class FindingsHistory(Protocol):
    def claim(self, ledger: str, last_event: int) -> None: ...

    def applied(self) -> int: ...

    def apply(self, events: tuple[Event, ...], now: datetime) -> int: ...

    def publish(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class Applied:
    events: int
    up_to: int
    published: Path


@dataclass(frozen=True, slots=True)
class Check:
    """A rule of the history; violations: rows that break it."""

    name: str
    violations: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Inspected:
    open_findings: int
    by_severity: tuple[tuple[object, ...], ...]
    worst: tuple[tuple[object, ...], ...]
    checks: tuple[Check, ...]


class Outbox(Protocol):
    def events(self, after: int, limit: int = ...) -> tuple[Event, ...]: ...

    def record_published(self, seq: int) -> None: ...

    def identity(self) -> str: ...

    def last_event(self) -> int: ...


def bring_up_to_date(outbox: Outbox, history: FindingsHistory, clock: Clock) -> Applied:
    """Applies what is waiting, in order, and publishes a copy; a second call at once finds nothing to apply.

    Raises Refused for the history of another ledger: event numbers alone cannot tell theirs from ours.
    """
    history.claim(outbox.identity(), outbox.last_event())
    applied = 0
    mark = history.applied()
    while events := outbox.events(after=mark):
        applied += history.apply(events, clock())
        mark = events[-1].seq
    published = history.publish()
    outbox.record_published(mark)
    return Applied(applied, mark, published)


def inspect(reader: HistoryReader) -> Inspected:
    """The published history: its own rules, and what is worth a look first."""
    by_severity = _rows(reader, "open_by_severity")
    checks = tuple(
        Check(str(name), int(str(violations)), str(meaning))
        for name, violations, meaning in _rows(reader, "history_checks")
    )
    return Inspected(sum(int(str(row[-1])) for row in by_severity), by_severity, _rows(reader, "worst_open"), checks)


def _rows(reader: HistoryReader, name: str) -> tuple[tuple[object, ...], ...]:
    return tuple(tuple(row) for row in reader.frame(name).itertuples(index=False, name=None))
