"""A question to the forge, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from review_pipeline_tests.forge.state import Token


@dataclass
class Said(Exception):
    status: int
    body: Any
    headers: dict[str, str]


def refuse(status: int, message: str, errors: list[Any] | None = None) -> Said:
    body: dict[str, Any] = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return Said(status, body | ({"errors": errors} if errors is not None else {}), {})


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    body: dict[str, Any]
    token: Token | None
    bearer: str
