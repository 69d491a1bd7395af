"""The audits' ledger: all of its parts over one database."""

from __future__ import annotations

from review_pipeline.adapters.ledger.backlog import BacklogRows
from review_pipeline.adapters.ledger.heads import HeadRows
from review_pipeline.adapters.ledger.outbox import OutboxRows
from review_pipeline.adapters.ledger.outcomes import OutcomeRows
from review_pipeline.adapters.ledger.plans import PlanRows
from review_pipeline.adapters.ledger.posts import PostRows
from review_pipeline.adapters.ledger.reviews import ReviewRows
from review_pipeline.adapters.ledger.submissions import SubmissionRows


class AuditLedger(PlanRows, SubmissionRows, OutcomeRows, OutboxRows, ReviewRows, PostRows, HeadRows, BacklogRows):
    """Implements the ports Ledger, Reviews, Posts, HeadQueue and Backlog."""
