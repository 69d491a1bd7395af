"""Five hundred documents of four kinds at once: every one of them, and every rule, comes out exactly once."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from review_pipeline_tests.documents.conftest import Office
from review_pipeline_tests.documents.files import pdf

KINDS = ("md", "txt", "html", "pdf")
SENTENCES = (
    "The retention period is ten years.",
    "These are kept for ever.",
    "Contact: the office.",
    "Nothing of note.",
)


def made_up(number: int) -> tuple[str, str | bytes]:
    kind, text = KINDS[number % 4], f"Document {number}. {SENTENCES[number // 4 % 4]}"
    name = f"folder{number % 7}/{number:03d}.{kind}"
    if kind == "pdf":
        return name, pdf([["Cover"], [text]])
    return name, f"<p>{text}</p>" if kind == "html" else f"{text}\n"


def test_five_hundred_documents_come_out_once_for_each_rule_and_costs_add_up(office: Office) -> None:
    files = dict(made_up(number) for number in range(500))
    office.put(files)
    office.world.script({"on": "request", "contains": "Document 77.", "effect": "expired", "times": 1})
    office.world.script({"on": "request", "contains": "Document 78.", "effect": "refusal"})
    assert office.check() == {"submitted": 500}
    verdicts, compliance = office.verdicts(), office.compliance()
    assert len(verdicts) == 1_500
    assert compliance.keys() == files.keys()
    refused = next(name for name in files if "/078." in name)
    assert [name for name, state in compliance.items() if state == "incomplete"] == [refused]
    assert Counter(verdict for (name, rule), verdict in verdicts.items() if rule == "R2" and name != refused) == {
        "violated": 124, "not_applicable": 375,
    }  # fmt: skip
    pages = office.world.query(
        "SELECT DISTINCT page FROM document_verdicts WHERE passage <> '' AND document LIKE '%.pdf'"
    )
    assert pages == [(2,)]
    ((outcomes, batches),) = office.world.query(
        "SELECT (SELECT sum(cost_usd) FROM outcomes), (SELECT sum(cost_usd) FROM batch_costs)"
    )
    told = sum(Decimal(one.cost_usd or 0) for one in office.world.ledger.submissions())
    assert outcomes == batches == told > 0
    office.world.assert_all_counted()

    assert office.check(day=1) == {"unchanged": 499, "skipped: given_up": 1}
    changed = [name for name in files if name.endswith("4.md")]
    office.put({name: f"{name} is kept for ever\n" for name in changed})
    expected = {"unchanged": 499 - len(changed), "skipped: given_up": 1, "submitted": len(changed)}
    assert office.check(day=2) == expected
    assert len(office.verdicts()) == 1_500
    assert all(office.verdicts()[name, "R2"] == "violated" for name in changed)
    assert office.compliance()[refused] == "incomplete"
