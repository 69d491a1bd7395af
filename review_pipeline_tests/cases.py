"""Prints which of the situations that a reviewer of pull requests must survive are covered, and by which tests."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

CASES = 126


def covered() -> dict[int, list[str]]:
    return {int(number): tests for number, tests in marked("case").items()}


def marked(marker: str) -> dict[str, list[str]]:
    """The tests that carry pytest.mark.<marker>(value, ...), by value."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(Path(__file__).parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for value in _values(node, marker):
                    found[value].append(f"{file.relative_to(Path(__file__).parent)}::{node.name}")
    return found


def _values(function: ast.FunctionDef, marker: str) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"pytest.mark.{marker}":
            for argument in decorator.args:
                assert isinstance(argument, ast.Constant)
                yield str(argument.value)


def main() -> None:
    found = covered()
    for number in range(1, CASES + 1):
        tests = found.get(number)
        state = f"{len(tests)} test(s)" if tests else "NOT COVERED"
        print(f"{number:>4}  {state}")
        for test in tests or ():
            print(f"        {test}")
    missing = [number for number in range(1, CASES + 1) if number not in found]
    print(f"{len(found)} of {CASES} covered{f'; missing: {missing}' if missing else ''}")


if __name__ == "__main__":
    main()
