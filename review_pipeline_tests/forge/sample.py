"""The smallest value that a schema of GitHub's description takes, to lay what matters over it."""

from __future__ import annotations

from typing import Any

_BY_FORMAT = {
    "date-time": "2026-11-20T10:00:00Z",
    "uri": "https://forge.example/x",
    "email": "a@example.com",
    "date": "2026-11-20",
}


def sample(described: dict[str, Any], name: str, over: dict[str, Any]) -> dict[str, Any]:
    """name: of a schema among the components. over: values by property, nested ones laid over nested ones."""
    value = laid_over(least(described, {**described["components"]["schemas"][name], "nullable": False}), over)
    assert isinstance(value, dict)
    return value


def least(described: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return least(described, described["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if schema.get("nullable"):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if "allOf" in schema:
        whole: dict[str, Any] = {}
        for part in schema["allOf"]:
            whole |= least(described, part)
        return whole
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return least(described, schema[choice][0])
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        return {key: least(described, properties.get(key, {})) for key in schema.get("required", ())}
    simple: dict[Any, Any] = {"array": [], "integer": 0, "number": 0, "boolean": False}
    return simple.get(kind, _BY_FORMAT.get(schema.get("format", ""), "x"))


def laid_over(value: Any, over: Any) -> Any:
    if isinstance(value, dict) and isinstance(over, dict):
        return {key: laid_over(value.get(key), over[key]) if key in over else value[key] for key in {**value, **over}}
    return over
