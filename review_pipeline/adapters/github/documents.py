"""GraphQL documents. Each is one question; fields that older Enterprise Servers lack stand in documents of their own."""

from __future__ import annotations

_HEAD = """number state isDraft headRefOid headRefName baseRefName isCrossRepository updatedAt
author { __typename login ... on User { databaseId } ... on Bot { databaseId } }"""

VIEWER = "query Viewer { viewer { login databaseId } }"

_QUEUE = "mergeQueue { entries(first: 50) { nodes { headCommit { oid } pullRequest { number headRefOid } } } }"


def heads(*, with_queue: bool) -> str:
    """Servers without merge queues refuse a question about them, so it is asked only where it is wanted."""
    return f"""query OpenHeads($ids: [ID!]!, $first: Int!) {{
  nodes(ids: $ids) {{ __typename ... on Repository {{ id {_QUEUE if with_queue else ""}
    pullRequests(states: OPEN, first: $first, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{
      nodes {{ {_HEAD} }} pageInfo {{ hasNextPage endCursor }} }} }} }}
}}"""


MORE_HEADS = f"""query MoreOpenHeads($id: ID!, $after: String!) {{
  node(id: $id) {{ ... on Repository {{ id
    pullRequests(states: OPEN, first: 100, after: $after, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{
      nodes {{ {_HEAD} }} pageInfo {{ hasNextPage endCursor }} }} }} }}
}}"""

_THREAD = """id isResolved isOutdated viewerCanResolve resolvedBy { login }
comments(first: 50) { totalCount nodes { databaseId body author { __typename login ... on User { databaseId } ... on Bot { databaseId } }
  reactions(first: 20) { nodes { content user { login databaseId } } } } }"""

THREADS = f"""query Threads($owner: String!, $name: String!, $number: Int!, $after: String) {{
  repository(owner: $owner, name: $name) {{ pullRequest(number: $number) {{
    reviewThreads(first: 50, after: $after) {{ nodes {{ {_THREAD} }} pageInfo {{ hasNextPage endCursor }} }} }} }}
}}"""

THREAD = f"""query Thread($id: ID!) {{ node(id: $id) {{ ... on PullRequestReviewThread {{ {_THREAD} }} }} }}"""

RESOLVE = """mutation Resolve($thread: ID!) {
  resolveReviewThread(input: {threadId: $thread}) { thread { id isResolved } }
}"""


def repository_ids(count: int) -> str:
    """One question for many repositories: r0, r1, ..."""
    arguments = ", ".join(f"$o{n}: String!, $n{n}: String!" for n in range(count))
    fields = " ".join(f"r{n}: repository(owner: $o{n}, name: $n{n}) {{ id nameWithOwner }}" for n in range(count))
    return f"query RepositoryIds({arguments}) {{ {fields} }}"
