"""What is answered about a document: one verdict for each rule of a policy, with a quoted passage."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from enum import StrEnum
from typing import Any

from review_pipeline.core.policy import Policy


class Verdict(StrEnum):
    VIOLATED = "violated"
    MET = "met"
    UNCLEAR = "unclear"
    NOT_FOUND = "not_found"  # the rule asks for a statement, and what was shown holds none
    NOT_APPLICABLE = "not_applicable"


TOKENS_PER_VERDICT = 250  # with a passage of some lines: an answer that is cut off is paid for twice

# Only what quotes the document can stand for it.
QUOTING = (Verdict.VIOLATED, Verdict.MET)

VERDICTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["verdicts"],
    "properties": {
        "verdicts": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["rule", "verdict", "anchor", "passage", "confidence", "explanation"],
                "properties": {
                    "rule": {"type": "string", "description": "The rule's id; every rule of the policy exactly once"},
                    "verdict": {"type": "string", "enum": [verdict.value for verdict in Verdict]},
                    "anchor": {
                        "type": "string",
                        "description": "The label of the line in which the passage begins, exactly as shown, for example 12#a3f9; empty without a passage",
                    },
                    "passage": {
                        "type": "string",
                        "description": "The words of the document that decide it, quoted without labels and without leaving anything out; empty if none do",
                    },
                    "confidence": {"type": "number", "description": "0 to 1: how sure you are of the verdict"},
                    "explanation": {"type": "string", "description": "Why, in one or two sentences"},
                },
            },
        }
    },
}  # fmt: skip


def schema_for(policy: Policy) -> dict[str, Any]:
    """The shape of answers about this policy: no other rule can be named."""
    schema = deepcopy(VERDICTS_SCHEMA)
    schema["properties"]["verdicts"]["items"]["properties"]["rule"]["enum"] = [rule.id for rule in policy.rules]
    return schema


def rules_asked(schema: dict[str, Any]) -> tuple[str, ...]:
    """The ids of a request's rules: the inverse of schema_for."""
    return tuple(schema["properties"]["verdicts"]["items"]["properties"]["rule"]["enum"])


def with_policy(instructions: str, policy: Policy) -> str:
    ids = ", ".join(rule.id for rule in policy.rules)
    return f"{instructions.rstrip()}\n\n## The policy\nIts rules are {ids}.\n\n<policy>\n{policy.text}\n</policy>\n"


def merged(pieces: Iterable[tuple[str, bool]]) -> str:
    """The word of a whole document from those of its pieces, each a verdict and whether its passage was found; sql/history/views tells the same.

    A passage that was found outweighs a claim without one, a violation what is met, and what was said what was not found.
    """
    order = [
        ("violated", True), ("violated", False), ("met", True), ("met", False), ("unclear", None), ("not_found", None), ("not_applicable", None),
    ]  # fmt: skip
    ranks = [order.index((verdict, found if verdict in QUOTING else None)) for verdict, found in pieces]
    verdict, found = order[min(ranks)]
    return "unverified" if found is False else verdict
