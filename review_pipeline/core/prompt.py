"""What the model is shown and in which shape it must answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256

import orjson

from review_pipeline.core.finding import Category, Severity, ShownLine, label

_LINES = re.compile(r' lines="\d+-\d+"(?= of="\d+">$)')
_HEAD = re.compile(r'<file path="(?:[^"\\]|\\.)*" language=("(?:[^"\\]|\\.)*") ')
_SHOWN = re.compile(r"(\d+)#[0-9a-f]{4}\|")

FINDINGS_SCHEMA: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["findings"],
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "anchor", "end_line", "category", "severity", "confidence", "issue", "suggestion", "evidence",
                ],
                "properties": {
                    "anchor": {
                        "type": "string",
                        "description": "The label of the line the finding is about, exactly as shown, for example 12#a3f9",
                    },
                    "end_line": {"type": "integer", "description": "Number of the last line the finding is about"},
                    "category": {"type": "string", "enum": [category.value for category in Category]},
                    "severity": {"type": "string", "enum": [severity.value for severity in Severity]},
                    "confidence": {"type": "number", "description": "0 to 1: how sure you are that this is true"},
                    "issue": {"type": "string", "description": "What is wrong and when it bites, in one or two sentences"},
                    "suggestion": {"type": "string", "description": "What to do about it"},
                    "evidence": {"type": "string", "description": "The anchored line's code, quoted without its label"},
                },
            },
        }
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompt:
    """A workload's instructions; another text, schema or set of criteria is another version."""

    system: str
    schema: dict[str, object]

    @property
    def version(self) -> str:
        text = json.dumps([self.system, self.schema], sort_keys=True)
        return sha256(text.encode()).hexdigest()[:12]


def with_criteria(instructions: str, criteria: str) -> str:
    return (
        f"{instructions.rstrip()}\n\n## Review criteria of this team\n{criteria.strip()}\n"
        if criteria.strip()
        else instructions
    )


def shown_lines(blob: str, lines: tuple[str, ...], first: int, last: int) -> tuple[ShownLine, ...]:
    return tuple(
        ShownLine(number, label(blob, number, text), text)
        for number, text in enumerate(lines[first - 1 : last], start=first)
    )


def render_file(path: str, language: str, blob: str, lines: tuple[str, ...], first: int, last: int) -> str:
    """Every content line carries its label, so nothing inside a file can pass for the end of it."""
    head = f'<file path={json.dumps(path)} language={json.dumps(language)} lines="{first}-{last}" of="{len(lines)}">'
    body = "\n".join(f"{line.label}|{line.text}" for line in shown_lines(blob, lines, first, last))
    return f"{head}\n{body}\n</file>"


def read_shown(rendered: str) -> tuple[ShownLine, ...]:
    """The lines that a rendered prompt showed: the inverse of render_file, for anchors that need a second look."""
    return tuple(
        ShownLine(int(match[1]), match[0][:-1], row[match.end() :])
        for row in rendered.split("\n")
        if (match := _SHOWN.match(row))
    )


def read_language(rendered: str) -> str:
    """The language that a rendered prompt names; empty where it names none."""
    head = _HEAD.match(rendered)
    return str(json.loads(head[1])) if head else ""


def narrowed(rendered: str, first: int, last: int) -> str:
    """A rendered file with only the lines first..last: the same labels, so that its findings are anchored alike."""
    head, _, _ = rendered.partition("\n")
    kept = [f"{line.label}|{line.text}" for line in read_shown(rendered) if first <= line.number <= last]
    return "\n".join([_LINES.sub(f' lines="{first}-{last}"', head), *kept, "</file>"])


def message_params(
    model: str, max_tokens: int, prompt: Prompt, content: str, cache_ttl: str | None = None
) -> dict[str, object]:
    """Messages API parameters, what all requests share first; sampling parameters are refused by the API and never sent.

    cache_ttl: for how long the shared part is to be cached. Answers do not depend on it, so it is no part of a prompt's version.
    """
    shared: dict[str, object] = {"type": "text", "text": prompt.system}
    if cache_ttl:
        shared["cache_control"] = {"type": "ephemeral", "ttl": cache_ttl}
    return {
        "model": model,
        "max_tokens": max_tokens,
        "system": [shared],
        "output_config": {"format": {"type": "json_schema", "schema": prompt.schema}},
        "messages": [{"role": "user", "content": content}],
    }


def written_bytes(params: dict[str, object]) -> int:
    """Bytes of what the request shares with all others, if it asks to have that cached: the API may count the schema in."""
    system = params["system"]
    assert isinstance(system, list)
    if not any("cache_control" in block for block in system):
        return 0
    return len(orjson.dumps([system, params["output_config"]]))


def repaired(params: dict[str, object], said: list[dict[str, object]]) -> dict[str, object]:
    """The same question once more, with the answer that did not fit and the request to put it into the schema. said: its blocks."""
    answer = "".join(str(block.get("text") or "") for block in said)
    question = params["messages"]
    assert isinstance(question, list)
    followup = [
        {"role": "assistant", "content": answer or "(no text)"},
        {
            "role": "user",
            "content": "That was not valid JSON of the required schema, or not the whole answer. Answer again with all of it, and with nothing but JSON of that schema.",
        },
    ]
    return {**params, "messages": [*question, *followup]}


def continued(params: dict[str, object], said: list[dict[str, object]]) -> dict[str, object]:
    """The same turn, to be gone on with: the API takes the blocks of a paused answer back as they are. said: all that it had said."""
    turns = params["messages"]
    assert isinstance(turns, list)
    if not said:
        return params
    *before, last = turns
    if last["role"] == "assistant":  # paused more than once
        return {**params, "messages": [*before, {**last, "content": [*last["content"], *said]}]}
    return {**params, "messages": [*turns, {"role": "assistant", "content": said}]}
