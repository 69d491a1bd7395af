import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.failures import REMEDIES, Change, Outcome
from review_pipeline.core.planning import Span, halves
from review_pipeline.core.remedy import GiveUp, SendAgain, remedy

SPAN = Span(1, 400)
MOST = 64_000
HALVES = (Span(1, 210), Span(191, 400))
MOST_ATTEMPTS = 1 + sum(rule.attempts for rule in REMEDIES.values())


def in_two(span: Span) -> tuple[Span, ...]:
    return halves(span, (100,) * span.lines)


def decide(outcome: Outcome, *history: Outcome, span: Span = SPAN, max_tokens: int = 8_000) -> SendAgain | GiveUp:
    return remedy(outcome, tuple(one.value for one in history), span, max_tokens, MOST, in_two)


UNCHANGED = SendAgain(Change.UNCHANGED, (SPAN,), 8_000)
CONTINUED = SendAgain(Change.CONTINUED, (SPAN,), 8_000)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.TRUNCATED, SendAgain(Change.LARGER, (SPAN,), 16_000)),
        (Outcome.CONTEXT_OUT, SendAgain(Change.CHUNKED, HALVES, 8_000)),
        (Outcome.TOO_LONG, SendAgain(Change.CHUNKED, HALVES, 8_000)),
        (Outcome.BAD_OUTPUT, SendAgain(Change.REPAIRED, (SPAN,), 8_000)),
        (Outcome.PAUSED, CONTINUED),
        (Outcome.BILLING, UNCHANGED),
        (Outcome.TRANSIENT, UNCHANGED),
        (Outcome.EXPIRED, UNCHANGED),
        (Outcome.MISSING, UNCHANGED),
    ],
)
def test_a_first_failure_is_sent_again_changed_by_its_class(outcome, expected):
    assert decide(outcome) == expected


@pytest.mark.parametrize(
    ("outcome", "is_final"),
    [(Outcome.OK, False), (Outcome.REFUSAL, True), (Outcome.INVALID, True), (Outcome.CANCELED, False)],
)
def test_some_classes_are_given_up_at_once_and_say_whether_for_good(outcome, is_final):
    decided = decide(outcome)
    assert isinstance(decided, GiveUp)
    assert decided.is_final == is_final
    assert decided.reason == f"{outcome.value}: {REMEDIES[outcome].advice}"


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if REMEDIES[outcome].attempts])
@pytest.mark.trap("endless_resubmission")
def test_a_class_is_sent_again_as_often_as_its_table_says_and_not_once_more(outcome):
    attempts = REMEDIES[outcome].attempts
    assert isinstance(decide(outcome, *[outcome] * (attempts - 1)), SendAgain)
    given_up = decide(outcome, *[outcome] * attempts)
    assert isinstance(given_up, GiveUp)
    assert f"{outcome.value} {attempts + 1} times" in given_up.reason


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if REMEDIES[outcome].attempts])
def test_other_failures_do_not_use_up_a_class(outcome):
    others = [other for other in Outcome if other is not outcome] * 3
    assert decide(outcome, *others) == decide(outcome)


def test_a_second_cut_answer_is_asked_for_in_halves():
    assert decide(Outcome.TRUNCATED, Outcome.TRUNCATED) == SendAgain(Change.CHUNKED, HALVES, 8_000)


def test_an_answer_cut_at_the_most_the_model_can_say_is_asked_for_in_halves():
    assert decide(Outcome.TRUNCATED, max_tokens=MOST) == SendAgain(Change.CHUNKED, HALVES, MOST)


def test_a_larger_answer_is_never_larger_than_the_model_can_say():
    assert decide(Outcome.TRUNCATED, max_tokens=MOST - 1) == SendAgain(Change.LARGER, (SPAN,), MOST)


@pytest.mark.parametrize(
    ("outcome", "history"),
    [(Outcome.TOO_LONG, ()), (Outcome.CONTEXT_OUT, ()), (Outcome.TRUNCATED, (Outcome.TRUNCATED,))],
)
def test_a_single_line_cannot_be_split_and_is_given_up_by_its_number(outcome, history):
    decided = decide(outcome, *history, span=Span(7, 7))
    assert decided == GiveUp(f"{outcome.value}: line 7 alone is too much for one request and cannot be split", True)


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.EXPIRED, Outcome.MISSING, Outcome.BILLING])
def test_what_failed_by_bad_luck_is_asked_again_by_a_later_audit(outcome):
    given_up = decide(outcome, *[outcome] * REMEDIES[outcome].attempts)
    assert isinstance(given_up, GiveUp)
    assert not given_up.is_final


@given(st.lists(st.sampled_from([*Outcome]), min_size=MOST_ATTEMPTS, max_size=MOST_ATTEMPTS), st.integers(1, 5_000))
@pytest.mark.trap("endless_resubmission")
def test_every_chain_of_outcomes_comes_to_an_end(outcomes, lines):
    history: tuple[Outcome, ...] = ()
    span, max_tokens = Span(1, lines), 8_000
    for outcome in outcomes:
        decided = decide(outcome, *history, span=span, max_tokens=max_tokens)
        if isinstance(decided, GiveUp):
            return
        assert all(span.first <= piece.first <= piece.last <= span.last for piece in decided.spans)
        assert max_tokens <= decided.max_tokens <= MOST
        span, max_tokens, history = decided.spans[-1], decided.max_tokens, (*history, outcome)
    pytest.fail(f"{len(outcomes)} attempts and still not given up")


def test_only_what_is_sent_in_parts_is_looked_at_for_a_place_to_cut():
    asked: list[Span] = []

    def counting(span: Span) -> tuple[Span, ...]:
        asked.append(span)
        return in_two(span)

    for outcome in Outcome:
        remedy(outcome, (), SPAN, 8_000, MOST, counting)
    assert len(asked) == sum(REMEDIES[outcome].change is Change.CHUNKED for outcome in Outcome)


def test_parts_are_those_that_the_caller_cuts():
    parts = (Span(1, 37), Span(38, 400))
    assert remedy(Outcome.TOO_LONG, (), SPAN, 8_000, MOST, lambda _: parts) == SendAgain(Change.CHUNKED, parts, 8_000)


@given(st.integers(2, 5_000))
def test_halves_are_smaller_and_show_every_line(lines):
    decided = decide(Outcome.TOO_LONG, span=Span(1, lines))
    assert isinstance(decided, SendAgain)
    assert all(piece.lines < lines for piece in decided.spans)
    assert decided.spans[0].first == 1
    assert decided.spans[-1].last == lines
    assert decided.spans[1].first <= decided.spans[0].last + 1
