from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.selection import (
    SelectionRules,
    Skip,
    SkipReason,
    Source,
    TreeEntry,
    by_content,
    by_path,
    decoded,
    split_lines,
)

RULES = SelectionRules()


def entry(path: str, *, mode: str = "100644", size: int = 100) -> TreeEntry:
    return TreeEntry(path, "0" * 40, mode, size)


def verdict(one: TreeEntry, content: bytes, rules: SelectionRules = RULES) -> Source | Skip:
    return by_path(one, rules) or by_content(one, content, rules)


def language(path: str, content: bytes = b"x\n", mode: str = "100644") -> str | SkipReason:
    found = verdict(entry(path, mode=mode), content)
    return found.language if isinstance(found, Source) else found.reason


def skipped(path: str, rules: SelectionRules = RULES) -> tuple[SkipReason, str] | None:
    skip = by_path(entry(path), rules)
    return (skip.reason, skip.detail) if skip else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.py", "python"), ("a.PY", "python"), ("a.pyi", "python"), ("a.pyx", "cython"), ("a.js", "javascript"),
        ("a.mjs", "javascript"), ("a.ts", "typescript"), ("a.mts", "typescript"), ("a.tsx", "tsx"), ("a.jsx", "jsx"),
        ("a.go", "go"), ("a.rs", "rust"), ("a.java", "java"), ("a.c", "c"), ("a.h", "c"), ("a.hpp", "c++"),
        ("a.cc", "c++"), ("a.mm", "objective-c++"), ("a.m", "objective-c"), ("a.cs", "c#"), ("a.rb", "ruby"),
        ("Rakefile", "ruby"), ("a.php", "php"), ("a.sh", "shell"), ("a.bats", "shell"), ("a.zsh", "shell"),
        ("a.sql", "sql"), ("a.kt", "kotlin"), ("a.kts", "kotlin"), ("a.swift", "swift"), ("a.scala", "scala"),
        ("a.sbt", "scala"), ("a.html", "html"), ("a.css", "css"), ("a.scss", "scss"), ("a.vue", "vue"),
        ("Dockerfile", "dockerfile"), ("deploy/Dockerfile.prod", "dockerfile"), ("app.Dockerfile", "dockerfile"),
        ("Makefile", "makefile"), ("Makefile.am", "makefile"), ("CMakeLists.txt", "cmake"), ("main.tf", "terraform"),
        ("a.proto", "protobuf"), ("a.ex", "elixir"), ("a.ps1", "powershell"), ("a.sv", "systemverilog"),
        ("Jenkinsfile", "groovy"), ("build.gradle", "groovy"), ("BUILD.bazel", "bazel"), ("a.tcl", "tcl"),
        ("justfile", "just"), ("LICENSE.py", "python"), (".bashrc", "shell"),
    ],
)  # fmt: skip
def test_the_name_of_a_source_file_says_its_language(path: str, expected: str) -> None:
    assert language(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "README", "README.md", "BUILD.md", "Dockerfile.md", "LICENSE", "LICENSE-MIT", "a.json", "a.yaml", "a.yml",
        "a.toml", "a.txt", "a.svg", "a.xml", "a.ini", "a.edn", "a.ipynb", "a.unknown", ".gitignore", ".env", "go.mod",
        "x/.foo", "a.csv", "requirements.txt", "a.rst", "CODEOWNERS",
    ],
)  # fmt: skip
def test_documents_and_data_are_not_source(path: str) -> None:
    assert language(path, b"#!not-an-interpreter\n") is SkipReason.NOT_SOURCE


@pytest.mark.parametrize("path", ["a.png", "a.JPG", "a.pdf", "a.zip", "a.whl", "a.so"])
def test_a_binary_suffix_is_known_without_reading_the_file(path: str) -> None:
    skip = by_path(entry(path), RULES)
    assert skip
    assert skip.reason is SkipReason.BINARY


