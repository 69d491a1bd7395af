"""Reviews many prompts at once: the same code is checked once, and ruff is started once for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from review_pipeline.simulator.analyser.blocks import find_blocks
from review_pipeline.simulator.analyser.finding import Finding
from review_pipeline.simulator.analyser.lexical import check_other_language
from review_pipeline.simulator.analyser.python_code import check_python

MAX_FINDINGS_PER_BLOCK = 12
MAX_FINDINGS_PER_RULE = 3


def review_prompts(prompts: Sequence[str]) -> list[tuple[Finding, ...]]:
    blocks_of = [find_blocks(prompt) for prompt in prompts]
    distinct = list(dict.fromkeys(block for blocks in blocks_of for block in blocks))
    python = [block for block in distinct if block.language == "python"]
    found = dict(zip(python, check_python(python), strict=True))
    found |= {block: check_other_language(block) for block in distinct if block.language != "python"}
    chosen = {block: _worth_saying(findings) for block, findings in found.items()}
    return [tuple(finding for block in blocks for finding in chosen[block]) for blocks in blocks_of]


def _worth_saying(findings: Sequence[Finding]) -> list[Finding]:
    """Most severe first, one per line and category, and no rule more than a few times."""
    said: list[Finding] = []
    places: set[tuple[int, str]] = set()
    per_rule: Counter[str] = Counter()
    for finding in sorted(findings, key=lambda finding: finding.rank):
        place = (finding.line, finding.category)
        if place in places or per_rule[finding.rule] >= MAX_FINDINGS_PER_RULE or _is_said(finding, said):
            continue
        places.add(place)
        per_rule[finding.rule] += 1
        said.append(finding)
        if len(said) == MAX_FINDINGS_PER_BLOCK:
            break
    return said


def _is_said(finding: Finding, said: Sequence[Finding]) -> bool:
    """SIM105 marks a whole try statement; a handler inside it may have been named already."""
    return finding.rule == "SIM105" and any(
        other.category == finding.category and finding.line <= other.line <= finding.end_line for other in said
    )
