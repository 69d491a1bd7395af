"""One review on the forge for each head: what it says, where it says it, and that it is there once."""

from __future__ import annotations

import re

import pytest

from review_pipeline.core.claude_end import Mishap
from review_pipeline.ports import Gone, Unavailable
from review_pipeline_tests.forge.asked import refuse
from review_pipeline_tests.forge.office import FAULT, Office, fault
from review_pipeline_tests.forge.server import Forge
from review_pipeline_tests.forge.state import Review
from review_pipeline_tests.review.world import ROW, failure, honest

REVIEWS = "/reviews$"


def test_a_review_stands_at_its_line_with_a_summary_and_a_verdict(office: Office) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    published = office.told()
    (review,) = office.reviews()
    (thread,) = office.threads()
    assert (thread.path, thread.side, thread.line, thread.start_line) == ("a.py", "RIGHT", 2, None)
    assert review.commit == pull.head
    assert "1 new finding" in review.body
    assert "The value is wrong" in thread.comments[0].body
    assert (published.state, published.inline, published.troubles) == ("posted", 1, ())
    assert [(s["state"], s["context"]) for s in office.repository.statuses] == [
        ("pending", "review_pipeline"),
        ("success", "review_pipeline"),
    ]


def test_publishing_again_writes_nothing(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    office.publish(row)
    before = len(forge.writes())
    assert office.publish(row).state == "posted"
    office.review()
    assert len(forge.writes()) == before
    assert len(office.reviews()) == 1


@pytest.mark.case(39)
@pytest.mark.parametrize("words", ["Line could not be resolved", "Something nobody has ever seen"])
def test_a_refusal_in_unknown_words_still_costs_only_the_comment_it_is_about(
    office: Office, forge: Forge, words: str
) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "".join(fault(f"Fault number {n}") for n in range(4))})
    check = forge.rest._check_anchor

    def picky(repository: object, merge_base: str, commit: str, comment: dict[str, object]) -> None:
        if comment["line"] == 2:
            raise refuse(422, "Unprocessable Entity", [words])
        check(repository, merge_base, commit, comment)  # type: ignore[arg-type]

    forge.rest._check_anchor = picky  # type: ignore[method-assign,assignment]
    assert office.told().inline == 3
    assert [review.state for review in office.pull().reviews] == ["COMMENTED"]
    assert "Fault number 1\n" in office.reviews()[0].body
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 422]


def test_a_review_that_is_refused_for_another_reason_is_not_cut_into_pieces(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "".join(fault(f"Fault number {n}") for n in range(4))})
    forge.fault("POST", REVIEWS, "answer", status=422, body={"message": "Reviews are out of order"}, times=9)
    published = office.told()
    assert published.state == "refused"
    assert "out of order" in published.troubles[0]
    assert len([e for e in forge.journal if e.method == "POST" and e.path.endswith("/reviews")]) == 2


@pytest.mark.case(39)
@pytest.mark.parametrize("bad", [[0], [7, 8], [0, 19, 39]])
def test_comments_at_lines_that_the_forge_refuses_cost_only_themselves(
    office: Office, forge: Forge, bad: list[int]
) -> None:
    """The forge names none of them; what it refuses is told in the body."""
    faults = [f"Fault number {n}" for n in range(40)]
    office.opened({"a.py": "start = 0\n"}, {"a.py": "".join(map(fault, faults))})
    refused = {n + 1 for n in bad}
    check = forge.rest._check_anchor

    def picky(repository: object, merge_base: str, commit: str, comment: dict[str, object]) -> None:
        if comment["line"] in refused:
            comment = {**comment, "line": 9_999}
        check(repository, merge_base, commit, comment)  # type: ignore[arg-type]

    forge.rest._check_anchor = picky  # type: ignore[method-assign,assignment]
    published = office.told()
    assert published.inline == 40 - len(bad)
    assert len(office.reviews()) == 1
    told = [thread.comments[0].body for thread in office.threads()]
    for number, words in enumerate(faults):
        at_line = sum(f"{words}\n" in body for body in told)
        in_body = f"{words}\n" in office.reviews()[0].body
        assert (at_line, in_body) == ((0, True) if number in bad else (1, False))
    assert [r for r in office.pull().reviews if r.state == "PENDING"] == []
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 422]


