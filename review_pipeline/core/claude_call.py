"""One call of `claude -p`: what is asked, and the arguments that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

READ_TOOLS = ("Read", "Grep", "Glob")
RESIDENT_BYTES = 316_000_000  # of one waiting process, with the three read tools
CALLS_PER_CORE = 4  # a start costs 0.7 s of a core, the rest is waiting
_ARGUMENT_BYTES = 131_000  # Linux: 128 KiB for one argument, its name and end included


class IllegalCall(ValueError):
    """A fault of the program that asks: such a call would not do what it says."""


@dataclass(frozen=True, slots=True)
class Call:
    """system and prompt are told apart because only the first is ours alone: the prompt may quote what a stranger wrote.

    caches: write the prompt to the API's cache. That costs a quarter more, and pays where it is read again.
    """

    system: str
    prompt: str
    schema: Mapping[str, object] | None
    model: str
    tools: tuple[str, ...] = ()
    budget_usd: Decimal = Decimal(1)
    limit_seconds: float = 300
    caches: bool = True

    def __post_init__(self) -> None:
        if faults := "; ".join(_faults(self)):
            raise IllegalCall(f"this call of claude cannot be made: {faults}")


def _faults(call: Call) -> Iterator[str]:
    if not call.prompt.strip():
        yield "the prompt is empty"
    if call.prompt.lstrip().startswith("/"):
        yield "the prompt begins with '/', so it would be run as a command and not be read"
    if others := [tool for tool in call.tools if tool not in READ_TOOLS]:
        yield f"tools other than {', '.join(READ_TOOLS)}: {', '.join(others)}"
    if not call.model or not call.system.strip():
        yield "a model and a system prompt of our own are needed (the default one costs 29,000 tokens)"
    if call.budget_usd <= 0 or call.limit_seconds <= 0:
        yield "budget_usd and limit_seconds must be above zero"
    for name, text in (("system prompt", call.system), ("schema", _as_json(call.schema)), ("model", call.model)):
        if "\0" in text or len(text.encode("utf-8", "replace")) > _ARGUMENT_BYTES:
            yield f"the {name} holds a NUL or more than {_ARGUMENT_BYTES:,} bytes"


def arguments(call: Call, session_id: str) -> tuple[str, ...]:
    """Joined with '=': several options take as many words as follow. The prompt goes to standard input.

    Without settings, MCP servers and saved sessions, whatever a checkout holds is text and not configuration.
    """
    return (
        "-p",
        "--output-format=json",
        "--setting-sources=",
        "--strict-mcp-config",
        "--no-session-persistence",
        "--disable-slash-commands",
        f"--session-id={session_id}",
        f"--model={call.model}",
        f"--tools={','.join(call.tools)}",
        f"--max-budget-usd={call.budget_usd:f}",
        f"--system-prompt={call.system}",
        *((f"--json-schema={_as_json(call.schema)}",) if call.schema is not None else ()),
    )


def calls_at_once(cores: int, free_bytes: int, limit: int) -> int:
    """Never none: one call in too little memory may fail by name, a pool without a place waits for ever."""
    return max(1, min(limit, cores * CALLS_PER_CORE, free_bytes // RESIDENT_BYTES))


def _as_json(schema: Mapping[str, object] | None) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":")) if schema is not None else ""
