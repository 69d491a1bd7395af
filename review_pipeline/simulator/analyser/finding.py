"""What a static rule says about one place in one block of code."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Block:
    """Code as the prompt showed it. `labels` is empty when the prompt numbered nothing."""

    path: str
    language: str
    first_line: int
    lines: tuple[str, ...]
    labels: tuple[str, ...] = ()
    is_whole_file: bool = True

    def label(self, line: int) -> str:
        position = line - self.first_line
        return self.labels[position] if position < len(self.labels) else str(line)

    def text(self, line: int) -> str:
        return self.lines[line - self.first_line]

    @property
    def last_line(self) -> int:
        return self.first_line + len(self.lines) - 1

    @property
    def is_test(self) -> bool:
        name = self.path.rsplit("/", 1)[-1].lower()
        folders = self.path.lower().split("/")[:-1]
        in_test_folder = any(folder in ("test", "tests", "__tests__", "spec") for folder in folders)
        if self.path.rpartition(".")[0].endswith(("Test", "Tests")):
            return True
        return in_test_folder or name.startswith("test_") or "_test." in name or ".test." in name or ".spec." in name


@dataclass(frozen=True, slots=True)
class Finding:
    block: Block
    rule: str
    line: int
    end_line: int
    category: str
    severity: str
    confidence: float
    issue: str
    suggestion: str

    @property
    def evidence(self) -> str:
        return self.block.text(self.line).strip()

    @property
    def rank(self) -> tuple[int, float, int, str]:
        return SEVERITIES.index(self.severity), -self.confidence, self.line, self.rule
