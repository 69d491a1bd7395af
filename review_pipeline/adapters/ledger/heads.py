"""What was last seen of each pull request, and which of them wait for a review."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import RowMapping, text

from review_pipeline.adapters.ledger.rows import Part
from review_pipeline.core.forge import Actor, SeenHead
from review_pipeline.core.head_queue import QueuedHead

_COLUMNS = (
    "repo, number, head, base_ref, head_ref, state, is_draft, is_fork, author, author_id, author_kind, updated_at, seen_at, source, wanted, note"
)  # fmt: skip


class HeadRows(Part):
    """Implements the port HeadQueue."""

    def known_heads(self, repos: Iterable[str]) -> dict[tuple[str, int], QueuedHead]:
        found: dict[tuple[str, int], QueuedHead] = {}
        with self._database.read() as db:
            for repo in repos:
                rows = db.execute(
                    text(f"SELECT {_COLUMNS} FROM pull_heads WHERE repo = :repo"), {"repo": repo}
                ).mappings()
                found |= {(row["repo"], row["number"]): _queued(row) for row in rows}
        return found

    def put_heads(self, heads: Iterable[QueuedHead], delivery: str = "", now: datetime | None = None) -> bool:
        """False if this delivery was taken already."""
        rows = [_row(queued) for queued in heads]
        with self._database.write() as db:
            if delivery and now:
                done = db.execute(
                    text("INSERT INTO deliveries VALUES (:delivery, :now) ON CONFLICT (delivery) DO NOTHING"),
                    {"delivery": delivery, "now": now.isoformat()},
                )
                if done.rowcount != 1:
                    return False
            if rows:
                names = _COLUMNS.split(", ")
                db.execute(
                    text(
                        f"INSERT OR REPLACE INTO pull_heads ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in names)})"
                    ),
                    rows,
                )
        return True

    def wanted_heads(self, limit: int = 500) -> tuple[QueuedHead, ...]:
        """Those that wait the longest first."""
        query = f"SELECT {_COLUMNS} FROM pull_heads WHERE wanted = 1 ORDER BY seen_at, repo, number LIMIT :limit"
        with self._database.read() as db:
            return tuple(_queued(row) for row in db.execute(text(query), {"limit": limit}).mappings())

    def settle_head(self, queued: QueuedHead, note: str) -> None:
        """Not wanted any more, unless another head has come meanwhile."""
        with self._database.write() as db:
            db.execute(
                text(
                    "UPDATE pull_heads SET wanted = 0, note = :note"
                    " WHERE repo = :repo AND number = :number AND head = :head AND base_ref = :base_ref AND seen_at = :seen_at"
                ),
                {
                    "repo": queued.seen.repo, "number": queued.seen.number, "head": queued.seen.head, "base_ref": queued.seen.base_ref,
                    "seen_at": queued.seen_at.isoformat(), "note": note,
                },
            )  # fmt: skip

    def close_head(self, repo: str, number: int, note: str) -> None:
        """Opened again, it is another one than it was."""
        with self._database.write() as db:
            db.execute(
                text("UPDATE pull_heads SET state = 'closed', wanted = 0, note = :note WHERE repo = :repo AND number = :number"),
                {"repo": repo, "number": number, "note": note[:300]},
            )  # fmt: skip

    def forget_heads(self, gone: Iterable[tuple[str, int]]) -> None:
        """Those that are open no longer; one that is opened again is a new one."""
        rows = [{"repo": repo, "number": number} for repo, number in gone]
        if rows:
            with self._database.write() as db:
                db.execute(text("DELETE FROM pull_heads WHERE repo = :repo AND number = :number"), rows)

    def forget_repository_ids(self, slugs: Iterable[str]) -> None:
        rows = [{"slug": slug} for slug in slugs]
        if rows:
            with self._database.write() as db:
                db.execute(text("DELETE FROM forge_repositories WHERE slug = :slug"), rows)

    def repository_ids(self) -> dict[str, str]:
        with self._database.read() as db:
            return {
                row["slug"]: row["node_id"]
                for row in db.execute(text("SELECT slug, node_id FROM forge_repositories")).mappings()
            }

    def put_repository_ids(self, ids: dict[str, str], now: datetime) -> None:
        with self._database.write() as db:
            for slug, node_id in ids.items():
                db.execute(
                    text("INSERT OR REPLACE INTO forge_repositories VALUES (:slug, :node_id, :now)"),
                    {"slug": slug, "node_id": node_id, "now": now.isoformat()},
                )


def _row(queued: QueuedHead) -> dict[str, object]:
    seen = queued.seen
    return {
        "repo": seen.repo, "number": seen.number, "head": seen.head, "base_ref": seen.base_ref, "head_ref": seen.head_ref, "state": seen.state,
        "is_draft": int(seen.is_draft), "is_fork": int(seen.is_fork), "author": seen.author.login, "author_id": seen.author.id,
        "author_kind": seen.author.kind, "updated_at": seen.updated_at.isoformat() if seen.updated_at else None,
        "seen_at": queued.seen_at.isoformat(), "source": queued.source, "wanted": int(queued.is_wanted), "note": queued.note,
    }  # fmt: skip


def _queued(row: RowMapping) -> QueuedHead:
    seen = SeenHead(
        row["repo"], row["number"], row["head"], row["base_ref"], row["head_ref"], row["state"], bool(row["is_draft"]), bool(row["is_fork"]),
        Actor(row["author"], row["author_id"], row["author_kind"]), datetime.fromisoformat(row["updated_at"]) if row["updated_at"] else None,
    )  # fmt: skip
    return QueuedHead(seen, datetime.fromisoformat(row["seen_at"]), bool(row["wanted"]), row["note"], row["source"])
