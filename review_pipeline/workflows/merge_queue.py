"""Answers for the commits that a merge queue tests: the verdict on the pull request at the head that went in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from review_pipeline.core.forge import Conclusion, QueuedMerge, Slug
from review_pipeline.core.marker import post_id
from review_pipeline.core.posts import Post
from review_pipeline.forge_ports import Checks, Posts
from review_pipeline.ports import InDoubt, Refused, Unavailable


@dataclass(frozen=True, slots=True)
class MergeQueue:
    """A queue waits for every required check on its own commits, which nobody reviews again.

    verdict: of a pull request's head, '' while there is none. blocks: then a commit without a verdict waits for it.
    """

    forge: Checks
    ledger: Posts
    slug: Slug
    verdict: Callable[[QueuedMerge], str]
    blocks: bool
    clock: Callable[[], datetime]

    def answer(self, merge: QueuedMerge) -> str:
        """Each verdict once. Returns why it could not be told, or ''."""
        verdict = self.verdict(merge)
        told = self._told(merge, verdict or ("" if self.blocks else "neutral"))
        key = self.ledger.marker_key()
        mark = post_id(key, merge.repo, merge.commit, "merge_group")
        before = [post for post in self.ledger.posts(merge.repo, str(merge.number), kind="merge_group") if post.head == merge.commit]  # fmt: skip
        post = Post(post_id(key, mark, told.conclusion), merge.repo, str(merge.number), "", merge.commit, "merge_group")
        self.ledger.plan_posts([post], self.clock())
        if (self.ledger.post(post.id) or post).has_ended:
            return ""
        was_begun = any(earlier.state in ("asked", "done") for earlier in before)
        self.ledger.ask_posts([post.id], self.clock())
        try:
            remote, url = self.forge.conclude(self.slug, merge.commit, told, mark, was_begun=was_begun)
        except (InDoubt, Unavailable) as error:
            return f"{merge.commit[:12]} of the merge queue: {error}"  # said again by the next look
        except Refused as error:
            self.ledger.end_posts([replace(post, state="refused", note=str(error))], self.clock())
            return f"{merge.commit[:12]} of the merge queue: {error}"
        self.ledger.end_posts([replace(post, state="done", remote_id=remote, url=url)], self.clock())
        return ""

    def _told(self, merge: QueuedMerge, conclusion: str) -> Conclusion:
        about = f"#{merge.number} at {merge.head[:12]}"
        title = {
            "": f"waiting for the review of {about}",
            "success": f"{about} was reviewed",
            "neutral": f"{about}: nothing stops this merge",
            "failure": f"{about}: its review stops this merge",
        }[conclusion]
        return Conclusion(conclusion, title, f"{title}. A merge queue's own commits are not reviewed a second time.")
