"""What is to appear on a forge: planned before any call, asked before it is made, ended with what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import RowMapping, text

from review_pipeline.adapters.ledger.rows import Part, add_event, insert
from review_pipeline.core.audit import NewEvent
from review_pipeline.core.posts import FindingOutcome, Post


class PostRows(Part):
    """Implements the port Posts."""

    def marker_key(self) -> str:
        with self._database.read() as db:
            return str(db.execute(text("SELECT key FROM marker_key")).scalar_one())

    def plan_posts(self, posts: Iterable[Post], now: datetime) -> None:
        """Those that are planned already stay as they are."""
        with self._database.write() as db:
            for post in posts:
                if db.execute(text("SELECT 1 FROM posts WHERE post = :post"), {"post": post.id}).first():
                    continue
                row = {
                    "post": post.id, "repo": post.repo, "number": post.number, "review": post.review, "head": post.head, "kind": post.kind,
                    "finding": post.finding, "state": "planned", "planned_at": now.isoformat(),
                }  # fmt: skip
                insert(db, "posts", row)

    def ask_posts(self, ids: Iterable[str], now: datetime) -> None:
        with self._database.write() as db:
            for post in ids:
                db.execute(
                    text("UPDATE posts SET state = 'asked', asked_at = :now WHERE post = :post AND state IN ('planned', 'asked')"),
                    {"post": post, "now": now.isoformat()},
                )  # fmt: skip

    def end_posts(self, posts: Iterable[Post], now: datetime) -> None:
        """With the state, remote id and note that they carry. What has ended stays, also if another process ended it first."""
        with self._database.write() as db:
            for post in posts:
                db.execute(
                    text(
                        "UPDATE posts SET state = :state, remote_id = :remote_id, url = :url, note = :note, ended_at = :now"
                        " WHERE post = :post AND state IN ('planned', 'asked')"
                    ),
                    {
                        "post": post.id, "state": post.state, "remote_id": post.remote_id, "url": post.url, "note": post.note[:1_000],
                        "now": now.isoformat(),
                    },
                )  # fmt: skip

    def drop_planned(self, review: str, kinds: Iterable[str]) -> None:
        """What was planned and never asked for may be planned anew: the state of a finding can have changed."""
        with self._database.write() as db:
            for kind in kinds:
                db.execute(
                    text("DELETE FROM posts WHERE review = :review AND kind = :kind AND state = 'planned'"),
                    {"review": review, "kind": kind},
                )

    def post(self, post: str) -> Post | None:
        with self._database.read() as db:
            row = db.execute(text("SELECT * FROM posts WHERE post = :post"), {"post": post}).mappings().one_or_none()
        return _post(row) if row else None

    def posts(
        self, repo: str | None = None, number: str | None = None, review: str | None = None, kind: str | None = None
    ) -> tuple[Post, ...]:
        query = """SELECT * FROM posts WHERE (:repo IS NULL OR repo = :repo) AND (:number IS NULL OR number = :number)
            AND (:review IS NULL OR review = :review) AND (:kind IS NULL OR kind = :kind) ORDER BY planned_at, post"""
        values = {"repo": repo, "number": number, "review": review, "kind": kind}
        with self._database.read() as db:
            return tuple(_post(row) for row in db.execute(text(query), values).mappings())

    def record_outcomes(
        self, outcomes: Iterable[FindingOutcome], event: NewEvent | None, now: datetime
    ) -> tuple[FindingOutcome, ...]:
        """Those that were not known yet; the history is told of them in the same transaction."""
        with self._database.write() as db:
            fresh = []
            for outcome in outcomes:
                done = db.execute(
                    text(
                        "INSERT INTO finding_outcomes VALUES (:repo, :number, :finding, :outcome, :actor, :why, :now)"
                        " ON CONFLICT (repo, number, finding, outcome, actor) DO NOTHING"
                    ),
                    {
                        "repo": outcome.repo, "number": outcome.number, "finding": outcome.finding, "outcome": outcome.outcome,
                        "actor": outcome.actor, "why": outcome.why[:1_000], "now": now.isoformat(),
                    },
                )  # fmt: skip
                if done.rowcount == 1:
                    fresh.append(outcome)
            if fresh and event is not None:
                add_event(db, event, now)
        return tuple(fresh)

    def pulls_to_hear(self, repo: str, limit: int) -> tuple[int, ...]:
        """Pull requests on which findings were told, those that were not heard for the longest first."""
        query = """SELECT DISTINCT posts.number, coalesce(heard_pulls.heard_at, '') AS heard FROM posts LEFT JOIN heard_pulls USING (repo, number)
            WHERE repo = :repo AND kind IN ('comment', 'body') AND state = 'done' AND coalesce(is_settled, 0) = 0 ORDER BY heard, number LIMIT :limit"""
        with self._database.read() as db:
            return tuple(int(row["number"]) for row in db.execute(text(query), {"repo": repo, "limit": limit}).mappings())  # fmt: skip

    def record_heard(self, repo: str, number: int, now: datetime, *, settled: bool) -> None:
        values = {"repo": repo, "number": str(number), "now": now.isoformat(), "settled": int(settled)}
        with self._database.write() as db:
            db.execute(text("INSERT OR REPLACE INTO heard_pulls VALUES (:repo, :number, :now, :settled)"), values)

    def outcomes_of(self, repo: str, number: str) -> tuple[FindingOutcome, ...]:
        query = (
            "SELECT * FROM finding_outcomes WHERE repo = :repo AND number = :number ORDER BY seen_at, finding, outcome"
        )
        with self._database.read() as db:
            rows = db.execute(text(query), {"repo": repo, "number": number}).mappings()
            return tuple(
                FindingOutcome(row["repo"], row["number"], row["finding"], row["outcome"], row["actor"], row["why"])
                for row in rows
            )


def _post(row: RowMapping) -> Post:
    return Post(
        row["post"], row["repo"], row["number"], row["review"], row["head"], row["kind"], row["finding"], row["state"],
        row["remote_id"], row["url"], row["note"], datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
    )  # fmt: skip
