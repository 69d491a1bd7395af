"""The text of HTML and PDF documents as lines. Parses what may be hostile: only ever run below the limits of adapters/extraction.py."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from review_pipeline.core.documents import MOST_TEXT_CHARACTERS
from review_pipeline.core.selection import SkipReason

if TYPE_CHECKING:
    from bs4 import Tag
    from bs4.element import PageElement
    from pypdf import PageObject, PdfReader

_MOST_PAGES = 5_000
_HEADER_BYTES = 1_024  # within which a PDF has to say that it is one
_NAMED_PAGES = 20
_MOST_LINE = 1_000
_LEFT_OUT = re.compile(r"skip|impossible", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
_NOT_SHOWN = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select", "head"})
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_SPACED = frozenset({"p", "table", "ul", "ol", "dl", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"})


class NotReadable(Exception):
    """reason: of the states in which a document may end."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Text:
    """page_lines: the line with which each page begins. note: what of the document has no text that could be read."""

    lines: tuple[str, ...]
    page_lines: tuple[int, ...] = ()
    note: str | None = None


def wrapped(line: str) -> Iterator[str]:
    """At spaces where there are some: a line is the least that can be cited, and the least that can be shown."""
    while len(line) > _MOST_LINE:
        at = line.rfind(" ", _MOST_LINE // 2, _MOST_LINE) + 1 or _MOST_LINE
        yield line[:at].rstrip()
        line = line[at:]
    yield line


def html_text(content: bytes) -> Text:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")  # finds out about the encoding by itself
    writer = _Lines()
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    if title:
        writer.lines += [f"# {title}", ""]
    _write(soup, writer)
    writer.end_line()
    return Text(tuple(writer.lines))


@dataclass(slots=True)
class _Lines:
    """Growing lines, headings and lists marked as in Markdown, so that it shows where a text may be cut."""

    lines: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    mark: str = ""

    def end_line(self) -> None:
        line = _BLANKS.sub(" ", "".join(self.pieces)).strip(" |" if self.mark == "" else " ")
        self.pieces.clear()
        if line:
            self.lines += wrapped(self.mark + line)
            self.mark = ""

    def blank(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")


def _write(root: Tag, writer: _Lines) -> None:
    """Depth first without recursion: pages may be nested as deeply as their writers like."""
    from bs4.element import NavigableString, PreformattedString, Tag

    open_: list[tuple[Tag | None, Iterator[PageElement]]] = [(None, iter(root.children))]
    while open_:
        tag, children = open_[-1]
        child = next(children, None)
        if child is None:
            open_.pop()
            _close(tag, writer)
        elif isinstance(child, Tag):
            if not _is_hidden(child):
                _begin(child, writer)
                open_.append((child, iter(child.children)))
        elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
            _add(str(child), writer, is_verbatim=any(tag is not None and tag.name == "pre" for tag, _ in open_[-4:]))


def _is_hidden(tag: Tag) -> bool:
    style = str(tag.get("style") or "")
    return tag.name in _NOT_SHOWN or tag.has_attr("hidden") or bool(_HIDDEN_STYLE.search(style))


def _add(text: str, writer: _Lines, *, is_verbatim: bool) -> None:
    if not is_verbatim:
        writer.pieces.append(text)
        return
    first, *more = text.split("\n")
    writer.pieces.append(first)
    for line in more:
        writer.end_line()
        writer.pieces.append(line)


def _begin(tag: Tag, writer: _Lines) -> None:
    if tag.name in _BLOCKS or tag.name == "br":
        writer.end_line()
    if tag.name in _SPACED:
        writer.blank()
    if tag.name in ("td", "th") and any(piece.strip() for piece in writer.pieces):
        writer.pieces.append(" | ")
    if re.fullmatch(r"h[1-6]", tag.name):
        writer.mark = "#" * int(tag.name[1]) + " "
    elif tag.name == "li":
        writer.mark = "- "


def _close(tag: Tag | None, writer: _Lines) -> None:
    if tag is None or tag.name not in _BLOCKS:
        return
    writer.end_line()
    writer.mark = ""
    if tag.name in _SPACED:
        writer.blank()


def pdf_text(content: bytes) -> Text:
    """Raises NotReadable, and whatever else a broken file makes a parser raise."""
    from pypdf import PdfReader

    if b"%PDF-" not in content[:_HEADER_BYTES]:
        raise NotReadable(SkipReason.UNREADABLE, "it does not begin as a PDF")
    reader = PdfReader(io.BytesIO(content), strict=False)
    # Many are encrypted with an empty password, which every viewer tries: anybody may read them.
    if reader.is_encrypted and not reader.decrypt(""):
        raise NotReadable(SkipReason.ENCRYPTED, "it opens only with a password")
    return _of_pages(reader)


def _of_pages(reader: PdfReader) -> Text:
    count = len(reader.pages)
    if count > _MOST_PAGES:
        raise NotReadable(SkipReason.TOO_LARGE, f"{count:,} pages, limit {_MOST_PAGES:,}")
    lines: list[str] = []
    page_lines: list[int] = []
    unread: list[int] = []
    characters = 0
    complaints = _Complaints()
    logging.getLogger("pypdf").addHandler(complaints)
    for number, page in enumerate(reader.pages, start=1):
        page_lines.append(len(lines) + 1)
        complaints.left_out = False
        text = page.extract_text()
        characters += len(text)
        if characters > MOST_TEXT_CHARACTERS:
            raise NotReadable(
                SkipReason.TOO_LARGE, f"over {MOST_TEXT_CHARACTERS:,} characters of text up to page {number}"
            )
        if complaints.left_out or (not text.strip() and _has_image(page)):
            unread.append(number)
        lines += [*(piece for line in text.strip("\n").split("\n") for piece in wrapped(line.rstrip())), ""]
    if not any(line.strip() for line in lines):
        raise NotReadable(SkipReason.NO_TEXT, f"none of its {count} page(s) holds text; are they scanned?")
    return Text(tuple(lines), tuple(page_lines), _note(unread))


class _Complaints(logging.Handler):
    """pypdf goes on where a part of a page cannot be read, and only its log says so."""

    left_out = False

    def emit(self, record: logging.LogRecord) -> None:
        self.left_out = self.left_out or bool(_LEFT_OUT.search(record.getMessage()))


def _has_image(page: PageObject) -> bool:
    resources = page.get("/Resources")
    objects = resources.get_object().get("/XObject") if resources is not None else None
    if objects is None:
        return False
    return any(one.get_object().get("/Subtype") in ("/Image", "/Form") for one in objects.get_object().values())


def _note(unread: list[int]) -> str | None:
    if not unread:
        return None
    named = ", ".join(map(str, unread[:_NAMED_PAGES])) + (", ..." if len(unread) > _NAMED_PAGES else "")
    return f"pages: {len(unread)} of its pages hold what could not be read as text, such as pictures: {named}"


TEXTS: dict[str, Callable[[bytes], Text]] = {"html": html_text, "pdf": pdf_text}
