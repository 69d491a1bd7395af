"""A second review on the forge: what is told again, what is resolved, and who decides."""

from __future__ import annotations

import pytest

from review_pipeline_tests.forge.office import FAULT, Office, fault
from review_pipeline_tests.forge.server import Forge
from review_pipeline_tests.forge.state import Comment, Review, Thread
from review_pipeline_tests.review.world import honest

FIXED = "start = 0\nx = 1  # mended\n"


@pytest.fixture
def told(office: Office) -> Office:
    """One finding at a.py:2, told in one review."""
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    office.told()
    return office


def test_a_fixed_finding_has_its_thread_resolved_and_the_review_says_so(told: Office) -> None:
    told.push({"a.py": FIXED})
    told.told()
    (thread,) = told.threads()
    assert thread.is_resolved
    assert thread.resolved_by is told.forge.world.account("reviewer")
    assert "its thread is resolved" in told.reviews()[1].body


def test_a_finding_that_stays_is_not_told_again_and_is_answered_once_in_its_thread(told: Office) -> None:
    for number in range(3):
        told.push({"a.py": "start = 0\n" + FAULT + f"more_{number} = 1\n"})
        told.told()
    (thread,) = told.threads()
    assert len(thread.comments) == 2
    assert "Still open" in thread.comments[1].body
    assert not thread.is_resolved
    assert [("1 earlier finding still open" in review.body) for review in told.reviews()] == [False, True, True, True]


def test_a_thread_is_not_answered_where_its_file_was_not_touched(told: Office) -> None:
    told.push({"b.py": "fine = 1\n"})
    told.told()
    assert len(told.threads()[0].comments) == 1


@pytest.mark.parametrize("who", ["dev", "reader"])
def test_a_thread_in_which_a_human_spoke_last_is_left_to_humans(told: Office, who: str) -> None:
    told.forge.world.reply(told.pull(), told.threads()[0], who, "Let us talk about this tomorrow.")
    told.push({"a.py": FIXED})
    told.told()
    assert not told.threads()[0].is_resolved
    assert "its thread stays open: somebody else had the last word" in told.reviews()[1].body


def test_a_thread_stays_open_if_the_reviewer_does_not_say_that_it_is_fixed(told: Office) -> None:
    def unsure(call: object) -> dict[str, object]:
        answer = honest(call)  # type: ignore[arg-type]
        return {
            **answer,
            "prior_findings": [{**prior, "status": "not_verifiable"} for prior in answer["prior_findings"]],
        }

    told.model.ways["file"] = unsure  # type: ignore[assignment]
    told.push({"a.py": FIXED})
    told.told()
    assert not told.threads()[0].is_resolved


def test_a_thread_that_a_human_opened_again_is_not_resolved_a_second_time(told: Office) -> None:
    told.push({"a.py": FIXED})
    row = told.review()
    told.publish(row)
    told.forge.world.resolve(told.pull(), told.threads()[0], "dev", resolved=False)
    told.publish(row)
    told.push({"a.py": FIXED + "more = 1\n"})
    told.told()
    assert not told.threads()[0].is_resolved


@pytest.mark.case(52)
def test_a_reply_that_comes_while_we_look_is_not_overruled(told: Office, forge: Forge) -> None:
    told.push({"a.py": FIXED})
    row = told.review()
    original = forge.graph.answer
    asked = []

    def meanwhile(body: dict[str, object], token: object) -> object:
        answer = original(body, token)  # type: ignore[arg-type]
        if "query Threads" in str(body["query"]) and not asked:
            asked.append(1)
            told.pull().reviews[0].threads[0].comments.append(
                Comment(5, forge.world.account("dev"), "Wait, it is not.", 0)
            )
        return answer

    forge.graph.answer = meanwhile  # type: ignore[method-assign,assignment]
    told.publish(row)
    assert asked
    assert not told.threads()[0].is_resolved


@pytest.mark.case(52)
def test_a_thread_that_somebody_resolves_while_we_post_is_theirs(told: Office) -> None:
    told.push({"a.py": FIXED})
    row = told.review()
    told.forge.world.resolve(told.pull(), told.threads()[0], "dev")
    told.publish(row)
    assert told.threads()[0].resolved_by is told.forge.world.account("dev")


def test_an_account_that_may_not_resolve_says_so_and_everything_else_is_posted(told: Office, forge: Forge) -> None:
    forge.graph.may_resolve = False
    told.push({"a.py": FIXED})
    assert told.told().state == "posted"
    assert not told.threads()[0].is_resolved
    assert "this account may not resolve it" in told.reviews()[1].body


