"""What would stop an audit, looked at beforehand. Every check answers; none stops the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice

from review_pipeline.core.audit import State
from review_pipeline.ports import InDoubt, Refused, Unavailable
from review_pipeline.wiring import Pipeline, utc_now

ENOUGH_BYTES = 2_000_000_000  # a full batch: 250 MB of body, as much again of results, and the history's copy
WARN_BEFORE_RETIREMENT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Examined:
    name: str
    state: str  # ok, warn or fail
    said: str

    def as_row(self) -> dict[str, str]:
        return asdict(self)


def examine() -> tuple[Examined, ...]:
    try:
        pipeline = Pipeline.from_environment()
    except Refused as error:
        return (Examined("configuration", "fail", str(error)),)
    return tuple(_all(pipeline))


def _all(pipeline: Pipeline) -> Iterator[Examined]:
    settings = pipeline.settings
    yield Examined(
        "configuration",
        "ok",
        f"{settings.config_path if settings.config_path.exists() else 'defaults'}, home {settings.home}",
    )
    yield _asked("API key", lambda: settings.key() and "set")
    yield _asked(
        "API",
        lambda: (
            f"answers ({len(list(islice(pipeline.api.newest(), 1)))} batch seen)"
            if settings.api_key
            else "not asked without a key"
        ),
    )
    yield _model(pipeline)
    if not settings.config.repositories:
        yield Examined("repositories", "warn", f"none in {settings.config_path}; scheduled audits have nothing to do")
    for entry in settings.config.repositories:
        repository = pipeline.repository(entry)
        yield _asked(f"repository {entry.name}", lambda: f"{entry.ref} is {repository.resolve(entry.ref).commit[:12]}")  # noqa: B023
    yield _disk(pipeline)
    yield _asked("ledger", lambda: _ledger(pipeline))
    yield _asked(
        "findings history",
        lambda: f"complete up to event {pipeline.history.applied()} of {pipeline.ledger.last_event()}",
    )
    for scope, reason, since in _pauses(pipeline):
        yield Examined(
            f"paused: {scope}", "fail", f"since {since}: {reason}. Settle that, then: review-pipeline resume"
        )


def _asked(name: str, ask: Callable[[], str]) -> Examined:
    try:
        return Examined(name, "ok", ask())
    except (Unavailable, Refused, InDoubt) as error:
        return Examined(name, "fail", str(error))


def _model(pipeline: Pipeline) -> Examined:
    model, today = pipeline.workload.model, utc_now().date()
    price = pipeline.settings.config.price_table().price(model, today, 0)
    if price.retires_on and price.retires_on - today < WARN_BEFORE_RETIREMENT:
        return Examined(
            "model",
            "warn",
            f"{model} retires on {price.retires_on}; name its successor in {pipeline.settings.config_path}",
        )
    return Examined("model", "ok", f"{model}, prices as of {price.valid_from}")


def _disk(pipeline: Pipeline) -> Examined:
    folder = pipeline.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:.1f} GB free at {folder}"
    return (
        Examined("disk", "ok", said)
        if free > ENOUGH_BYTES
        else Examined("disk", "warn", f"{said}; a full batch needs {ENOUGH_BYTES / 1e9:g} GB")
    )


def _ledger(pipeline: Pipeline) -> str:
    states = [submission.state for submission in pipeline.ledger.submissions()]
    doubtful = states.count(State.SENDING)
    note = f"; {doubtful} in doubt: review-pipeline reconcile" if doubtful else ""
    return f"{len(states)} submissions, {len(states) - states.count(State.COLLECTED)} open{note}"


def _pauses(pipeline: Pipeline) -> tuple[tuple[str, str, str], ...]:
    try:
        return pipeline.ledger.pauses()
    except (Unavailable, Refused):
        return ()  # told by the ledger's own check
