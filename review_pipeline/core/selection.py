"""Which files of a commit are reviewed, and the reason for each one that is not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache

from identify.extensions import NAMES
from identify.identify import tags_from_filename, tags_from_interpreter
from pathspec import GitIgnoreSpec

DEFAULT_MAX_FILE_BYTES = 400_000
MINIFIED_LINE_CHARACTERS = 1_000
HEADER_LINES = 5
_QUOTED_CHARACTERS = 80
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    path: str
    blob: str
    mode: str
    bytes: int


class SkipReason(StrEnum):
    BINARY = "binary"
    GENERATED = "generated"
    VENDORED = "vendored"
    TOO_LARGE = "too_large"
    UNSPLITTABLE = "unsplittable"
    EXCLUDED = "excluded"
    NOT_SOURCE = "not_source"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"
    EMPTY = "empty"
    NOT_DOCUMENT = "not_document"
    UNREADABLE = "unreadable"
    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """Patterns as in .gitignore; '!pattern' in exclude also brings back what passes for vendored or generated."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES

    def __post_init__(self) -> None:
        for pattern in (*self.include, *self.exclude):
            try:
                GitIgnoreSpec.from_lines([pattern])
            except (ValueError, re.error) as error:
                raise ValueError(f"{pattern!r} is not a pattern as in .gitignore ({error}). Correct it.") from error


@dataclass(frozen=True, slots=True)
class Skip:
    entry: TreeEntry
    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True)
class Source:
    """page_lines: the first line of each page, of what has pages. note: what of it could not be read."""

    entry: TreeEntry
    language: str
    lines: tuple[str, ...]
    page_lines: tuple[int, ...] = ()
    note: str | None = None


def by_path(entry: TreeEntry, rules: SelectionRules) -> Skip | None:
    """What can be said without the content; None means: read it and ask by_content."""
    if entry.mode == "160000":
        return Skip(entry, SkipReason.SUBMODULE, "another repository, to be audited under its own name")
    if entry.mode == "120000":
        return Skip(entry, SkipReason.SYMLINK, "a link; its target is looked at where it stands")
    if detail := exclusion(entry.path, rules):
        return Skip(entry, SkipReason.EXCLUDED, detail)
    if entry.bytes == 0:
        return Skip(entry, SkipReason.EMPTY, "0 bytes")
    if not _is_wanted(entry.path, rules) and (skip := _not_ours(entry)):
        return skip
    if skip := _not_code(entry):
        return skip
    return too_large(entry, entry.bytes, rules)


def by_content(entry: TreeEntry, content: bytes, rules: SelectionRules) -> Source | Skip:
    """For a file that by_path let through."""
    if skip := too_large(entry, len(content), rules):
        return skip
    if content.startswith(LFS_POINTER):
        return Skip(entry, SkipReason.NOT_SOURCE, "a Git LFS pointer; the file itself is not in the repository")
    text = decoded(content)
    if text is None:
        return Skip(entry, SkipReason.BINARY, "contains NUL bytes or is no text in UTF-8, UTF-16 or Latin-1")
    if not text.strip():
        return Skip(entry, SkipReason.EMPTY, "nothing but white space")
    lines = split_lines(text)
    language = _language_of_name(_name(entry.path)) or _language_of_first_line(lines[0])
    if language is None:
        return Skip(entry, SkipReason.NOT_SOURCE, "neither its name nor a '#!' line names a programming language")
    if not _is_wanted(entry.path, rules) and (detail := _generated_content(lines)):
        return Skip(entry, SkipReason.GENERATED, detail)
    return Source(entry, language, lines)


