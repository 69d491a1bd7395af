"""Puts findings into the shape that was asked for: any JSON schema, or a Markdown list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from review_pipeline.simulator.analyser.echo import identifying_property, listed_objects
from review_pipeline.simulator.analyser.finding import Finding
from review_pipeline.simulator.analyser.weaknesses import cwe_of

NOTICE = "offline analyser, no model was called"

_CODE_FIELDS = frozenset({"anchor", "line", "start_line", "evidence", "end_line", "path", "file"})
_TEXT_FIELDS = frozenset({"issue", "message", "description", "title", "problem", "suggestion"})
# Where a schema leaves the choice, the answer that claims least.
_MODEST_CHOICES = ("not_verifiable", "unknown", "not_applicable", "none", "other", "info", "keep")
_MAX_DEPTH = 24

Schema = Mapping[str, Any]


def as_markdown(findings: Sequence[Finding]) -> str:
    if not findings:
        return "No findings."
    return "\n".join(
        f"- **{f.severity}** ({f.category}, confidence {f.confidence}) `{f.block.path}:{f.line}`: {f.issue} "
        f"{f.suggestion}"
        for f in findings
    )


@dataclass(frozen=True, slots=True)
class _Material:
    """What an answer can be made of."""

    root: Schema
    findings: tuple[Finding, ...]
    prompt: str


def as_json(schema: Schema, findings: Sequence[Finding], prompt: str = "") -> Any:
    return _instance(schema, _Material(schema, tuple(findings), prompt), 0)


def _instance(schema: Schema, material: _Material, depth: int) -> Any:
    schema = _resolved(schema, material.root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _choice(schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return _instance(_simplest(schema[union], material.root), material, depth + 1)
    kind = _type_of(schema)
    if kind == "object":
        return _object(schema, material, depth)
    if kind == "array":
        return _array(schema, material, depth)
    return _scalar(kind, schema)


def _object(schema: Schema, material: _Material, depth: int) -> dict[str, Any]:
    root, required = material.root, set(schema.get("required", ()))
    filled: dict[str, Any] = {}
    for name, part in schema.get("properties", {}).items():
        holds_findings = _finding_items(part, root) is not None
        if not (name in required or holds_findings) or depth > _MAX_DEPTH:
            continue
        if name in ("summary", "overview") and _type_of(_resolved(part, root)) == "string":
            count = len(material.findings) or len(listed_objects(material.prompt, "id"))
            filled[name] = f"{count} findings ({NOTICE})."
        else:
            filled[name] = _instance(part, material, depth + 1)
    return filled


def _array(schema: Schema, material: _Material, depth: int) -> list[Any]:
    item = _resolved(schema.get("items", {}), material.root)
    # What the prompt lists by identifier and the schema asks back comes first: it must neither grow nor shrink.
    name = identifying_property(item)
    listed = listed_objects(material.prompt, name) if name else []
    if not listed and _finding_items(schema, material.root) is not None:
        listed = [_known_values(finding) for finding in material.findings if _is_asked_for(finding, item)]
    if listed:
        return [_filled_item(item, material, known, depth + 1) for known in listed]
    if _finding_items(schema, material.root) is not None:
        return []
    return [_instance(item, material, depth + 1) for _ in range(int(schema.get("minItems", 0)))]


def _finding_items(schema: Schema, root: Schema) -> Schema | None:
    """The schema of the items, if these are what a reviewer would call findings."""
    resolved = _resolved(schema, root)
    if _type_of(resolved) != "array":
        return None
    item = _resolved(resolved.get("items", {}), root)
    names = set(item.get("properties", ()))
    return item if names & _CODE_FIELDS and names & _TEXT_FIELDS else None


def _is_asked_for(finding: Finding, item: Schema) -> bool:
    """A schema that allows only some categories asks for nothing else."""
    category = item.get("properties", {}).get("category", {})
    return "enum" not in category or finding.category in category["enum"]


def _filled_item(item: Schema, material: _Material, known: Mapping[str, Any], depth: int) -> dict[str, Any]:
    required = set(item.get("required", ()))
    filled: dict[str, Any] = {}
    for name, part in item["properties"].items():
        resolved = _resolved(part, material.root)
        if name in known and _accepts(resolved, known[name]):
            filled[name] = known[name]
        elif name in required:
            filled[name] = _instance(resolved, _Material(material.root, (), ""), depth + 1)
    return filled


def _known_values(finding: Finding) -> dict[str, Any]:
    path = finding.block.path
    return {
        "anchor": finding.block.label(finding.line),
        "end_anchor": finding.block.label(finding.end_line),
        "line": finding.line,
        "start_line": finding.line,
        "line_number": finding.line,
        "end_line": finding.end_line,
        "path": path,
        "file": path,
        "file_path": path,
        "category": finding.category,
        "type": finding.category,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "issue": finding.issue,
        "message": finding.issue,
        "title": finding.issue,
        "description": finding.issue,
        "problem": finding.issue,
        "suggestion": finding.suggestion,
        "fix": finding.suggestion,
        "recommendation": finding.suggestion,
        "evidence": finding.evidence,
        "code": finding.evidence,
        "quote": finding.evidence,
        "rule": finding.rule,
        "cwe": cwe_of(finding.rule),
    }


def _accepts(schema: Schema, value: object) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    names: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "array": (list,),
        "object": (dict,),
        "null": (type(None),),
    }
    kinds = schema.get("type", _type_of(schema))
    return any(isinstance(value, names.get(kind, ())) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _resolved(schema: Any, root: Schema) -> Schema:
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        target: Any = root
        for step in reference[2:].split("/"):
            target = target.get(step, {}) if isinstance(target, Mapping) else {}
        schema = target
    only = schema.get("allOf")
    return _resolved(only[0], root) if isinstance(only, list) and len(only) == 1 else schema


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "null" if "null" in kind else str(kind[0])
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _simplest(options: Sequence[Any], root: Schema) -> Schema:
    resolved = [_resolved(option, root) for option in options]
    return min(resolved, key=lambda option: _type_of(option) != "null")


def _choice(options: Sequence[Any]) -> Any:
    return next((choice for choice in _MODEST_CHOICES if choice in options), options[0])


def _scalar(kind: str, schema: Schema) -> Any:
    if kind in ("integer", "number"):
        lowest = schema.get("minimum", 0)
        return max(0, lowest) if kind == "number" else max(0, int(lowest))
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    text = NOTICE
    return text[: int(schema.get("maxLength", len(text)))].ljust(int(schema.get("minLength", 0)), ".")
