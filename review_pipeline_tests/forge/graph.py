"""The forge's GraphQL API, run by graphql-core on GitHub's own schema, so that a wrong field is a fault here as there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync

from review_pipeline_tests.forge.state import Account, Comment, Pull, Repository, Thread, Token, World

_SCHEMA = (Path(__file__).parent / "described" / "schema.graphql").read_text(encoding="utf-8")


@cache
def _schema() -> GraphQLSchema:
    return build_schema(_SCHEMA, assume_valid=True)


def _refused(kind: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": kind})


@dataclass
class Graph:
    world: World
    schema: GraphQLSchema = field(default_factory=_schema)
    wrong: list[str] = field(default_factory=list)

    def answer(self, body: dict[str, Any], token: Token) -> dict[str, Any]:
        self.asking = token
        root = {
            "node": lambda _i, **said: self._node(token, said["id"]),
            "nodes": lambda _i, ids: [self._node_or_error(token, one) for one in ids],
            "repository": lambda _i, **said: self._named(token, f"{said['owner']}/{said['name']}"),
            "viewer": lambda _i: self._user(token.account, "User"),
            "resolveReviewThread": lambda _i, **said: self._resolve(token, said["input"]["threadId"]),
        }
        result = graphql_sync(self.schema, body["query"], root, variable_values=body.get("variables"))
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [
                {"type": (error.extensions or {}).get("type", ""), "message": error.message, "path": error.path} for error in result.errors
            ]  # fmt: skip
            self.wrong += [error.message for error in result.errors if not (error.extensions or {}).get("type")]
        return answer

    def _may_see(self, token: Token, repository: Repository | None) -> bool:
        return repository is not None and (token.repositories is None or repository.name in token.repositories)

    def _named(self, token: Token, slug: str) -> dict[str, Any]:
        known = {name: r for r in self.world.repositories.values() for name in (r.slug, *r.former_names)}
        repository = known.get(slug)
        if repository is None or not self._may_see(token, repository):
            raise _refused("NOT_FOUND", f"Could not resolve to a Repository with the name '{slug}'.")
        return self._repository(repository)

    def _node_or_error(self, token: Token, node: str) -> dict[str, Any] | GraphQLError:
        """One that is gone is null in the list, with an error beside it; the others are told."""
        try:
            return self._node(token, node)
        except GraphQLError as error:
            return error

    def _node(self, token: Token, node: str) -> dict[str, Any]:
        for repository in self.world.repositories.values():
            if not self._may_see(token, repository):
                continue
            if repository.node == node:
                return self._repository(repository)
            if node.startswith("PRRT_"):
                for pull in repository.pulls.values():
                    for thread in pull.threads():
                        if thread.id == node:
                            return self._thread(repository, pull, thread)
        raise _refused("NOT_FOUND", f"Could not resolve to a node with the global id of '{node}'")

    def _repository(self, repository: Repository) -> dict[str, Any]:
        return {
            "__typename": "Repository", "id": repository.node, "nameWithOwner": repository.slug,
            "pullRequests": lambda _i, **said: self._pulls(repository, **said),
            "pullRequest": lambda _i, number: self._pull(repository, repository.pulls[number]) if number in repository.pulls else None,
            "mergeQueue": lambda _i, **_s: {"entries": lambda _i, **said: {"nodes": [self._entry(repository, *e) for e in repository.queue[: said["first"]]]}},
        }  # fmt: skip

    def _entry(self, repository: Repository, commit: str, number: int) -> dict[str, Any]:
        return {"headCommit": {"oid": commit}, "pullRequest": self._pull(repository, repository.pulls[number])}

    def _pulls(
        self, repository: Repository, states: list[str], first: int, after: str | None = None, **said: Any
    ) -> dict[str, Any]:  # fmt: skip
        assert said["orderBy"] == {"field": "UPDATED_AT", "direction": "DESC"}
        assert states == ["OPEN"]
        pulls = sorted(
            (p for p in repository.pulls.values() if p.state == "open"),
            key=lambda p: (p.updated_at, p.number),
            reverse=True,
        )
        begin = int(after or 0)
        return self._connection(
            [self._pull(repository, pull) for pull in pulls[begin : begin + first]], begin + first, len(pulls)
        )

    def _connection(self, nodes: list[Any], end: int, count: int) -> dict[str, Any]:
        return {"nodes": nodes, "totalCount": count, "pageInfo": {"hasNextPage": end < count, "endCursor": str(end)}}

    def _pull(self, repository: Repository, pull: Pull) -> dict[str, Any]:
        return {
            "number": pull.number, "state": pull.state.upper(), "isDraft": pull.is_draft, "headRefOid": pull.head, "headRefName": pull.head_ref,
            "baseRefName": pull.base_ref, "isCrossRepository": pull.head_repo != repository.slug, "updatedAt": f"{pull.updated_at:%Y-%m-%dT%H:%M:%SZ}",
            "author": self._user(pull.author), "reviewThreads": lambda info, **said: self._threads(repository, pull, info, **said),
        }  # fmt: skip

    def _threads(
        self, repository: Repository, pull: Pull, _info: Any, first: int, after: str | None = None, **_rest: Any
    ) -> dict[str, Any]:
        threads = list(pull.threads())
        begin = int(after or 0)
        return self._connection(
            [self._thread(repository, pull, t) for t in threads[begin : begin + first]],
            begin + first,
            len(threads),
        )

    def _thread(self, repository: Repository, pull: Pull, thread: Thread) -> dict[str, Any]:
        return {
            "__typename": "PullRequestReviewThread", "id": thread.id, "isResolved": thread.is_resolved, "isOutdated": self._is_outdated(repository, pull, thread),
            "viewerCanResolve": self._can_resolve(repository), "resolvedBy": self._user(thread.resolved_by, "User"),
            "comments": lambda _i, first, **_said: {"totalCount": len(thread.comments), "nodes": [self._comment(c) for c in thread.comments[:first]]},
        }  # fmt: skip

    may_resolve: bool = True
    asking: Token | None = None  # of the question that is being answered; the server answers one at a time

    def _can_resolve(self, repository: Repository) -> bool:
        """It takes write access to contents, which replying does not."""
        token = self.asking
        assert token is not None
        if token.permissions is not None:
            return self.may_resolve and token.permissions.get("contents") == "write"
        return self.may_resolve and repository.roles.get(token.account.login) in ("write", "admin")

    def _is_outdated(self, repository: Repository, pull: Pull, thread: Thread) -> bool:
        if pull.head == thread.commit or repository.bare is None or thread.side == "LEFT":
            return False
        hunks = repository.bare.hunks(thread.commit, pull.head, thread.path) or []
        return any(old <= thread.line < old + count for old, count, _, _ in hunks)

    def _comment(self, comment: Comment) -> dict[str, Any]:
        reactions = [{"content": content, "user": self._user(by, "User")} for content, by in comment.reactions]
        return {"databaseId": comment.id, "body": comment.body, "author": self._user(comment.author), "reactions": lambda _i, first, **_said: {"nodes": reactions[:first]}}  # fmt: skip

    def _user(self, account: Account | None, typename: str = "") -> dict[str, Any] | None:
        if account is None:
            return None
        return {"__typename": typename or account.kind, "login": account.login, "databaseId": account.id}

    def _resolve(self, token: Token, node: str) -> dict[str, Any]:
        """Resolving takes write access to contents, which replying does not."""
        for repository in self.world.repositories.values():
            for pull in repository.pulls.values():
                for thread in pull.threads():
                    if thread.id == node and self._may_see(token, repository):
                        if not self._can_resolve(repository):
                            raise _refused("FORBIDDEN", "Resource not accessible by integration")
                        thread.is_resolved, thread.resolved_by = True, token.account
                        self.world.touch(pull)
                        return {"thread": self._thread(repository, pull, thread)}
        raise _refused("NOT_FOUND", f"Could not resolve to a node with the global id of '{node}'")
