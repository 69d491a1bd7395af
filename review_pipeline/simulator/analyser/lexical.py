"""Applies the lexical rules to code, with a scanner that tells code, strings and comments apart."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from review_pipeline.simulator.analyser.finding import Block, Finding
from review_pipeline.simulator.analyser.lexical_rules import BRACES, JS, LEXICAL_RULES, LexicalRule

_BLOCK_COMMENT = r"/\*.*?(?:\*/|\Z)"
_DOUBLE = r'"(?:\\.|[^"\\\n])*"'
_SINGLE = r"'(?:\\.|[^'\\\n])*'"
_CHARACTER = r"'(?:\\[^\n]{1,8}?|[^'\\\n])'"
_BACKTICK = r"`(?:\\.|[^`\\])*`"


def _scanner(comments: str, strings: str) -> re.Pattern[str]:
    return re.compile(f"(?P<comment>{comments})|(?P<string>{strings})", re.DOTALL)


_C_LIKE = _scanner(rf"//[^\n]*|{_BLOCK_COMMENT}", rf'"""(?:.*?)"""|{_DOUBLE}|{_CHARACTER}')
_SCANNERS = dict.fromkeys(BRACES, _C_LIKE)
_SCANNERS |= dict.fromkeys((*JS, "dart"), _scanner(rf"//[^\n]*|{_BLOCK_COMMENT}", rf"{_DOUBLE}|{_SINGLE}|{_BACKTICK}"))
_SCANNERS["go"] = _scanner(rf"//[^\n]*|{_BLOCK_COMMENT}", rf"{_DOUBLE}|{_CHARACTER}|`[^`]*`")
_SCANNERS["php"] = _scanner(rf"//[^\n]*|#(?!\[)[^\n]*|{_BLOCK_COMMENT}", rf"{_DOUBLE}|{_SINGLE}")
_SCANNERS["ruby"] = _scanner(r"(?<![\w\"'])#(?!\{)[^\n]*", rf"{_DOUBLE}|{_SINGLE}")
_SCANNERS["shell"] = _scanner(r"(?:(?<=\s)|^)(?m:^)?#[^\n]*", r'"(?:\\.|[^"\\])*"|\'[^\']*\'')

# Longer lines are generated or minified: nobody can act on a finding there.
_MAX_LINE_CHARACTERS = 400

_SHELL_SHEBANG = re.compile(r"#!.*\b(?:ba|z|k|da)?sh\b")
_SHELL_STOPS_ON_ERROR = re.compile(r"^[ \t]*set\s+(?:-\w*e|-o\s+errexit)|^#!.*sh\s+-\w*e", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Views:
    """The same text three times, each with what it must not see blanked out; positions stay equal."""

    code: str
    text: str
    comment: str

    def view(self, where: str) -> str:
        return {"code": self.code, "text": self.text, "comment": self.comment}[where]


def check_other_language(block: Block) -> list[Finding]:
    scanner = _SCANNERS.get(block.language)
    if scanner is None:
        return []
    source = "\n".join(block.lines)
    views = _split_views(source, scanner)
    line_starts = _line_starts(source)
    found: list[Finding] = []
    first_test_line = _rust_tests_start(block)
    for rule in LEXICAL_RULES:
        if block.language not in rule.languages or (block.is_test and not rule.in_tests):
            continue
        for match in rule.pattern.finditer(views.view(rule.where)):
            if views.text[match.start() : match.end()] != source[match.start() : match.end()] and rule.where == "code":
                continue  # a comment in the middle may give the reason
            line = _line_of(match.start() + _leading_space(match.group()), line_starts)
            if line >= first_test_line and not rule.in_tests:
                continue
            if len(block.lines[line - 1]) > _MAX_LINE_CHARACTERS:
                continue
            end_line = _line_of(max(match.start(), match.end() - 1), line_starts)
            found.append(_finding(block, rule, line, end_line))
    return found + _shell_without_errexit(block, source)


def _split_views(source: str, scanner: re.Pattern[str]) -> _Views:
    code: list[str] = []
    text: list[str] = []
    comment: list[str] = []
    done = 0
    for match in scanner.finditer(source):
        between, found = source[done : match.start()], match.group()
        is_comment = match.lastgroup == "comment"
        code += (between, _blank(found) if is_comment else found[0] + _blank(found[1:-1]) + found[-1])
        text += (between, _blank(found) if is_comment else found)
        comment += (_blank(between), found if is_comment else _blank(found))
        done = match.end()
    rest = source[done:]
    return _Views("".join((*code, rest)), "".join((*text, rest)), "".join((*comment, _blank(rest))))


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _line_starts(source: str) -> list[int]:
    return [0] + [match.end() for match in re.finditer("\n", source)]


def _line_of(position: int, line_starts: list[int]) -> int:
    """Counted from 1 within the block."""
    return bisect_right(line_starts, position)


def _leading_space(matched: str) -> int:
    return len(matched) - len(matched.lstrip())


def _rust_tests_start(block: Block) -> int:
    """Unit tests of Rust live at the end of the file they test."""
    if block.language == "rust":
        for number, line in enumerate(block.lines, 1):
            if line.strip() == "#[cfg(test)]":
                return number
    return len(block.lines) + 1


def _finding(block: Block, rule: LexicalRule, line: int, end_line: int) -> Finding:
    offset = block.first_line - 1
    return Finding(
        block=block,
        rule=rule.name,
        line=line + offset,
        end_line=end_line + offset,
        category=rule.category,
        severity=rule.severity,
        confidence=rule.confidence,
        issue=rule.issue,
        suggestion=rule.suggestion,
    )


def _shell_without_errexit(block: Block, source: str) -> list[Finding]:
    if block.language != "shell" or not block.is_whole_file or not _SHELL_SHEBANG.match(block.lines[0]):
        return []
    if _SHELL_STOPS_ON_ERROR.search(source):
        return []
    return [
        Finding(
            block=block,
            rule="shell-without-errexit",
            line=block.first_line,
            end_line=block.first_line,
            category="missing_error_handling",
            severity="info",
            confidence=0.6,
            issue="The script never says `set -e`, so it goes on after a command has failed.",
            suggestion="Add `set -euo pipefail` (or `set -eu` in plain sh) at the top.",
        )
    ]
