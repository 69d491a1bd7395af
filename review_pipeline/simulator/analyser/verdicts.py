"""Verdicts about documents without a model: looks for the words that a policy itself names as signs, and says that it did no more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from review_pipeline.simulator.analyser.blocks import find_blocks
from review_pipeline.simulator.analyser.finding import Block
from review_pipeline.simulator.analyser.wording import NOTICE

_RULE = re.compile(r"^ {0,3}#{2,6}\s+([A-Za-z0-9._-]+)\s*:\s*(.*?)\s*#*\s*$")
_SIGNS = re.compile(r"^\s*(?:[-*]\s+)?signs( against)?\s*:\s*(.+)$", re.IGNORECASE)
# A word that stands there says little about what is meant: a human looks at all of it.
_CONFIDENCE = 0.6
_MOST_QUOTED = 240


@dataclass(frozen=True, slots=True)
class _Signs:
    """Words that speak for a rule being met, and against it."""

    met: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def asked_rules(schema: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ids of the rules, if the schema asks for a verdict on each of several."""
    items = schema.get("properties", {}).get("verdicts", {}).get("items", {}).get("properties", {})
    rules = items.get("rule", {}).get("enum")
    return tuple(rules) if rules and "verdict" in items else None


def verdicts(rules: tuple[str, ...], system: str, prompt: str) -> dict[str, Any]:
    """system: where the policy is shown. prompt: where the document is."""
    signs, blocks = _signs(system), find_blocks(prompt)
    return {"verdicts": [_verdict(rule, signs.get(rule, _Signs()), blocks) for rule in rules]}


def _signs(system: str) -> dict[str, _Signs]:
    found: dict[str, _Signs] = {}
    rule = ""
    for line in system.split("\n"):
        if heading := _RULE.match(line):
            rule = heading[1]
            found[rule] = _Signs()
        elif rule and (named := _SIGNS.match(line)):
            words = tuple(word.strip().strip("\"'`.") for word in named[2].split(","))
            words = tuple(word for word in words if word)
            met, against = found[rule].met, found[rule].against
            found[rule] = _Signs(met, against + words) if named[1] else _Signs(met + words, against)
    return found


def _verdict(rule: str, signs: _Signs, blocks: tuple[Block, ...]) -> dict[str, Any]:
    for verdict, words in (("violated", signs.against), ("met", signs.met)):
        if seen := _first(words, blocks):
            block, line, match = seen
            said = f"The line holds {match[0]!r}, which the policy names as a sign ({NOTICE})."
            return _told(rule, verdict, block.label(line), _quoted(block.text(line), match), said)
    if signs.met:
        return _told(rule, "not_found", "", "", f"None of the words that the policy names is shown ({NOTICE}).")
    if signs.against:
        return _told(
            rule, "not_applicable", "", "", f"No word that the policy names as a sign against is shown ({NOTICE})."
        )
    return _told(
        rule, "unclear", "", "", f"The policy names no signs for this rule, and nothing was understood ({NOTICE})."
    )


def _first(words: tuple[str, ...], blocks: tuple[Block, ...]) -> tuple[Block, int, re.Match[str]] | None:
    if not words:
        return None
    pattern = re.compile("|".join(map(_bounded, words)), re.IGNORECASE)
    for block in blocks:
        for number, line in enumerate(block.lines, start=block.first_line):
            if match := pattern.search(line):
                return block, number, match
    return None


def _bounded(word: str) -> str:
    """As a word of its own where it begins and ends with a letter or digit; 'http://' also before what follows it."""
    before, after = (r"(?<!\w)" if word[0].isalnum() else ""), (r"(?!\w)" if word[-1].isalnum() else "")
    return f"{before}{re.escape(word)}{after}"


def _quoted(line: str, match: re.Match[str]) -> str:
    """The whole line, or of a long one what stands around the word."""
    if len(line) <= _MOST_QUOTED:
        return line.strip()
    first = max(0, match.start() - _MOST_QUOTED // 2)
    return line[first : match.end() + _MOST_QUOTED // 2].strip()


def _told(rule: str, verdict: str, anchor: str, passage: str, explanation: str) -> dict[str, Any]:
    return {
        "rule": rule, "verdict": verdict, "anchor": anchor, "passage": passage, "confidence": _CONFIDENCE, "explanation": explanation,
    }  # fmt: skip