def test_resolving_can_be_switched_off(told: Office) -> None:
    told.configure(resolve_threads=False)
    told.push({"a.py": FIXED})
    told.told()
    assert not told.threads()[0].is_resolved


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["POST /graphql$", "POST .*/replies$"])
def test_a_process_that_dies_between_threads_answers_each_once(office: Office, step: str, moment: str) -> None:
    office.opened(
        {"a.py": "start = 0\n", "b.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT, "b.py": fault("Other")}
    )
    office.told()
    office.push({"a.py": FIXED, "b.py": fault("Other") + "more = 1\n"})
    row = office.review()
    with pytest.raises(KeyboardInterrupt):
        office.publish(row, office.dying(step, moment))
    office.publish(row)
    office.publish(row)
    assert office.thread("The value is wrong").is_resolved
    assert [comment.author for comment in office.thread("Other").comments] == [
        office.forge.world.account("reviewer")
    ] * 2
    assert len(office.reviews()) == 2


@pytest.mark.case(32)
def test_more_than_a_page_of_comments_threads_and_reviews(office: Office, forge: Forge) -> None:
    """Sixty threads, 130 earlier reviews of others and 120 comments of one review: everything is found again."""
    faults = {f"f{n:02}.py": fault(f"Fault number {n}") for n in range(60)}
    pull = office.opened({"z.py": "z = 1\n"}, {**faults})
    pull.reviews += [
        Review(forge.world.number(), forge.world.account("dev"), "Fine", pull.head, "COMMENTED") for _ in range(130)
    ]
    office.configure(most_inline=50)
    assert office.told().inline == 50
    at_lines = [thread.path for thread in office.threads()]
    assert len(at_lines) == 50
    pull.reviews += [
        Review(forge.world.number(), forge.world.account("dev"), "Fine", pull.head, "COMMENTED") for _ in range(130)
    ]
    for _ in range(60):
        office.forge.world.reply(pull, office.threads()[0], "dev", "And another thing.")
    office.push(dict.fromkeys(faults, "mended = 1\n"))
    office.told()
    still = [thread.path for thread in office.threads() if not thread.is_resolved]
    assert still == [at_lines[0]]  # a human spoke last there, beyond the first page


@pytest.mark.case(78)
@pytest.mark.parametrize("words", ["Not a bug, this is by contract.", "This is a false positive.", "/dismiss"])
def test_not_a_bug_from_someone_who_may_write_dismisses_with_who_and_why(told: Office, words: str) -> None:
    told.forge.world.reply(told.pull(), told.threads()[0], "dev", words)
    told.push({"a.py": "start = 0\n" + FAULT + "more = 1\n"})
    told.told()
    (row,) = told.findings(status="dismissed")
    assert row.status_reason.startswith("dev: ")
    assert words.split(",", maxsplit=1)[0].strip(".") in row.status_reason
    (thread,) = told.threads()
    assert not thread.is_resolved
    assert len(thread.comments) == 2
    assert len(told.reviews()) == 2


@pytest.mark.case(77)
@pytest.mark.parametrize(
    ("who", "status"), [("reader", "open"), ("passer", "open"), ("maintainer", "dismissed"), ("dev", "dismissed")]
)
def test_a_thumbs_down_counts_from_those_only_who_may_write(told: Office, who: str, status: str) -> None:
    told.threads()[0].comments[0].reactions.append(("THUMBS_DOWN", told.forge.world.account(who)))
    told.hear()
    (row,) = told.findings(status=None)
    assert row.status == status


def test_a_thumbs_down_can_be_made_to_decide_nothing(told: Office) -> None:
    told.configure(reactions=False)
    told.threads()[0].comments[0].reactions.append(("THUMBS_DOWN", told.forge.world.account("dev")))
    told.hear()
    assert [row.status for row in told.findings(status=None)] == ["open"]


@pytest.mark.parametrize(
    "words",
    ["Are you sure it is not a bug? I think it is.", "> not a bug\n\nI disagree.", "It is not a false positive."],
)
def test_words_that_only_look_like_a_dismissal_dismiss_nothing(told: Office, words: str) -> None:
    told.forge.world.reply(told.pull(), told.threads()[0], "dev", words)
    told.hear()
    assert [row.status for row in told.findings(status=None)] == ["open"]


@pytest.mark.parametrize("pushed", [False, True])
def test_a_thread_that_a_human_resolves_while_the_code_stands_is_dismissed_and_not_told_again(
    told: Office, *, pushed: bool
) -> None:
    """A push may be the mending: then the review of it decides whether the code stands."""
    told.forge.world.resolve(told.pull(), told.threads()[0], "dev")
    if pushed:
        told.push({"a.py": "start = 0\n" + FAULT + "more = 1\n"})
        told.told()
    told.hear()
    (row,) = told.findings(status="dismissed")
    assert row.status_reason == "dev: resolved the thread"
    told.push({"a.py": "start = 0\n" + FAULT + "still_more = 1\n"})
    told.told()
    assert len(told.threads()) == 1
    assert len(told.threads()[0].comments) == 1


@pytest.mark.case(111)
def test_our_marks_in_the_hands_of_others_mute_and_fake_nothing(told: Office) -> None:
    """Whoever copies them cannot make the one of the next review, and ids are what threads are known by."""
    marks = told.reviews()[0].body[-300:] + told.threads()[0].comments[0].body
    pull, dev = told.pull(), told.forge.world.account("dev")
    planted = Thread("PRRT_5", "b.py", "RIGHT", 1, None, pull.head, [Comment(5, dev, f"Reviewed {marks}", 4)])
    pull.reviews.append(Review(4, dev, f"Looks fine {marks}", pull.head, "COMMENTED", [planted]))
    told.push({"a.py": FIXED, "b.py": fault("Second")})
    assert told.told().inline == 1
    assert sum(review.author is told.forge.world.account("reviewer") for review in told.reviews()) == 2
    assert not planted.is_resolved
    assert told.thread("Second").comments[0].author is told.forge.world.account("reviewer")