@pytest.mark.case(42)
@pytest.mark.parametrize("path", [REVIEWS, "/events$"])
@pytest.mark.parametrize("kind", ["after", "lose"])
def test_an_answer_that_is_lost_after_the_review_landed_posts_no_second_one(
    office: Office, forge: Forge, path: str, kind: str
) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    forge.fault("POST", path, kind)
    assert office.told().state == "posted"
    assert len(office.reviews()) == 1
    assert len(office.pull().reviews) == 1


@pytest.mark.case(43)
@pytest.mark.parametrize("kind", ["drop", "answer"])
def test_a_request_that_never_arrived_is_sent_again_after_reading_back(office: Office, forge: Forge, kind: str) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    forge.fault("POST", REVIEWS, kind)
    assert office.told().state == "posted"
    assert len(office.reviews()) == 1
    creations = [n for n, e in enumerate(forge.journal) if e.method == "POST" and e.path.endswith("/reviews")]
    between = forge.journal[creations[0] + 1 : creations[1]]
    assert any(e.method == "GET" and e.path.endswith("/reviews") for e in between)


@pytest.mark.case(44, 45)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "step", ["POST .*/reviews$", "POST .*/events$", "GET .*/reviews/.*/comments", "POST .*/statuses/"]
)
def test_a_process_that_dies_at_any_step_is_gone_on_with_by_the_next_one(
    office: Office, step: str, moment: str
) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    with pytest.raises(KeyboardInterrupt):
        office.publish(row, office.dying(step, moment))
    assert office.publish(row).state == "posted"
    assert len(office.reviews()) == 1
    assert len(office.pull().reviews) == 1
    posts = office.process().pipeline.ledger.posts("api", "1", review=row.key)
    assert sorted((post.kind, post.state) for post in posts) == [
        ("check", "done"),
        ("check", "done"),
        ("comment", "done"),
        ("review", "done"),
    ]


@pytest.mark.case(46)
def test_while_nothing_can_be_read_back_nothing_is_posted_again(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    forge.fault("POST", "/events$", "lose")
    lost = forge.fault("GET", REVIEWS, "answer", times=0)

    original = forge.rest._submit

    def then_blind(*arguments: object) -> object:
        lost.times = 50
        return original(*arguments)  # type: ignore[arg-type]

    forge.rest._submit = then_blind  # type: ignore[method-assign,assignment]
    with pytest.raises(Unavailable):
        office.publish(row)
    creations = [e for e in forge.journal if e.method == "POST" and e.path.endswith("/reviews")]
    assert len(creations) == 1
    assert [p.state for p in office.process().pipeline.ledger.posts("api", "1", kind="review")] == ["asked"]
    lost.times = 0
    assert office.publish(row).state == "posted"
    assert len(office.pull().reviews) == 1


@pytest.mark.case(48)
def test_sixty_findings_are_forty_comments_and_the_rest_in_the_body_with_few_writes(
    office: Office, forge: Forge
) -> None:
    faults = [f"Fault number {n}" for n in range(60)]
    office.opened({"a.py": "start = 0\n"}, {"a.py": "".join(map(fault, faults))})
    row = office.review()
    before = len(forge.writes())
    published = office.publish(row)
    assert published.inline == 40
    (review,) = office.reviews()
    told = [thread.comments[0].body for thread in office.threads()]
    assert all(sum(f"{words}\n" in text for text in (review.body, *told)) == 1 for words in faults)
    assert len(forge.writes()) - before <= 5


@pytest.mark.case(48)
def test_a_body_beyond_every_limit_is_cut_between_entries_and_says_how_many_are_left_out(office: Office) -> None:
    faults = ["🦜 " * 400 + f"fault number {n}" for n in range(100)]
    office.opened({"a.py": "start = 0\n"}, {"a.py": "".join(f"x{n} = 1\n" for n in range(100))})
    office.model.ways["file"] = lambda call: {"findings": _seeded(call.prompt, faults), "prior_findings": []}
    office.configure(most_inline=0)
    published = office.told()
    (review,) = office.reviews()
    assert published.state == "posted"
    assert len(review.body.encode()) <= 65_000
    assert "more that do not fit here" in review.body


def _seeded(prompt: str, words: list[str]) -> list[dict[str, object]]:
    rows = [match for line in prompt.split("\n") if (match := ROW.match(line)) and "x" in match[3]]
    return [
        {
            "path": "a.py", "anchor": f"{row[1]}#{row[2]}", "end_line": int(row[1]), "category": "bug", "severity": "warning", "confidence": 0.9,
            "issue": text, "suggestion": text, "evidence": row[3],
        }
        for row, text in zip(rows, words, strict=True)
    ]  # fmt: skip


@pytest.mark.case(49)
def test_a_comment_that_a_human_edited_or_deleted_is_not_made_again(office: Office) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT, "b.py": fault("Other")})
    row = office.review()
    office.publish(row)
    pull = office.pull()
    for review in pull.reviews:
        review.threads = [t for t in review.threads if t.path != "b.py"]  # deleted
    office.threads()[0].comments[0].body = "edited away"
    assert office.publish(row).state == "posted"
    office.push({"c.py": "fine = 1\n"})
    office.told()
    assert len(office.reviews()) == 2
    assert [thread.path for thread in office.threads()] == ["a.py"]


