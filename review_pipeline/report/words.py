"""How the report writes numbers, money, days and other people's text."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

_LABELS = {"api_contract": "API contract", "in_flight": "In flight elsewhere", "given_up": "Given up", "": "Unnamed"}
# Control characters and those that reorder text (CVE-2021-42574): shown by name, or code could look like other code.
_DECEPTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~$:@&.-])")


def label(name: str) -> str:
    """'missing_error_handling' -> 'Missing error handling'."""
    return _LABELS.get(name) or (name[:1].upper() + name[1:]).replace("_", " ")


def number(count: int) -> str:
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def usd(amount: Decimal) -> str:
    """Cents where they matter; a batch may cost less than a cent."""
    if amount and abs(amount) < Decimal("0.0001"):
        return "under $0.0001"
    is_whole_cents = amount * 100 == int(amount * 100)
    return f"${amount:,.2f}" if is_whole_cents or abs(amount) >= Decimal("0.1") else f"${amount:.4f}"


def share(part: float) -> str:
    return f"{part:.0%}"


def tokens(count: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 10_000)):
        if count >= size:
            return f"{count / (1_000_000 if unit == 'M' else 1_000):,.1f} {unit}"
    return f"{count:,}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def day(moment: date) -> str:
    """'16 Nov 2026', in English wherever it runs."""
    return f"{moment.day} {_MONTHS[moment.month - 1][:3]} {moment.year}"


def short_day(moment: date) -> str:
    return f"{moment.day} {_MONTHS[moment.month - 1][:3]}"


def weekday(moment: date) -> str:
    return f"{_WEEKDAYS[moment.weekday()]} {short_day(moment)}"


def minute(moment: datetime) -> str:
    return f"{day(moment)}, {moment:%H:%M} UTC"


def span(first: date, last: date) -> str:
    """'16 to 22 November 2026', naming month and year once where they are the same."""
    start = f"{first.day}"
    if first.month != last.month:
        start += f" {_MONTHS[first.month - 1]}"
    if first.year != last.year:
        start += f" {first.year}"
    return f"{start} to {last.day} {_MONTHS[last.month - 1]} {last.year}"


def change(now: int, before: int) -> str:
    """In words and a sign, so that it needs no colour."""
    if now == before:
        return "same as the week before"
    sign, word = ("▲", "more") if now > before else ("▼", "fewer")
    return f"{sign} {abs(now - before):,} {word} than the week before"


def plain(text: str) -> str:
    """Other people's text with its invisible characters made visible."""
    return _DECEPTIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))


def clipped(text: str, most: int) -> str:
    """Says how much is missing: a cut quote must not look whole."""
    text = plain(text)
    return text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text) - most:,} more characters)"


def markdown(text: str) -> str:
    """One line of text that no Markdown reader takes for markup, a link or a table cell's end."""
    return _MARKDOWN.sub(r"\\\1", " ".join(plain(text).split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
