"""The ledger: operational truth in SQLite. Every state change is one short transaction that also writes its outbox row."""

from review_pipeline.adapters.ledger.audit import AuditLedger
from review_pipeline.adapters.ledger.database import LedgerDatabase

__all__ = ["AuditLedger", "LedgerDatabase"]
