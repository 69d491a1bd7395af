"""One review goes to the forge, as an App: what it takes to tell many findings, against telling a single one."""

from __future__ import annotations

import resource
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from benchmarks.child import Timed
from benchmarks.forge import APP

if TYPE_CHECKING:
    from review_pipeline_tests.forge.office import Office
    from review_pipeline_tests.forge.server import Forge


def published(scratch: str, url: str, key: str, findings: int) -> Timed:
    """From the settled review to the last answer; git and the work in other processes that we wait for is counted."""
    office = _office(Path(scratch), url, key)
    wiring = office.process()
    row = office.review(wiring=wiring)
    started, used = perf_counter(), _cpu_seconds()
    told = office.publish(row, wiring)
    seconds, cpu = perf_counter() - started, _cpu_seconds() - used
    assert told.state == "posted", told
    assert not told.troubles, told
    assert len(office.findings()) == findings
    return Timed(seconds, {"cpu_us": round(cpu * 1e6), "inline": told.inline})


def _cpu_seconds() -> float:
    """With the git that we called; the forge is no child of this process."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _office(folder: Path, url: str, key: str) -> Office:
    """Of its forge it knows the address alone, as the pipeline does."""
    from review_pipeline_tests.forge.office import Office

    elsewhere = cast("Forge", SimpleNamespace(api=url))
    return Office(folder, elsewhere, environment={"GITHUB_APP_ID": APP, "GITHUB_APP_PRIVATE_KEY_FILE": key})
