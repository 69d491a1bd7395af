"""What was asked one by one and what was answered: an append-only file, each line on disk before the next step."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson


class AnswerBook:
    """Lines of JSON: a request is asked, then it is answered, or it was certainly not asked. A torn last line is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._answers: dict[str, str] = {}  # custom_id -> type of its result
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self._take(orjson.loads(line))
        self._file = path.open("ab")
        self._file.truncate(whole)
        self.lost = len(self._asked)
        self._asked.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def unanswered(self, requests: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
        return (request for request in requests if request[0] not in self._answers)

    def asking(self, custom_id: str) -> None:
        self._write({"asking": custom_id})

    def not_asked(self, custom_id: str) -> None:
        self._write({"not_asked": custom_id})

    def answered(self, custom_id: str, result: dict[str, Any]) -> None:
        self._write({"custom_id": custom_id, "result": result})

    def counts(self) -> dict[str, int]:
        """Answers by the type of their result, as a batch counts them."""
        return dict(Counter(self._answers.values()))

    def finish(self, to: Path) -> dict[str, int]:
        """All answers as the result lines of a batch, under their own name once they are on disk. Returns the counts."""
        beside = to.with_name(f"{to.name}.{os.urandom(4).hex()}.part")
        try:
            with self._path.open("rb") as book, beside.open("wb") as file:
                for line in book:
                    if line.startswith(b'{"custom_id"'):
                        file.write(line)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(to)
        finally:
            beside.unlink(missing_ok=True)
        return self.counts()

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(orjson.dumps(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if "asking" in line:
            self._asked.add(line["asking"])
        elif "not_asked" in line:
            self._asked.discard(line["not_asked"])
        else:
            self._asked.discard(line["custom_id"])
            self._answers[line["custom_id"]] = line["result"]["type"]
