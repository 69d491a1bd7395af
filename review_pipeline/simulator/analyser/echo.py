"""Identifiers that the prompt lists and the schema asks back: every one returns, none is invented."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_CODE_LINE = re.compile(r"^\d+#[0-9a-f]{4}\|")


def identifying_property(item: Mapping[str, Any]) -> str | None:
    """`id`, `finding_id`, `ids` or `finding_ids`, the first one that the schema of an item has."""
    return next((name for name in item.get("properties", {}) if re.search(r"(?:^|_)ids?$", name)), None)


def listed_objects(prompt: str, name: str) -> list[dict[str, Any]]:
    """One object per distinct identifier, with all its fields where the prompt shows them as JSON."""
    singular = name.removesuffix("s")
    wanted = {singular, "id"}
    found: dict[str, dict[str, Any]] = {}
    prose = [line for line in prompt.split("\n") if not _CODE_LINE.match(line)]
    for value in _json_values("\n".join(prose)):
        for shown in _objects_in(value):
            key = next((shown[key] for key in (singular, "id") if isinstance(shown.get(key), str)), None)
            if key is not None:
                found.setdefault(key, shown)
    attribute = re.compile(rf'\b(?:{"|".join(wanted)})="([^"]+)"')
    for line in prose:
        for key in attribute.findall(line):
            found.setdefault(key, {singular: key})
    return [{**shown, singular: key, name: [key] if name.endswith("s") else key} for key, shown in found.items()]


def _json_values(text: str) -> list[Any]:
    decoder = json.JSONDecoder()
    values: list[Any] = []
    position = 0
    for start in re.finditer(r"^[ \t]*(?:- )?(?=[\[{])", text, re.MULTILINE):
        if start.end() < position:
            continue
        try:
            value, position = decoder.raw_decode(text, start.end())
        except ValueError:
            continue
        values.append(value)
    return values


def _objects_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [shown for part in value for shown in _objects_in(part)]
    if isinstance(value, dict):
        return [value, *(shown for part in value.values() for shown in _objects_in(part))]
    return []