@pytest.mark.parametrize(
    ("first_line", "expected"),
    [
        (b"#!/bin/sh", "shell"), (b"#! /bin/bash -e", "shell"), (b"#!/usr/bin/env python3", "python"),
        (b"#!/usr/bin/env -S python3.12 -u", "python"), (b"#!/usr/bin/env -S X=1 node --no-warnings", "javascript"),
        (b"#!/usr/bin/env -S uv run --script", "python"), (b"#!/usr/bin/perl -w\r", "perl"),
        (b"#!/usr/bin/env Rscript", "r"), (b"\xef\xbb\xbf#!/bin/sh", "shell"), (b"#!", SkipReason.NOT_SOURCE),
        (b"#!/usr/bin/env", SkipReason.NOT_SOURCE), (b"plain words", SkipReason.NOT_SOURCE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["100644", "100755"])
def test_the_first_line_says_the_language_of_a_script_without_a_suffix(
    first_line: bytes, expected: str, mode: str
) -> None:
    assert language("bin/run", first_line + b"\nx\n", mode) == expected


def test_an_unknown_suffix_is_opened_only_if_the_file_can_be_run() -> None:
    assert language("cgi/run.cgi2", b"#!/bin/sh\n", "100755") == "shell"
    assert language("cgi/run.cgi2", b"#!/bin/sh\n", "100644") is SkipReason.NOT_SOURCE
    assert language("data.json", b"#!/bin/sh\n", "100755") is SkipReason.NOT_SOURCE


@pytest.mark.parametrize(
    ("path", "is_vendored"),
    [
        ("vendor/a.go", True), ("external/x/a.c", True), ("node_modules/a/b.js", True), ("web/node_modules/a.js", True),
        ("third_party/a.cc", True), ("src/third-party/a.cc", True), ("ios/Pods/A/a.m", True), (".venv/lib/a.py", True),
        ("x/venv/lib/site-packages/a.py", True), ("svc/vendor/github.com/x/y.go", True), ("static/vendor/jq.js", True),
        ("shop/vendor/models.py", False), ("src/external/client.py", False), ("vendor.py", False),
        ("vendors_report/a.py", False), ("my_node_modules/a.js", False), ("src/pods/a.py", False),
    ],
)  # fmt: skip
def test_copies_of_other_projects_are_known_by_their_folder(path: str, is_vendored: bool) -> None:
    assert (language(path) is SkipReason.VENDORED) == is_vendored


@pytest.mark.parametrize(
    ("path", "is_generated"),
    [
        ("package-lock.json", True), ("poetry.lock", True), ("a.min.js", True), ("x/a_pb2.py", True),
        ("a_pb2_grpc.py", True), ("a.pb.go", True), ("a.g.dart", True), ("Form1.Designer.cs", True), ("gradlew", True),
        ("zz_generated.deepcopy.go", True), ("api.generated.ts", True), ("dist/index.js", True), ("go.sum", True),
        ("a.minjs.js", False), ("pb2.py", False), ("designer.cs", False), ("dist/build.py", False),
        ("generated.py", False), ("distance/a.js", False), ("lock.py", False),
    ],
)  # fmt: skip
def test_generated_files_are_known_by_their_name(path: str, is_generated: bool) -> None:
    assert (language(path) is SkipReason.GENERATED) == is_generated


def test_a_generated_name_is_told_with_the_pattern_it_matches() -> None:
    assert skipped("x/a_pb2.py") == (SkipReason.GENERATED, "the name matches '*_pb2.py'")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.go", "// Code generated by mockgen. DO NOT EDIT."), ("a.py", "# @generated by protoc"),
        ("a.js", "/**\n * @generated SignedSource<<abc>>\n */"), ("a.js", "/* @generated */"),
        ("a.cs", "// <auto-generated>"),
        ("a.py", "# -*- x -*-\n# Generated by the protocol buffer compiler.  DO NOT EDIT!"),
        ("a.java", "/* AUTO-GENERATED FILE.  DO NOT MODIFY."), ("a.dart", "// GENERATED CODE - DO NOT MODIFY BY HAND"),
        ("a.sql", "-- DO NOT EDIT: this file is generated by x"), ("a.html", "<!-- @generated -->"),
        ("a.c", "/* A Bison parser, made by GNU Bison 3.8.2.  */"), ("a.c", "\n\n\n\n// @generated"),
    ],
)  # fmt: skip
def test_a_marker_in_the_header_says_that_the_file_is_generated(name: str, header: str) -> None:
    found = verdict(entry(name), f"{header}\nx\n".encode())
    assert isinstance(found, Skip)
    assert found.reason is SkipReason.GENERATED
    assert re.match(r"line \d says '", found.detail)


@pytest.mark.parametrize(
    "text",
    [
        "import os\n\n\n\n\n# @generated\n",
        "x = '@generated'\n",
        "# see @generated in the docs\n",
        "# not @generated\n",
        "# @generated-like ids are made here\n",
        "marker = 'Code generated by x. DO NOT EDIT.'\n",
        "# This generator writes code\n",
    ],
)
def test_a_marker_elsewhere_does_not_silence_a_review(text: str) -> None:
    assert language("a.py", text.encode()) == "python"


def test_very_long_lines_on_average_mean_a_minified_file() -> None:
    assert language("a.js", b"x" * 1_001) is SkipReason.GENERATED
    assert language("a.js", b"x" * 1_000) == "javascript"
    assert language("a.js", b"x" * 1_500 + b"\ny\n") == "javascript"


def test_exclude_patterns_are_read_as_in_gitignore() -> None:
    rules = SelectionRules(exclude=("# a comment", "", "docs/**", "/tests/", "*.gen.py", "!keep.gen.py"))
    assert skipped("docs/a.py", rules) == (SkipReason.EXCLUDED, "matches exclude pattern 'docs/**'")
    assert skipped("tests/a.py", rules) == (SkipReason.EXCLUDED, "matches exclude pattern '/tests/'")
    assert skipped("src/tests/a.py", rules) is None
    assert skipped("x/a.gen.py", rules) == (SkipReason.EXCLUDED, "matches exclude pattern '*.gen.py'")
    assert skipped("x/keep.gen.py", rules) is None


