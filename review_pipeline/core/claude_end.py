"""What the end of a `claude -p` process means: an answer, or a failure with a name."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from signal import Signals

from review_pipeline.core.claude_call import Call
from review_pipeline.core.cost import Usage
from review_pipeline.core.failures import Outcome, Reply, classify
from review_pipeline.core.redaction import redact

_SHOWN_CHARACTERS = 600
_NANO_USD = Decimal("1e-9")


class Mishap(StrEnum):
    NOT_STARTED = "not_started"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    TOO_MUCH_OUTPUT = "too_much_output"
    NO_OUTPUT = "no_output"
    BAD_JSON = "bad_json"
    WRONG_SESSION = "wrong_session"
    EXIT_CODE = "exit_code"
    API_UNAVAILABLE = "api_unavailable"
    API_REFUSED = "api_refused"
    BILLING = "billing"
    PROMPT_TOO_LONG = "prompt_too_long"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    MAX_TURNS = "max_turns"
    OVER_BUDGET = "over_budget"
    SCHEMA_NOT_KEPT = "schema_not_kept"
    NO_ANSWER = "no_answer"
    NOT_COMPLETED = "not_completed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Advice:
    """may_retry: the same call, unchanged, may succeed later. What it has cost so far is paid either way."""

    may_retry: bool
    text: str


ADVICE: dict[Mishap, Advice] = {
    Mishap.NOT_STARTED: Advice(False, "Check that the program is there and may be run: review-pipeline doctor."),
    Mishap.TIMED_OUT: Advice(True, "It is tried again; if it stays so, give it more time or less to read."),
    Mishap.KILLED: Advice(True, "Was memory short? Fewer calls at once need less of it."),
    Mishap.TOO_MUCH_OUTPUT: Advice(False, "No review is that long. Look at what the program prints."),
    Mishap.NO_OUTPUT: Advice(True, "Its last words are all there is to go by."),
    Mishap.BAD_JSON: Advice(True, "If it stays so, this version of the program speaks another format."),
    Mishap.WRONG_SESSION: Advice(False, "An answer of another session is not an independent review."),
    Mishap.EXIT_CODE: Advice(True, "Its last words are all there is to go by."),
    Mishap.API_UNAVAILABLE: Advice(True, "It is tried again."),
    Mishap.API_REFUSED: Advice(False, "Check ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL and the name of the model."),
    Mishap.BILLING: Advice(False, "Somebody has to settle credit or spend limits first."),
    Mishap.PROMPT_TOO_LONG: Advice(False, "Show it less at once."),
    Mishap.REFUSED: Advice(False, "The model will not review this as it is; people must."),
    Mishap.TRUNCATED: Advice(False, "Show it less at once, so that the answer is shorter."),
    Mishap.MAX_TURNS: Advice(False, "Allow more turns, or ask for less."),
    Mishap.OVER_BUDGET: Advice(False, "Allow a larger budget, or ask for less."),
    Mishap.SCHEMA_NOT_KEPT: Advice(True, "It is asked once more; if it stays so, the model does not fit the task."),
    Mishap.NO_ANSWER: Advice(True, "An empty answer is not a clean one; it is asked once more."),
    Mishap.NOT_COMPLETED: Advice(True, "It stopped before its end."),
    Mishap.DENIED: Advice(False, "It could not read a file it was to read, so what it says is not about all of them."),
}


@dataclass(frozen=True, slots=True)
class Spent:
    """Of all turns and all models of the call. models: those that wrote something, the busiest first."""

    usage: Usage
    cost_usd: Decimal
    turns: int
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denial:
    tool: str
    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """structured keeps to the schema of its call. It may quote secrets, as anchors need: redact it before it is shown."""

    structured: object
    text: str
    session_id: str
    model: str
    spent: Spent
    denials: tuple[Denial, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Failed:
    """spent is None when nobody can say: a call that was killed may have been paid for."""

    mishap: Mishap
    said: str
    session_id: str
    spent: Spent | None
    version: str

    @property
    def may_retry(self) -> bool:
        return ADVICE[self.mishap].may_retry

    def __str__(self) -> str:
        return f"claude {self.mishap.value.replace('_', ' ')}: {self.said} {ADVICE[self.mishap].text}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended. cut: we ended it ourselves, for this reason; secrets: never to be shown, whatever they look like."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    cut: Mishap | None = None
    folder: str = "/"
    secrets: tuple[str, ...] = ()


def read_end(call: Call, session_id: str, ended: Ended, version: str) -> Answer | Failed:
    """Success only if everything holds that can be checked; there is no path from trouble to 'nothing found'."""
    result = _result(ended.stdout)
    spent = _spent(result) if result else None
    if mishap := _mishap(call, session_id, ended, result):
        kind, said = mishap
        shown = redact(" ".join(said.split()), ended.secrets)[:_SHOWN_CHARACTERS].rstrip(".")
        return Failed(kind, f"{shown}.", session_id, spent, version)
    assert result is not None
    if spent is None or not spent.models:
        return Failed(Mishap.BAD_JSON, "the result tells no usage of any model.", session_id, spent, version)
    text = redact(str(result.get("result") or ""), ended.secrets)
    structured = result["structured_output"] if call.schema is not None else None
    return Answer(structured, text, session_id, spent.models[0], spent, _denials(result), version)


def _mishap(
    call: Call, session_id: str, ended: Ended, result: Mapping[str, object] | None
) -> tuple[Mishap, str] | None:
    """The order matters: what happened to the program, then what it says of itself, then whether that can be true."""
    last_words = _last_words(ended.stderr)
    if ended.cut is not None:
        return ended.cut, last_words or f"it was ended after at most {call.limit_seconds:g} seconds"
    if result is None:
        return _without_result(ended, last_words)
    if result.get("session_id") != session_id:
        return Mishap.WRONG_SESSION, f"asked in {session_id}, answered in {result.get('session_id')!r}"
    if trouble := _trouble(result):
        return trouble
    if signal := _signal(ended.exit_code):
        return Mishap.KILLED, f"it was ended by {signal}"
    if ended.exit_code:
        return Mishap.EXIT_CODE, f"it ended with {ended.exit_code} after a result without an error; {last_words}"
    return _unfit(call, result) or _lost_coverage(call, result, ended.folder)


def _without_result(ended: Ended, last_words: str) -> tuple[Mishap, str]:
    if signal := _signal(ended.exit_code):
        return Mishap.KILLED, f"it was ended by {signal}; {last_words}"
    if ended.stdout.strip():
        return Mishap.BAD_JSON, f"exit code {ended.exit_code}, and this is no result: {_head(ended.stdout)}"
    if ended.exit_code in (126, 127):
        return Mishap.NOT_STARTED, last_words or f"exit code {ended.exit_code}"
    return Mishap.NO_OUTPUT, f"exit code {ended.exit_code}; {last_words or 'and not a word on stderr'}"


def _trouble(result: Mapping[str, object]) -> tuple[Mishap, str] | None:
    """The result's own account. An API error comes under subtype 'success': is_error alone tells."""
    subtype, stop_reason, status = (result.get(name) for name in ("subtype", "stop_reason", "api_error_status"))
    said = _said(result)
    if stop_reason == "refusal":
        return Mishap.REFUSED, said
    if stop_reason in ("max_tokens", "model_context_window_exceeded"):
        return Mishap.TRUNCATED, f"the model stopped with {stop_reason}; {said}"
    if subtype in _SUBTYPES:
        return _SUBTYPES[str(subtype)], said
    if result.get("is_error") is not False or status is not None:
        return _api_trouble(result, status, said)
    if subtype != "success" or result.get("terminal_reason", "completed") != "completed":
        return Mishap.NOT_COMPLETED, f"{subtype}, {result.get('terminal_reason')}: {said}"
    return None


