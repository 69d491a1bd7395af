"""The forge's REST API: who may do what, and GitHub's own rules that its description does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import jwt

from review_pipeline_tests.forge.asked import Asked, Said, refuse
from review_pipeline_tests.forge.beside import Beside
from review_pipeline_tests.forge.sample import laid_over, least
from review_pipeline_tests.forge.state import Account, Comment, Pull, Repository, Review, Thread, Token

MOST_CHARACTERS = 65_536
_LEVELS = ("none", "read", "write", "admin")


@dataclass
class Rest(Beside):
    app_key: str = ""
    app_id: str = "77"

    def answer(
        self, method: str, path: str, query: str, content: bytes, bearer: str
    ) -> tuple[int, Any, dict[str, str]]:
        try:
            body = json.loads(content) if content else {}
        except ValueError:
            raise refuse(400, "Problems parsing JSON") from None
        token = self.world.tokens.get(bearer)
        asked = Asked(method, path, parse_qs(query), body, token, bearer)
        for pattern, verb, needs, handle in self._routes():
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                groups = found.groupdict()
                repository = self._repository(asked, groups, needs) if "owner" in groups else None
                return handle(asked, repository, groups) if repository else handle(asked, None, groups)
        raise refuse(404, "Not Found")

    def _routes(self) -> list[tuple[str, str, str, Callable[..., tuple[int, Any, dict[str, str]]]]]:
        repo = r"/repos/(?P<owner>[^/]+)/(?P<name>[^/]+)"
        pull = rf"{repo}/pulls/(?P<number>\d+)"
        review = rf"{pull}/reviews/(?P<review>\d+)"
        return [
            ("/app", "GET", "", self._app), ("/app/installations", "GET", "", self._installations),
            (r"/app/installations/(?P<id>\d+)/access_tokens", "POST", "", self._access_token),
            (repo, "GET", "metadata:read", self._get_repository), (pull, "GET", "pull_requests:read", self._pull),
            (rf"{pull}/reviews", "GET", "pull_requests:read", self._reviews), (rf"{pull}/reviews", "POST", "pull_requests:write", self._create_review),
            (review, "DELETE", "pull_requests:write", self._delete_review), (rf"{review}/events", "POST", "pull_requests:write", self._submit),
            (rf"{review}/comments", "GET", "pull_requests:read", self._comments),
            (rf"{pull}/comments/(?P<comment>\d+)/replies", "POST", "pull_requests:write", self._reply),
            (rf"{pull}/requested_reviewers", "POST", "pull_requests:write", self._request_reviewers),
            (rf"{repo}/commits/(?P<ref>[^/]+)/check-runs", "GET", "checks:read", self._check_runs),
            (rf"{repo}/check-runs", "POST", "checks:write", self._create_check), (rf"{repo}/check-runs/(?P<run>\d+)", "PATCH", "checks:write", self._update_check),
            (rf"{repo}/statuses/(?P<sha>[0-9a-f]{{40}})", "POST", "statuses:write", self._status),
            (rf"{repo}/issues/(?P<number>\d+)/labels", "POST", "pull_requests:write", self._label),
            (rf"{repo}/code-scanning/sarifs", "POST", "security_events:write", self._sarif),
            (rf"{repo}/collaborators/(?P<login>[^/]+)/permission", "GET", "metadata:read", self._permission),
        ]  # fmt: skip

    def _repository(self, asked: Asked, groups: dict[str, str], needs: str) -> Repository:
        slug = f"{groups['owner']}/{groups['name']}"
        moved = next((r for r in self.world.repositories.values() if slug in r.former_names), None)
        if moved is not None:
            target = asked.path.replace(f"/repos/{slug}", f"/repos/{moved.slug}")
            raise Said(301 if asked.method == "GET" else 307, {"message": "Moved Permanently", "url": f"{self.base}{target}"}, {"location": f"{self.base}{target}"})  # fmt: skip
        repository = self.world.repositories.get(slug)
        if asked.token is None:
            raise refuse(401, "Bad credentials")
        if repository is None or (
            asked.token.repositories is not None and repository.name not in asked.token.repositories
        ):
            raise refuse(404, "Not Found")
        self._check_permission(asked.token, repository, needs)
        if repository.is_archived and asked.method != "GET":
            raise refuse(403, "Repository was archived so is read-only.")
        return repository

    def _check_permission(self, token: Token, repository: Repository, needs: str) -> None:
        name, _, level = needs.partition(":")
        if token.permissions is not None:
            if _LEVELS.index(token.permissions.get(name, "none")) < _LEVELS.index(level):
                raise refuse(403, "Resource not accessible by integration")
        elif level == "write":
            role = repository.roles.get(token.account.login, "none")
            if role == "none" or (name in ("statuses", "security_events", "issues") and role not in ("write", "admin")):
                raise refuse(
                    403,
                    "Must have admin rights to Repository."
                    if role == "none"
                    else "Resource not accessible by personal access token",
                )

    # Who we are.

    def _app(self, asked: Asked, _r: None, _g: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        self._check_jwt(asked)
        return 200, self._sample("integration", {"id": int(self.app_id), "slug": "review-app"}), {}

    def _check_jwt(self, asked: Asked) -> None:
        try:
            claims = jwt.decode(asked.bearer, self.app_key, algorithms=["RS256"], leeway=0)
            assert claims["iss"] == self.app_id
            assert claims["exp"] - claims["iat"] <= 600
        except (jwt.PyJWTError, AssertionError, KeyError) as error:
            raise refuse(401, f"A JSON web token could not be decoded ({error})") from None

    def _installations(self, asked: Asked, _r: None, _g: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        self._check_jwt(asked)
        owners = sorted({r.owner for r in self.world.repositories.values()})
        schema = self.described["paths"]["/app/installations"]["get"]["responses"]["200"]["content"][
            "application/json"
        ]["schema"]["items"]
        account = least(self.described, {**schema["properties"]["account"], "nullable": False})
        told = [
            {"id": n, "account": account | {"login": owner, "id": n}, "permissions": self.granted}
            for n, owner in enumerate(owners, 1)
        ]
        return 200, [laid_over(least(self.described, schema), over) for over in told], {}

    granted: Any = None

    def _access_token(self, asked: Asked, _r: None, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        self._check_jwt(asked)
        wanted = asked.body.get("permissions", self.granted)
        for name, level in wanted.items():
            if _LEVELS.index(self.granted.get(name, "none")) < _LEVELS.index(level):
                raise refuse(422, "The permissions requested are not granted to this installation.")
        ends = self.world.clock() + timedelta(hours=1)
        number = self.world.number()
        secret = f"ghs_{self.app_id}_eyJ{'a' * 240}{number}.eyJ{'b' * 180}.{'c' * 80}-_{number}"
        names = frozenset(asked.body["repositories"]) if "repositories" in asked.body else None
        self.world.tokens[secret] = Token(
            self.world.account("review-app", "Bot"), dict(wanted), names, ends, is_app=True
        )
        return 201, {"token": secret, "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "permissions": wanted}, {}

    # Pull requests and reviews.

    def _get_repository(self, _a: Asked, repository: Repository, _g: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        return 200, self._sample("full-repository", {"name": repository.name, "full_name": repository.slug, "clone_url": self._clone_url(repository), "owner": {"login": repository.owner}}), {}  # fmt: skip

    def _clone_url(self, repository: Repository) -> str:
        return f"{self.base.removesuffix('/api/v3')}/{repository.slug}.git"

    def _pull(self, _a: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        pull = self._of(repository, groups)
        assert repository.bare is not None
        base = pull.pinned_base or repository.bare.tip(f"refs/heads/{pull.base_ref}")
        head_repo = (
            {"full_name": pull.head_repo, "name": (pull.head_repo or "/").split("/")[1]} if pull.head_repo else None
        )
        told = {
            "number": pull.number, "title": pull.title, "state": "open" if pull.state == "open" else "closed", "merged": pull.state == "merged",
            "draft": pull.is_draft, "locked": pull.is_locked, "user": self._user(pull.author), "html_url": f"https://forge.example/{repository.slug}/pull/{pull.number}",
            "head": {"sha": pull.head, "ref": pull.head_ref, "repo": head_repo},
            "base": {"sha": base, "ref": pull.base_ref, "repo": {"full_name": repository.slug, "name": repository.name, "clone_url": self._clone_url(repository), "archived": repository.is_archived}},
        }  # fmt: skip
        return 200, self._sample("pull-request", told), {}

    def _seen(self, asked: Asked, pull: Pull) -> list[Review]:
        assert asked.token is not None
        return [r for r in pull.reviews if r.state != "PENDING" or r.author is asked.token.account]

    def _reviews(self, asked: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        return self._page(asked, [self._told_review(r) for r in self._seen(asked, self._of(repository, groups))])

    def _create_review(
        self, asked: Asked, repository: Repository, groups: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        pull, body = self._of(repository, groups), asked.body
        assert asked.token is not None
        assert repository.bare is not None
        account = asked.token.account
        if any(r.state == "PENDING" and r.author is account for r in pull.reviews):
            raise refuse(422, "Unprocessable Entity", ["User can only have one pending review per pull request"])
        if pull.is_locked and repository.roles.get(account.login, "none") == "none" and asked.token.permissions is None:
            raise refuse(403, "Unable to create comment because issue is locked.")
        commit = body.get("commit_id", pull.head)
        base = repository.bare.tip(f"refs/heads/{pull.base_ref}")
        merge_base = repository.bare.merge_base(base, commit) if repository.bare.has(commit) else ""
        if not merge_base or not repository.bare.is_between(
            base if pull.state == "open" else merge_base, commit, pull.head
        ):
            raise refuse(422, "Unprocessable Entity", ["commit_id is not part of the pull request"])
        self._check_text(body.get("body", ""))
        if body.get("event") in ("COMMENT", "REQUEST_CHANGES") and not body.get("body"):
            raise refuse(422, "Unprocessable Entity", ["body can't be blank"])
        for comment in body.get("comments", ()):
            self._check_anchor(repository, merge_base, commit, comment)
        review = Review(self.world.number(), account, body.get("body", ""), commit)
        for comment in body.get("comments", ()):
            told = Comment(self.world.number(), account, comment["body"], review.id)
            review.threads.append(
                Thread(f"PRRT_{self.world.number()}", comment["path"], comment.get("side", "RIGHT"), comment["line"], comment.get("start_line"), commit, [told])
            )  # fmt: skip
        pull.reviews.append(review)
        if body.get("event"):
            self._finish(pull, review, body["event"])
        return 200, self._told_review(review), {}

    def _check_text(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise refuse(422, "Unprocessable Entity", [f"Body is too long (maximum is {MOST_CHARACTERS} characters)"])

    def _check_anchor(self, repository: Repository, merge_base: str, commit: str, comment: dict[str, Any]) -> None:
        """One bad one costs all, and which one it was is not said."""
        assert repository.bare is not None
        if unknown := set(comment) - {"path", "body", "position", "line", "side", "start_line", "start_side"}:
            raise refuse(422, "Invalid request.", [f"{unknown} is not a permitted key."])
        self._check_text(comment["body"])
        if not comment["body"].strip():
            raise refuse(422, "Unprocessable Entity", ["Pull request review thread body can't be blank"])
        hunks = repository.bare.hunks(merge_base, commit, comment["path"])
        if hunks is None:
            raise refuse(422, "Unprocessable Entity", ["Path could not be resolved"])
        side, line, start = comment.get("side", "RIGHT"), comment.get("line"), comment.get("start_line")
        if side not in ("LEFT", "RIGHT") or not isinstance(line, int):
            raise refuse(422, "Unprocessable Entity", ["Line could not be resolved"])
        if start is not None and start >= line:
            raise refuse(
                422, "Unprocessable Entity", ["Pull request review thread start line must precede the end line."]
            )
        spans = [(h[0], h[1]) if side == "LEFT" else (h[2], h[3]) for h in hunks]
        holding = [span for span in spans if span[0] <= line < span[0] + span[1]]
        if not holding:
            raise refuse(422, "Unprocessable Entity", ["Pull request review thread line must be part of the diff"])
        if start is not None and not any(first <= start for first, _ in holding):
            raise refuse(
                422,
                "Unprocessable Entity",
                ["Pull request review thread start line must be part of the same hunk as the line."],
            )

    def _finish(self, pull: Pull, review: Review, event: str) -> None:
        review.state = {"COMMENT": "COMMENTED", "APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED"}[event]
        self.world.touch(pull)

    def _review_of(self, asked: Asked, pull: Pull, groups: dict[str, str]) -> Review:
        found = next((r for r in self._seen(asked, pull) if r.id == int(groups["review"])), None)
        if found is None:
            raise refuse(404, "Not Found")
        return found

    def _submit(self, asked: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        pull = self._of(repository, groups)
        review = self._review_of(asked, pull, groups)
        if review.state != "PENDING":
            raise refuse(422, "Unprocessable Entity", ["Can not submit a non-pending pull request review"])
        if not review.body and not asked.body.get("body"):
            raise refuse(422, "Unprocessable Entity", ["body can't be blank"])
        self._finish(pull, review, asked.body["event"])
        return 200, self._told_review(review), {}

    def _delete_review(
        self, asked: Asked, repository: Repository, groups: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        pull = self._of(repository, groups)
        review = self._review_of(asked, pull, groups)
        if review.state != "PENDING":
            raise refuse(422, "Unprocessable Entity", ["Can not delete a non-pending pull request review"])
        pull.reviews.remove(review)
        return 200, self._told_review(review), {}

    def _comments(
        self, asked: Asked, repository: Repository, groups: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        review = self._review_of(asked, self._of(repository, groups), groups)
        told = [
            self._told_comment("review-comment", thread, comment)
            for thread in review.threads
            for comment in thread.comments
            if comment.review == review.id
        ]
        return self._page(asked, told)

    def _reply(self, asked: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        pull = self._of(repository, groups)
        assert asked.token is not None
        thread = next((t for t in pull.threads() if t.comments and t.comments[0].id == int(groups["comment"])), None)
        if thread is None:
            raise refuse(404, "Not Found")
        self._check_text(asked.body["body"])
        comment = Comment(self.world.number(), asked.token.account, asked.body["body"], 0, thread.comments[0].id)
        thread.comments.append(comment)
        self.world.touch(pull)
        return 201, self._told_comment("pull-request-review-comment", thread, comment), {}

    # How things are told.

    def _user(self, account: Account | None) -> dict[str, Any] | None:
        if account is None:
            return None
        login = f"{account.login}[bot]" if account.kind == "Bot" else account.login
        return self._sample("simple-user", {"login": login, "id": account.id, "type": account.kind})

    def _told_review(self, review: Review) -> dict[str, Any]:
        told = {"id": review.id, "state": review.state, "body": review.body, "user": self._user(review.author), "commit_id": review.commit, "html_url": f"https://forge.example/review/{review.id}"}  # fmt: skip
        return self._sample("pull-request-review", told)

    def _told_comment(self, schema: str, thread: Thread, comment: Comment) -> dict[str, Any]:
        told = {"id": comment.id, "body": comment.body, "path": thread.path, "user": self._user(comment.author), "html_url": f"https://forge.example/comment/{comment.id}"}  # fmt: skip
        return self._sample(schema, told)
