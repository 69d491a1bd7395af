"""From the parameters of a request to the Message, or the error, that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from review_pipeline.simulator.analyser.finding import Finding
from review_pipeline.simulator.analyser.review import review_prompts
from review_pipeline.simulator.analyser.verdicts import asked_rules, verdicts
from review_pipeline.simulator.analyser.wording import NOTICE, as_json, as_markdown
from review_pipeline.simulator.clock import Clock
from review_pipeline.simulator.request_checks import find_fault
from review_pipeline.simulator.rules import Rule
from review_pipeline.simulator.usage import BYTES_PER_TOKEN, InputTokens, PromptCache, tokens_of, usage_json
from review_pipeline.simulator.wire import ErrorBody, JsonObject, derived_identifier

# The tool by which the `claude` CLI asks for JSON.
STRUCTURED_OUTPUT_TOOL = "StructuredOutput"


@dataclass(frozen=True, slots=True)
class Question:
    """One request on its way to an answer. `key` makes the message id, so a redone request keeps its id."""

    key: tuple[str, ...]
    params: JsonObject
    version: str
    in_batch: bool
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    """The answer before its length and its mishaps are known: text, or the input of one tool call."""

    text: str
    tool: str | None = None


class Responder:
    def __init__(self, clock: Clock, cache: PromptCache) -> None:
        self._clock = clock
        self._cache = cache

    def answer(self, questions: Sequence[Question]) -> list[JsonObject | ErrorBody]:
        """Many at once, because starting the analyser costs far more than one more file."""
        now = self._clock.now()
        faults = [_fault(question, now) for question in questions]
        prompts = [
            "" if fault or _is_after_tool(q.params) else prompt_text(q.params)
            for q, fault in zip(questions, faults, strict=True)
        ]
        reviews = review_prompts(prompts)
        return [
            fault or self._message(question, findings, now)
            for question, fault, findings in zip(questions, faults, reviews, strict=True)
        ]

    def _message(self, question: Question, findings: tuple[Finding, ...], now: float) -> JsonObject:
        tokens = self._cache.account(question.params, now)
        draft = _draft(question.params, findings)
        return _finished_message(question, draft, tokens)


def prompt_text(params: JsonObject) -> str:
    """What the user said, without the system prompt: that is where code to review is shown."""
    pieces: list[str] = []
    for message in params.get("messages") or ():
        if isinstance(message, dict) and message.get("role") == "user":
            pieces += _texts(message.get("content"))
    return "\n".join(pieces)


def all_text(params: JsonObject) -> str:
    return "\n".join((*_texts(params.get("system")), prompt_text(params)))


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [block["text"] for block in content if isinstance(block, dict) and isinstance(block.get("text"), str)]


def _fault(question: Question, now: float) -> ErrorBody | None:
    if question.rule is not None and question.rule.effect == "error":
        return question.rule.error_body()
    return find_fault(question.params, question.version, now, in_batch=question.in_batch)


def _is_after_tool(params: JsonObject) -> bool:
    last = params["messages"][-1]
    content = last.get("content") if isinstance(last, dict) else None
    blocks = content if isinstance(content, list) else ()
    return any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)


def _draft(params: JsonObject, findings: tuple[Finding, ...]) -> _Draft:
    if _is_after_tool(params):
        return _Draft(f"Done ({NOTICE}).")
    tool = _tool_to_call(params)
    if tool is not None:
        return _Draft(
            _json_text(as_json(_mapping(tool.get("input_schema")), findings, prompt_text(params))), str(tool["name"])
        )
    schema = _mapping(_mapping(_mapping(params.get("output_config")).get("format")).get("schema"))
    if rules := asked_rules(schema):
        return _Draft(_json_text(verdicts(rules, "\n".join(_texts(params.get("system"))), prompt_text(params))))
    return _Draft(_json_text(as_json(schema, findings, prompt_text(params))) if schema else as_markdown(findings))


def _tool_to_call(params: JsonObject) -> JsonObject | None:
    tools = [tool for tool in params.get("tools") or () if isinstance(tool, dict) and "name" in tool]
    choice = _mapping(params.get("tool_choice"))
    if choice.get("type") == "none":
        return None
    forced = {"tool": choice.get("name"), "any": tools[0]["name"] if tools else None}.get(str(choice.get("type")))
    by_name = {tool["name"]: tool for tool in tools}
    return by_name.get(STRUCTURED_OUTPUT_TOOL) or by_name.get(forced)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _finished_message(question: Question, draft: _Draft, tokens: InputTokens) -> JsonObject:
    text, stop_reason = _with_mishap(draft, question.rule)
    room = int(question.params["max_tokens"])
    if tokens_of(text) > room:
        text, stop_reason = _first_tokens(text, room), "max_tokens"
    content = [] if stop_reason == "refusal" else [_content_block(question, draft, text)]
    output_tokens = max(1, tokens_of(text)) if content else 1
    return {
        "id": derived_identifier("msg_offline", *question.key),
        "type": "message",
        "role": "assistant",
        "model": question.params["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": _stop_details(question.rule, stop_reason),
        "usage": usage_json(tokens, output_tokens, "batch" if question.in_batch else "standard"),
    }


def _with_mishap(draft: _Draft, rule: Rule | None) -> tuple[str, str]:
    natural = "tool_use" if draft.tool else "end_turn"
    half = draft.text[: len(draft.text) // 2]
    match rule.effect if rule else None:
        case "max_tokens":
            return half, "max_tokens"
        case "context_window":
            return half, "model_context_window_exceeded"
        case "pause_turn":
            return half, "pause_turn"
        case "refusal":
            return "", "refusal"
        case "bad_json":
            return half + " ...", natural
        case "bad_schema":
            return '{"remarks": "this object does not fit the schema"}', natural
        case "text":
            return (rule.text if rule else None) or "", natural
        case "stop_reason":
            return draft.text, (rule.stop_reason if rule else None) or natural
    return draft.text, natural


def _first_tokens(text: str, count: int) -> str:
    return text.encode("utf-8", "replace")[: int(count * BYTES_PER_TOKEN)].decode("utf-8", "ignore")


def _content_block(question: Question, draft: _Draft, text: str) -> JsonObject:
    if draft.tool is None:
        return {"type": "text", "text": text, "citations": None}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        # A call that was cut has no readable input; the real API then gives an empty object.
        value = {}
    return {
        "type": "tool_use",
        "id": derived_identifier("toolu_offline", *question.key),
        "name": draft.tool,
        "input": value,
    }


def _stop_details(rule: Rule | None, stop_reason: str) -> JsonObject | None:
    if stop_reason != "refusal":
        return None
    category = rule.category if rule else None
    return {"type": "refusal", "category": category, "explanation": "Scripted refusal of the offline API."}
