"""Requests as the pipeline makes them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

HEADERS = {"x-api-key": "made-up", "anthropic-version": "2026-10-21"}
MODEL = "claude-haiku-5-5"

BAD_PYTHON = """\
import os


def load(path, seen=[]):
    try:
        return eval(open(path).read())
    except:
        pass
"""

AUDIT_SCHEMA: dict[str, Any] = {
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
                    "anchor",
                    "end_line",
                    "category",
                    "severity",
                    "confidence",
                    "issue",
                    "suggestion",
                    "evidence",
                ],
                "properties": {
                    "anchor": {"type": "string"},
                    "end_line": {"type": "integer"},
                    "category": {
                        "type": "string",
                        "enum": [
                            "missing_error_handling",
                            "inconsistent_naming",
                            "untested_edge_case",
                            "stale_comment",
                            "type_safety_gap",
                            "bug",
                            "security",
                            "performance",
                            "api_contract",
                            "data_flow",
                            "other",
                        ],
                    },
                    "severity": {"type": "string", "enum": ["critical", "warning", "info"]},
                    "confidence": {"type": "number"},
                    "issue": {"type": "string"},
                    "suggestion": {"type": "string"},
                    "evidence": {"type": "string"},
                },
            },
        }
    },
}


def label(number: int, line: str) -> str:
    return f"{number}#{hashlib.sha256(line.encode()).hexdigest()[:4]}"


def file_block(path: str, code: str, language: str = "python", first: int = 1, of: int | None = None) -> str:
    lines = code.split("\n")
    last = first + len(lines) - 1
    opening = f'<file path={json.dumps(path)} language="{language}" lines="{first}-{last}" of="{of or last}">'
    shown = [f"{label(number, line)}|{line}" for number, line in enumerate(lines, first)]
    return "\n".join((opening, *shown, "</file>"))


def params(prompt: str = "Say something.", *, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    wish: dict[str, Any] = {"model": MODEL, "max_tokens": 4000, "messages": [{"role": "user", "content": prompt}]}
    if schema is not None:
        wish["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return wish | more


def audit(code: str = BAD_PYTHON, **more: Any) -> dict[str, Any]:
    return params(file_block("src/load.py", code), schema=AUDIT_SCHEMA, **more)


def requests(count: int = 4, **more: Any) -> list[Any]:
    return [{"custom_id": f"audit-{number}", "params": audit(**more)} for number in range(count)]
