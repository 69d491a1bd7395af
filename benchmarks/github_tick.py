"""The sensor looks at the pull requests of many repositories of which none has changed, against a request for each of them."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.child import Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from review_pipeline.wiring_forge import ForgeWiring
    from review_pipeline.workflows.pull_heads import Looked

MOST_LOOKS = 20
TIMES = 2  # of what is measured, in one process


def first_looks(scratch: str, url: str, token: str, repositories: int) -> Timed:
    """Fills the ledger; new repositories are asked for by name in portions, so that takes several looks."""
    wiring = _wiring(Path(scratch), url, token, repositories)
    started, changes = perf_counter(), 0
    for _ in range(MOST_LOOKS):
        looked = _looked(wiring)
        changes += looked.changes
        if looked.repositories == repositories and not looked.changes:
            return Timed(perf_counter() - started, {"changes": changes})
    raise AssertionError(f"{MOST_LOOKS} looks did not see all of the repositories: {looked}")


def quiet_looks(scratch: str, url: str, token: str, repositories: int) -> Timed:
    wiring = _wiring(Path(scratch), url, token, repositories)
    looks: list[Looked] = []
    timed = _repeated(lambda: looks.append(_looked(wiring)))
    assert not any(look.troubles for look in looks), looks
    (seen,) = {(look.repositories, look.pulls, look.changes) for look in looks}
    return Timed(timed.seconds, {**timed.facts, **dict(zip(("repositories", "pulls", "changes"), seen, strict=True))})


def a_request_for_each(scratch: str, url: str, token: str, repositories: int) -> Timed:
    """What one writes first, with the same client; and it does not even read the pull requests."""
    from review_pipeline.wiring_forge import slug_of

    wiring = _wiring(Path(scratch), url, token, repositories)
    slugs = [slug_of(entry) for entry in wiring.entries]

    def ask() -> None:
        for slug in slugs:
            assert wiring.forge.client.get(f"repos/{slug}", slug).body["full_name"] == str(slug)

    return _repeated(ask)


def _repeated(do: Callable[[], None]) -> Timed:
    """The last time, as in the daemon, which stays. first_us: with the imports and the connection that a new process has to make."""
    seconds, cpu = [], []
    for _ in range(TIMES):
        started, used = perf_counter(), _cpu_seconds()
        do()
        seconds.append(perf_counter() - started)
        cpu.append(round((_cpu_seconds() - used) * 1e6))
    return Timed(seconds[-1], {"cpu_us": cpu[-1], "first_us": cpu[0]})


def _cpu_seconds() -> float:
    """Of this process alone: the forge is another one."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _looked(wiring: ForgeWiring) -> Looked:
    from review_pipeline.wiring_forge import slug_of

    return wiring.watch().look({entry.name: slug_of(entry) for entry in wiring.entries})


def _wiring(folder: Path, url: str, token: str, repositories: int) -> ForgeWiring:
    from review_pipeline.settings import Settings
    from review_pipeline.wiring import Pipeline
    from review_pipeline.wiring_forge import ForgeWiring

    config = folder / "review_pipeline.yaml"
    names = [f"r{number:04}" for number in range(repositories)]
    config.write_text(json.dumps({"repositories": [{"name": name, "github": f"acme/{name}"} for name in names]}))
    environment = {"REVIEW_PIPELINE_HOME": str(folder / "home"), "REVIEW_PIPELINE_CONFIG": str(config)}
    return ForgeWiring(Pipeline(Settings.read({**environment, "GITHUB_API_URL": url, "GITHUB_TOKEN": token})))
