"""Parsers in a process of its own: what they find comes back, and what breaks them breaks nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from review_pipeline.adapters import cutting
from review_pipeline.adapters.cutting import cut_costs
from review_pipeline.core.boundaries import boundaries, boundaries_of_layout

PYTHON = Path(cutting.__file__).read_text().split("\n")
HOSTILE = {
    "crashes": ("perl", "${`" * 50_000),
    "never ends": ("dart", "\ud7ff\U0001f600" * 30_000),
    "takes minutes": ("shell", "<" * 100_000),
    "takes gigabytes": ("scala", "[{(" * 60_000),
}


def test_costs_are_those_that_the_parser_found() -> None:
    assert cut_costs("python", PYTHON) == boundaries("python", PYTHON) != boundaries_of_layout(PYTHON)


@pytest.mark.parametrize("language", ["no such language", "markdown"])
def test_no_process_is_started_for_what_no_grammar_knows(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere")
    assert cut_costs(language, ("a", "", "b")) == boundaries(language, ("a", "", "b"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_breaks_its_parser_is_cut_by_its_layout(name: str) -> None:
    language, text = HOSTILE[name]
    lines = text.split("\n")
    begun = time.monotonic()
    assert cut_costs(language, lines) == boundaries_of_layout(lines)
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize("text", ["(" * 100_000, "{\n" * 100_000, "x = 1; " * 57_000, "'\"`" * 60_000])
@pytest.mark.parametrize("language", ["python", "typescript", "java"])
def test_deep_or_endless_lines_have_costs_too(language: str, text: str) -> None:
    lines = text.split("\n")
    assert len(cut_costs(language, lines)) == len(lines)


def test_the_key_is_not_in_the_environment_of_the_parser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nenv > {seen}\necho '[7]'\n")
    program.chmod(0o755)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    monkeypatch.setattr("sys.executable", str(program))
    assert cut_costs("python", ("x = 1",)) == (7,)
    assert "ANTHROPIC" not in seen.read_text()
