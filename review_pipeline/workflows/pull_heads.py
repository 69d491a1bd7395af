"""New heads of pull requests on a forge: what is looked at in one tick, and what of it is written down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from review_pipeline.core.forge import Look, QueuedMerge, Slug
from review_pipeline.core.head_queue import HeadPolicy, QueuedHead, changed
from review_pipeline.forge_ports import HeadQueue, HeadWatch
from review_pipeline.ports import Refused, Unavailable

REPOSITORIES_AT_ONCE = 60  # of one question: 1,000 are 17 questions, each far below the ten seconds that are allowed
LOOK_SECONDS = 25.0  # of one tick; the next one goes on where it stopped
_MOST_NEW_IDS = 500  # repositories that are asked for by name in one tick
_LAG = timedelta(minutes=10)  # a list may be older than a notice that a webhook has brought


@dataclass(slots=True)
class Looked:
    """next_batch: where the next tick begins. troubles: what could not be read, one line for each."""

    next_batch: int = 0
    repositories: int = 0
    pulls: int = 0
    changes: int = 0
    merges: list[QueuedMerge] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PullWatch:
    """Looks at many repositories with few questions. seconds: a clock that only goes forward."""

    forge: HeadWatch
    queue: HeadQueue
    policy: HeadPolicy
    clock: Callable[[], datetime]
    seconds: Callable[[], float]
    with_queue: bool = False
    limit_seconds: float = LOOK_SECONDS

    def look(self, repositories: Mapping[str, Slug], first_batch: int = 0) -> Looked:
        """repositories: by their names here. One that cannot be read is told and does not hide the others."""
        looked = Looked()
        until = self.seconds() + self.limit_seconds
        batches = list(_batches(repositories, self._ids(repositories, looked)))
        if not batches:
            return looked
        begin = first_batch if first_batch < len(batches) else 0
        for done in range(len(batches)):
            number = (begin + done) % len(batches)
            if done and self.seconds() > until:
                looked.next_batch = number
                looked.troubles.append(
                    f"{len(batches) - done} of {len(batches)} groups of repositories wait for the next look"
                )
                break
            owner, nodes = batches[number]
            try:
                self._read(owner, nodes, repositories, looked)
            except (Refused, Unavailable) as error:
                names = sorted(nodes.values())
                looked.troubles.append(f"{names[0]} and {len(names) - 1} more: {error}")
        return looked

    def _ids(self, repositories: Mapping[str, Slug], looked: Looked) -> dict[str, str]:
        """Repositories are known by ids, which stay when they are renamed."""
        known = self.queue.repository_ids()
        unknown = [slug for slug in repositories.values() if str(slug) not in known]
        for slugs in _by_owner(unknown[:_MOST_NEW_IDS]):
            try:
                found = self.forge.repository_ids(slugs)
            except (Refused, Unavailable) as error:
                looked.troubles.append(f"{slugs[0].owner}: {error}")
                continue
            self.queue.put_repository_ids(found, self.clock())
            known |= found
            looked.troubles += [
                f"{slug} is not there, or this account may not see it. Correct `github:` in the configuration, or install the App there."
                for slug in slugs
                if str(slug) not in found
            ]
        return known

    def _read(self, owner: Slug, nodes: Mapping[str, str], repositories: Mapping[str, Slug], looked: Looked) -> None:
        known = self.queue.known_heads(nodes.values())
        newest: dict[str, datetime] = {}
        for (repo, _), queued in known.items():
            updated = queued.seen.updated_at
            if queued.source != "sensor":
                continue  # a webhook told of this one alone, not of what lies before it
            if updated is not None and updated > newest.get(repo, updated - timedelta(1)):
                newest[repo] = updated
        look = self.forge.look(nodes, newest, owner, with_queue=self.with_queue)
        now = self.clock()
        fresh = changed(look.heads, known, self.policy, now)
        if fresh:
            self.queue.put_heads(fresh)
        self.queue.forget_heads(_gone(look, known, now))
        for repo in sorted(set(nodes.values()) - look.answered):
            looked.troubles.append(f"{repo} is not there any more, or this account may not see it")
            self.queue.forget_repository_ids([str(repositories[repo])])
        looked.repositories += len(look.answered)
        looked.pulls += len(look.heads)
        looked.changes += len(fresh)
        looked.merges += look.merges


def _gone(look: Look, known: Mapping[tuple[str, int], QueuedHead], now: datetime) -> Iterator[tuple[str, int]]:
    there = {(head.repo, head.number) for head in look.heads}
    for key, queued in known.items():
        if key not in there and key[0] in look.complete and queued.seen_at < now - _LAG:
            yield key


def _batches(repositories: Mapping[str, Slug], ids: Mapping[str, str]) -> Iterator[tuple[Slug, dict[str, str]]]:
    """Of one owner each: an App has another token for each of them."""
    owners: dict[str, list[tuple[str, str, Slug]]] = defaultdict(list)
    for name, slug in sorted(repositories.items()):
        if str(slug) in ids:
            owners[slug.owner.lower()].append((ids[str(slug)], name, slug))
    for entries in owners.values():
        waiting = iter(entries)
        while some := list(islice(waiting, REPOSITORIES_AT_ONCE)):
            yield some[0][2], {node: name for node, name, _ in some}


def _by_owner(slugs: list[Slug]) -> list[list[Slug]]:
    owners: dict[str, list[Slug]] = defaultdict(list)
    for slug in slugs:
        owners[slug.owner.lower()].append(slug)
    return list(owners.values())
