"""A clock that runs like the wall clock and can be moved forward."""

from __future__ import annotations

import threading
import time


class Clock:
    def __init__(self, offset_seconds: float = 0.0) -> None:
        self._offset_seconds = offset_seconds
        self._lock = threading.Lock()

    @property
    def offset_seconds(self) -> float:
        return self._offset_seconds

    def now(self) -> float:
        return time.time() + self._offset_seconds

    def advance(self, seconds: float) -> float:
        with self._lock:
            self._offset_seconds += seconds
            return self._offset_seconds
