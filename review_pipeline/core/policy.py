"""A policy that people write: rules with an id and a title each, as Markdown or YAML, with every fault told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

MOST_RULES = 100  # each takes its part of every answer
MOST_CHARACTERS = 100_000  # shown before every piece of every document
_ID = r"(?=[A-Za-z0-9._-]*\d)[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
_RULE = re.compile(rf"(?P<id>{_ID})\s*:\s*(?P<title>\S.*)")
_HEADING = re.compile(r" {0,3}#{2,6}\s+(?P<text>.*?)\s*#*\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LOOKS_LIKE_A_RULE = re.compile(r"[A-Za-z]{1,12}[-._]?\d[\w.-]*(?:[\s:.)-]|$)")
_KEYS = {"id", "title", "text", "signs", "signs_against"}


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Policy:
    """text: Markdown, as the model is shown it."""

    text: str
    rules: tuple[Rule, ...]


class PolicyFaults(ValueError):
    """Everything that is wrong with a policy, each with its place."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def parse_policy(text: str, *, is_yaml: bool = False) -> Policy:
    """Raises PolicyFaults. In Markdown a rule is a heading like '## R1: Retention period is stated' with what stands below it."""
    if not is_yaml:
        return _checked(text, _found(text))
    faults: list[str] = []
    rendered = _rendered(text, faults)
    return _checked(rendered, _found(rendered), tuple(faults))


def _checked(text: str, found: tuple[Rule | str, ...], faults: tuple[str, ...] = ()) -> Policy:
    rules = tuple(one for one in found if isinstance(one, Rule))
    told = [*faults, *(one for one in found if isinstance(one, str))]
    first: dict[str, str] = {}
    for rule in rules:
        if rule.id.lower() in first:
            told.append(f"two rules have the id {rule.id!r} ({first[rule.id.lower()]!r} and {rule.title!r})")
        first.setdefault(rule.id.lower(), rule.title)
    if not rules:
        told.append("it has no rule; write each as a heading with an id that holds a digit: '## R1: What must hold'")
    if len(rules) > MOST_RULES:
        told.append(f"it has {len(rules)} rules, at most {MOST_RULES} fit into one answer; split it into several sets")
    if len(text) > MOST_CHARACTERS:
        told.append(f"it has {len(text):,} characters, at most {MOST_CHARACTERS:,} are shown; shorten it")
    if told:
        raise PolicyFaults(tuple(told))
    return Policy(text.strip(), rules)


def _found(text: str) -> tuple[Rule | str, ...]:
    """Rules in their order, and a sentence for each heading that seems to be meant as one."""
    found: list[Rule | str] = []
    for number, heading in _headings(text):
        if rule := _RULE.fullmatch(heading):
            found.append(Rule(rule["id"], rule["title"]))
        elif _LOOKS_LIKE_A_RULE.match(heading):
            found.append(
                f"line {number}: the heading {heading!r} looks like a rule and is none; write '## ID: What must hold', "
                "the ID of letters, digits, '.', '_' and '-', at most 32"
            )
    return tuple(found)


def _headings(text: str) -> Iterator[tuple[int, str]]:
    fence = ""
    for number, line in enumerate(text.split("\n"), start=1):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        elif heading := _HEADING.fullmatch(line):
            yield number, heading["text"]


def _rendered(text: str, faults: list[str]) -> str:
    """A YAML policy as Markdown."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f"line {where.line + 1}" if where else "it"
        raise PolicyFaults((f"{place} is not YAML: {getattr(error, 'problem', None) or error}",)) from error
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise PolicyFaults(("it has no list 'rules' of entries with 'id', 'title' and 'text'",))
    faults += [f"{key!r} is no key of a policy; there are 'introduction' and 'rules'" for key in document if key not in ("introduction", "rules")]  # fmt: skip
    rules = [_rendered_rule(number, rule, faults) for number, rule in enumerate(document["rules"], start=1)]
    return "\n\n".join([_one_text(document.get("introduction")), *rules]).strip()


def _rendered_rule(number: int, rule: object, faults: list[str]) -> str:
    if not isinstance(rule, dict):
        faults.append(f"rule {number} is no entry with 'id', 'title' and 'text'")
        return ""
    faults += [f"rule {number}: {key!r} is no key of a rule; there are {', '.join(sorted(_KEYS))}" for key in rule if key not in _KEYS]  # fmt: skip
    heading = f"{rule.get('id', '')}: {' '.join(str(rule.get('title') or '').split())}"
    if not _RULE.fullmatch(heading):
        faults.append(f"rule {number}: {heading!r} is no id that holds a digit, with a title; give both")
    lines = [f"## {heading}", _below_headings(_one_text(rule.get("text")))]
    for key, name in (("signs", "Signs"), ("signs_against", "Signs against")):
        words = rule.get(key) or []
        if not isinstance(words, list):
            faults.append(f"rule {number}: {key!r} is no list of words")
        elif words:
            lines.append(f"{name}: {', '.join(map(str, words))}")
    return "\n".join(line for line in lines if line)


def _one_text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _below_headings(text: str) -> str:
    """A line of prose that begins with '#' would pass for a rule of its own."""
    return re.sub(r"(?m)^ {0,3}(?=#)", "    ", text)