@pytest.mark.case(50)
def test_comments_are_known_by_their_ids_after_the_account_was_renamed_or_replaced(
    office: Office, forge: Forge
) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    office.told()
    office.environment["GITHUB_TOKEN"] = forge.token("maintainer")
    office.push({"a.py": "start = 0\nx = 1  # mended\n"})
    office.told()
    assert office.threads()[0].is_resolved
    assert len(office.reviews()) == 2
    assert "no new findings" in office.reviews()[1].body


@pytest.mark.case(51)
@pytest.mark.parametrize("what", ["closed", "merged", "draft", "locked", "archived"])
def test_a_pull_request_that_ends_while_it_is_reviewed(office: Office, forge: Forge, what: str) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    if what in ("closed", "merged"):
        pull.state = what
    pull.is_draft, pull.is_locked = what == "draft", what == "locked"
    office.repository.is_archived = what == "archived"
    published = office.publish(row)
    assert (published.state == "posted") == (what in ("draft", "locked"))
    if published.state != "posted":
        assert published.state == "refused"
        assert any(what in trouble for trouble in published.troubles)
        assert office.reviews() == []
    assert office.findings() != []  # in the history all the same
    forge.expected += [entry for entry in forge.caused_4xx() if what == "archived" and entry.status == 403]


def test_a_pull_request_that_is_opened_again_gets_the_review_that_its_closing_held_up(office: Office) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    pull.state = "closed"
    assert office.publish(row).state == "refused"
    assert not office.is_published(row)
    pull.state = "open"
    paid = len(office.model.calls)
    assert office.told().inline == 1
    assert office.is_published(row)
    assert len(office.model.calls) == paid


def test_what_is_closed_is_not_reviewed(office: Office) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    pull.state = "closed"
    with pytest.raises(Gone, match="is closed"):
        office.review()


@pytest.mark.case(53)
@pytest.mark.parametrize("is_ours", [True, False])
def test_an_unfinished_review_of_our_account_makes_room_and_its_text_is_kept(office: Office, is_ours: bool) -> None:
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    if is_ours:
        with pytest.raises(KeyboardInterrupt):
            office.publish(row, office.dying("POST .*/reviews$", "after"))
        pull.reviews[0].body = re.sub(
            r"[0-9a-f]{12} -->", "000000000000 -->", pull.reviews[0].body
        )  # of other findings
    else:
        pull.reviews.append(Review(1, office.forge.world.account("reviewer"), "half a thought", pull.head))
    assert office.publish(row).state == "posted"
    assert [(review.state, len(review.threads)) for review in pull.reviews] == [("COMMENTED", 1)]
    kept = [file.read_text() for file in (office.home / "removed").glob("*")]
    assert ["half a thought" in text for text in kept] == ([] if is_ours else [True])


@pytest.mark.case(53)
def test_a_persons_unfinished_review_is_waited_for_where_the_account_is_a_persons(office: Office) -> None:
    office.configure(dedicated_account=False)
    pull = office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    pull.reviews.append(Review(1, office.forge.world.account("reviewer"), "half a thought", pull.head))
    row = office.review()
    with pytest.raises(Unavailable, match="unfinished review"):
        office.publish(row)
    assert [review.body for review in pull.reviews] == ["half a thought"]
    pull.reviews.clear()
    assert office.publish(row).state == "posted"


