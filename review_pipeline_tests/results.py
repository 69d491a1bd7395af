"""Builds what an audit leaves behind: requests in a spool, and the raw result lines that the API would send for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from review_pipeline.adapters.spool import Spool
from review_pipeline.core.failures import Change
from review_pipeline.core.finding import label, repeats
from review_pipeline.core.prompt import FINDINGS_SCHEMA, Prompt, message_params, render_file
from review_pipeline.ports import ResultFiles

MODEL = "claude-haiku-5-5"
PROMPT = Prompt("Review this file.", FINDINGS_SCHEMA)
USAGE = {"input_tokens": 1_000, "output_tokens": 200}

Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request about lines first..last of a file."""

    custom_id: str
    lines: tuple[str, ...]
    path: str = "src/app.py"
    blob: str = "b10b"
    first: int = 1
    last: int | None = None
    parent: str | None = None
    root: str | None = None
    attempt: int = 1
    change: Change = Change.FIRST
    line_keys: tuple[int, ...] | None = None

    @property
    def end(self) -> int:
        return self.last or len(self.lines)

    def label(self, number: int) -> str:
        return label(self.blob, number, self.lines[number - 1])

    def claim(self, number: int, **changes: object) -> Line:
        """A claim about a line, quoted and labelled as it should be."""
        return claim(self.label(number), self.lines[number - 1], **{"end_line": number, **changes})

    def request(self) -> bytes:
        shown = render_file(self.path, "python", self.blob, self.lines, self.first, self.end)
        return orjson.dumps({"custom_id": self.custom_id, "params": message_params(MODEL, 8_000, PROMPT, shown)})

    def row(self) -> Line:
        inside = {number: nth for number, nth in repeats(self.lines).items() if self.first <= number <= self.end}
        row: Line = {
            "custom_id": self.custom_id,
            "parent": self.parent,
            "root": self.root or self.custom_id,
            "path": self.path,
            "blob": self.blob,
            "start_line": self.first,
            "end_line": self.end,
            "attempt": self.attempt,
            "change": self.change.value,
            "repeat_lines": list(inside),
            "repeat_numbers": list(inside.values()),
        }
        return row if self.line_keys is None else {**row, "line_keys": sorted(self.line_keys)}


def claim(anchor: str, evidence: str, **changes: object) -> Line:
    return {
        "anchor": anchor,
        "end_line": 1,
        "category": "bug",
        "severity": "warning",
        "confidence": 0.9,
        "issue": "It breaks.",
        "suggestion": "Mend it.",
        "evidence": evidence,
        **changes,
    }


def answer(*claims: Line | None) -> str:
    return orjson.dumps({"findings": claims}).decode()


def succeeded(
    asked: Asked,
    text: str | None = None,
    *,
    stop_reason: str = "end_turn",
    usage: Mapping[str, object] = USAGE,
    content: list[Line] | None = None,
) -> Line:
    blocks = content if content is not None else [{"type": "text", "text": answer() if text is None else text}]
    message = {"type": "message", "content": blocks, "stop_reason": stop_reason, "usage": dict(usage)}
    return {"custom_id": asked.custom_id, "result": {"type": "succeeded", "message": message}}


def found(asked: Asked, *numbers: int) -> Line:
    """An answer with a claim about each of these lines."""
    return succeeded(asked, answer(*(asked.claim(number) for number in numbers)))


def errored(asked: Asked, kind: str, message: str = "no", code: str | None = None) -> Line:
    error = {"type": kind, "message": message, "details": {"error_code": code} if code else None}
    return {
        "custom_id": asked.custom_id,
        "result": {"type": "errored", "error": {"type": "error", "request_id": "req_1", "error": error}},
    }


def ended(asked: Asked, kind: str) -> Line:
    """A result of which there is only the type: expired, canceled, or one that is not known yet."""
    return {"custom_id": asked.custom_id, "result": {"type": kind}}


def write_batch(
    spool: Spool, plan: str, asked: Iterable[Asked], results: Iterable[Line], batch_id: str = "msgbatch_1"
) -> ResultFiles:
    """Requests as a plan writes them, and their results as a download leaves them."""
    with spool.new_plan(plan) as folder:
        body = folder.batch(0)
        for request in asked:
            body.add(request.request(), request.row())
        body.close()
    files = spool.result_files(f"plans/{plan}/000", batch_id)
    write_lines(files.raw, results)
    return files


def write_lines(path: Path, results: Iterable[Line]) -> None:
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in results))
