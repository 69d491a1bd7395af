"""A likely end is that of batches like it; without any, only the API's limit is known."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.forecast import LONGEST, Past, forecast

CREATED = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
MODEL = "claude-haiku-5-5"
HOUR = timedelta(hours=1)
durations = st.lists(
    st.builds(
        Past,
        st.sampled_from([MODEL, "claude-sonnet-5-5"]),
        st.integers(1, 100_000),
        st.timedeltas(timedelta(seconds=1), LONGEST),
    ),
    max_size=60,
)


def past(*hours: float, requests: int = 100, model: str = MODEL) -> tuple[Past, ...]:
    return tuple(Past(model, requests, timedelta(hours=one)) for one in hours)


def test_without_a_batch_like_it_only_the_limit_is_told() -> None:
    told = forecast(CREATED, CREATED + HOUR, MODEL, 100, past(1, 2, model="claude-sonnet-5-5"))
    assert (told.likely_at, told.late_at, told.based_on) == (CREATED + LONGEST, CREATED + LONGEST, 0)
    assert "nothing to compare with" in str(told)


def test_half_and_nine_of_ten_of_the_batches_like_it() -> None:
    told = forecast(CREATED, CREATED, MODEL, 100, past(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    assert (told.likely_at, told.late_at, told.based_on) == (CREATED + 5 * HOUR, CREATED + 9 * HOUR, 10)


def test_what_it_has_outlived_says_nothing_about_it() -> None:
    told = forecast(CREATED, CREATED + 6 * HOUR, MODEL, 100, past(1, 2, 3, 7, 9))
    assert (told.likely_at, told.late_at, told.based_on) == (CREATED + 7 * HOUR, CREATED + 9 * HOUR, 2)


def test_batches_of_its_size_speak_before_others() -> None:
    small, large = past(*[1] * 30, requests=10), past(*[8] * 30, requests=50_000)
    assert forecast(CREATED, CREATED, MODEL, 12, (*large, *small)).likely_at == CREATED + HOUR
    assert forecast(CREATED, CREATED, MODEL, 60_000, (*small, *large)).likely_at == CREATED + 8 * HOUR


@given(durations, st.integers(1, 100_000), st.timedeltas(timedelta(), LONGEST))
def test_no_end_is_in_the_past_or_beyond_the_limit(known: list[Past], requests: int, age: timedelta) -> None:
    told = forecast(CREATED, CREATED + age, MODEL, requests, known)
    assert CREATED + age <= told.likely_at <= told.late_at <= CREATED + LONGEST
    assert told.based_on <= sum(one.model == MODEL for one in known)
