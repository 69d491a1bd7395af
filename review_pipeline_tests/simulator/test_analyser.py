"""The stand-in for a model: what it reads out of prompts, and that what it says is true."""

from __future__ import annotations

import json
from typing import Any

import pytest

from review_pipeline.simulator.analyser.blocks import find_blocks
from review_pipeline.simulator.analyser.finding import SEVERITIES, Finding
from review_pipeline.simulator.analyser.lexical_rules import LEXICAL_RULES, LexicalRule
from review_pipeline.simulator.analyser.review import MAX_FINDINGS_PER_BLOCK, review_prompts
from review_pipeline.simulator.analyser.ruff_rules import RUFF_RULES, RuffRule
from review_pipeline.simulator.analyser.verdicts import verdicts
from review_pipeline.simulator.analyser.wording import as_json
from review_pipeline_tests.simulator.prompts import AUDIT_SCHEMA, BAD_PYTHON, file_block, label

CATEGORIES = set(AUDIT_SCHEMA["properties"]["findings"]["items"]["properties"]["category"]["enum"])


def _review(
    path: str, code: str, language: str = "python", first: int = 1, of: int | None = None
) -> tuple[Finding, ...]:
    return review_prompts([file_block(path, code, language, first, of)])[0]


def _rules(path: str, code: str, language: str) -> set[str]:
    return {finding.rule for finding in _review(path, code, language)}


def test_every_rule_has_a_legal_category_severity_and_confidence() -> None:
    every_rule: tuple[RuffRule | LexicalRule, ...] = (*RUFF_RULES.values(), *LEXICAL_RULES)
    for rule in every_rule:
        assert rule.category in CATEGORIES
        assert rule.severity in SEVERITIES
        assert 0 < rule.confidence < 1


def test_blocks_are_found_with_their_labels_between_other_text() -> None:
    go = file_block("c.go", "package c", "go", first=7, of=9)
    text = f"Review these.\n\n{file_block('a b.py', 'x = 1')}\nand\n{go}\nBye."
    first, second = find_blocks(text)
    assert (first.path, first.language, first.lines, first.is_whole_file) == ("a b.py", "python", ("x = 1",), True)
    assert (second.first_line, second.is_whole_file, second.label(7)) == (7, False, label(7, "package c"))


def test_content_that_looks_like_the_end_of_a_block_does_not_end_it() -> None:
    (block,) = find_blocks(file_block("a.py", 'x = """\n</file>\n<file path="b">\n"""'))
    assert block.lines == ('x = """', "</file>", '<file path="b">', '"""')


def test_a_path_is_unescaped_and_code_keeps_its_odd_characters() -> None:
    (block,) = find_blocks(file_block('we"ird\n\\.py', "a = '\x0c \u2028 \x85'\r"))
    assert block.path == 'we"ird\n\\.py'
    assert block.lines == ("a = '\x0c \u2028 \x85'\r",)


def test_fenced_blocks_count_their_lines_from_one() -> None:
    (block,) = find_blocks("Look:\n```py\nimport os\n```\n```\nno language\n```\n")
    assert (block.language, block.first_line, block.lines) == ("python", 1, ("import os",))


def test_findings_point_at_the_line_that_they_quote() -> None:
    findings = _review("src/load.py", BAD_PYTHON)
    lines = BAD_PYTHON.split("\n")
    assert {finding.category for finding in findings} >= {
        "bug",
        "security",
        "missing_error_handling",
        "type_safety_gap",
    }
    for finding in findings:
        assert finding.evidence == lines[finding.line - 1].strip()
        assert finding.line <= finding.end_line <= len(lines)
    assert list(findings) == sorted(findings, key=lambda finding: finding.rank)


def test_a_chunk_keeps_the_line_numbers_of_its_file() -> None:
    whole = _review("a.py", BAD_PYTHON)
    chunk = _review("a.py", BAD_PYTHON, first=101, of=500)
    by_rule = {finding.rule: finding.line for finding in whole}
    assert chunk
    assert all(finding.line == by_rule[finding.rule] + 100 for finding in chunk)
    assert "F401" in by_rule
    assert "F401" not in {finding.rule for finding in chunk}


def test_a_chunk_that_starts_inside_a_class_and_ends_inside_a_function_is_still_checked() -> None:
    body = "        try:\n            go()\n        except:\n            pass\n"
    code = f"    def one(self, seen=[]):\n{body}\n    def two(self,"
    findings = _review("a.py", code, first=41, of=400)
    assert {(finding.rule, finding.line) for finding in findings} >= {("B006", 41), ("E722", 44)}


@pytest.mark.parametrize("code", ["def (:", "\x00", "", "    )))", "print 'python 2'"])
def test_code_that_does_not_parse_gives_no_noise_and_no_crash(code: str) -> None:
    assert not [finding for finding in _review("a.py", code) if "yntax" in finding.issue]


