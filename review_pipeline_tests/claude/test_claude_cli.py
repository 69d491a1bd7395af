"""Processes: the real binary against the offline API, and programs that misbehave in its place."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from review_pipeline.adapters.claude_cli import ClaudeCli, find_claude
from review_pipeline.core.claude_call import Call
from review_pipeline.core.claude_end import Answer, Failed, Mishap
from review_pipeline.core.review_prompt import FILE_SCHEMA
from review_pipeline.ports import Refused
from review_pipeline.simulator import Simulator

KEY = "made-up-key-of-tests"
PROMPT = '<file path="a.py" language="python" lines="1-4" of="4" added="1-4">\n1#aaaa|try:\n2#bbbb|    x = 1\n3#cccc|except:\n4#dddd|    pass\n</file>'
FLAGS = (
    "--output-format --json-schema --setting-sources --strict-mcp-config --no-session-persistence --session-id --tools --system-prompt "
    "--max-budget-usd --model --disable-slash-commands"
)


def call(prompt: str = PROMPT, limit_seconds: float = 60) -> Call:
    return Call("You review code.", prompt, FILE_SCHEMA, "claude-sonnet-5-5", limit_seconds=limit_seconds)


def run(claude: ClaudeCli, folder: Path, asked: Call | None = None) -> Answer | Failed:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return claude.run(asked or call(), str(uuid4()), home, folder)


def script(folder: Path, body: str, version: str = "2.1.330 (Claude Code)", flags: str = FLAGS) -> Path:
    program = folder / "claude"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\n--version) echo "{version}"; exit 0;;\n--help) echo "{flags}"; exit 0;;\nesac\n{body}\n'
    )
    program.chmod(0o755)
    return program


def failed(folder: Path, body: str, limit_seconds: float = 20) -> Failed:
    told = run(ClaudeCli(script(folder, body), KEY, None), folder, call(limit_seconds=limit_seconds))
    assert isinstance(told, Failed)
    return told


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_the_real_binary_answers_and_says_what_it_took(tmp_path: Path) -> None:
    with Simulator() as api:
        told = run(ClaudeCli(find_claude(None), KEY, api.base_url), tmp_path)
    assert isinstance(told, Answer)
    assert isinstance(told.structured, dict)
    assert [finding["anchor"] for finding in told.structured["findings"]] == ["3#cccc"]
    assert told.spent.cost_usd > 0
    assert told.version.startswith("2.")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("too_long", Mishap.PROMPT_TOO_LONG),
        ("overloaded", Mishap.API_UNAVAILABLE),
        ("authentication", Mishap.API_REFUSED),
    ],
)
def test_errors_of_the_api_come_through_the_real_binary_by_name(tmp_path: Path, error: str, name: Mishap) -> None:
    with Simulator() as api:
        api.script({"on": "request", "effect": "error", "error": error})
        told = run(ClaudeCli(find_claude(None), KEY, api.base_url, retries=0), tmp_path)
    assert isinstance(told, Failed)
    assert told.mishap is name


@pytest.mark.case(87)
def test_a_hang_is_ended_with_everything_that_it_started(tmp_path: Path) -> None:
    told = failed(tmp_path, f"sleep 300 & echo $! > {tmp_path}/grandchild; wait", limit_seconds=1)
    assert told.mishap is Mishap.TIMED_OUT
    grandchild = int((tmp_path / "grandchild").read_text())
    while is_running(grandchild):  # a signal takes a moment; what stays for ever meets the limit of the test
        time.sleep(0.02)


@pytest.mark.case(88)
@pytest.mark.parametrize("stream", ["", ">&2"])
def test_a_flood_on_either_stream_neither_blocks_nor_fills_the_memory(tmp_path: Path, stream: str) -> None:
    told = failed(tmp_path, f"head -c 60000000 /dev/zero {stream}")
    assert told.mishap is Mishap.TOO_MUCH_OUTPUT


def test_a_prompt_that_nobody_reads_does_not_block(tmp_path: Path) -> None:
    claude = ClaudeCli(script(tmp_path, "exit 3"), KEY, None)
    told = run(claude, tmp_path, call("x" * 3_000_000))
    assert isinstance(told, Failed)
    assert told.mishap is Mishap.NO_OUTPUT


@pytest.mark.case(115)
def test_the_program_gets_an_environment_of_its_own(tmp_path: Path) -> None:
    claude = ClaudeCli(
        script(tmp_path, "env; cat > /dev/null"),
        KEY,
        "http://127.0.0.1:9",
        environment={**os.environ, "GITHUB_TOKEN": "t", "HTTPS_PROXY": "http://127.0.0.1:9"},
    )
    home = tmp_path / "home"
    home.mkdir()
    ended = claude._ended(call(), str(uuid4()), home, tmp_path, lambda _pid: None)
    names = {line.split("=")[0] for line in ended.stdout.decode().splitlines()}
    assert "GITHUB_TOKEN" not in names
    assert {"HOME", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_MAX_RETRIES", "HTTPS_PROXY"} <= names
    assert f"HOME={home}" in ended.stdout.decode()


@pytest.mark.case(98)
@pytest.mark.parametrize(
    ("body", "version", "said"),
    [("exit 0", "1.9.9 (Claude Code)", "or newer is needed"), ("exit 0", "hello", "Is it Claude Code")],
)
def test_a_wrong_program_is_refused_before_it_is_given_anything(
    tmp_path: Path, body: str, version: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        run(ClaudeCli(script(tmp_path, body, version), KEY, None), tmp_path)


@pytest.mark.case(98)
def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="CLAUDE_BINARY"):
        find_claude(str(tmp_path / "nothing"))
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(Refused, match="cannot be run"):
        run(ClaudeCli(tmp_path / "plain", KEY, None), tmp_path)


@pytest.mark.case(123)
@pytest.mark.parametrize("flag", FLAGS.split())
def test_a_version_without_a_flag_that_we_need_is_refused_by_its_name(tmp_path: Path, flag: str) -> None:
    with pytest.raises(Refused, match=flag):
        run(ClaudeCli(script(tmp_path, "exit 0", flags=FLAGS.replace(flag, "")), KEY, None), tmp_path)


def test_the_key_is_not_shown_with_the_object() -> None:
    assert KEY not in repr(ClaudeCli(Path("/bin/true"), KEY, None))
