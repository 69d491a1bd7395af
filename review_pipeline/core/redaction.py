"""Takes secrets out of text before it is stored or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

MARK = "[redacted]"
_SHORTEST = 8  # a shorter "secret" would be a word of the language

# Formats that their issuers publish; each has a prefix or a frame by which it can be told from other text.
_KNOWN = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \bsk-ant-[A-Za-z0-9_-]{8,}
    | \bsk-(?:proj-|live-)?[A-Za-z0-9_-]{20,}
    | \b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}
    | \bgh[a-z]_[A-Za-z0-9._-]{20,}(?<![.-])
    | \bgithub_pat_[A-Za-z0-9_]{20,}
    | \bglpat-[A-Za-z0-9_-]{16,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \bAIza[A-Za-z0-9_-]{30,}
    | \bxox[abeprs]-[A-Za-z0-9-]{10,}
    | \bnpm_[A-Za-z0-9]{30,}
    | \bpypi-[A-Za-z0-9_-]{30,}
    | \bhf_[A-Za-z0-9]{30,}
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    | \beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
    | (?<=://)[^/\s:@]{1,80}:[^/\s@]{3,}(?=@)
    """,
    re.VERBOSE,
)
# A name that says what the literal beside it is: password = "...", API_KEY: '...'
_NAMED = re.compile(
    r"""(?P<name>\b[\w.-]*(?:passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|private[_-]?key)[\w.-]*["']?\s*(?::=|=>|[:=])\s*)"""
    r"""(?P<quote>["'`])(?P<value>[^"'`\n]{6,})(?P=quote)""",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"^(?:[<{$%\[].*|x+|\*+|\.+|your[_-].*|example.*|change[_-]?me|redacted|test|dummy.*|none|null)$", re.IGNORECASE
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """secrets: values of ours that must not appear, whatever they look like."""
    for secret in sorted((secret for secret in secrets if len(secret) >= _SHORTEST), key=len, reverse=True):
        text = text.replace(secret, MARK)
    return _NAMED.sub(_named, _KNOWN.sub(MARK, text))


def _named(match: re.Match[str]) -> str:
    if _PLACEHOLDER.match(match["value"]):
        return match[0]
    return f"{match['name']}{match['quote']}{MARK}{match['quote']}"
