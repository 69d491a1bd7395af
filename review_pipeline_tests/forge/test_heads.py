"""What a look at many repositories finds, with how many questions, and which heads are asked to be reviewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from review_pipeline.core.forge import Actor, SeenHead, Slug
from review_pipeline.core.head_queue import HeadPolicy, QueuedHead, changed, has_settled
from review_pipeline.ports import Unavailable
from review_pipeline.workflows.pull_heads import Looked
from review_pipeline_tests.forge.office import FAULT, SLUG, Office, many
from review_pipeline_tests.forge.server import Forge


def look(office: Office, first_batch: int = 0) -> Looked:
    wiring = office.process()
    return wiring.watch().look({entry.name: Slug.parse(str(entry.github)) for entry in wiring.entries}, first_batch)


def wanted(office: Office) -> list[tuple[str, int, str]]:
    return [(q.seen.repo, q.seen.number, q.seen.head) for q in office.process().pipeline.ledger.wanted_heads()]


def settle(office: Office) -> None:
    ledger = office.process().pipeline.ledger
    for queued in ledger.wanted_heads():
        ledger.settle_head(queued, "told")


@pytest.fixture
def seen(office: Office) -> Office:
    """One pull request that was seen and settled."""
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    assert look(office).changes == 1
    settle(office)
    return office


def test_a_new_pull_request_is_wanted_once(office: Office) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    assert (look(office).changes, look(office).changes) == (1, 0)
    assert wanted(office) == [("api", 1, pull.head)]


def test_another_head_base_draft_state_or_a_reopening_is_looked_at_again(seen: Office) -> None:
    pull = seen.pull()

    def changes() -> int:
        seen.forge.world.touch(pull)
        found = look(seen).changes
        settle(seen)
        return found

    seen.push({"b.py": "b = 1\n"})
    assert changes() == 1
    seen.push({"c.py": "c = 1\n"}, "release")
    pull.base_ref = "release"
    assert changes() == 1
    pull.is_draft = True
    assert changes() == 1
    pull.is_draft = False
    assert changes() == 1
    seen.process().pipeline.ledger.close_head("api", 1, "closed")
    assert changes() == 1


@pytest.mark.case(117)
def test_our_own_review_and_comments_of_anybody_start_nothing(seen: Office) -> None:
    seen.told()
    for login in ("review-app", "dependabot", "dev"):
        seen.forge.world.reply(seen.pull(), seen.threads()[0], login, "I am here.")
    assert look(seen).changes == 0
    assert wanted(seen) == []


@pytest.mark.case(117)
@pytest.mark.parametrize(
    ("author", "skipped", "is_skipped"),
    [
        (Actor("dependabot", 5, "Bot"), ("dependabot[bot]",), True),
        (Actor("dependabot", 5, "User"), ("dependabot[bot]",), False),  # a person who took the name
        (Actor("renamed", 5, "Bot"), (5,), True),
        (Actor("dev", 7, "User"), ("dev",), False),  # people are named by id
        (Actor("dev", 7, "User"), (7,), True),
        (Actor(""), ("dependabot",), False),
    ],
)
def test_accounts_are_skipped_by_id_or_by_the_names_of_programs(
    author: Actor, skipped: tuple[int | str, ...], *, is_skipped: bool
) -> None:
    assert bool(HeadPolicy(skipped=skipped).refusal(head(author=author))) == is_skipped


def head(**over: object) -> SeenHead:
    plain = {
        "repo": "api", "number": 1, "head": "a" * 40, "base_ref": "main", "head_ref": "feature", "state": "open", "is_draft": False,
        "is_fork": False, "author": Actor("dev", 1, "User"), "updated_at": datetime(2026, 11, 20, tzinfo=UTC),
    }  # fmt: skip
    return SeenHead(**{**plain, **over})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "over", "words"),
    [
        (HeadPolicy(), {"is_draft": True}, "a draft"),
        (HeadPolicy(reviews_drafts=True), {"is_draft": True}, ""),
        (HeadPolicy(reviews_forks=False), {"is_fork": True}, "from a fork"),
        (HeadPolicy(), {"is_fork": True}, ""),
        (HeadPolicy(bases=("main", "release/*")), {"base_ref": "release/3"}, ""),
        (HeadPolicy(bases=("main",)), {"base_ref": "topic"}, "goes into topic"),
    ],
)
def test_what_is_not_reviewed_is_kept_with_the_reason(policy: HeadPolicy, over: dict[str, object], words: str) -> None:
    (row,) = changed([head(**over)], {}, policy, datetime.now(UTC))
    assert row.is_wanted == (not words)
    assert words in row.note


def test_ten_pushes_in_a_moment_wait_until_the_last_has_stayed() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    fresh = QueuedHead(head(updated_at=now - timedelta(seconds=2)), now - timedelta(seconds=1), True)
    assert not has_settled(fresh, now, 5)
    assert has_settled(fresh, now + timedelta(seconds=4), 5)
    old = QueuedHead(head(updated_at=now - timedelta(minutes=1)), now, True)
    assert has_settled(old, now, 5)  # first seen now, and long there


def test_an_answer_older_than_what_a_webhook_told_does_not_undo_it() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    told = QueuedHead(head(head="b" * 40, updated_at=now), now, True, source="webhook")
    stale = head(updated_at=now - timedelta(seconds=9))
    assert changed([stale], {("api", 1): told}, HeadPolicy(), now) == []
    assert changed([head(head="c" * 40, updated_at=now)], {("api", 1): told}, HeadPolicy(), now) != []


@pytest.mark.case(36)
def test_a_head_that_the_forge_does_not_serve_yet_is_tried_again_later(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    with pytest.raises(Unavailable, match=r"does not serve"):
        office.review(head="f" * 40)
    office.told()
    assert len(office.reviews()) == 1


@pytest.mark.case(34)
def test_a_deleted_fork_a_ghost_author_and_no_branch_of_the_head(office: Office) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    pull.head_repo = pull.author = None
    office.forge.__dict__["_described"] = None  # the description knows neither, the forge tells both
    assert office.repository.bare is not None
    office.repository.bare.git("update-ref", "-d", "refs/heads/feature")
    assert look(office).changes == 1
    assert office.told().state == "posted"


@pytest.mark.case(34)
def test_a_base_branch_that_was_deleted(office: Office) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    assert office.repository.bare is not None
    pull.pinned_base = office.repository.bare.tip("refs/heads/main")
    office.repository.bare.point("refs/pull/99/head", pull.pinned_base)
    office.repository.bare.git("update-ref", "-d", "refs/heads/main")
    row = office.review()
    assert row.state == "reviewed"
    assert [finding.path for finding in office.findings()] == ["a.py"]


def reconfigure(office: Office, entries: list[dict[str, str]]) -> None:
    import yaml

    office.config.write_text(yaml.safe_dump({"repositories": entries, "github": {"settle_seconds": 0}}))


def test_many_repositories_are_looked_at_with_few_questions(office: Office, forge: Forge) -> None:
    reconfigure(office, many(forge, 130, 2))
    first = look(office)
    assert (first.repositories, first.pulls, first.changes, first.troubles) == (130, 260, 260, [])
    before = len(forge.journal)
    second = look(office)
    assert (second.repositories, second.changes) == (130, 0)
    assert len(forge.journal) - before == 3
    forge.world.repositories["acme/r0077"].pulls[2].head = "e" * 40
    assert look(office).changes == 1


@pytest.mark.case(31, 32)
def test_a_repository_with_more_pull_requests_than_a_page_is_read_to_the_end_once(office: Office, forge: Forge) -> None:
    reconfigure(office, many(forge, 1, 150))
    assert look(office).changes == 150
    before = len(forge.journal)
    assert look(office).pulls == 20  # what lies behind the first page is as it was
    assert len(forge.journal) - before == 1
    old = forge.world.repositories["acme/r0000"].pulls[1]
    old.head = "d" * 40
    forge.world.now = datetime(2026, 11, 21, tzinfo=UTC)
    forge.world.touch(old)
    assert look(office).changes == 1


def test_a_repository_that_is_gone_or_not_granted_is_told_and_hides_no_other(office: Office, forge: Forge) -> None:
    entries = many(forge, 3, 1)
    reconfigure(office, [*entries, {"name": "ghost", "github": "acme/ghost"}])
    looked = look(office)
    assert looked.pulls == 3
    assert any("acme/ghost is not there" in trouble for trouble in looked.troubles)
    del forge.world.repositories["acme/r0001"]
    looked = look(office)
    assert looked.pulls == 2
    assert any("r0001 is not there any more" in trouble for trouble in looked.troubles)


def test_a_forge_that_does_not_answer_stops_no_later_look(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    look(office)
    settle(office)
    forge.fault("POST", "/graphql", "drop", times=20)
    assert look(office).troubles != []
    forge.faults.clear()
    office.push({"b.py": "b = 1\n"})
    assert look(office).changes == 1


def test_a_pull_request_that_was_closed_is_forgotten_and_one_that_is_opened_again_is_new(
    seen: Office, forge: Forge
) -> None:
    seen.pull().state = "closed"
    look(seen)
    assert len(seen.process().pipeline.ledger.known_heads(["api"])) == 1  # a list may lag
    wiring = seen.process()
    watch = wiring.watch()
    object.__setattr__(watch, "clock", lambda: datetime.now(UTC) + timedelta(minutes=20))
    watch.look({"api": Slug.parse(SLUG)})
    assert wiring.pipeline.ledger.known_heads(["api"]) == {}
    seen.pull().state = "open"
    assert look(seen).changes == 1


def test_a_merge_queue_is_answered_with_the_verdict_on_the_head_that_went_in(office: Office) -> None:
    office.configure(merge_queue=True, block_on="critical")
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    office.repository.queue.append(("9" * 40, 1))

    def answered() -> list[str]:
        wiring = office.process()
        for merge in look(office).merges:
            assert wiring.merge_queue(wiring.entries[0]).answer(merge) == ""
        return [status["state"] for status in office.repository.statuses if status["sha"] == "9" * 40]

    assert answered() == ["pending"]
    assert answered() == ["pending"]
    office.told()
    assert answered() == ["pending", "failure"]
    assert answered() == ["pending", "failure"]


def test_a_merge_queue_does_not_wait_where_nothing_blocks(office: Office) -> None:
    office.configure(merge_queue=True)
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    office.repository.queue.append(("9" * 40, 1))
    wiring = office.process()
    (merge,) = look(office).merges
    assert wiring.merge_queue(wiring.entries[0]).answer(merge) == ""
    assert [status["state"] for status in office.repository.statuses] == ["success"]
