"""How a refusal of the outside world looks in the UI: one sentence, no stack of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from review_pipeline.ports import InDoubt, Refused, Unavailable


@contextmanager
def told_as_failure() -> Iterator[None]:
    """The run fails with the sentence. What can be tried again is asked for by the sensor open_batches, not by a waiting worker."""
    try:
        yield
    except (Unavailable, Refused, InDoubt) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
