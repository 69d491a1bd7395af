"""A repository of generated files, and the results that a batch about them would bring: the same bytes in every run."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import orjson

from review_pipeline.core.audit import Audit, Cell
from review_pipeline.core.caching import EXPECTED_HITS
from review_pipeline.core.cost import PriceTable
from review_pipeline.core.finding import Category, Severity, fingerprint, label, normalised, repeats
from review_pipeline.core.planning import Limits
from review_pipeline.core.prompt import FINDINGS_SCHEMA, Prompt
from review_pipeline.core.selection import SelectionRules, TreeEntry
from review_pipeline.ports import Revision
from review_pipeline.settings import shipped_prices

MODEL = "claude-haiku-5-5"
WORKLOAD = "nightly_quality_audit"
REPO = "bench"
DAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
CELL = Cell(f"nightly-{REPO}", DAY)
PLAN = f"nightly-{REPO}_{DAY}.r0.nonce"
THRESHOLDS = {category.value: 0.7 for category in Category}
COMMIT = "c" * 40
MOST_CLAIMS = 7

_NOUNS = ("invoice", "ledger", "customer", "shipment", "tariff", "voucher", "contract", "reading", "meter", "branch")
_WORDS = tuple(
    word
    for line in (
        "when the caller passes an empty value this line raises and the error is swallowed by a broad handler further up",
        "so a partial row stays behind without any trace in logs while retry counters move on as if nothing had happened",
        "because timeout limits are never checked against what was promised to clients of older versions",
    )
    for word in line.split()
)


def audit(limits: Limits | None = None) -> Audit:
    prompt = Prompt("Review this file.", FINDINGS_SCHEMA)
    return Audit(
        WORKLOAD,
        REPO,
        "HEAD",
        SelectionRules(),
        prompt,
        MODEL,
        8_000,
        100_000,
        limits or Limits(),
        PriceTable(shipped_prices()),
        30,
        "a benchmark",
        EXPECTED_HITS,
    )


def path_of(number: int) -> str:
    return f"src/area_{number % 97:02d}/module_{number:06d}.py"


def number_of(path: str) -> int:
    return int(path[-9:-3])


def content_of(number: int) -> bytes:
    """About 28 lines; some of them stand there twice, as in real code."""
    noun, other = _NOUNS[number % 10], _NOUNS[number // 10 % 10]
    return f"""import json
from pathlib import Path

LIMIT_{number} = {number % 977}


def load_{noun}(path: Path) -> dict[str, object]:
    rows = json.loads(path.read_text())
    if not rows:
        return {{}}
    return {{row["{noun}_{number}"]: row for row in rows}}


def total_{other}(rows: dict[str, float], rate_{number}: float) -> float:
    total = 0.0
    for key, value in rows.items():
        if not rows:
            return {{}}
        total += value * rate_{number} / LIMIT_{number}
    return round(total, {number % 7})


def save_{noun}(path: Path, rows: dict[str, object]) -> None:
    if not rows:
        raise ValueError("no {noun} to save for {number}")
    beside = path.with_suffix(".{other}.part")
    beside.write_text(json.dumps(rows, indent={number % 4}))
    beside.replace(path)
""".encode()


def blob_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


class GeneratedRepository:
    """A repository without git, so that what is measured is ours."""

    def __init__(self, files: int) -> None:
        self._files = files

    def resolve(self, ref: str) -> Revision:
        assert ref == "HEAD"
        return Revision(COMMIT, NOW)

    def tree(self, commit: str) -> Iterator[TreeEntry]:
        assert commit == COMMIT
        for number in range(self._files):
            content = content_of(number)
            yield TreeEntry(path_of(number), blob_of(content), "100644", len(content))

    def read(self, entries: Iterable[TreeEntry]) -> Iterator[tuple[TreeEntry, bytes]]:
        for entry in entries:
            yield entry, content_of(number_of(entry.path))


@dataclass(frozen=True, slots=True)
class Written:
    """What the results hold, counted while they were written."""

    results: int
    succeeded: int
    claims: int
    moved: int
    findings: int
    bytes: int


def write_results(manifest: Path, raw: Path, seed: int = 0) -> Written:
    """One line per request in another order than asked: 98.5% succeeded, 3.5 claims each, one label in a hundred wrong."""
    rng = random.Random(seed)  # noqa: S311
    with manifest.open("rb") as lines:
        asked = [(row["custom_id"], row["path"], row["blob"]) for row in map(orjson.loads, lines)]
    rng.shuffle(asked)
    prose = _Prose(rng)
    fingerprints: set[UUID] = set()
    succeeded = claims = moved = 0
    with raw.open("wb", buffering=1 << 20) as file:
        for custom_id, path, blob in asked:
            if rng.random() >= 0.985:
                file.write(orjson.dumps({"custom_id": custom_id, "result": _failure(rng)}) + b"\n")
                continue
            found = list(_claims(rng, prose, path, blob, fingerprints))
            succeeded += 1
            claims += len(found)
            moved += sum(is_moved for _, is_moved in found)
            text = orjson.dumps({"findings": [claim for claim, _ in found]}).decode()
            file.write(orjson.dumps({"custom_id": custom_id, "result": _success(rng, text)}) + b"\n")
        size = file.tell()
    return Written(len(asked), succeeded, claims, moved, len(fingerprints), size)


class _Prose:
    """Sentences of two halves: cheap to draw, and hardly ever the same twice, so that no dictionary flatters anybody."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._halves = [" ".join(rng.choices(_WORDS, k=9)) for _ in range(3_000)]

    def sentence(self) -> str:
        return f"{self._rng.choice(self._halves)}, {self._rng.choice(self._halves)}."


def _claims(
    rng: random.Random, prose: _Prose, path: str, blob: str, fingerprints: set[UUID]
) -> Iterator[tuple[dict[str, object], bool]]:
    lines = tuple(content_of(number_of(path)).decode().removesuffix("\n").split("\n"))
    repeated = repeats(lines)
    quotable = [number for number, line in enumerate(lines, start=1) if line.strip()]
    codes = [normalised(line) for line in lines]
    once = [number for number in quotable if codes.count(codes[number - 1]) == 1]
    for _ in range(rng.randrange(MOST_CLAIMS + 1)):
        is_moved = rng.random() < 0.01
        number = rng.choice(once if is_moved else quotable)
        text, category = lines[number - 1], rng.choice(tuple(Category))
        fingerprints.add(fingerprint(REPO, path, category, text, repeated.get(number, 1)))
        claim: dict[str, object] = {
            "anchor": label(blob, number + is_moved, text + " " * is_moved + "?" * is_moved),
            "end_line": number,
            "category": category.value,
            "severity": rng.choice(tuple(Severity)).value,
            "confidence": round(rng.random(), 2),
            "issue": prose.sentence(),
            "suggestion": prose.sentence(),
            "evidence": text,
        }
        yield claim, is_moved


def _success(rng: random.Random, text: str) -> dict[str, object]:
    message = {
        "id": f"msg_{rng.getrandbits(96):024x}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text, "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": rng.randrange(800, 1_200),
            "output_tokens": len(text) // 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "service_tier": "batch",
            "server_tool_use": None,
        },
    }
    return {"type": "succeeded", "message": message}


def _failure(rng: random.Random) -> dict[str, object]:
    if rng.random() < 0.3:
        return {"type": "expired"}
    error = {"type": "overloaded_error", "message": "Overloaded", "details": None}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": f"req_{rng.getrandbits(64):x}"}}
