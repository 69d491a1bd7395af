"""Documents against a policy, from the folder to the history: through the real SDK and the offline API."""

from __future__ import annotations

from review_pipeline_tests.documents.conftest import Office
from review_pipeline_tests.documents.files import POLICY, pdf


def test_every_document_and_rule_has_one_verdict_with_its_passage_and_page(office: Office) -> None:
    office.put(
        {
            "a.md": "# Minutes\n\nThe retention period is ten years.\n\nContact: the office.\n",
            "b.txt": "These are kept for ever, sadly.\n",
            "deep/c.html": "<h1>Letters</h1><p>Letters are <b>kept for</b>\ntwo years.</p><script>contact()</script>",
            "d.pdf": pdf([["Page one"], ["More"], ["Records are", "kept for ever and ever"]]),
        }
    )
    assert office.check() == {"submitted": 4}
    assert office.verdicts() == {
        ("a.md", "R1"): "met", ("a.md", "R2"): "not_applicable", ("a.md", "R3"): "met",
        ("b.txt", "R1"): "met", ("b.txt", "R2"): "violated", ("b.txt", "R3"): "not_found",
        ("d.pdf", "R1"): "met", ("d.pdf", "R2"): "violated", ("d.pdf", "R3"): "not_found",
        ("deep/c.html", "R1"): "met", ("deep/c.html", "R2"): "not_applicable", ("deep/c.html", "R3"): "not_found",
    }  # fmt: skip
    told = office.world.query(
        "SELECT passage, page, start_line, anchor, route FROM document_verdicts WHERE document = 'd.pdf' AND rule = 'R2'"
    )
    assert told == [("kept for ever and ever", 3, 6, "exact", "human")]
    assert office.world.query(
        "SELECT passage FROM document_verdicts WHERE document = 'deep/c.html' AND rule = 'R1'"
    ) == [("Letters are kept for two years.",)]
    office.world.assert_all_counted()


def test_the_next_day_asks_only_what_changed_and_what_is_gone_is_gone(office: Office) -> None:
    office.put({"a.md": "Contact: us.\n", "b.md": "kept for ever\n", "c.md": "nothing of note\n"})
    office.check()
    office.put({"b.md": "kept for a year\n", "d.md": "new, contact me\n"})
    (office.folder / "c.md").unlink()
    assert office.check(day=1) == {"unchanged": 1, "submitted": 2}
    assert office.world.accepted() == [3, 2]
    assert office.verdicts() == {
        ("a.md", "R1"): "not_found", ("a.md", "R2"): "not_applicable", ("a.md", "R3"): "met",
        ("b.md", "R1"): "met", ("b.md", "R2"): "not_applicable", ("b.md", "R3"): "not_found",
        ("d.md", "R1"): "not_found", ("d.md", "R2"): "not_applicable", ("d.md", "R3"): "met",
    }  # fmt: skip


def test_another_policy_asks_every_document_again(office: Office) -> None:
    office.put({"a.md": "Contact: us.\n", "b.md": "kept for ever\n"})
    office.check()
    office.policy.write_text(POLICY + "\n## R4: Somebody signs\nSigns: signed\n")
    assert office.check(day=1) == {"submitted": 2}
    assert {rule for _, rule in office.verdicts()} == {"R1", "R2", "R3", "R4"}
    assert office.check(day=2) == {"unchanged": 2}
