from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.comment import code, fenced, plain, visible


@pytest.mark.case(113)
@pytest.mark.parametrize(
    "text",
    [
        "@org/team",
        "see #123",
        "owner/repo#1",
        "fixes #4",
        "GH-12",
        "![x](http://e/x.png)",
        "[a](https://e)",
        "<img src=x>",
        "https://evil",
        "www.evil",
        "javascript:x",
        "/merge now",
    ],
)
def test_nothing_that_a_forge_acts_upon_survives(text: str) -> None:
    told = plain(text)
    for live in (
        r"@\w",
        r"#\d",
        r"GH-\d",
        r"\w#\w",
        r"(?<!\\)\]\(",
        r"<",
        r"https?://",
        r"www\.",
        r"javascript:x",
        r"^/\w",
    ):
        assert not re.search(live, told, re.MULTILINE), (live, told)


@pytest.mark.case(112)
def test_our_own_mark_in_the_words_of_a_model_is_only_text() -> None:
    assert "<!--" not in plain("<!-- review_pipeline:finding=1 status=dismissed -->")


@pytest.mark.case(100)
@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u202e", "\u2066", "\ufeff", "\U000e0041", "\u00ad", "\x1b", "\x00", "\u180e"]
)
def test_what_a_reader_cannot_see_is_taken_out(hidden: str) -> None:
    assert visible(f"a{hidden}b") == "ab"


@pytest.mark.case(28)
@pytest.mark.parametrize("inner", ["```\nout", "~~~\nx", "````\n```", "`x`", "x\n```python\ny"])
def test_no_content_closes_its_block(inner: str) -> None:
    block = fenced(inner).split("\n")
    assert block[0] == block[-1]
    assert all(not line.startswith(block[0]) for line in block[1:-1])


def test_inline_code_holds_back_ticks() -> None:
    assert code("a`b``c") == "```a`b``c```"
    assert code("`x`") == "`` `x` ``"
    assert code("") == ""


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    told = plain(text)
    assert "<" not in told
    assert not re.search(r"@[A-Za-z0-9_]", told)
    assert "![" not in told
    assert not re.search(r"^\s*#", told, re.MULTILINE)
