"""How changes are reviewed: models, limits, thresholds, and the instructions of the three passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from review_pipeline.core.finding import Category
from review_pipeline.core.review_prompt import ACROSS_SCHEMA, FILE_SCHEMA, SUMMARY_SCHEMA
from review_pipeline.core.selection import SelectionRules


@dataclass(frozen=True, slots=True)
class Prompts:
    """System prompts with the team's criteria in them."""

    file: str
    across: str
    summary: str


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """budget_usd: of one review; limit_seconds: of one call; attempts: of one call that may succeed when repeated."""

    model: str
    independent_model: str | None
    claude_authors: tuple[str, ...]
    budget_usd: Decimal
    call_budget_usd: Decimal
    limit_seconds: float
    attempts: int
    max_files: int
    max_calls: int
    unit_characters: int
    max_diff_bytes: int
    selection: SelectionRules
    thresholds: Mapping[Category, float]
    prompts: Prompts

    def version(self, prompts: Prompts) -> str:
        """Another text, schema, model or selection is another configuration: what it answered before does not count."""
        parts = [
            prompts.file, prompts.across, prompts.summary, FILE_SCHEMA, ACROSS_SCHEMA, SUMMARY_SCHEMA, self.model, self.unit_characters,
            self.selection.include, self.selection.exclude, self.selection.max_file_bytes,
        ]  # fmt: skip
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
