"""Runs ruff once over many blocks of Python and keeps what the rule table knows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from ruff import find_ruff_bin  # type: ignore[import-untyped]

from review_pipeline.simulator.analyser.finding import Block, Finding
from review_pipeline.simulator.analyser.ruff_rules import RUFF_RULES

_UNKNOWN_RULE = re.compile(r"Unknown rule selector:? `([A-Z0-9]+)`")
_DEFINITION = re.compile(r"^[ \t]*(?:async def |def |class |@)")
_INDENT = re.compile(r"^[ \t]*")

_MEMORY_FOLDER = "/dev/shm"  # noqa: S108 (the names in it are random)
_FOLDER_PREFIX = "offline-analyser-"
# Twice what the worker puts into one chunk.
_MEMORY_NEEDED_BYTES = 32 * 1024 * 1024

# Codes that this machine's ruff does not know; filled on first use.
_unknown_rules: set[str] = set()


def check_python(blocks: Sequence[Block]) -> list[list[Finding]]:
    """One list of findings per block, in the order of the blocks."""
    texts = {number: _standalone(block) for number, block in enumerate(blocks)}
    diagnostics = _run_ruff(blocks, texts)
    broken = {
        number: cut
        for number, rows in diagnostics.items()
        if any(row["code"] == "invalid-syntax" or row["code"] is None for row in rows)
        and not blocks[number].is_whole_file
        and (cut := _before_last_definition(*texts[number])) is not None
    }
    if broken:
        diagnostics |= _run_ruff(blocks, broken)
    return [_findings(block, texts[number][1], diagnostics.get(number, ())) for number, block in enumerate(blocks)]


def _standalone(block: Block) -> tuple[str, int]:
    """The block's text, made to parse when it starts inside an indented body, and how many lines were put before it."""
    first = next((line for line in block.lines if line.strip() and not line.lstrip().startswith("#")), "")
    indent = _INDENT.match(first)
    width = len(indent.group().expandtabs(4)) // 4 if indent else 0
    opening = [f"{'    ' * level}if 1:" for level in range(width)]
    return "\n".join((*opening, *block.lines, "")), len(opening)


def _before_last_definition(text: str, put_before: int) -> tuple[str, int] | None:
    """A part of a file is often cut inside its last function; what stands before it still parses."""
    lines = text.split("\n")
    for position in range(len(lines) - 1, put_before, -1):
        if _DEFINITION.match(lines[position]):
            return "\n".join(lines[:position]) + "\n", put_before
    return None


def _run_ruff(blocks: Sequence[Block], texts: Mapping[int, tuple[str, int]]) -> dict[int, list[dict[str, Any]]]:
    if not texts:
        return {}
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", dir=_fastest_folder()) as folder:
        for number, (text, _) in texts.items():
            suffix = ".pyi" if blocks[number].path.endswith(".pyi") else ".py"
            (Path(folder) / f"block_{number}{suffix}").write_bytes(text.encode("utf-8", "replace"))
        report = _ruff_report(folder)
    found: dict[int, list[dict[str, Any]]] = {}
    for row in report:
        found.setdefault(int(Path(row["filename"]).stem.removeprefix("block_")), []).append(row)
    return found


def _fastest_folder() -> str | None:
    """Making a file in memory was 40 times faster than on the overlay disk of a container; None is the default."""
    _sweep_up_after_the_dead()
    free_bytes = shutil.disk_usage(_MEMORY_FOLDER).free if os.access(_MEMORY_FOLDER, os.W_OK) else 0
    return _MEMORY_FOLDER if free_bytes >= _MEMORY_NEEDED_BYTES else None


@cache
def _sweep_up_after_the_dead() -> None:
    """A process killed in the middle of a check leaves its folder behind, and that is memory."""
    for left in Path(_MEMORY_FOLDER).glob(f"{_FOLDER_PREFIX}*-*"):
        owner = left.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)


def _ruff_report(folder: str) -> list[dict[str, Any]]:
    while True:
        rules = ",".join(code for code in RUFF_RULES if code not in _unknown_rules)
        ran = subprocess.run(
            [
                find_ruff_bin(),
                "check",
                "--isolated",
                "--no-cache",
                "--exit-zero",
                "--no-respect-gitignore",
                "--quiet",
                "--output-format",
                "json",
                "--select",
                rules,
                folder,
            ],
            capture_output=True,
            check=False,
        )
        if ran.returncode == 0:
            report: list[dict[str, Any]] = orjson.loads(ran.stdout)
            return report
        words = ran.stderr.decode("utf-8", "replace")
        unknown = _UNKNOWN_RULE.findall(words)
        if not unknown:
            raise RuntimeError(f"ruff check failed with code {ran.returncode}: {words.strip()}")
        _unknown_rules.update(unknown)


def _findings(block: Block, put_before: int, rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    found = []
    for row in rows:
        rule = RUFF_RULES.get(row["code"] or "")
        if rule is None or (block.is_test and not rule.in_tests):
            continue
        if not (rule.survives_chunks or block.is_whole_file):
            continue
        # An unused import of a package's front page is its public interface.
        if row["code"] == "F401" and block.path.endswith("__init__.py"):
            continue
        offset = block.first_line - 1 - put_before
        line = row["location"]["row"] + offset
        if not block.first_line <= line <= block.last_line:
            continue
        end = row["end_location"]["row"] + offset - (row["end_location"]["column"] == 1)
        found.append(
            Finding(
                block=block,
                rule=row["code"],
                line=line,
                end_line=min(max(line, end), block.last_line),
                category=rule.category,
                severity=rule.severity,
                confidence=rule.confidence,
                issue=row["message"],
                suggestion=rule.suggestion,
            )
        )
    return found
