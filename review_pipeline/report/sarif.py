"""Findings as SARIF 2.1.0, for code scanning and editors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from review_pipeline.core.comment import cut, visible
from review_pipeline.core.finding import Category
from review_pipeline.core.fix import words
from review_pipeline.core.review_record import FindingRow
from review_pipeline.report.review import ReviewPage

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS = 25_000
_LEVELS = {"critical": "error", "warning": "warning", "info": "note"}
_SCORES = {"critical": "9.0", "warning": "5.0", "info": "2.0"}


def sarif(page: ReviewPage) -> dict[str, Any]:
    """Open findings only, the developer's and the human's; a deleted line has no place in the new file and is told without one."""
    rows = [*page.open("developer"), *page.open("human")][:MOST_RESULTS]
    rules = sorted({row.category for row in rows})
    troubles = [
        {"level": "error", "message": {"text": cut(visible(trouble), 1_000)}} for trouble in page.review.troubles
    ]  # fmt: skip
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "review_pipeline",
                        "version": version("review-pipeline"),
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "automationDetails": {"id": "review_pipeline/"},
                "columnKind": "utf16CodeUnits",
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
                "versionControlProvenance": [
                    {
                        "repositoryUri": f"urn:review_pipeline:{quote(page.review.target.repo)}",
                        "revisionId": page.review.target.head,
                    }
                ],
                "invocations": [
                    {
                        "executionSuccessful": page.review.state in ("reviewed", "nothing_to_review"),
                        "toolExecutionNotifications": troubles,
                    }
                ],
                "results": [_result(row, rules.index(row.category)) for row in rows],
            }
        ],
    }


def _rule(category: str) -> dict[str, Any]:
    title = Category(category).value.replace("_", " ")
    return {
        "id": category,
        "name": title.title().replace(" ", ""),
        "shortDescription": {"text": title.capitalize()},
        "properties": {"tags": ["review", category]},
    }


def _result(row: FindingRow, rule: int) -> dict[str, Any]:
    text = f"{row.issue} {words(row.suggestion)}".strip() or row.category
    result: dict[str, Any] = {
        "ruleId": row.category,
        "ruleIndex": rule,
        "level": _LEVELS[row.severity],
        "message": {"text": cut(visible(text), 2_000)},
        "partialFingerprints": {"primaryLocationLineHash": row.finding, "reviewPipelineFinding/v1": row.finding},
        "rank": round(row.confidence * 100, 1),
        "properties": {"confidence": row.confidence, "route": row.route, "security-severity": _SCORES[row.severity]},
    }
    location: dict[str, Any] = {"artifactLocation": {"uri": quote(row.path), "uriBaseId": "SRCROOT"}}
    if row.start_line and row.side == "RIGHT":
        location["region"] = {"startLine": row.start_line, "endLine": max(row.start_line, row.end_line or 0)}
        if row.evidence.strip():
            location["region"]["snippet"] = {"text": cut(visible(row.evidence), 500)}
    result["locations"] = [{"physicalLocation": location}]
    return result
