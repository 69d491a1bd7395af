"""Where a text may be cut: for each line, what it costs to begin a piece there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from tree_sitter import Node, Tree
    from tree_sitter_language_pack import SupportedLanguage

# Costs, the lower the better a piece may begin at a line. The depth of what the cut divides is added within a kind.
DIVIDES_NOTHING = 9  # up to here: the line begins a definition or section that stands in no other one
_TOP_STATEMENT = 10
_INNER_DEFINITION = 20
_PARAGRAPH = 50
_STATEMENT = 60
_ANY_LINE = 100
_MOST_DEPTH = 29

_MOST_PARSED_BYTES = 4_000_000
_MOST_NODES = 1_000_000
_DEEPEST_NODE = 200

# core/selection.py names a language as people do; the grammars have names of their own where they differ.
GRAMMARS = {
    name: name
    for name in (
        "ada", "apex", "asm", "astro", "bicep", "bitbake", "c", "cairo", "clojure", "cmake", "css", "cuda", "d",
        "dart", "dockerfile", "elixir", "elm", "erlang", "fortran", "gdscript", "gleam", "glsl", "go", "graphql",
        "groovy", "haskell", "haxe", "hcl", "hlsl", "html", "java", "javascript", "jsonnet", "julia", "kotlin", "lua",
        "luau", "magik", "meson", "nim", "nix", "ocaml", "pascal", "perl", "php", "powershell", "prisma", "puppet",
        "purescript", "python", "r", "racket", "rego", "ruby", "rust", "scala", "scheme", "scss", "solidity", "sql",
        "starlark", "svelte", "swift", "tcl", "terraform", "thrift", "tsx", "twig", "typescript", "verilog", "vhdl",
        "vim", "vue", "wgsl", "zig",
    )
} | {
    "aspectj": "java", "bazel": "starlark", "c#": "csharp", "c++": "cpp", "ejs": "embeddedtemplate", "emacs lisp": "elisp",
    "erb": "embeddedtemplate", "expect": "tcl", "f#": "fsharp", "jsx": "javascript", "less": "scss", "lisp": "commonlisp",
    "makefile": "make", "metal": "cpp", "objective-c": "objc", "objective-c++": "objc", "protobuf": "proto",
    "qml": "qmljs", "shell": "bash", "systemverilog": "verilog", "xslt": "xml",
}  # fmt: skip
DOCUMENTS = frozenset({"markdown", "rst", "text"})

_KIND = (
    "function|method|class|struct|interface|enum|trait|impl|module|namespace|constructor|destructor|object|protocol"
    "|extension|record|union|type|macro|contract|procedure|subroutine|instance|mod|service|message|rpc|template|init"
    "|deinit|operator|package_body|modifier|subprogram|entity|architecture|process|task|data|newtype"
)
_DEFINITION = re.compile(
    rf"(?!(?:.*_)?(?:use|using|import|end)_)(?:.*_)?(?:{_KIND})(?:_\w+)?"
    r"_(?:definition|declaration|item|def|defn|decl|statement|specifier|implementation)"
    r"|decorated_definition|(?:singleton_)?method|(?:method|function)_signature|class|module|internal_module|function"
    r"|companion_object|function_clause|subroutine|data_type|instance|defProc"
)
_FUNCTION_VALUE = re.compile(r"arrow_function|function_expression|func_literal|lambda_literal|anonymous_function")
_CALLED_DEFINITION = re.compile(r"\s*\(?(?:[\w.]+/)?def\w*[ (]")  # where a definition is a call or a list, as in Elixir
_LONG_DEFINITION = re.compile(r"(?:property|indexer|event|accessor)_declaration")  # of one line they are fields
_IN_HEADER = re.compile(r"decorated_definition|template_declaration|export_statement|ambient_declaration")
_WHOLE = re.compile(r"declarations|body|statement_list|statements|named_module")  # all of a file, below its root
_BODY = re.compile(
    r"(?:.*_)?(?:block|body|statements|statement_list|declaration_list|declarations|suite|compound_statement|do_group"
    r"|body_statement|section|element|specification_list)"
)
_STATEMENT_TYPE = re.compile(r"(?:.*_)?(?:statement|definition|item|element)|(?:field|method|property)_declaration")
_CLOSING = re.compile(r"end(?:_.*)?|.*_end|kEnd")
_ABOVE = re.compile(
    r"(?:.*_)?(?:comment|haddock|attribute|attribute_item|annotation|decorator|modifiers|attribute_list|pragma)|signature"
)
_MARK_ABOVE = re.compile(r"\s*@\w")  # annotations, and the attributes of Elixir

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s|$)")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+_:.])\1{2,}\s*")
_INDENT = re.compile(r"[ \t]*")


def boundaries(language: str, lines: Sequence[str]) -> tuple[int, ...]:
    """What it costs to begin a piece at each line. Parses with native code: for files that may be hostile see adapters/cutting."""
    if language in DOCUMENTS:
        return _of_document(lines)
    text = "\n".join((*lines, "")).encode("utf-8", "replace")
    grammar = GRAMMARS.get(language)
    if grammar is None or len(text) > _MOST_PARSED_BYTES:
        return boundaries_of_layout(lines)
    from tree_sitter_language_pack import get_parser

    return _of_tree(get_parser(cast("SupportedLanguage", grammar)).parse(text), lines)


def boundaries_of_layout(lines: Sequence[str]) -> tuple[int, ...]:
    """Blank lines and indents are all that is known."""
    costs = []
    before = ""
    for line in lines:
        depth = min(len(_indent(line).expandtabs(4)) // 2, _MOST_DEPTH)
        if not line.strip():
            costs.append(_ANY_LINE + _MOST_DEPTH)
        elif not before.strip():
            costs.append(_TOP_STATEMENT if depth == 0 else _PARAGRAPH + depth // 4)
        else:
            costs.append(_ANY_LINE + depth)
        before = line
    return tuple(costs)


class _Seen(NamedTuple):
    node: Node
    parent: str
    is_top: bool


def _of_tree(tree: Tree, lines: Sequence[str]) -> tuple[int, ...]:
    margins = [len(_indent(line).encode()) for line in lines]
    written = list(accumulate((row if line.strip() else 0 for row, line in enumerate(lines)), max))
    found = _Found([0] * (len(lines) + 1), {}, {}, set())
    for seen in _walk(tree):
        first, last = seen.node.start_point.row, seen.node.end_point.row
        if first < len(lines):
            is_first = seen.node.start_point.column <= margins[first]
            ended = last - (last > first and seen.node.end_point.column == 0)
            found.add(seen, is_first, max(first, written[min(ended, len(lines) - 1)]), lines[first])
    return _costs(lines, found)


class _Found(NamedTuple):
    """What nodes say about rows, counted from 0.

    divided: changes of the number of nodes that a cut before the row divides. kinds: what begins at a row.
    above: last row -> first row of a comment or an attribute, which goes with what it stands on.
    inside_header: rows at which a body begins, or that stand in front of it.
    """

    divided: list[int]
    kinds: dict[int, int]
    above: dict[int, int]
    inside_header: set[int]

    def add(self, seen: _Seen, is_first: bool, last: int, line: str) -> None:
        """is_first: nothing stands before the node in its line. last: its last row that is not blank."""
        node, first = seen.node, seen.node.start_point.row
        is_long = last > first
        if is_long:
            self.divided[first + 1] += 1
            self.divided[last + 1] -= 1
            if not seen.is_top and _BODY.fullmatch(node.type):
                self.inside_header.update(_header_rows(first, is_first, line))
        if is_first and _is_above(node, is_long, line):
            self.above[last] = first
        elif is_first and node.is_named:
            if _IN_HEADER.fullmatch(seen.parent):
                self.inside_header.add(first)
            self.kinds[first] = min(_kind(seen, is_long, line), self.kinds.get(first, _ANY_LINE))
        elif is_first and seen.is_top and node.type.isalpha():
            self.kinds[first] = _STATEMENT  # a word in front, such as `pub`
        elif is_long and first in self.kinds and (seen.is_top or _is_definition(node)):
            self.kinds[first] = min(_INNER_DEFINITION, self.kinds[first])


def _header_rows(first: int, is_first: bool, line: str) -> tuple[int, ...]:
    """Rows before which no cut parts anything but a header from its body."""
    if not is_first:
        return (first + 1,)
    return (first, first + 1) if line.strip() in {"{", "begin"} else (first,)


def _costs(lines: Sequence[str], found: _Found) -> tuple[int, ...]:
    divided = list(accumulate(found.divided))
    costs = [_ANY_LINE + min(divided[row], _MOST_DEPTH) for row in range(len(lines))]
    for row, kind in found.kinds.items():
        depth, begin = min(divided[row], _MOST_DEPTH), row
        while begin - 1 in found.above:
            begin = found.above[begin - 1]
        if kind >= _ANY_LINE or (depth and not found.inside_header.isdisjoint((row, begin))):
            continue
        is_after_text = begin == 0 or bool(lines[begin - 1].strip())
        costs[begin] = min(_cost(kind, depth, is_after_text), costs[begin])
    return tuple(costs)


def _cost(kind: int, depth: int, is_after_text: bool) -> int:
    if kind == _INNER_DEFINITION:
        return kind + depth if depth else 0
    return kind + depth + _MOST_DEPTH // 3 * is_after_text if depth else _TOP_STATEMENT + is_after_text


def _walk(tree: Tree) -> Iterator[_Seen]:
    """Nodes below the root from the first on, outer before inner, but nothing inside a node of a single line."""
    cursor = tree.walk()
    if not cursor.goto_first_child():
        return
    parents, top = [tree.root_node.type], 1
    for _ in range(_MOST_NODES):
        node = cursor.node
        assert node is not None
        is_whole = len(parents) == 1 and bool(_WHOLE.fullmatch(node.type))
        if not is_whole:
            yield _Seen(node, parents[-1], len(parents) <= top)
        is_closed = len(parents) >= _DEEPEST_NODE or node.end_point.row == node.start_point.row
        if not is_closed and cursor.goto_first_child():
            parents.append(node.type)
            top = 2 if is_whole else top
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent() or len(parents) == 1:
                return
            parents.pop()
            top = min(top, len(parents))


def _kind(seen: _Seen, is_long: bool, line: str) -> int:
    node, is_in_body = seen.node, seen.is_top or bool(_BODY.fullmatch(seen.parent))
    if node.is_error or _CLOSING.fullmatch(node.type):
        return _ANY_LINE
    if _is_definition(node) or (is_long and (seen.is_top or _LONG_DEFINITION.fullmatch(node.type))):
        return _INNER_DEFINITION
    if is_in_body and _CALLED_DEFINITION.match(line):
        return _INNER_DEFINITION
    return _STATEMENT if is_in_body or _STATEMENT_TYPE.fullmatch(node.type) else _ANY_LINE


def _is_above(node: Node, is_long: bool, line: str) -> bool:
    if _ABOVE.fullmatch(node.type):
        return True
    return not is_long and bool(_MARK_ABOVE.match(line)) and not _is_definition(node)


def _is_definition(node: Node) -> bool:
    return bool(_DEFINITION.fullmatch(node.type) or _FUNCTION_VALUE.fullmatch(node.type))


def _indent(line: str) -> str:
    match = _INDENT.match(line)
    return match.group() if match else ""


def _of_document(lines: Sequence[str]) -> tuple[int, ...]:
    """Headings by their level, then paragraphs, then lines; nothing inside a fence is a heading."""
    costs = []
    fence, before = "", ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            costs.append(_ANY_LINE + 1)
            if mark and mark[1].startswith(fence):
                fence = ""
        else:
            following = lines[number + 1] if number + 1 < len(lines) else ""
            costs.append(_cost_in_document(line, before, following))
            fence = mark[1] if mark else ""
        before = line
    return tuple(costs)


def _cost_in_document(line: str, before: str, following: str) -> int:
    if heading := _HEADING.match(line):
        return len(heading[1]) - 1
    if not line.strip() or before.strip():
        return _ANY_LINE
    if _UNDERLINE.fullmatch(following) and not _UNDERLINE.fullmatch(line):
        return 0 if following[0] == "=" else 1
    return _PARAGRAPH