def test_include_patterns_narrow_the_source_files() -> None:
    rules = SelectionRules(include=("src/",), exclude=("src/old/",))
    assert skipped("lib/a.py", rules) == (SkipReason.EXCLUDED, "matches no include pattern")
    assert skipped("src/old/a.py", rules) == (SkipReason.EXCLUDED, "matches exclude pattern 'src/old/'")
    assert skipped("src/a.py", rules) is None
    assert language("src/a.md") is SkipReason.NOT_SOURCE


def test_a_negated_exclude_brings_back_what_passes_for_vendored_or_generated() -> None:
    rules = SelectionRules(exclude=("!vendor/ours/", "!api_pb2.py"))
    assert isinstance(verdict(entry("vendor/ours/a.go"), b"// Code generated by us. DO NOT EDIT.\n", rules), Source)
    assert isinstance(verdict(entry("x/api_pb2.py"), b"x\n", rules), Source)
    assert skipped("vendor/theirs/a.go", rules)


@pytest.mark.parametrize("pattern", ["[z-a]", "!"])
def test_a_pattern_that_is_none_is_told_by_name(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(pattern))):
        SelectionRules(exclude=(pattern,))


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (entry("a.py", mode="120000"), SkipReason.SYMLINK),
        (entry("a.py", mode="160000", size=0), SkipReason.SUBMODULE),
        (entry("a.py", size=0), SkipReason.EMPTY),
        (entry("a.py", size=400_001), SkipReason.TOO_LARGE),
        (entry("a.png", size=400_001), SkipReason.BINARY),
    ],
)
def test_what_stands_in_the_tree_can_be_enough_to_skip(one: TreeEntry, reason: SkipReason) -> None:
    skip = by_path(one, RULES)
    assert skip
    assert skip.reason is reason


def test_a_size_is_told_with_its_limit() -> None:
    skip = by_path(entry("a.py", size=412_345), RULES)
    assert skip
    assert skip.detail == "412,345 bytes, limit 400,000"
    assert by_path(entry("a.py", size=400_000), RULES) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x\0y\n", SkipReason.BINARY),
        (b"\xff\xfea", SkipReason.BINARY),
        (b"\xff\xfe\0\0a\0\0\0", SkipReason.BINARY),
        (b"\xef\xbb\xbf", SkipReason.EMPTY),
        (b"\r\n \t\n", SkipReason.EMPTY),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", SkipReason.NOT_SOURCE),
        (b"x" * 400_001, SkipReason.TOO_LARGE),
    ],
)
def test_content_that_cannot_be_reviewed_is_skipped(content: bytes, reason: SkipReason) -> None:
    assert language("a.py", content) is reason


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ("a", "b")),
        (b"a\nb", ("a", "b")),
        (b"a\n\n", ("a", "")),
        (b"a\r\nb\r\n", ("a", "b")),
        (b"a\rb\x0cc\n", ("a\rb\x0cc",)),
        ("a\u2028b\x85c\n".encode(), ("a\u2028b\x85c",)),
        (b"\xef\xbb\xbfa\n", ("a",)),
        ("é\n".encode("latin-1"), ("é",)),
        ("é\n".encode("utf-16"), ("é",)),
        (b"\xfe\xff\x00a\x00\n", ("a",)),
    ],
)
def test_only_a_line_feed_ends_a_line(content: bytes, lines: tuple[str, ...]) -> None:
    found = verdict(entry("a.py"), content)
    assert isinstance(found, Source)
    assert found.lines == lines


entries = st.builds(
    TreeEntry,
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
    | st.sampled_from(["a.py", "run", "vendor/a.go", "a.min.js", "a.png", "README.md"]),
    st.just("0" * 40),
    st.sampled_from(["100644", "100755", "120000", "160000", "100664"]),
    st.integers(0, 500_000),
)
contents = st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace"))


@given(entries, contents)
def test_every_entry_ends_as_a_source_or_as_a_skip_with_a_sentence(one: TreeEntry, content: bytes) -> None:
    found = verdict(one, content)
    assert isinstance(found, get_args(Source | Skip))
    assert found.entry == one
    if isinstance(found, Source):
        assert found.language
        assert found.lines
        assert not any("\n" in line for line in found.lines)
    else:
        assert found.detail


@given(contents | st.text("a\r\n\x0c\u2028").map(str.encode))
def test_the_lines_are_the_text_without_its_final_newline_and_carriage_returns(content: bytes) -> None:
    text = decoded(content)
    if text is not None:
        assert "\n".join(split_lines(text)) == re.sub(r"\r(?=\n|\Z)", "", text.removesuffix("\n"))
