"""Text of others made safe to show: it cannot mention, link, close, command, hide or leave its place."""

from __future__ import annotations

import re

JOINER = "\u2060"  # takes no room and breaks every pattern that a forge acts upon
# Marks that hide or reorder text: zero width, bidirectional, tag characters, variation selectors; and controls.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_MENTION = re.compile(r"@(?=[A-Za-z0-9_])")
_REFERENCE = re.compile(r"#(?=\d)|(?<=\w)#(?=\w)|\bGH-(?=\d)", re.IGNORECASE)
_SCHEME = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*:)(?=//)|\b(www)(?=\.)|\b(mailto|javascript|data|vbscript)(?=:)", re.IGNORECASE
)
_COMMAND = re.compile(r"^(\s*)/(?=[a-z])", re.MULTILINE | re.IGNORECASE)
_SPECIAL = re.compile(r"([\\`*_\[\]|~!$])")
_LINE_START = re.compile(r"^(\s*)([#>+=-]|\d+[.)])", re.MULTILINE)
_COMMIT = re.compile(r"\b([0-9a-f]{7})(?=[0-9a-f]{33}\b)")


def visible(text: str) -> str:
    """Without what a reader cannot see."""
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def plain(text: str, most: int = 2_000) -> str:
    """Prose of a model or a stranger as Markdown that shows it and does nothing."""
    text = cut(visible(text), most)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(r"\\\1", text)
    text = _LINE_START.sub(rf"\1{JOINER}\2", text)
    text = _MENTION.sub(f"@{JOINER}", text)
    text = _REFERENCE.sub(lambda match: match[0] + JOINER, text)
    text = _SCHEME.sub(lambda match: match[0] + JOINER, text)
    text = _COMMIT.sub(rf"\1{JOINER}", text)
    return _COMMAND.sub(rf"\1{JOINER}/", text)


def one_line(text: str, most: int = 300) -> str:
    return plain(" ".join(visible(text).split()), most)


def code(text: str, most: int = 200) -> str:
    """Inline code, whatever it holds; inside of it nothing is acted upon."""
    shown = cut(" ".join(visible(text).split()), most)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    marks = "`" * (longest + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{marks}{pad}{shown}{pad}{marks}" if shown else ""


def fenced(text: str, language: str = "", most: int = 1_000) -> str:
    """A block that its content cannot close."""
    shown = cut(visible(text), most)
    longest = max((len(run) for run in re.findall(r"`{3,}", shown)), default=2)
    marks = "`" * (longest + 1)
    return f"{marks}{re.sub(r'[^a-z0-9+#-]', '', language.lower())}\n{shown}\n{marks}"


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()} [...]"
