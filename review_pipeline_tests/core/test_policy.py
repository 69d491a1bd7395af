"""Policies that people write, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.compliance import rules_asked, schema_for, with_policy
from review_pipeline.core.policy import Policy, PolicyFaults, Rule, parse_policy
from review_pipeline.core.prompt import Prompt

EXAMPLE = Path(__file__).parents[2] / "config" / "document_policy.example.md"
ids = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,8}[0-9]", fullmatch=True)
titles = st.from_regex(r"[A-Z][a-z ,]{0,30}[a-z]", fullmatch=True)


def faults(text: str, **options: bool) -> tuple[str, ...]:
    with pytest.raises(PolicyFaults) as told:
        parse_policy(text, **options)
    return told.value.faults


def test_rules_are_headings_with_an_id_and_all_of_the_text_is_shown() -> None:
    text = "# Policy\n\nFor all.\n\n## R1: Say how long\nProse.\n\n### Privacy\n#### P-2.1: No names ##\nMore.\n"
    policy = parse_policy(text)
    assert policy.rules == (Rule("R1", "Say how long"), Rule("P-2.1", "No names"))
    assert policy.text == text.strip()


def test_a_heading_inside_a_fence_is_no_rule() -> None:
    assert parse_policy("## R1: One\n```\n## R2: Two\n```\n").rules == (Rule("R1", "One"),)


def test_every_fault_is_told_at_once_with_its_place() -> None:
    told = faults("## R1: One\n## r1: Again\n## R2 Without a colon\n## R-3\n")
    assert len(told) == 3
    assert told[0].startswith("line 3: the heading 'R2 Without a colon'")
    assert told[1].startswith("line 4")
    assert "two rules have the id 'r1' ('One' and 'Again')" in told[2]


@pytest.mark.parametrize("text", ["", "# Only a title\n", "Just prose.\n", "## Scope: everything\n"])
def test_a_policy_without_rules_is_refused_and_says_how_one_is_written(text: str) -> None:
    assert "## R1: What must hold" in faults(text)[0]


def test_too_many_rules_and_too_much_text_are_refused() -> None:
    text = "".join(f"## R{n}: Rule\n{'x' * 1_000}\n" for n in range(101))
    assert [fault.split(",")[0] for fault in faults(text)] == ["it has 101 rules", "it has 102"]


def test_yaml_is_shown_as_markdown_and_signs_stay_with_their_rule() -> None:
    text = "introduction: For all.\nrules:\n- {id: R1, title: One, text: '# not a rule', signs: [a, b], signs_against: [c]}\n- {id: R2, title: Two}\n"
    policy = parse_policy(text, is_yaml=True)
    assert policy.rules == (Rule("R1", "One"), Rule("R2", "Two"))
    assert policy.text == "For all.\n\n## R1: One\n    # not a rule\nSigns: a, b\nSigns against: c\n\n## R2: Two"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "is not YAML"),
        ("- a\n", "no list 'rules'"),
        ("rules: 3\n", "no list 'rules'"),
        ("rules: [{id: R1, title: t, texts: x}]\n", "'texts' is no key of a rule"),
        ("rule: 1\nrules: [{id: R1, title: t}]\n", "'rule' is no key of a policy"),
        ("rules: [{id: no digit, title: t}]\n", "no id that holds a digit"),
        ("rules: [{id: R1}]\n", "no id that holds a digit, with a title"),
        ("rules: [R1, {id: R1, title: t}]\n", "rule 1 is no entry"),
        ("rules: [{id: R1, title: t, signs: word}]\n", "'signs' is no list"),
    ],
)
def test_faults_of_yaml_are_told(text: str, said: str) -> None:
    assert any(said in fault for fault in faults(text, is_yaml=True))


@given(st.dictionaries(ids.map(str.lower), titles, min_size=1, max_size=20))
def test_what_is_written_comes_back_and_the_schema_names_just_these(rules: dict[str, str]) -> None:
    policy = parse_policy("".join(f"## {name}: {title}\nText.\n" for name, title in rules.items()))
    assert {rule.id: rule.title for rule in policy.rules} == rules
    assert rules_asked(schema_for(policy)) == tuple(rules)


def test_another_word_in_the_policy_is_another_version_of_the_prompt() -> None:
    def version(text: str) -> str:
        policy = parse_policy(text)
        return Prompt(with_policy("Do.", policy), schema_for(policy)).version

    assert version("## R1: One\nText.") == version("## R1: One\nText.\n")
    assert version("## R1: One\nText.") != version("## R1: One\nText, more.")


def test_the_shipped_example_is_a_policy() -> None:
    policy = parse_policy(EXAMPLE.read_text(encoding="utf-8"))
    assert isinstance(policy, Policy)
    assert len(policy.rules) == 5
