"""Posts reviews, replies, checks and labels. Each write is sent once; what became of it is read back by the caller."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from review_pipeline.adapters.github import documents
from review_pipeline.adapters.github.client import GitHubClient
from review_pipeline.adapters.github.reading import rest_actor
from review_pipeline.core.forge import Annotation, Conclusion, InlineComment, PostedComment, PostedReview, Slug
from review_pipeline.core.posting import CHECK_NAME
from review_pipeline.ports import Forbidden, Refused

ANNOTATIONS_AT_ONCE = 50
MOST_SUMMARY = 65_535
_MOST_DESCRIPTION = 140
_STATES = {"success": "success", "neutral": "success", "failure": "failure", "": "pending"}


@dataclass
class Writing:
    """Implements the ports ReviewPosts, ThreadPosts and Checks. has_checks: only an App may make check runs."""

    client: GitHubClient
    has_checks: bool

    def reviews(self, slug: Slug, number: int) -> tuple[PostedReview, ...]:
        """All of a pull request; of those that are pending the forge shows only our own."""
        pages = self.client.pages(f"repos/{slug}/pulls/{number}/reviews?per_page=100", slug)
        return tuple(_review(entry) for page in pages for entry in page)

    def begin(
        self, slug: Slug, number: int, commit: str, body: str, comments: tuple[InlineComment, ...]
    ) -> PostedReview:
        content = {"commit_id": commit, "body": body, "comments": [_inline(comment) for comment in comments]}
        return _review(self.client.write("POST", f"repos/{slug}/pulls/{number}/reviews", content, slug).body)

    def submit(self, slug: Slug, number: int, review: int) -> None:
        self.client.write("POST", f"repos/{slug}/pulls/{number}/reviews/{review}/events", {"event": "COMMENT"}, slug)

    def discard(self, slug: Slug, number: int, review: int) -> None:
        self.client.write("DELETE", f"repos/{slug}/pulls/{number}/reviews/{review}", None, slug)

    def comments(self, slug: Slug, number: int, review: int) -> tuple[PostedComment, ...]:
        pages = self.client.pages(f"repos/{slug}/pulls/{number}/reviews/{review}/comments?per_page=100", slug)
        return tuple(
            PostedComment(entry["id"], entry.get("body") or "", entry.get("html_url") or "")
            for page in pages
            for entry in page
        )

    def reply(self, slug: Slug, number: int, comment: int, body: str) -> PostedComment:
        told = self.client.write("POST", f"repos/{slug}/pulls/{number}/comments/{comment}/replies", {"body": body}, slug).body  # fmt: skip
        return PostedComment(told["id"], told.get("body") or "", told.get("html_url") or "")

    def resolve(self, slug: Slug, thread: str) -> None:
        told = self.client.mutate(documents.RESOLVE, {"thread": thread}, slug, "resolve")
        answer = (told.get("resolveReviewThread") or {}).get("thread") or {}
        if not answer.get("isResolved"):
            raise Refused(f"thread {thread} of {slug} is not resolved, though the forge took the request.")

    def conclude(
        self, slug: Slug, commit: str, conclusion: Conclusion, mark: str, *, was_begun: bool
    ) -> tuple[str, str]:
        """A check run where we may make one, a commit status elsewhere."""
        if self.has_checks:
            try:
                return self._check(slug, commit, conclusion, mark, was_begun=was_begun)
            except Forbidden:
                return self._status(slug, commit, conclusion)
        return self._status(slug, commit, conclusion)

    def _check(self, slug: Slug, commit: str, conclusion: Conclusion, mark: str, *, was_begun: bool) -> tuple[str, str]:
        run, stored = self._begun(slug, commit, mark) if was_begun else ("", 0)
        url = ""
        for portion in list(_portions(conclusion.annotations[stored:])) or [()]:
            content = _check_content(conclusion, portion)
            if run:
                told = self.client.write("PATCH", f"repos/{slug}/check-runs/{run}", content, slug).body
            else:
                content |= {"name": CHECK_NAME, "head_sha": commit, "external_id": mark}
                told = self.client.write("POST", f"repos/{slug}/check-runs", content, slug).body
            run, url = str(told["id"]), str(told.get("html_url") or "")
        return run, url

    def _begun(self, slug: Slug, commit: str, mark: str) -> tuple[str, int]:
        """The run with this mark and how many annotations it holds: they are added to, so what is there must not be sent again."""
        path = f"repos/{slug}/commits/{commit}/check-runs?check_name={CHECK_NAME}&filter=all&per_page=100"
        for page in self.client.pages(path, slug, "publish"):
            for entry in page["check_runs"]:
                if entry.get("external_id") == mark:
                    return str(entry["id"]), int((entry.get("output") or {}).get("annotations_count") or 0)
        return "", 0

    def _status(self, slug: Slug, commit: str, conclusion: Conclusion) -> tuple[str, str]:
        state = "error" if conclusion.is_incomplete else _STATES[conclusion.conclusion]
        content = {
            "state": state,
            "context": CHECK_NAME,
            "description": _shortened(conclusion.title, _MOST_DESCRIPTION),
        }
        if conclusion.url:
            content["target_url"] = conclusion.url
        told = self.client.write("POST", f"repos/{slug}/statuses/{commit}", content, slug).body
        return f"status {told['id']}", str(told.get("url") or "")

    def label(self, slug: Slug, number: int, label: str) -> None:
        self.client.write("POST", f"repos/{slug}/issues/{number}/labels", {"labels": [label]}, slug)

    def request_reviewers(self, slug: Slug, number: int, logins: tuple[str, ...], teams: tuple[str, ...]) -> None:
        content = {"reviewers": list(logins), "team_reviewers": list(teams)}
        self.client.write("POST", f"repos/{slug}/pulls/{number}/requested_reviewers", content, slug)

    def upload_sarif(self, slug: Slug, number: int, commit: str, document: str) -> str:
        """The same tool and category on one commit replace what was uploaded before."""
        content = {
            "commit_sha": commit, "ref": f"refs/pull/{number}/head", "sarif": b64encode(gzip.compress(document.encode(), mtime=0)).decode(),
            "tool_name": CHECK_NAME,
        }  # fmt: skip
        return str(self.client.write("POST", f"repos/{slug}/code-scanning/sarifs", content, slug, "sarif").body["id"])


def _review(entry: dict[str, Any]) -> PostedReview:
    return PostedReview(
        int(entry["id"]), str(entry["state"]), entry.get("body") or "", rest_actor(entry.get("user")), entry.get("html_url") or "",
    )  # fmt: skip


def _inline(comment: InlineComment) -> dict[str, object]:
    told: dict[str, object] = {"path": comment.path, "side": comment.side, "line": comment.line, "body": comment.body}
    if comment.start_line is not None:
        told |= {"start_line": comment.start_line, "start_side": comment.side}
    return told


def _portions(annotations: tuple[Annotation, ...]) -> Iterator[tuple[Annotation, ...]]:
    for begin in range(0, len(annotations), ANNOTATIONS_AT_ONCE):
        yield annotations[begin : begin + ANNOTATIONS_AT_ONCE]


def _check_content(conclusion: Conclusion, annotations: tuple[Annotation, ...]) -> dict[str, object]:
    content: dict[str, object] = {
        "status": "completed" if conclusion.conclusion else "in_progress",
        "output": {
            "title": _shortened(conclusion.title, 255),
            "summary": within_bytes(conclusion.summary, MOST_SUMMARY),
            "annotations": [
                {
                    "path": told.path, "start_line": told.start_line, "end_line": told.end_line, "annotation_level": told.level,
                    "title": _shortened(told.title, 255), "message": within_bytes(told.message, 64_000),
                }
                for told in annotations
            ],
        },
    }  # fmt: skip
    if conclusion.conclusion:
        content["conclusion"] = conclusion.conclusion
    if conclusion.url:
        content["details_url"] = conclusion.url
    return content


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4].rstrip()} ..."


def within_bytes(text: str, most: int) -> str:
    """Cut between characters: whether the forge counts characters or bytes is not documented."""
    content = text.encode()
    return text if len(content) <= most else content[: most - 4].decode("utf-8", "ignore").rstrip() + " ..."
