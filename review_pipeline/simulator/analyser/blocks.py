"""Finds code in the text of a prompt: numbered `<file>` blocks, and fenced blocks for other clients."""

from __future__ import annotations

import json
import re

from review_pipeline.simulator.analyser.finding import Block

_FILE_OPEN = re.compile(r'^<file path=("(?:[^"\\]|\\.)*") language="([^"]*)" lines="(\d+)-(\d+)"\s*of="(\d+)"[^\n]*>$')
_NUMBERED = re.compile(r"^(\d+)#([0-9a-f]{4})\|(.*)$")
_FENCE_OPEN = re.compile(r"^(`{3,}|~{3,})\s*([A-Za-z0-9_+#.-]+)[^`]*$")

# Names people write after ``` and in `language=`, as the names the rule tables use.
_LANGUAGE_ALIASES = {
    "py": "python",
    "python3": "python",
    "pyi": "python",
    "js": "javascript",
    "jsx": "javascript",
    "mjs": "javascript",
    "ts": "typescript",
    "tsx": "typescript",
    "golang": "go",
    "rs": "rust",
    "rb": "ruby",
    "sh": "shell",
    "bash": "shell",
    "zsh": "shell",
    "c++": "cpp",
    "cc": "cpp",
    "h": "c",
    "hpp": "cpp",
    "c#": "csharp",
    "cs": "csharp",
    "kt": "kotlin",
}


def find_blocks(text: str) -> tuple[Block, ...]:
    # Only "\n" ends a line here: str.splitlines would also split at form feeds and U+2028 inside code.
    lines = text.split("\n")
    blocks: list[Block] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if line.startswith("<file ") and (opened := _FILE_OPEN.match(line)):
            block, position = _numbered_block(opened, lines, position)
            blocks.append(block)
        elif line[:3] in ("```", "~~~") and (fence := _FENCE_OPEN.match(line)):
            block, position = _fenced_block(fence.group(1), fence.group(2), lines, position, len(blocks) + 1)
            blocks.append(block)
    return tuple(block for block in blocks if block.lines)


def canonical_language(name: str) -> str:
    lowered = name.lower()
    return _LANGUAGE_ALIASES.get(lowered, lowered)


def _numbered_block(opened: re.Match[str], lines: list[str], position: int) -> tuple[Block, int]:
    """Ends at the first line without a number; only `</file>` belongs to the block."""
    labels: list[str] = []
    code: list[str] = []
    while position < len(lines) and (numbered := _NUMBERED.match(lines[position])):
        labels.append(f"{numbered.group(1)}#{numbered.group(2)}")
        code.append(numbered.group(3))
        position += 1
    if position < len(lines) and lines[position] == "</file>":
        position += 1
    first = int(labels[0].partition("#")[0]) if labels else int(opened.group(3))
    is_whole = first == 1 and len(code) >= int(opened.group(5))
    language = canonical_language(opened.group(2))
    return Block(_path(opened.group(1)), language, first, tuple(code), tuple(labels), is_whole), position


def _path(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]


def _fenced_block(mark: str, language: str, lines: list[str], position: int, number: int) -> tuple[Block, int]:
    start = position
    while position < len(lines) and lines[position].strip() != mark:
        position += 1
    name = canonical_language(language)
    return Block(f"snippet-{number}.{language}", name, 1, tuple(lines[start:position])), position + 1