_SUBTYPES = {
    "error_max_turns": Mishap.MAX_TURNS,
    "error_max_budget_usd": Mishap.OVER_BUDGET,
    "error_max_structured_output_retries": Mishap.SCHEMA_NOT_KEPT,
}
# For versions that tell the status only.
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
}
_OUTCOMES = {
    Outcome.BILLING: Mishap.BILLING,
    Outcome.TOO_LONG: Mishap.PROMPT_TOO_LONG,
    Outcome.INVALID: Mishap.API_REFUSED,
}


def _api_trouble(result: Mapping[str, object], status: object, said: str) -> tuple[Mishap, str]:
    if result.get("terminal_reason") == "prompt_too_long":
        return Mishap.PROMPT_TOO_LONG, said
    told = result.get("api_error_type") or (_ERROR_TYPES.get(status) if isinstance(status, int) else None)
    kind = told if isinstance(told, str) else None
    outcome = classify(Reply("errored", error_type=kind, error_message=said))
    return _OUTCOMES.get(outcome, Mishap.API_UNAVAILABLE), f"status {status}, {kind}: {said}"


def _unfit(call: Call, result: Mapping[str, object]) -> tuple[Mishap, str] | None:
    if call.schema is None:
        text = result.get("result")
        is_empty = not isinstance(text, str) or not text.strip()
        return (Mishap.NO_ANSWER, "success, with an empty text") if is_empty else None
    if result.get("structured_output") is None:
        return Mishap.NO_ANSWER, "success, without structured_output"
    fault = _fault(result["structured_output"], call.schema)
    return (Mishap.SCHEMA_NOT_KEPT, fault) if fault else None


