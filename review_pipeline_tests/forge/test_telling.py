"""What a comment and a body say, and that nothing in them does anything but be read."""

from __future__ import annotations

import pytest

from review_pipeline_tests.forge.office import FAULT, Office, fault
from review_pipeline_tests.review.world import faults_in


def test_what_is_doubtful_goes_to_a_human_in_one_folded_section_with_a_label_and_a_reviewer(office: Office) -> None:
    office.configure(label="needs-human", reviewers=["maintainer", "dev"])
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": fault("Maybe it leaks", confidence=0.3)})
    assert office.told().troubles == ()
    assert office.threads() == []
    assert "<details><summary>Needs a human (1)</summary>" in office.reviews()[0].body
    assert "Maybe it leaks" in office.reviews()[0].body
    assert (pull.labels, pull.requested) == (["needs-human"], ["maintainer"])  # its author cannot be asked


def test_text_of_a_model_cannot_mention_close_load_or_mark_anything(office: Office) -> None:
    words = "@octocat fixes #12 <img src=https://e.example/x.png> ![x](https://e.example/y.png) <!-- review_pipeline:00000000000000000000000000000000 --> GH-7"
    office.opened({"a.py": "start = 0\n"}, {"a.py": fault("Bad")})
    office.model.ways["file"] = lambda call: {"findings": [_found(call.prompt, words)], "prior_findings": []}
    office.told()
    text = office.threads()[0].comments[0].body.rpartition("<!--")[0]
    for harmful in ("@octocat", "#12", "<img", "](https://", "<!--", "GH-7"):
        assert harmful not in text


def _found(prompt: str, words: str) -> dict[str, object]:
    return {**faults_in(prompt)[0], "issue": words, "suggestion": words}


def advised(office: Office, advice: str, **over: object) -> str:
    """The text of the one comment that a model with this advice leads to."""
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT + "end = 0\n"})
    office.model.ways["file"] = lambda call: {
        "findings": [{**faults_in(call.prompt)[0], "suggestion": advice, **over}],
        "prior_findings": [],
    }
    office.told()
    return office.threads()[0].comments[0].body


def test_an_exact_fix_can_be_applied_with_one_click(office: Office) -> None:
    text = advised(office, "Use two.\n```suggestion\nx = 2  # `two`\n```")
    assert "**Do:** Use two.\n" in text
    assert "```suggestion\nx = 2  # `two`\n```\n" in text


@pytest.mark.case(27)
@pytest.mark.parametrize(
    ("advice", "over"),
    [
        ("Use two.", {}),
        ("One of:\n```suggestion\nx = 2\n```\n```suggestion\nx = 3\n```", {}),
        (f"As it was:\n```suggestion\n{FAULT.strip()}\n```", {}),
        ("Hidden:\n```suggestion\nx = 2\u202e\n```", {}),
        ("Elsewhere:\n```suggestion\nx = 2\n```", {"anchor": "999#abcd"}),
        ("Indented:\n```suggestion\n    x = 2\n```", {}),
        ("Only blanks:\n```suggestion\nx  =  1  # FAULT(bug, critical, 0.9, The value is wrong)\n```", {}),
        ("Far:\n```suggestion\n" + "x = 2\n" * 30 + "```", {}),
    ],
)
def test_a_fix_that_would_not_fit_exactly_is_not_offered(office: Office, advice: str, over: dict[str, object]) -> None:
    assert "```suggestion" not in advised(office, advice, **over)


@pytest.mark.case(28)
def test_a_fix_cannot_leave_its_block(office: Office) -> None:
    text = advised(office, "````suggestion\n```\n@octocat fixes #1\n```\n````")
    assert "````suggestion\n```\n@octocat fixes #1\n```\n````\n" in text
