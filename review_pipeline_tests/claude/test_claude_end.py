"""What the end of a call means: an answer only if everything holds, else a failure by name."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from review_pipeline.core.claude_call import Call, IllegalCall, arguments, calls_at_once
from review_pipeline.core.claude_end import ADVICE, Answer, Ended, Failed, Mishap, read_end
from review_pipeline.core.review_prompt import FILE_SCHEMA

SESSION = "5f0c2c3e-0000-4000-8000-000000000000"
FINDING = {
    "path": "a.py", "anchor": "1#abcd", "end_line": 1, "category": "bug", "severity": "critical", "confidence": 0.9, "issue": "wrong",
    "suggestion": "", "evidence": "x",
}  # fmt: skip


def call(**changes: Any) -> Call:
    values: dict[str, Any] = {
        "system": "Review.",
        "prompt": "Code.",
        "schema": FILE_SCHEMA,
        "model": "claude-sonnet-5-5",
        **changes,
    }
    return Call(**values)


def result(**changes: Any) -> dict[str, Any]:
    return {
        "type": "result", "subtype": "success", "is_error": False, "api_error_status": None, "session_id": SESSION, "num_turns": 2,
        "result": "done", "structured_output": {"findings": [], "prior_findings": []}, "total_cost_usd": 0.01, "terminal_reason": "completed",
        "modelUsage": {"claude-sonnet-5-5": {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 3, "cacheCreationInputTokens": 2}},
        "permission_denials": [], **changes,
    }  # fmt: skip


def ended(told: object, exit_code: int = 0, stderr: bytes = b"", **changes: Any) -> Answer | Failed:
    stdout = told if isinstance(told, bytes) else json.dumps(told).encode()
    return read_end(
        call(),
        SESSION,
        Ended(exit_code, stdout, stderr, folder="/desk/tree", secrets=("made-up-key-1234",), **changes),
        "2.1.330",
    )


def mishap(told: object, exit_code: int = 0, stderr: bytes = b"", **changes: Any) -> Mishap:
    failed = ended(told, exit_code, stderr, **changes)
    assert isinstance(failed, Failed)
    assert ADVICE[failed.mishap].text in str(failed)
    return failed.mishap


def test_a_good_end_is_an_answer_with_what_it_took() -> None:
    answer = ended(result())
    assert isinstance(answer, Answer)
    assert answer.spent.cost_usd == Decimal("0.01")
    assert (answer.spent.usage.prompt_tokens, answer.spent.usage.output_tokens, answer.model) == (
        15,
        5,
        "claude-sonnet-5-5",
    )


@pytest.mark.case(82)
def test_exit_zero_with_an_error_is_a_failure() -> None:
    assert mishap(result(is_error=True)) is Mishap.API_UNAVAILABLE


@pytest.mark.case(83)
@pytest.mark.parametrize(
    ("told", "name"),
    [
        (b"", Mishap.NO_OUTPUT),
        (b"  \n", Mishap.NO_OUTPUT),
        ({**result(), "structured_output": None}, Mishap.NO_ANSWER),
        ({key: value for key, value in result().items() if key != "structured_output"}, Mishap.NO_ANSWER),
    ],
)  # fmt: skip
def test_no_output_and_no_structure_are_failures(told: object, name: Mishap) -> None:
    assert mishap(told) is name


@pytest.mark.case(84)
def test_of_an_array_of_events_the_last_result_counts_and_log_lines_ahead_are_no_json() -> None:
    assert isinstance(ended([{"type": "system"}, result(is_error=True), result()]), Answer)
    assert mishap(b"starting up\n" + json.dumps(result()).encode()) is Mishap.BAD_JSON
    assert mishap([{"type": "system"}]) is Mishap.BAD_JSON


@pytest.mark.case(85)
@pytest.mark.parametrize(
    "output",
    [
        {"findings": "<finding><path>a.py</path></finding>", "prior_findings": []},
        {"findings": []},
        {"findings": [{"issue": "x"}], "prior_findings": []},
        {"findings": [], "prior_findings": [], "extra": 1},
        "a text",
        [],
    ],
)
def test_what_does_not_fit_the_schema_is_a_failure(output: object) -> None:
    assert mishap(result(structured_output=output)) is Mishap.SCHEMA_NOT_KEPT


@pytest.mark.case(89)
@pytest.mark.parametrize(
    "change",
    [
        {"severity": "CRITICAL!!"},
        {"confidence": "95%"},
        {"confidence": 95},
        {"confidence": 1.7},
        {"confidence": None},
        {"category": "bugs"},
        {"end_line": "12-15"},
    ],
)
def test_odd_grades_are_rejected_by_rule_and_never_guessed(change: dict[str, object]) -> None:
    told = result(structured_output={"findings": [{**FINDING, **change}], "prior_findings": []})
    assert mishap(told) is Mishap.SCHEMA_NOT_KEPT
    assert isinstance(ended(result(structured_output={"findings": [FINDING], "prior_findings": []})), Answer)


@pytest.mark.case(89)
def test_not_a_number_is_no_json() -> None:
    told = json.dumps(
        result(structured_output={"findings": [{**FINDING, "confidence": float("nan")}], "prior_findings": []})
    ).encode()
    assert b"NaN" in told
    assert mishap(told) is Mishap.BAD_JSON


@pytest.mark.case(86)
@pytest.mark.parametrize(
    ("subtype", "name"),
    [
        ("error_max_structured_output_retries", Mishap.SCHEMA_NOT_KEPT),
        ("error_max_turns", Mishap.MAX_TURNS),
        ("error_max_budget_usd", Mishap.OVER_BUDGET),
        ("error_during_execution", Mishap.NOT_COMPLETED),
    ],
)
def test_limits_have_names_and_what_they_cost_is_kept(subtype: str, name: Mishap) -> None:
    failed = ended(result(subtype=subtype, errors=["too many"], structured_output=None), 1)
    assert isinstance(failed, Failed)
    assert failed.mishap is name
    assert failed.spent is not None


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (result(is_error=True, api_error_status=400, terminal_reason="prompt_too_long"), Mishap.PROMPT_TOO_LONG),
        (result(is_error=True, api_error_status=529, result="Overloaded"), Mishap.API_UNAVAILABLE),
        (result(is_error=True, api_error_status=401, result="invalid x-api-key"), Mishap.API_REFUSED),
        (
            result(is_error=True, api_error_status=400, result="Your credit balance is too low to access the API"),
            Mishap.BILLING,
        ),
        (result(stop_reason="refusal"), Mishap.REFUSED),
        (result(stop_reason="max_tokens"), Mishap.TRUNCATED),
        (result(session_id="another"), Mishap.WRONG_SESSION),
        (result(terminal_reason="aborted"), Mishap.NOT_COMPLETED),
        (result(modelUsage={}), Mishap.BAD_JSON),
    ],
)
def test_every_trouble_has_its_name(told: dict[str, Any], name: Mishap) -> None:
    assert mishap(told, 1 if told["is_error"] else 0) is name


@pytest.mark.parametrize(
    ("exit_code", "stderr", "name"),
    [
        (-9, b"", Mishap.KILLED),
        (137, b"", Mishap.KILLED),
        (126, b"not executable", Mishap.NOT_STARTED),
        (1, b"Error: no prompt", Mishap.NO_OUTPUT),
    ],
)
def test_an_end_without_a_result_is_told_by_its_code(exit_code: int, stderr: bytes, name: Mishap) -> None:
    assert mishap(b"", exit_code, stderr) is name


def test_a_good_result_with_a_bad_exit_code_does_not_count() -> None:
    assert mishap(result(), 1) is Mishap.EXIT_CODE


@pytest.mark.case(88)
def test_an_output_that_was_cut_is_a_failure_whatever_it_begins_with() -> None:
    assert mishap(result(), cut=Mishap.TOO_MUCH_OUTPUT) is Mishap.TOO_MUCH_OUTPUT


@pytest.mark.case(121)
@pytest.mark.parametrize(
    ("path", "counts"), [("/desk/tree/a.py", True), ("a.py", True), ("/etc/passwd", False), ("../../secret", False)]
)
def test_a_denied_look_counts_inside_of_the_folder_only(path: str, counts: bool) -> None:
    told = json.dumps(result(permission_denials=[{"tool_name": "Read", "tool_input": {"file_path": path}}])).encode()
    answer = read_end(call(tools=("Read",)), SESSION, Ended(0, told, b"", folder="/desk/tree"), "2.1.330")
    assert isinstance(answer, Failed) is counts


@pytest.mark.case(115)
def test_the_key_is_in_nothing_that_is_said() -> None:
    failed = ended(b"", 1, b"using key made-up-key-1234 at sk-ant-abcdefghijkl")
    assert isinstance(failed, Failed)
    assert "made-up-key-1234" not in failed.said
    assert "sk-ant" not in failed.said


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": ""},
        {"prompt": " /login"},
        {"system": ""},
        {"tools": ("Bash",)},
        {"model": ""},
        {"budget_usd": Decimal(0)},
        {"system": "x" * 140_000},
    ],
)
def test_a_call_that_would_not_do_what_it_says_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(IllegalCall):
        call(**changes)


def test_no_option_can_swallow_the_next_and_none_of_the_safe_ones_is_missing() -> None:
    told = arguments(call(tools=("Read", "Grep")), SESSION)
    assert told[0] == "-p"
    assert all(word.startswith("--") for word in told[1:])
    assert {
        "--setting-sources=",
        "--strict-mcp-config",
        "--no-session-persistence",
        "--tools=Read,Grep",
        f"--session-id={SESSION}",
    } <= set(told)
    assert not any(
        word.startswith(("--continue", "--resume", "--fork-session", "--from-pr", "--mcp-config")) for word in told
    )
    assert "Code." not in told  # the prompt goes to standard input


@pytest.mark.parametrize(
    ("cores", "free", "limit", "wanted"), [(2, 24e9, 16, 8), (16, 2e9, 16, 6), (16, 100e9, 5, 5), (1, 1e6, 9, 1)]
)
def test_how_many_calls_at_once_comes_from_cores_memory_and_the_setting(
    cores: int, free: float, limit: int, wanted: int
) -> None:
    assert calls_at_once(cores, int(free), limit) == wanted