def _fault(value: object, schema: Mapping[str, object]) -> str | None:
    """The first one, and where."""
    from jsonschema import Draft202012Validator  # 0.1 s that a plan does not need
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


def _lost_coverage(call: Call, result: Mapping[str, object], folder: str) -> tuple[Mishap, str] | None:
    """A denied look outside the folder costs nothing that was to be reviewed; one inside does."""
    for denial in _denials(result):
        path = posixpath.normpath(posixpath.join(folder, denial.path))
        if denial.tool in call.tools and (path == folder or path.startswith(folder.rstrip("/") + "/")):
            return Mishap.DENIED, f"{denial.tool} of {denial.path or folder} was not allowed"
    return None


def _result(stdout: bytes) -> Mapping[str, object] | None:
    """An object, or the last result among the events of an array; anything else, a log line ahead too, is none."""
    try:
        value = json.loads(stdout, parse_constant=_no_number)
        # Half a surrogate pair can be written as JSON but never as UTF-8, where all answers end.
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    events = value if isinstance(value, list) else [value]
    results = [event for event in events if isinstance(event, dict) and event.get("type") == "result"]
    return results[-1] if results else None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _spent(result: Mapping[str, object]) -> Spent | None:
    """From modelUsage: `usage` is all zeros after some failures that were paid for, and lacks the other models."""
    by_model = {name: entry for name, entry in _mapping(result.get("modelUsage")).items() if isinstance(entry, dict)}
    cost, turns = result.get("total_cost_usd"), result.get("num_turns")
    if not isinstance(cost, int | float) or not 0 <= cost < 1e9:
        return None
    written = {name: _count(entry, "outputTokens") for name, entry in by_model.items()}
    return Spent(
        Usage(
            _total(by_model, "inputTokens"),
            sum(written.values()),
            _total(by_model, "cacheReadInputTokens"),
            _total(by_model, "cacheCreationInputTokens") - _total(by_model, "cacheCreationEphemeral1hInputTokens"),
            _total(by_model, "cacheCreationEphemeral1hInputTokens"),
        ),
        Decimal(str(cost)).quantize(_NANO_USD),
        turns if isinstance(turns, int) else 0,
        tuple(sorted((name for name in written if written[name]), key=lambda name: -written[name])),
    )


def _total(by_model: Mapping[str, Mapping[str, object]], name: str) -> int:
    return sum(_count(entry, name) for entry in by_model.values())


def _count(entry: Mapping[str, object], name: str) -> int:
    value = entry.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _denials(result: Mapping[str, object]) -> tuple[Denial, ...]:
    told = result.get("permission_denials")
    entries = [_mapping(entry) for entry in told] if isinstance(told, list) else []
    return tuple(Denial(str(entry.get("tool_name")), _target(_mapping(entry.get("tool_input")))) for entry in entries)


def _target(tool_input: Mapping[str, object]) -> str:
    path = tool_input.get("file_path") or tool_input.get("path")
    return redact(path) if isinstance(path, str) else ""


def _said(result: Mapping[str, object]) -> str:
    errors = result.get("errors")
    told = [str(error) for error in errors] if isinstance(errors, list) else []
    return "; ".join(told) or str(result.get("result") or "") or "it gives no reason"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _signal(exit_code: int) -> str | None:
    """Negative from the system, 128 and more by the custom of shells."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    return Signals(number).name if number in Signals._value2member_map_ else None


def _last_words(stderr: bytes) -> str:
    return stderr[-4_000:].decode("utf-8", "replace").strip().rpartition("\n")[2]


def _head(stdout: bytes) -> str:
    return stdout[:200].decode("utf-8", "replace")