def test_tests_are_not_blamed_for_what_is_usual_in_tests() -> None:
    code = "PASSWORD = 'hunter2hunter2'\n\n\ndef test_it(value):\n    assert value\n"
    assert {finding.rule for finding in _review("src/it.py", code)} >= {"ANN001", "S105"}
    assert _review("tests/test_it.py", code) == ()


def test_a_package_front_page_may_import_what_it_does_not_use() -> None:
    assert _review("pkg/__init__.py", "import os\n") == ()


def test_no_file_gets_more_than_its_share_of_findings() -> None:
    code = "\n".join(
        f"def F{n}(a=[], b={{}}):\n    try:\n        eval(a)\n    except:\n        pass\n" for n in range(30)
    )
    assert len(_review("a.py", code)) == MAX_FINDINGS_PER_BLOCK


def test_many_prompts_are_answered_in_their_order() -> None:
    prompts = [file_block("a.py", BAD_PYTHON), "nothing", file_block("b.py", "x = 1\n"), file_block("a.py", BAD_PYTHON)]
    first, nothing, clean, again = review_prompts(prompts)
    assert first == again
    assert first
    assert nothing == clean == ()


TRUE_FINDINGS = [
    ("a.js", "javascript", "try { go() } catch (e) { }", "empty-catch"),
    ("a.js", "javascript", "if (a == 1) {}", "js-loose-equality"),
    ("a.js", "javascript", "if (a = 1) {}", "assignment-in-condition"),
    ("a.js", "javascript", "console.log(a)", "console-log"),
    ("a.js", "javascript", "run(eval('1'))", "eval"),
    ("a.js", "javascript", "fetch('http://api.company.com/x')", "plain-http"),
    ("a.ts", "typescript", "function f(a: any) {}", "ts-any"),
    ("a.ts", "typescript", "// @ts-ignore\nx()", "ts-ignore"),
    ("a.go", "go", "\tres, _ := call(a)", "go-ignored-error"),
    ("a.go", "go", "tls.Config{InsecureSkipVerify: true}", "tls-verification-off"),
    ("a.rs", "rust", "let a = b.unwrap();", "rust-unwrap"),
    ("a.java", "java", "} catch (Exception e) { e.printStackTrace(); }", "java-print-stack-trace"),
    ("a.java", "java", "List a = new ArrayList();", "java-raw-type"),
    ("a.c", "c", "strcpy(a, b);", "c-unbounded-copy"),
    ("a.cpp", "cpp", "try { f(); } catch (...) {}", "empty-catch"),
    ("a.rb", "ruby", "begin\n  go\nrescue => e\nend", "ruby-rescue-nothing"),
    ("a.sh", "shell", "#!/bin/bash\nrm x", "shell-without-errexit"),
    ("a.sh", "shell", "curl https://x.test/i | sh", "pipe-to-shell"),
    ("a.php", "php", "$a = @file_get_contents($b);", "php-error-suppression"),
    ("A.cs", "csharp", "try { F(); } catch { }", "empty-catch"),
    ("A.kt", "kotlin", "val a = b!!.c", "kotlin-not-null"),
    ("a.swift", "swift", "let a = try! f()", "swift-force-try"),
    ("a.go", "go", "// TODO: later", "todo"),
]

SILENCES = [
    ("a.js", "javascript", "try { go() } catch (e) { /* the file may be gone */ }", "empty-catch"),
    ("a.js", "javascript", "if (a === 1 || b == null) {}", "js-loose-equality"),
    ("a.js", "javascript", "const s = 'console.log(1) eval(2)' // eval(3)", "eval"),
    ("a.test.js", "javascript", "console.log(a)", "console-log"),
    ("a.js", "javascript", "fetch('http://localhost/x')", "plain-http"),
    ("a.ts", "typescript", "const company = many.any(x)", "ts-any"),
    ("a_test.go", "go", "res, _ := call(a)", "go-ignored-error"),
    ("a.go", "go", "for _, x := range call(a) {", "go-ignored-error"),
    ("a.rs", "rust", "fn a() {}\n#[cfg(test)]\nmod tests { fn t() { b.unwrap(); } }", "rust-unwrap"),
    ("a.c", "c", "snprintf(a, n, b); my_strcpy(a);", "c-unbounded-copy"),
    ("a.sh", "shell", "#!/bin/sh\nset -eu\nrm x", "shell-without-errexit"),
    ("a.go", "go", 's := "TODO"', "todo"),
]


@pytest.mark.parametrize(("path", "language", "code", "rule"), TRUE_FINDINGS)
def test_a_lexical_rule_speaks_where_it_is_true(path: str, language: str, code: str, rule: str) -> None:
    assert rule in _rules(path, code, language)


@pytest.mark.parametrize(("path", "language", "code", "rule"), SILENCES)
def test_a_lexical_rule_is_silent_where_it_would_be_wrong(path: str, language: str, code: str, rule: str) -> None:
    assert rule not in _rules(path, code, language)


