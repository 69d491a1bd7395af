"""Answers the requests of open batches in a background thread and ends each batch when its time has come."""

from __future__ import annotations

import random
import sys
import threading
import traceback
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from review_pipeline.simulator.answering import Question, Responder, all_text
from review_pipeline.simulator.clock import Clock
from review_pipeline.simulator.intake import BodyIndex, read_requests
from review_pipeline.simulator.lifecycle import Ending, ending_of, expires_at
from review_pipeline.simulator.rules import Asked, Rule, Script
from review_pipeline.simulator.store import Batch, Store
from review_pipeline.simulator.usage import PromptCache
from review_pipeline.simulator.wire import ErrorBody, JsonObject, error_json, new_identifier

_CHUNK_REQUESTS = 1_000
_CHUNK_BYTES = 16 * 1024 * 1024
# Upper bound on how late an ending is noticed when nobody wakes the worker.
_IDLE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Lines:
    """The result lines of a batch in the order of its requests; several lines, or none, may answer one request."""

    path: Path
    spans: array[int]
    counts: Counter[str]


class Worker:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        script: Script,
        cache: PromptCache,
        responder: Responder,
        *,
        seed: int,
        cancel_seconds: float,
    ) -> None:
        self._store, self._clock, self._script = store, clock, script
        self._cache, self._responder = cache, responder
        self._seed, self._cancel_seconds = seed, cancel_seconds
        self._changed = threading.Condition()
        self._wakes = 0
        self._stopping = False
        self._answered: dict[str, tuple[Ending, Lines]] = {}
        # A batch that is cut short is worked on twice, but a rule with `times` must count each request once.
        self._decided: dict[str, dict[str, Rule | None]] = {}
        self._thread = threading.Thread(target=self._run, name="offline-batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def wake(self) -> None:
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def settle(self, timeout_seconds: float = 60.0) -> bool:
        """Waits until every batch whose time has come has ended; False if that took too long."""
        self.wake()
        with self._changed:
            return self._changed.wait_for(lambda: not self._due(), timeout_seconds)

    def _due(self) -> tuple[Batch, ...]:
        now = self._clock.now()
        return tuple(b for b in self._store.open_batches() if ending_of(b, self._cancel_seconds).at <= now)

    def _run(self) -> None:
        while not self._stopping:
            seen = self._wakes
            for batch in self._store.open_batches():
                self._guarded_step(batch.id)
                if self._stopping:
                    return
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(lambda seen=seen: self._stopping or self._wakes != seen, _IDLE_SECONDS)  # type: ignore[misc]

    def _guarded_step(self, batch_id: str) -> None:
        try:
            self._step(batch_id)
        except Exception:  # noqa: BLE001
            # One batch that cannot be worked on must not stop the others; it stays open and visible on stderr.
            if not self._stopping:
                traceback.print_exc(file=sys.stderr)

    def _step(self, batch_id: str) -> None:
        batch = self._store.find(batch_id)
        if batch is None or batch.ended_at is not None:
            return
        ending = ending_of(batch, self._cancel_seconds)
        done = self._answered.get(batch_id)
        if done is None or done[0] != ending:
            lines = self._answer_all(batch, ending)
            if lines is None:
                return
            self._answered[batch_id] = (ending, lines)
            if ending_of(self._store.find(batch_id) or batch, self._cancel_seconds) != ending:
                return
        now = self._clock.now()
        if ending.at <= now:
            self._end(batch, ending, self._answered.pop(batch_id)[1])

    def _end(self, batch: Batch, ending: Ending, lines: Lines) -> None:
        self._write_shuffled(batch, lines)
        self._script.save()
        self._cache.save()
        self._decided.pop(batch.id, None)
        # Work may take longer than `batch_seconds`; a clock that jumped must not move the end past the expiry.
        ended_at = max(ending.at, min(self._clock.now(), expires_at(batch)))
        self._store.end(batch.id, ended_at, lines.counts)
        lines.path.unlink(missing_ok=True)

    def _write_shuffled(self, batch: Batch, lines: Lines) -> None:
        """Complete under another name first: a results file that exists is whole."""
        order = list(range(len(lines.spans) // 2))
        random.Random(f"{self._seed}:{batch.number}").shuffle(order)  # noqa: S311 (an order, not a secret)
        target = self._store.results_path(batch.id)
        beside = target.with_suffix(".tmp")
        with lines.path.open("rb") as source, beside.open("wb") as file:
            for number in order:
                source.seek(lines.spans[2 * number])
                file.write(source.read(lines.spans[2 * number + 1]))
        beside.replace(target)

    def _answer_all(self, batch: Batch, ending: Ending) -> Lines | None:
        """None when the server stops or the batch is cut short meanwhile; the work is then done again."""
        index = BodyIndex.read(self._store.index_path(batch.id))
        body = self._store.body_path(batch.id)
        path = self._store.work_path(batch.id)
        lines = Lines(path, array("Q"), Counter())
        offset = 0
        with path.open("wb") as file:
            for start, stop in _chunks(index):
                if self._stopping or self._cut_short(batch):
                    return None
                requests = list(read_requests(body, index, start, stop))
                for outcome, written in self._answer_chunk(batch, ending, start, requests):
                    lines.counts[outcome] += 1
                    for line in written:
                        lines.spans.extend((offset, len(line)))
                        offset += file.write(line)
        return lines

    def _cut_short(self, batch: Batch) -> bool:
        return (self._store.find(batch.id) or batch).cancel_at != batch.cancel_at

    def _answer_chunk(
        self, batch: Batch, ending: Ending, start: int, requests: list[JsonObject]
    ) -> Iterator[tuple[str, list[bytes]]]:
        finished = max(0, min(len(requests), ending.finished - start))
        questions = [self._question(batch, request) for request in requests[:finished]]
        answers = self._responder.answer(questions)
        for request, question, answer in zip(requests, questions, answers, strict=False):
            yield _outcome_lines(request["custom_id"], question.rule, answer)
        for request in requests[finished:]:
            yield ending.rest, [_line(request["custom_id"], {"type": ending.rest})]

    def _question(self, batch: Batch, request: JsonObject) -> Question:
        custom_id, params = request["custom_id"], request["params"]
        rule = None
        if self._script.watches("request"):
            decided = self._decided.setdefault(batch.id, {})
            if custom_id not in decided:
                asked = Asked("request", "batch", custom_id, all_text(params))
                decided[custom_id] = self._script.applies(asked, save=False)
            rule = decided[custom_id]
        return Question((batch.id, custom_id), params, batch.version, True, rule)


def _chunks(index: BodyIndex) -> Iterator[tuple[int, int]]:
    start = size_bytes = 0
    for number in range(len(index)):
        size_bytes += index.span(number)[1]
        if number + 1 - start >= _CHUNK_REQUESTS or size_bytes >= _CHUNK_BYTES:
            yield start, number + 1
            start, size_bytes = number + 1, 0
    if start < len(index):
        yield start, len(index)


def _outcome_lines(custom_id: str, rule: Rule | None, answer: JsonObject | ErrorBody) -> tuple[str, list[bytes]]:
    effect = rule.effect if rule else None
    if effect in ("expired", "canceled"):
        assert effect is not None
        return effect, [_line(custom_id, {"type": effect})]
    if isinstance(answer, ErrorBody):
        outcome = "errored"
        error = error_json(answer, new_identifier("req"))
        # A result line carries `details` even when there are none.
        error["error"].setdefault("details", None)
        line = _line(custom_id, {"type": "errored", "error": error})
    else:
        outcome = "succeeded"
        line = _line(custom_id, {"type": "succeeded", "message": answer})
    if effect == "missing":
        return outcome, []
    if effect == "duplicate":
        return outcome, [line, line]
    if effect == "unknown_id":
        return outcome, [line, line.replace(custom_id.encode(), b"nobody-sent-this", 1)]
    return outcome, [line]


def _line(custom_id: str, result: JsonObject) -> bytes:
    return orjson.dumps({"custom_id": custom_id, "result": result}, option=orjson.OPT_APPEND_NEWLINE)