@pytest.mark.case(54)
def test_a_head_that_a_force_push_has_thrown_away_takes_no_review_and_the_new_one_tells_everything(
    office: Office, forge: Forge
) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    assert office.repository.bare is not None
    office.push(
        {"a.py": "start = 0\n" + FAULT, "b.py": "fine = 1\n"}, onto=office.repository.bare.tip("refs/heads/main")
    )
    assert office.publish(row).state == "superseded"
    assert office.told().inline == 1
    assert len(office.reviews()) == 1
    forge.expected += [entry for entry in forge.caused_4xx() if "/reviews" in entry.path]


@pytest.mark.case(70)
def test_a_push_during_the_review_gets_the_review_of_the_head_that_was_read_and_then_one_of_the_delta(
    office: Office,
) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    row = office.review()
    office.push({"b.py": fault("Second")})
    office.publish(row)
    office.told()
    first, second = office.reviews()
    assert first.commit == row.target.head
    assert "has moved on" in first.body
    assert second.commit == office.pull().head
    assert [thread.path for thread in office.threads()] == ["a.py", "b.py"]
    assert len(office.model.made("file")) == 2


@pytest.mark.case(118)
def test_a_token_that_may_not_post_degrades_and_says_so(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT}, fork="stranger/api")
    office.environment["GITHUB_TOKEN"] = forge.token("outsider")
    published = office.told()
    assert published.state == "refused"
    assert any("may not be posted" in trouble for trouble in published.troubles)
    assert office.findings() != []
    assert office.reviews() == []
    row = office.process().pipeline.ledger.reviews("api", "1")[0]
    assert office.publish(row).state == "refused"  # it is not tried for ever
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 403]


def test_an_incomplete_review_is_posted_as_such_and_is_no_success(office: Office) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT, "b.py": "fine = 1\n" * 2_000})
    office.model.ways["file"] = lambda call: failure(Mishap.NO_ANSWER) if "578-1154" in call.prompt else honest(call)
    published = office.told()
    assert "**Incomplete:**" in office.reviews()[0].body
    assert office.repository.statuses[-1]["state"] == "error"
    assert published.verdict == "neutral"


def test_an_incomplete_review_that_waits_for_the_rest_is_not_posted_by_the_run_that_brings_it(office: Office) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT, "b.py": "fine = 1\n" * 2_000})
    office.model.ways["file"] = lambda call: failure(Mishap.NO_ANSWER) if "578-1154" in call.prompt else honest(call)
    assert office.review().state == "incomplete"
    office.model.ways.clear()
    assert office.told().state == "posted"
    (review,) = office.reviews()
    assert "Incomplete" not in review.body


def test_an_earlier_review_that_was_never_posted_is_told_before_the_next_one(office: Office) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    first = office.review()
    office.push({"b.py": fault("Second")})
    office.told()
    assert [review.commit for review in office.reviews()] == [first.target.head, office.pull().head]
    assert len(office.threads()) == 2


@pytest.mark.parametrize(("block_on", "state"), [("never", "success"), ("critical", "failure"), ("warning", "failure")])
def test_a_merge_is_stopped_only_where_that_is_configured(office: Office, block_on: str, state: str) -> None:
    office.configure(block_on=block_on)
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    office.told()
    assert office.repository.statuses[-1]["state"] == state


def test_findings_go_to_code_scanning_too_where_that_is_wanted(office: Office) -> None:
    office.configure(sarif=True)
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    assert office.told().troubles == ()
    (document,) = office.repository.sarifs
    (result,) = document["runs"][0]["results"]
    assert "The value is wrong" in result["message"]["text"]


def test_code_scanning_that_is_off_costs_nothing_but_a_line_that_says_so(office: Office, forge: Forge) -> None:
    office.configure(sarif=True)
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    office.repository.scans_code = False
    published = office.told()
    assert published.state == "posted"
    assert any("sarif" in trouble for trouble in published.troubles)
    forge.expected += [entry for entry in forge.caused_4xx() if "sarifs" in entry.path]
