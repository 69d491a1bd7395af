"""All of GitHub that reviews need, over one connection."""

from __future__ import annotations

from dataclasses import dataclass

from review_pipeline.adapters.github.reading import Reading
from review_pipeline.adapters.github.writing import Writing


@dataclass
class GitHubForge(Reading, Writing):
    """Implements the ports Forge and HeadWatch."""