def decoded(content: bytes) -> str | None:
    """None for what is not text. Latin-1 accepts every byte, so a NUL is what tells binary files from old ones."""
    has_utf16_mark = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if has_utf16_mark else ("utf-8-sig", "latin-1"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text
    return None


def split_lines(text: str) -> tuple[str, ...]:
    """Only \\n ends a line, as in git and on GitHub; str.splitlines would count U+2028, \\x0c or \\x85 too."""
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(patterns)


def exclusion(path: str, rules: SelectionRules) -> str | None:
    excluded = _compiled(rules.exclude).check_file(path)
    if excluded.include and excluded.index is not None:
        patterns = [pattern for pattern in rules.exclude if pattern]  # pathspec does not count empty ones
        return f"matches exclude pattern {patterns[excluded.index]!r}"
    if rules.include and not _compiled(rules.include).match_file(path):
        return "matches no include pattern"
    return None


def _is_wanted(path: str, rules: SelectionRules) -> bool:
    return _compiled(rules.exclude).check_file(path).include is False


def _not_ours(entry: TreeEntry) -> Skip | None:
    if folder := _VENDORED.search(entry.path):
        return Skip(
            entry, SkipReason.VENDORED, f"inside {folder['folder'] + '/'!r}, where copies of other projects are kept"
        )
    if match := _GENERATED.match(_name(entry.path)):
        assert match.lastindex is not None
        return Skip(entry, SkipReason.GENERATED, f"the name matches {_GENERATED_NAMES[match.lastindex - 1]!r}")
    if _BUNDLE.search(entry.path):
        return Skip(entry, SkipReason.GENERATED, "built script or style inside 'dist/'")
    return None


def _not_code(entry: TreeEntry) -> Skip | None:
    name = _name(entry.path)
    if _language_of_name(name):
        return None
    tags = _tags(name)
    suffix = name[1:].rpartition(".")[2] if "." in name[1:] else ""
    if "binary" in tags:
        return Skip(entry, SkipReason.BINARY, f"'.{suffix}' files are binary")
    if not tags and (entry.mode == "100755" or "." not in name):
        return None  # perhaps a script: only its first line can tell
    kind = f"'.{suffix}' files are" if suffix else f"{name!r} is"
    return Skip(entry, SkipReason.NOT_SOURCE, f"{kind} not known as source code")


def too_large(entry: TreeEntry, size: int, rules: SelectionRules) -> Skip | None:
    if size <= rules.max_file_bytes:
        return None
    return Skip(entry, SkipReason.TOO_LARGE, f"{size:,} bytes, limit {rules.max_file_bytes:,}")


def _generated_content(lines: tuple[str, ...]) -> str | None:
    # Only the header counts: a marker deeper in the file would be a way to silence the review of what stands above it.
    for number, line in enumerate(lines[:HEADER_LINES], start=1):
        if match := _MARKER.match(line[:300]):
            return f"line {number} says {match['text'].strip()[:_QUOTED_CHARACTERS]!r}"
    mean = sum(map(len, lines)) / len(lines)
    if mean > MINIFIED_LINE_CHARACTERS:
        return f"minified: {mean:,.0f} characters a line on average"
    return None


def _tags(name: str) -> set[str]:
    """The last suffix decides, so that 'BUILD.md' is Markdown; but 'CMakeLists.txt' as a whole is a known name."""
    stem, _, suffix = name.rpartition(".")
    if stem and name not in NAMES and (tags := tags_from_filename(f"_.{suffix}")):
        return tags
    return tags_from_filename(name)


@lru_cache(maxsize=4096)
def _language_of_name(name: str) -> str | None:
    if language := _MORE_NAMES.get(name):
        return language
    stem, _, suffix = name.rpartition(".")
    if stem and (language := _MORE_SUFFIXES.get(suffix.lower())):
        return language
    return _language_of_tags(_tags(name))


def _language_of_tags(tags: set[str]) -> str | None:
    found = tags & _LANGUAGES.keys()
    if tags & _DATA or not found:
        return None
    # Two kinds of files are two languages at once: '.h' is c here, '.mm' is objective-c++.
    return _LANGUAGES[min(found - {"c++"} or found)]


def _language_of_first_line(line: str) -> str | None:
    if not line.startswith("#!"):
        return None
    words = [word.rpartition("/")[2] for word in line[2:].split() if not word.startswith("-") and "=" not in word]
    interpreter = next((word for word in words if word != "env"), "")
    return _language_of_tags(tags_from_interpreter(interpreter)) or _MORE_INTERPRETERS.get(interpreter)


# Tags of the identify library that mean source code, with the name people use. What is not here is not reviewed.
_SAME_NAME = (
    "asm", "aspectj", "astro", "awk", "bazel", "c", "c#", "c++", "clojure", "cmake", "crystal", "css", "cuda",
    "cue", "cython", "dart", "dockerfile", "ejs", "elixir", "elm", "erb", "erlang", "expect", "f#", "fortran",
    "gdscript", "gleam", "go", "graphql", "groovy", "handlebars", "haskell", "hcl", "hlsl", "html", "idris",
    "java", "javascript", "jinja", "jsonnet", "jsx", "julia", "kotlin", "lean", "less", "lua", "luau", "m4",
    "magik", "makefile", "meson", "metal", "mustache", "nim", "nix", "nunjucks", "nushell", "objective-c",
    "objective-c++", "ocaml", "pascal", "perl", "php", "powershell", "prisma", "pug", "puppet", "purescript",
    "python", "qml", "r", "robot", "ruby", "rust", "sas", "sass", "scala", "scheme", "scss", "shell",
    "solidity", "sql", "stylus", "svelte", "swift", "templ", "terraform", "thrift", "tsx", "twig", "vala",
    "verilog", "vhdl", "vim", "vue", "xquery", "zig",
)  # fmt: skip
_LANGUAGES = dict(zip(_SAME_NAME, _SAME_NAME, strict=True)) | {
    "batch": "batch file", "bitbake": "bitbake", "c2hs": "haskell", "coffee": "coffeescript",
    "gotmpl": "go template", "liquid": "liquid", "literate-haskell": "haskell", "proto": "protobuf", "pyi": "python",
    "scons": "python",
    "system-verilog": "systemverilog", "tiltfile": "starlark", "ts": "typescript", "vb": "visual basic", "xsl": "xslt",
}  # fmt: skip
_DATA = {"edn", "gyp"}  # code by syntax, data by use

_MORE_SUFFIXES = {
    "4gl": "4gl", "abap": "abap", "adb": "ada", "ads": "ada", "apex": "apex", "asp": "asp",
    "aspx": "asp.net", "bas": "visual basic",
    "bicep": "bicep", "cairo": "cairo", "cbl": "cobol", "cfm": "coldfusion", "cls": "visual basic", "cob": "cobol",
    "comp": "glsl", "cshtml": "razor", "cts": "typescript", "d": "d", "ddl": "sql", "el": "emacs lisp", "f": "fortran",
    "for": "fortran", "frag": "glsl", "ftl": "freemarker", "glsl": "glsl", "haml": "haml", "hx": "haxe", "jsp": "jsp",
    "ksh": "shell", "lisp": "lisp", "move": "move", "mts": "typescript", "pkb": "sql", "pks": "sql", "pls": "sql",
    "psql": "sql", "razor": "razor", "rego": "rego", "rkt": "racket", "slim": "slim", "sml": "standard ml",
    "sqlx": "sql", "star": "starlark", "tcl": "tcl", "vbs": "visual basic", "vert": "glsl", "vy": "vyper",
    "wgsl": "wgsl",
}  # fmt: skip
_MORE_NAMES = {
    "Appfile": "ruby", "BUCK": "bazel", "Capfile": "ruby", "Dangerfile": "ruby", "Earthfile": "earthfile",
    "Guardfile": "ruby", "Justfile": "just", "Kbuild": "makefile", "Podfile": "ruby", "Snakefile": "python",
    "Thorfile": "ruby", "justfile": "just",
}  # fmt: skip
_MORE_INTERPRETERS = {
    "Rscript": "r", "bun": "typescript", "deno": "typescript", "elixir": "elixir", "fish": "shell", "gawk": "awk",
    "groovy": "groovy", "guile": "scheme", "julia": "julia", "lua": "lua", "make": "makefile", "mawk": "awk",
    "nix-shell": "shell", "osascript": "applescript", "pwsh": "powershell", "pypy": "python", "pypy3": "python",
    "runghc": "haskell", "runhaskell": "haskell", "sbcl": "lisp", "swift": "swift", "tclsh": "tcl",
    "ts-node": "typescript", "tsx": "typescript", "uv": "python",
}  # fmt: skip

# 'vendor' and 'external' are also words of business code: below the top they count only where a package manager or
# a web page put them. The other names have one meaning at any depth.
_VENDORED = re.compile(
    r"^(?P<folder>"
    r"(?:vendor|vendors|external|extern)(?=/)"
    r"|(?:.*/)?(?:node_modules|bower_components|jspm_packages|site-packages|dist-packages|\.?venv|__pypackages__|\.tox"
    r"|third[_-]?party|3rd[_-]?party|Pods|Carthage|\.yarn|\.bundle|\.terraform|elm-stuff|_vendor)(?=/)"
    r"|.*/vendor(?=/(?:[^/]+\.[a-z]+/|bundle/|composer/|autoload\.php$))"
    r"|(?:.*/)?(?:assets|static|public|libs?|js|css|javascripts?|stylesheets?)/vendors?(?=/)"
    r")"
)
_GENERATED_NAMES = (
    "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "packages.lock.json", "*.lock", "*.lockb",
    "*.lockfile", ".terraform.lock.hcl", "go.sum", "*.min.js", "*.min.mjs", "*.min.css", "*-min.js", "*.bundle.js",
    "*.chunk.js", "*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*.pb.go", "*.pb.gw.go", "*.pb.cc", "*.pb.h", "*.pb.swift",
    "*.pbobjc.h", "*.pbobjc.m", "*_pb.js", "*_pb.ts", "*_pb.d.ts", "*_pb.rb", "*.g.dart", "*.freezed.dart", "*.gr.dart",
    "*.designer.cs", "*.designer.vb", "*.g.cs", "*.g.i.cs", "*.generated.*", "*_generated.go", "*.gen.go",
    "zz_generated.*", "moc_*.cpp", "qrc_*.cpp", "*.tab.c", "*.tab.h", "lex.yy.c", "*.snap", "gradlew", "gradlew.bat",
    "mvnw", "mvnw.cmd",
)  # fmt: skip
_GENERATED = re.compile("|".join(f"({translate(name)})" for name in _GENERATED_NAMES), re.IGNORECASE)
_BUNDLE = re.compile(r"(?:^|/)dist/.*\.(?:[cm]?js|css|d\.ts)$")

_MARKER = re.compile(
    r"""\s*(?:/[/*]+!?|[#*;%'"!]+|--+|<!--+|@?rem\b)\s*"""
    r"(?P<text>"
    r"code generated .*\bdo not edit\b.*"
    r"|@generated(?![\w-]).*"
    r"|<auto-?generated\b.*"
    r"|(?:this (?:file|code|class) (?:is|was|has been) )?(?:auto(?:matically)?[- ]?)?generated\b"
    r".*\bdo not (?:edit|modify)\b.*"
    r"|(?:please )?do not (?:edit|modify)\b.*\bgenerated\b.*"
    r"|this (?:file|code|class) (?:is|was|has been) auto(?:matically)?[- ]?generated\b.*"
    r"|autogenerated by thrift\b.*|generated by cython\b.*|generated by gnu autoconf\b.*"
    r"|a bison parser, made by gnu bison\b.*|a lexical scanner generated by flex\b.*"
    r")",
    re.IGNORECASE,
)
