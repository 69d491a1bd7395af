"""What would stop an audit, looked at beforehand. Every check answers; none stops the others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import islice

from review_pipeline.core.audit import State
from review_pipeline.core.documents import by_name
from review_pipeline.core.workloads import WORKLOADS, BatchWorkload
from review_pipeline.ports import InDoubt, Refused, Unavailable
from review_pipeline.settings import DocumentSetEntry, RepositoryEntry, selection_rules
from review_pipeline.wiring import Pipeline, utc_now
from review_pipeline.wiring_forge import ForgeWiring, slug_of
from review_pipeline.workflows.open_work import held_back

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
    if settings.config_path.exists():
        yield Examined("configuration", "ok", f"{settings.config_path}, home {settings.home}")
    else:
        said = f"there is no {settings.config_path}: defaults are used, and {settings.home} for all data. Change to the folder that has one?"
        yield Examined("configuration", "warn", said)
    for workload in WORKLOADS.values():
        yield _schedule(pipeline, workload)
        yield _model(pipeline, workload)
    yield _asked("API key", lambda: settings.key() and "set")
    yield _asked(
        "API",
        lambda: (
            f"answers ({len(list(islice(pipeline.api.newest(), 1)))} batch seen)"
            if settings.api_key
            else "not asked without a key"
        ),
    )
    yield _asked("claude", lambda: _claude(pipeline))
    if not settings.config.repositories:
        yield Examined("repositories", "warn", f"none in {settings.config_path}; scheduled audits have nothing to do")
    wiring = ForgeWiring(pipeline)
    for entry in settings.config.repositories:
        if entry.path is not None:
            yield _asked(f"repository {entry.name}", partial(_at_path, pipeline, entry))
        if entry.github is not None:
            yield _asked(f"GitHub {entry.github}", partial(_on_github, wiring, entry))
    for documents in settings.config.document_sets:
        yield _asked(f"documents {documents.name}", partial(_documents, pipeline, documents))
    yield _disk(pipeline)
    if not pipeline.has_ledger():
        yield Examined("ledger", "ok", "not there yet; the first audit makes it")
        return
    yield _asked("ledger", lambda: _ledger(pipeline))
    yield _history(pipeline)
    yield _spending(pipeline)
    for scope, reason, since in _pauses(pipeline):
        yield Examined(
            f"paused: {scope}", "fail", f"since {since}: {reason}. Settle that, then: review-pipeline resume"
        )


def _claude(pipeline: Pipeline) -> str:
    """Probed, also for the flags that keep a hostile checkout harmless: a version without one of them must not run."""
    from review_pipeline.adapters.claude_cli import ClaudeCli, find_claude

    binary = find_claude(pipeline.settings.claude_binary)
    version = ClaudeCli(binary, "", None).version
    return f"{version} at {binary}; {pipeline.calls_at_once} call(s) at once on this machine"


def _at_path(pipeline: Pipeline, entry: RepositoryEntry) -> str:
    return f"{entry.ref} is {pipeline.repository(entry).resolve(entry.ref).commit[:12]}"


def _documents(pipeline: Pipeline, entry: DocumentSetEntry) -> str:
    rules = len(pipeline.document_policy(entry).rules)
    repository = pipeline.repository(entry)
    listed = repository.tree(repository.resolve(entry.ref or "").commit)
    wanted = selection_rules(entry, pipeline.settings.config.workloads.document_compliance)
    count = sum(by_name(one, wanted) is None for one in listed)
    return f"{count} documents, {rules} rules in {entry.policy}"


def _on_github(wiring: ForgeWiring, entry: RepositoryEntry) -> str:
    slug = slug_of(entry)
    us = wiring.forge.us(slug)
    ids = wiring.forge.repository_ids([slug])
    if str(slug) not in ids:
        raise Refused(f"{slug} is not there, or {us.login} may not see it. Correct the name, or install the App there.")
    verdict = "a check run" if wiring.pipeline.settings.github.is_app else "a commit status"
    return f"seen as {us.login}; verdicts are told as {verdict}"


def _asked(name: str, ask: Callable[[], str]) -> Examined:
    try:
        return Examined(name, "ok", ask())
    except (Unavailable, Refused, InDoubt) as error:
        return Examined(name, "fail", str(error))


def _schedule(pipeline: Pipeline, workload: BatchWorkload) -> Examined:
    from dagster._utils.schedules import is_valid_cron_schedule  # what the code location itself would say

    name, cron = f"schedule of {workload.name}", pipeline.declared(workload).schedule
    if is_valid_cron_schedule(cron):
        return Examined(name, "ok", cron)
    return Examined(name, "fail", f"{cron!r} is no cron schedule; correct it in {pipeline.settings.config_path}")


def _history(pipeline: Pipeline) -> Examined:
    try:
        last = pipeline.ledger.last_event()
        if not pipeline.history.exists():
            return Examined(
                "findings history", "warn" if last else "ok", f"not there yet; the ledger has {last} events for it"
            )
        pipeline.history.claim(pipeline.ledger.identity(), last)
        applied = pipeline.history.applied()
    except (Unavailable, Refused) as error:
        return Examined("findings history", "fail", str(error))
    if applied < last:
        said = f"applied up to event {applied} of {last}; the sensor, or review-pipeline collect, applies the rest"
        return Examined("findings history", "warn", said)
    return Examined("findings history", "ok", f"complete up to event {applied}")


def _spending(pipeline: Pipeline) -> Examined:
    try:
        spent = pipeline.ledger.spent(utc_now())
        waiting = pipeline.ledger.submissions(states=(State.INTENDED,))
        _, held = held_back(pipeline.ledger, waiting, pipeline.caps, utc_now)
    except (Unavailable, Refused) as error:
        return Examined("spending", "fail", str(error))
    if held:
        return Examined("spending", "warn", "; ".join(held))
    settled = sum(one.settled_usd for one in spent.values())
    reserved = sum(one.reserved_usd for one in spent.values())
    cap = pipeline.caps.month_usd
    limit = f"of ${cap}" if cap is not None else "and no cap (batches.most_usd_per_month)"
    return Examined("spending", "ok", f"${settled:.4f} this month, ${reserved:.4f} reserved, {limit}")


def _model(pipeline: Pipeline, workload: BatchWorkload) -> Examined:
    name, model, today = f"model of {workload.name}", pipeline.model_of(workload), utc_now().date()
    price = pipeline.settings.config.price_table().price(model, today, 0)
    if price.retires_on and price.retires_on <= today:
        said = f"{model} was retired on {price.retires_on}: every request would fail"
        return Examined(name, "fail", f"{said}. Name its successor in {pipeline.settings.config_path}")
    if price.retires_on and price.retires_on - today < WARN_BEFORE_RETIREMENT:
        said = f"{model} retires on {price.retires_on}; name its successor in {pipeline.settings.config_path}"
        return Examined(name, "warn", said)
    return Examined(name, "ok", f"{model}, prices as of {price.valid_from}")


def _disk(pipeline: Pipeline) -> Examined:
    folder = pipeline.home
    while not folder.exists():
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        return Examined("disk", "fail", f"{folder} is no writable folder. Set REVIEW_PIPELINE_HOME to one.")
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
