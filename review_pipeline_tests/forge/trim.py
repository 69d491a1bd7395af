"""Cuts GitHub's own descriptions down to what the pipeline uses: python -m review_pipeline_tests.forge.trim api.github.com.json schema.graphql

The inputs come from the npm packages @octokit/openapi and @octokit/graphql-schema; see described/README.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    parse,
    print_ast,
)

DESCRIBED = Path(__file__).parent / "described"
_OF_REPOSITORY = "/repos/{owner}/{repo}"
_OPERATIONS = {
    "/app": ("get",),
    "/app/installations": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    _OF_REPOSITORY: ("get",),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}": ("get",),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}/reviews": ("get", "post"),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}/reviews/{{review_id}}": ("get", "delete"),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}/reviews/{{review_id}}/events": ("post",),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}/reviews/{{review_id}}/comments": ("get",),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}/comments/{{comment_id}}/replies": ("post",),
    f"{_OF_REPOSITORY}/pulls/{{pull_number}}/requested_reviewers": ("post",),
    f"{_OF_REPOSITORY}/commits/{{ref}}/check-runs": ("get",),
    f"{_OF_REPOSITORY}/check-runs": ("post",),
    f"{_OF_REPOSITORY}/check-runs/{{check_run_id}}": ("patch",),
    f"{_OF_REPOSITORY}/statuses/{{sha}}": ("post",),
    f"{_OF_REPOSITORY}/issues/{{issue_number}}/labels": ("post",),
    f"{_OF_REPOSITORY}/code-scanning/sarifs": ("post",),
    f"{_OF_REPOSITORY}/collaborators/{{username}}/permission": ("get",),
}
_WORDS = (
    "description",
    "example",
    "examples",
    "externalDocs",
    "x-github",
    "summary",
    "tags",
    "x-github-breaking-changes",
)
_TYPES = {
    "Actor", "Node", "Repository", "PullRequest", "PullRequestConnection", "PageInfo", "PullRequestReviewThread",
    "PullRequestReviewThreadConnection", "PullRequestReviewComment", "PullRequestReviewCommentConnection", "Reaction", "ReactionConnection",
    "User", "Bot", "Mannequin", "Organization", "EnterpriseUserAccount", "MergeQueue", "MergeQueueEntry", "MergeQueueEntryConnection", "Commit",
    "IssueOrder", "ResolveReviewThreadInput", "ResolveReviewThreadPayload",
}  # fmt: skip
_ROOTS = {"Query": {"node", "nodes", "repository", "viewer"}, "Mutation": {"resolveReviewThread"}}


def main() -> None:
    openapi, schema = (Path(name) for name in sys.argv[1:3])
    described = json.loads(openapi.read_text(encoding="utf-8"))
    (DESCRIBED / "openapi.json").write_text(json.dumps(trimmed_openapi(described), separators=(",", ":")) + "\n")
    (DESCRIBED / "schema.graphql").write_text(trimmed_schema(parse(schema.read_text(encoding="utf-8"))) + "\n")


def trimmed_openapi(described: dict[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for path, methods in _OPERATIONS.items():
        whole = described["paths"][path]
        paths[path] = {method: _operation(whole[method]) for method in methods}
    components: dict[str, dict[str, Any]] = {}
    waiting = [_without_words(paths)]
    while waiting:
        for kind, name in _references(waiting.pop()):
            if name not in components.setdefault(kind, {}):
                components[kind][name] = _without_words(described["components"][kind][name])
                waiting.append(components[kind][name])
    info = {
        "title": "GitHub v3 REST API, cut down",
        "version": described["info"]["version"],
        "license": described["info"]["license"],
    }
    return {"openapi": described["openapi"], "info": info, "paths": _without_words(paths), "components": components}


def _operation(whole: dict[str, Any]) -> dict[str, Any]:
    """Answers that are errors say the same everywhere; the forge makes them by hand."""
    kept = {name: whole[name] for name in ("operationId", "parameters", "requestBody") if name in whole}
    return kept | {"responses": {code: answer for code, answer in whole["responses"].items() if code.startswith("2")}}


def _without_words(value: Any) -> Any:
    """Descriptions are most of the text. A property may be called like one of them."""
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        if name == "properties":
            found[name] = {key: _without_words(entry) for key, entry in item.items()}
        elif name not in _WORDS or (name == "description" and "content" in value):
            found[name] = _without_words(item)
    if found.get("nullable") and isinstance(found.get("enum"), list) and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]  # the forge answers null there; the enumeration forgets it
    if "content" in found or "headers" in found:
        found.setdefault("description", "")
    return found


def _references(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    found = [reference for item in value.values() for reference in _references(item)]
    if isinstance(value.get("$ref"), str):
        _, _, kind, name = value["$ref"].split("/")
        found.append((kind, name))
    return found


def trimmed_schema(document: DocumentNode) -> str:
    by_name = {node.name.value: node for node in document.definitions if hasattr(node, "name") and node.name}
    simple = {
        name for name, node in by_name.items() if isinstance(node, ScalarTypeDefinitionNode | EnumTypeDefinitionNode)
    }
    known = simple | _TYPES | {"String", "Int", "Float", "Boolean", "ID"}
    kept: dict[str, str] = {}
    used: set[str] = set()
    for name in (*_ROOTS, *sorted(_TYPES)):
        node = by_name[name]
        assert isinstance(node, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode | InputObjectTypeDefinitionNode)
        lines = [_field(field, known, used) for field in node.fields if _is_kept(field, name, known)]
        kind = {"ObjectTypeDefinitionNode": "type", "InterfaceTypeDefinitionNode": "interface"}.get(
            type(node).__name__, "input"
        )
        interfaces = [i.name.value for i in getattr(node, "interfaces", ()) if i.name.value in _TYPES]
        implements = f" implements {' & '.join(interfaces)}" if interfaces else ""
        kept[name] = f"{kind} {name}{implements} {{\n" + "\n".join(f"  {line}" for line in lines) + "\n}"
    for name in sorted(used & simple):
        node = by_name[name]
        assert not isinstance(node, UnionTypeDefinitionNode)
        if isinstance(node, EnumTypeDefinitionNode):
            kept[name] = f"enum {name} {{ {' '.join(value.name.value for value in node.values)} }}"
        else:
            kept[name] = f"scalar {name}"
    return "\n\n".join(kept.values())


def _is_kept(field: Any, owner: str, known: set[str]) -> bool:
    wanted = owner not in _ROOTS or field.name.value in _ROOTS[owner]
    return wanted and _named(field.type) in known


def _field(field: Any, known: set[str], used: set[str]) -> str:
    used.add(_named(field.type))
    arguments = []
    if isinstance(field, FieldDefinitionNode):
        for argument in field.arguments:
            if _named(argument.type) in known:
                used.add(_named(argument.type))
                arguments.append(f"{argument.name.value}: {print_ast(argument.type)}")
    given = f"({', '.join(arguments)})" if arguments else ""
    return f"{field.name.value}{given}: {print_ast(field.type)}"


def _named(node: TypeNode) -> str:
    while not hasattr(node, "name"):
        node = node.type
    return str(node.name.value)


if __name__ == "__main__":
    main()
