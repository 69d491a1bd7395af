import pytest

from review_pipeline.core.failures import REMEDIES, Change, Outcome, Reply, classify


def ended(stop_reason: str | None, fits_schema: bool = True) -> Reply:
    return Reply("succeeded", stop_reason, fits_schema=fits_schema)


def error(kind: str | None, message: str | None = "no", code: str | None = None) -> Reply:
    return Reply("errored", None, kind, message, code)


CASES = [
    # an answer
    (ended("end_turn"), Outcome.OK),
    (ended("stop_sequence"), Outcome.OK),
    (ended("tool_use"), Outcome.OK),
    (ended("end_turn", fits_schema=False), Outcome.BAD_OUTPUT),
    (ended("tool_use", fits_schema=False), Outcome.BAD_OUTPUT),
    (ended("max_tokens", fits_schema=False), Outcome.TRUNCATED),
    (ended("max_tokens"), Outcome.TRUNCATED),
    (ended("model_context_window_exceeded", fits_schema=False), Outcome.CONTEXT_OUT),
    (ended("refusal", fits_schema=False), Outcome.REFUSAL),
    (ended("refusal"), Outcome.REFUSAL),
    (ended("pause_turn", fits_schema=False), Outcome.PAUSED),
    (ended("a_reason_of_next_year"), Outcome.BAD_OUTPUT),
    (ended(None), Outcome.BAD_OUTPUT),
    # too long: two texts, and no code for either
    (error("invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum"), Outcome.TOO_LONG),
    (error("invalid_request_error", "Prompt is too long"), Outcome.TOO_LONG),
    (
        error("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 8000 > 200000"),
        Outcome.TOO_LONG,
    ),
    (
        error("invalid_request_error", "input length and max_tokens exceed context limit: 199000 + 8000 > 200000"),
        Outcome.TOO_LONG,
    ),
    (error("request_too_large", "Request exceeds the maximum size"), Outcome.TOO_LONG),
    (error("api_error", "prompt is too long"), Outcome.TRANSIENT),
    # money, under its own name and under that of a bad request
    (error("billing_error"), Outcome.BILLING),
    (
        error("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        Outcome.BILLING,
    ),
    (error("invalid_request_error", "You have reached your specified API usage limits."), Outcome.BILLING),
    (error("invalid_request_error", "You have reached your specified workspace API usage limits."), Outcome.BILLING),
    (error("rate_limit_error", "limit", "enforced_spend_limit_reached"), Outcome.BILLING),
    (error("rate_limit_error", "limit", "contract_spend_limit_reached"), Outcome.BILLING),
    (error("invalid_request_error", "on hold", "organization_on_hold"), Outcome.BILLING),
    (error("billing_error", "linked", "linked_organization_payment_required"), Outcome.BILLING),
    (error("api_error", None, "linked_organization_unknown"), Outcome.BILLING),
    # never again unchanged
    (error("invalid_request_error", "max_tokens: must be at least 1"), Outcome.INVALID),
    (error("invalid_request_error", "temperature is not supported", "a_code_of_next_year"), Outcome.INVALID),
    (error("invalid_request_error", None), Outcome.INVALID),
    (error("not_found_error", "model: claude-gone"), Outcome.INVALID),
    (error("permission_error"), Outcome.INVALID),
    (error("authentication_error"), Outcome.INVALID),
    # again later
    (error("overloaded_error"), Outcome.TRANSIENT),
    (error("api_error"), Outcome.TRANSIENT),
    (error("timeout_error"), Outcome.TRANSIENT),
    (error("rate_limit_error"), Outcome.TRANSIENT),
    (error("rate_limit_error", "ramp", "ramp_limit_exceeded"), Outcome.TRANSIENT),
    (error("an_error_of_next_year"), Outcome.TRANSIENT),
    (error(None, None), Outcome.TRANSIENT),
    # no answer
    (Reply("expired"), Outcome.EXPIRED),
    (Reply("canceled"), Outcome.CANCELED),
    (Reply("missing"), Outcome.MISSING),
    (Reply("a_type_of_next_year"), Outcome.TRANSIENT),
    (Reply("a_type_of_next_year", "end_turn", fits_schema=True), Outcome.TRANSIENT),
]


@pytest.mark.parametrize(("reply", "expected"), CASES, ids=lambda value: value if isinstance(value, Outcome) else None)
@pytest.mark.trap("outer_error_type", "unknown_types", "too_long_by_text", "billing_as_invalid")
def test_each_ending_has_one_class(reply, expected):
    assert classify(reply) is expected


def test_the_table_has_a_case_for_every_class():
    assert {expected for _, expected in CASES} == set(Outcome)


def test_every_class_has_a_remedy():
    assert REMEDIES.keys() == set(Outcome)


def test_only_what_the_model_answered_is_billed():
    billed = {outcome for outcome, rule in REMEDIES.items() if rule.is_billed}
    assert billed == {classify(reply) for reply, _ in CASES if reply.type == "succeeded"}


@pytest.mark.parametrize("outcome", [Outcome.TRUNCATED, Outcome.CONTEXT_OUT, Outcome.TOO_LONG, Outcome.BAD_OUTPUT])
def test_what_would_fail_again_is_never_sent_again_unchanged(outcome):
    assert REMEDIES[outcome].change not in (None, Change.UNCHANGED)


def test_a_class_is_sent_again_if_and_only_if_it_has_attempts():
    assert all((rule.change is None) == (rule.attempts == 0) for rule in REMEDIES.values())