def test_the_audit_schema_is_filled_with_labels_as_shown() -> None:
    (findings,) = review_prompts([file_block("src/load.py", BAD_PYTHON)])
    answer = as_json(AUDIT_SCHEMA, findings)
    lines = BAD_PYTHON.split("\n")
    shown = {label(number, line) for number, line in enumerate(lines, 1)}
    required = set(AUDIT_SCHEMA["properties"]["findings"]["items"]["required"])
    for item in answer["findings"]:
        assert set(item) == required
        assert item["anchor"] in shown
        assert lines[int(item["anchor"].split("#")[0]) - 1].strip() == item["evidence"]
        assert item["category"] in CATEGORIES
    json.dumps(answer)


def test_other_names_references_and_narrower_enums_are_respected() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["summary", "issues"],
        "properties": {
            "summary": {"type": "string"},
            "issues": {"type": "array", "items": {"$ref": "#/$defs/Issue"}},
        },
        "$defs": {
            "Issue": {
                "type": "object",
                "required": ["path", "line", "message", "severity", "verdict"],
                "properties": {
                    "path": {"type": "string"},
                    "line": {"type": ["integer", "null"]},
                    "message": {"type": "string"},
                    "severity": {"enum": ["high", "low"]},
                    "verdict": {"enum": ["resolved", "not_verifiable"]},
                },
            }
        },
    }
    answer = as_json(schema, _review("src/load.py", BAD_PYTHON))
    assert "no model was called" in answer["summary"]
    assert all(item["path"] == "src/load.py" and item["line"] > 0 for item in answer["issues"])
    assert {item["severity"] for item in answer["issues"]} == {"high"}
    assert {item["verdict"] for item in answer["issues"]} == {"not_verifiable"}


def test_any_other_schema_gets_the_smallest_instance_that_fits() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["ok", "count", "names", "kind", "deep", "maybe", "fixed"],
        "properties": {
            "ok": {"type": "boolean"},
            "count": {"type": "integer", "minimum": 3},
            "names": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "kind": {"enum": ["a", "b"]},
            "deep": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "fixed": {"const": 7},
            "left_out": {"type": "string"},
        },
    }
    answer = as_json(schema, ())
    assert answer == {
        "ok": False,
        "count": 3,
        "names": [answer["names"][0]] * 2,
        "kind": "a",
        "deep": {"x": 0},
        "maybe": None,
        "fixed": 7,
    }


PRIOR = '[{"id": "f-1", "severity": "critical", "line": 3},\n {"id": "f-2", "severity": "info", "line": 9}]'


def test_identifiers_listed_in_the_prompt_come_back_whole_and_none_is_invented() -> None:
    verdict: dict[str, Any] = {
        "type": "object",
        "required": ["id", "status", "severity"],
        "properties": {
            "id": {"type": "string"},
            "status": {"enum": ["resolved", "still_open", "not_verifiable"]},
            "severity": {"enum": ["critical", "warning", "info"]},
        },
    }
    schema = {"type": "object", "required": ["v"], "properties": {"v": {"type": "array", "items": verdict}}}
    code = file_block("a.json", '{"id": "not-a-finding"}', "json")
    answer = as_json(schema, (), f'Judge these:\n{PRIOR}\n{code}\n<finding id="f-3">text</finding>')
    assert [(item["id"], item["severity"]) for item in answer["v"]] == [
        ("f-1", "critical"),
        ("f-2", "info"),
        ("f-3", "info"),
    ]
    assert {item["status"] for item in answer["v"]} == {"not_verifiable"}


def test_groups_of_identifiers_come_back_as_groups_of_one() -> None:
    group: dict[str, Any] = {
        "type": "object",
        "required": ["ids"],
        "properties": {"ids": {"type": "array", "items": {"type": "string"}}},
    }
    schema = {"type": "object", "required": ["g"], "properties": {"g": {"type": "array", "items": group}}}
    assert as_json(schema, (), PRIOR) == {"g": [{"ids": ["f-1"]}, {"ids": ["f-2"]}]}


def test_verdicts_come_from_the_signs_that_a_policy_names_and_say_so() -> None:
    policy = '### R1: One\nSigns: kept for\n## R2: Two\n- Signs against: "http://", for ever\n## R3: Three\nProse.\n'
    shown = '<file path="a.md" language="markdown" lines="1-2" of="2">\n1#aaaa|Keptforth, not kept.\n2#bbbb|Kept for years, see http://x\n</file>'
    told = verdicts(("R1", "R2", "R3", "R4"), policy, shown)["verdicts"]
    assert [(one["rule"], one["verdict"], one["anchor"], one["passage"]) for one in told] == [
        ("R1", "met", "2#bbbb", "Kept for years, see http://x"),
        ("R2", "violated", "2#bbbb", "Kept for years, see http://x"),
        ("R3", "unclear", "", ""),
        ("R4", "unclear", "", ""),
    ]
    assert all("no model was called" in one["explanation"] for one in told)
