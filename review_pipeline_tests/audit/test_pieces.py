"""Files that are sent in pieces: cut between definitions, and nothing is lost or found twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from review_pipeline_tests.audit.world import World

FAULTS = (2, 17, 33)  # functions with a fault: the analyser names three of a kind for each prompt
PYTHON = "import os\n\n\n" + "\n\n".join(
    f"def work_{n}(path: str) -> str:\n    # step {n} of many\n    found_{n} = {'eval' if n in FAULTS else 'str'}(path)\n"
    f"    return os.path.join(path, str(found_{n}))\n"
    for n in range(40)
)
GO = "package main\n\n" + "\n".join(
    f"// work{n} is step {n} of many.\nfunc work{n}() string {{\n\t{f'_ = run{n}()' if n in FAULTS else f'check({n})'}\n"
    f'\treturn "a longer text for step {n}"\n}}\n'
    for n in range(40)
)
TYPESCRIPT = 'import { run } from "./run";\n\n' + "\n".join(
    f"/** Step {n} of many. */\nexport function work{n}(text: string): string {{\n"
    f"  const found{n}{': any' if n in FAULTS else ''} = run(text);\n  return String(found{n});\n}}\n"
    for n in range(40)
)
SOURCES = {"long.py": PYTHON, "long.go": GO, "long.ts": TYPESCRIPT}
BEGINNINGS = ("import", "package", "def ", "// work", "/** Step")
FOUND = "SELECT path, start_line, category, issue, evidence, anchor, fingerprint FROM findings ORDER BY ALL"

Make = Callable[..., World]


def world_of(make: Make, name: str, **workload: Any) -> World:
    made = make(name, workloads={"nightly_quality_audit": workload} if workload else {})
    made.commit(SOURCES)
    return made


@pytest.fixture
def whole(make: Make) -> list[tuple[Any, ...]]:
    """What is found in the same files, each read in one piece."""
    made = world_of(make, "whole")
    made.audit()
    assert made.query("SELECT count(*) FROM requests") == [(3,)]
    found = made.query(FOUND)
    for path in SOURCES:
        assert sum(row[0] == path for row in found) >= len(FAULTS)
    return found


def pieces(world: World, change: str) -> list[tuple[str, int, int]]:
    return world.query(
        f"SELECT path, start_line, end_line FROM requests WHERE change = '{change}' ORDER BY path, start_line"
    )


def test_a_file_in_pieces_has_the_findings_of_the_whole_file(make: Make, whole: list[tuple[Any, ...]]) -> None:
    world = world_of(make, "pieces", chunk_bytes=2_000)
    world.audit()
    cut = pieces(world, "first")
    for path, text in SOURCES.items():
        firsts = [first for name, first, _ in cut if name == path]
        assert len(firsts) > 2
        assert all(text.split("\n")[first - 1].startswith(BEGINNINGS) for first in firsts)
    assert world.query(FOUND) == whole
    assert world.query("SELECT count(DISTINCT root) FROM requests") == [(3,)]
    assert world.coverage() == {"reviewed": 3}
    world.assert_all_counted()


@pytest.mark.parametrize(
    "rule", [{"effect": "error", "error": "too_long"}, {"effect": "context_window"}], ids=["too_long", "context_out"]
)
def test_what_was_too_long_is_sent_in_halves_that_begin_with_a_function_and_find_the_same(
    make: Make, whole: list[tuple[Any, ...]], rule: dict[str, str]
) -> None:
    world = world_of(make, "halves")
    world.script(*({**rule, "contains": f'path="{path}"', "times": 1} for path in SOURCES))
    world.audit()
    halves = pieces(world, "chunked")
    assert len(halves) == 2 * len(SOURCES)
    for (path, _, last), (_, first, _) in zip(halves[::2], halves[1::2], strict=True):
        assert SOURCES[path].split("\n")[first - 1].startswith(BEGINNINGS)
        assert first == last + 1
    assert world.query(FOUND) == whole
    world.assert_all_counted()


def test_a_line_over_the_models_context_is_a_named_skip_and_nothing_of_its_file_is_sent(make: Make) -> None:
    small = {"model": "claude-haiku-4-5", "max_file_bytes": 2_000_000}
    world = make("line", workloads={"nightly_quality_audit": small})
    world.commit({"one.py": "value = eval(input())\n", "line.py": "x = 1\n" * 2_000 + f'TEXT = "{"a" * 600_000}"\n'})
    plan = world.audit()
    assert plan.counts == {"submitted": 1, "skipped: unsplittable": 1}
    assert world.accepted() == [1]
    ((state, reason),) = world.query("SELECT state, reason FROM coverage WHERE path = 'line.py'")
    assert state == "skipped"
    assert "line 2001 alone is about 240,007 tokens and cannot be split" in reason
    assert "claude-haiku-4-5" in reason
    world.assert_all_counted()
