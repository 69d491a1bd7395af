"""Everything the endpoints share: state, clock, rules and the worker, put together once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from review_pipeline.simulator.answering import Responder
from review_pipeline.simulator.clock import Clock
from review_pipeline.simulator.intake import MAX_BODY_BYTES, MAX_REQUESTS
from review_pipeline.simulator.rules import Rule, Script
from review_pipeline.simulator.store import Store
from review_pipeline.simulator.usage import PromptCache
from review_pipeline.simulator.worker import Worker

_CLOCK_OFFSET = "clock_offset_seconds"


@dataclass(frozen=True, slots=True)
class Options:
    batch_seconds: float = 2.0
    # How long a batch stays `canceling`.
    cancel_seconds: float = 0.0
    latency_seconds: float = 0.0
    seed: int = 0
    max_body_bytes: int = MAX_BODY_BYTES
    max_requests: int = MAX_REQUESTS
    max_message_bytes: int = 32 * 1024 * 1024


class Service:
    def __init__(self, folder: Path, options: Options, rules: tuple[Rule, ...] = ()) -> None:
        self.options = options
        self.store = Store(folder)
        self.clock = Clock(self.store.setting(_CLOCK_OFFSET))
        self.script = Script(self.store, rules)
        self.cache = PromptCache(self.store)
        self.responder = Responder(self.clock, self.cache)
        self.worker = Worker(
            self.store,
            self.clock,
            self.script,
            self.cache,
            self.responder,
            seed=options.seed,
            cancel_seconds=options.cancel_seconds,
        )

    def start(self) -> None:
        self.worker.start()

    def close(self) -> None:
        self.worker.stop()
        self.store.close()

    def advance(self, seconds: float) -> None:
        """Returns when every batch whose time has come by the new clock has ended."""
        self.store.remember_setting(_CLOCK_OFFSET, self.clock.advance(seconds))
        self.worker.settle()
