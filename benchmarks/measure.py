"""Each benchmark: what is alternated with what, what must hold of the outcome, and the ratio against its limit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import forge
from benchmarks.child import Measured, measured
from benchmarks.github_tick import TIMES
from benchmarks.server import serving
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

TWENTY_TIMES = 20.0
TWICE = 2.0
RESULTS_PEAK_MB = 700.0
SENDING_PEAK_MB = 250.0
LOAD_SECONDS = 1.5
TICK_SECONDS = 0.3
FIRST_REVIEW_TIMES = 2.5
AGAIN_TIMES = 0.2
OWN_SECONDS = 6.0
LOOK_REQUESTS = 20
RECONCILE_CALLS = 1
P95_MS = 50.0
LOOK_CPU_SECONDS = 2.0
PUBLISH_WRITES = 5
MOST_INLINE = 40  # of a review, unless the configuration says otherwise; the others are told in its body


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of a benchmark: an empty folder, and whether it is only a smoke run."""

    folder: Path
    small: bool

    def size(self, full: int, small: int) -> int:
        return small if self.small else full

    def rounds(self, full: int) -> range:
        return range(1 if self.small else full)

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A folder for one measured process; gone at once, or ten of them would fill the disk."""
        folder = tempfile.mkdtemp(dir=self.folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def results_to_findings(bench: Bench) -> list[Row]:
    home = str(bench.folder)
    written = measured("results_to_findings:prepare", home, bench.size(100_000, 2_000)).facts
    ours, bare, sdk = [], [], []
    with serving(bench.folder) as url:
        for number in bench.rounds(5):
            with bench.scratch() as scratch:
                bare.append(measured("results_to_findings:bare_query", home, scratch))
            with bench.scratch() as scratch:
                ours.append(measured("results_to_findings:ours", home, url, scratch))
            if number == 0:
                with bench.scratch() as scratch:
                    sdk.append(measured("results_to_findings:sdk_row_by_row", url, scratch))
    for run in ours:
        got = run.facts
        assert got["complete"], got
        assert got["requests"] == got["outcomes"] == written["results"], (got, written)
        assert got["failed"] == written["results"] - written["succeeded"], (got, written)
        assert got["exact"] == written["claims"] - written["moved"], (got, written)
        assert got.get("moved", 0) == written["moved"], (got, written)
        assert got["findings"] == written["findings"], (got, written)
    assert all(run.facts["claims"] == written["claims"] for run in bare)
    assert all(run.facts["results"] == written["slice_results"] for run in sdk)
    return _results_rows(written["results"], ours, bare, sdk)


def _results_rows(results: int, ours: list[Measured], bare: list[Measured], sdk: list[Measured]) -> list[Row]:
    peak = max(run.peak_mb for run in ours)
    our_rate = results / median(run.seconds for run in ours)
    sdk_rate = median(run.facts["results"] / run.seconds for run in sdk)
    steps = {
        name: median(run.facts[f"{name}_us"] for run in ours) / 1e6 for name in ("download", "check", "read", "apply")
    }
    made = [(run.facts["read_us"] + run.facts["apply_us"]) / 1e6 for run in ours]
    # Of each pair, which ran one after the other: what else the machine does changes from minute to minute.
    share = median(mine / query.seconds for mine, query in zip(made, bare, strict=True))
    told = " + ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items())
    return [
        Row(
            "results_to_findings: download to findings", f"SDK iterator + executemany: {sdk_rate:,.0f} results/s", f"{our_rate:,.0f} results/s",
            f"{our_rate / sdk_rate:.0f}x", f">= {TWENTY_TIMES:.0f}x", peak, our_rate / sdk_rate >= TWENTY_TIMES,
        ),
        Row(
            "results_to_findings: read + apply", f"bare DuckDB query: {median(run.seconds for run in bare):.1f} s",
            f"{median(made):.1f} s ({told})", f"{share:.2f}x", f"<= {TWICE:.1f}x", peak, share <= TWICE,
        ),
        Row(
            "results_to_findings: memory", f"SDK, a twentieth: {max(run.peak_mb for run in sdk):,.0f} MB", f"{peak:,.0f} MB", "-",
            f"< {RESULTS_PEAK_MB:.0f} MB", peak, peak < RESULTS_PEAK_MB,
        ),
    ]  # fmt: skip


def plan_and_send(bench: Bench) -> list[Row]:
    files = bench.size(100_000, 500)
    with serving(bench.folder) as url:
        with bench.scratch() as scratch:
            ours = measured("plan_and_send:ours", url, scratch, files)
        sdk = measured("plan_and_send:sdk_list", url, files)
    assert ours.facts["requests"] == sdk.facts["requests"] == files
    assert ours.facts["received_bytes"] == ours.facts["body_bytes"]
    return [
        Row(
            f"plan_and_send: {files:,} requests, {ours.facts['body_bytes'] / 1e6:.0f} MB", f"SDK create(list): {sdk.peak_mb:,.0f} MB, {sdk.seconds:.0f} s",
            f"{ours.peak_mb:,.0f} MB, {ours.seconds:.0f} s", f"{ours.peak_mb / sdk.peak_mb:.2f}x", f"< {SENDING_PEAK_MB:.0f} MB", ours.peak_mb,
            ours.peak_mb < SENDING_PEAK_MB,
        )
    ]  # fmt: skip


def incremental(bench: Bench) -> list[Row]:
    files = bench.size(5_000, 300)
    with bench.scratch() as scratch:
        facts = (run := measured("incremental:two_audits", scratch, files)).facts
    ratio = facts["second_requests"] / facts["first_requests"]
    assert facts["first_requests"] == files
    assert facts["second_requests"] == files // 100, facts
    return [
        Row(
            f"incremental: {files:,} files, 1% changed", f"first audit: {facts['first_requests']:,} requests, {facts['first_bytes'] / 1e6:.1f} MB",
            f"second: {facts['second_requests']:,} requests, {facts['second_bytes'] / 1e6:.2f} MB",
            f"{ratio:.3f}x ({facts['second_bytes'] / facts['first_bytes']:.3f}x bytes)", "<= 0.010x", run.peak_mb, ratio <= 0.01,
        )
    ]  # fmt: skip


def quiet_tick(bench: Bench) -> list[Row]:
    runs: dict[str, list[Measured]] = {"empty": [], "year": []}
    submissions, requests = bench.size(2_000, 40), bench.size(200_000, 400)
    for _ in bench.rounds(3):
        for name, rows in (("empty", (0, 0)), ("year", (submissions, requests))):
            with bench.scratch() as scratch:
                runs[name].append(measured("quiet_tick:quiet", scratch, *rows))
    assert all(run.facts["submissions"] == submissions for run in runs["year"])
    with bench.scratch() as scratch:
        asking = measured("quiet_tick:with_open_batches", scratch)
    empty, year = (median(run.seconds for run in runs[name]) for name in ("empty", "year"))
    peak = max(run.peak_mb for run in runs["year"])
    return [
        Row(
            f"quiet_tick: {submissions:,} submissions, {requests:,} requests", f"empty ledger: {1e3 * empty:.1f} ms", f"{1e3 * year:.1f} ms",
            f"{year / empty:.1f}x", f"< {1e3 * TICK_SECONDS:.0f} ms", peak, year < TICK_SECONDS,
        ),
        Row(
            "quiet_tick: 10 batches open", f"empty ledger: {1e3 * empty:.1f} ms", f"{1e3 * asking.seconds:.1f} ms",
            f"{asking.seconds / empty:.1f}x", "-", None, None,
        ),
    ]  # fmt: skip


def reconcile(bench: Bench) -> list[Row]:
    known = bench.size(10_000, 2_500)
    with bench.scratch() as scratch:
        facts = (run := measured("reconcile:found", scratch, known)).facts
    ratio = facts["calls"] / facts["calls_of_all"]
    return [
        Row(
            f"reconcile: {known:,} known batches", f"the whole list: {facts['calls_of_all']} calls",
            f"{facts['calls']} call(s), {1e3 * run.seconds:.0f} ms", f"{ratio:.2f}x", f"<= {RECONCILE_CALLS} call", run.peak_mb,
            facts["calls"] <= RECONCILE_CALLS,
        )
    ]  # fmt: skip


def ledger_during_ingest(bench: Bench) -> list[Row]:
    results = bench.size(100_000, 2_000)
    with bench.scratch() as scratch:
        measured("ledger_during_ingest:prepare", scratch, results, 4)
        facts = (run := measured("ledger_during_ingest:small_transactions", scratch)).facts
    alone, beside = facts["alone_us"] / 1e3, facts["beside_us"] / 1e3
    return [
        Row(
            f"ledger_during_ingest: p95 of {facts['transactions']:,} transactions, {results:,} results in 4 batches", f"no ingest: {alone:.1f} ms",
            f"{beside:.1f} ms (longest {facts['longest_us'] / 1e3:.0f} ms)", f"{beside / alone:.1f}x", f"< {P95_MS:.0f} ms", run.peak_mb,
            beside < P95_MS,
        )
    ]  # fmt: skip


def definitions_load(bench: Bench) -> list[Row]:
    alone, ours = [], []
    for _ in bench.rounds(5):
        alone.append(measured("definitions_load:dagster_alone"))
        with bench.scratch() as scratch:
            ours.append(measured("definitions_load:definitions", scratch))
    base, full = (median(run.seconds for run in runs) for runs in (alone, ours))
    return [
        Row(
            "definitions_load", f"import dagster: {base:.2f} s", f"{full:.2f} s ({full - base:+.2f} s)", f"{full / base:.2f}x",
            f"<= +{LOAD_SECONDS} s", max(run.peak_mb for run in ours), full - base <= LOAD_SECONDS,
        )
    ]  # fmt: skip


def review_tokens(bench: Bench) -> list[Row]:
    rows = []
    for files, lines in [(15, 800)] if bench.small else [(15, 800), (60, 5_000)]:
        with bench.scratch() as scratch:
            run = measured("review:billed_tokens", scratch, files, lines)
        facts = run.facts
        first, again = facts["first"] / facts["diff"], facts["again"] / facts["first"]
        name = f"review_tokens: {files} files, {facts['lines']:,} lines"
        rows += [
            Row(
                name, f"the diff in one prompt: {facts['diff']:,} tokens", f"{facts['first']:,} in {facts['calls']} calls", f"{first:.2f}x",
                f"<= {FIRST_REVIEW_TIMES}x", run.peak_mb, first <= FIRST_REVIEW_TIMES,
            ),
            Row(
                f"{name}, one pushed", f"the first review: {facts['first']:,} tokens", f"{facts['again']:,} in {facts['calls_again']} calls",
                f"{again:.2f}x", f"<= {AGAIN_TIMES}x", run.peak_mb, again <= AGAIN_TIMES,
            ),
        ]  # fmt: skip
    return rows


def review_overhead(bench: Bench) -> list[Row]:
    rows = []
    for files, lines in [(15, 800)] if bench.small else [(15, 800), (60, 5_000)]:
        with bench.scratch() as scratch:
            run = measured("review:through_dagster", scratch, files, lines, 100 if bench.small else 3_000)
        calls = run.facts["call_us"] / 1e6
        own = run.seconds - calls
        rows.append(
            Row(
                f"review_overhead: {files} files in Dagster", f"its {run.facts['calls']} calls: {calls:.1f} s", f"{run.seconds:.1f} s ({own:+.1f} s)",
                f"{run.seconds / calls:.2f}x", f"<= +{OWN_SECONDS:.0f} s" if files == 15 else "-", run.peak_mb,
                own <= OWN_SECONDS if files == 15 else None,
            )
        )  # fmt: skip
    return rows


@dataclass(frozen=True, slots=True)
class _Looks:
    """Of one number of repositories, in alternation: quiet looks, and runs that ask for each repository by itself."""

    repositories: int
    quiet: list[Measured]
    each: list[Measured]
    requests: list[int]

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb for run in self.quiet)


def github_tick(bench: Bench) -> list[Row]:
    repositories, pulls = bench.size(1_000, 60), 5
    few = _looks(bench, repositories // 10, pulls, 1)
    many = _looks(bench, repositories, pulls, len(bench.rounds(3)))
    asked = max(many.requests)
    ours, first, each = (median(run.facts[name] for run in runs) / 1e6 for runs, name in (
        (many.quiet, "cpu_us"), (many.quiet, "first_us"), (many.each, "cpu_us"),
    ))  # fmt: skip
    name = f"github_tick: {repositories:,} repositories, {repositories * pulls:,} pull requests"
    return [
        Row(
            name, f"one for each: {repositories:,} requests", f"{asked} requests", f"{asked / repositories:.3f}x", f"<= {LOOK_REQUESTS}",
            many.peak_mb, asked <= LOOK_REQUESTS,
        ),
        Row(
            "github_tick: CPU of a look", f"one for each: {each:.2f} s", f"{ours:.2f} s ({first:.2f} s in a new process)",
            f"{ours / each:.2f}x", f"<= {LOOK_CPU_SECONDS:.1f} s", many.peak_mb, max(ours, first) <= LOOK_CPU_SECONDS,
        ),
        Row(
            "github_tick: memory", f"{few.repositories * pulls:,} pull requests: {few.peak_mb:,.0f} MB",
            f"{many.peak_mb:,.0f} MB ({many.peak_mb - few.peak_mb:+.1f} MB)", f"{many.peak_mb / few.peak_mb:.2f}x", "-", many.peak_mb, None,
        ),
    ]  # fmt: skip


def _looks(bench: Bench, repositories: int, pulls: int, rounds: int) -> _Looks:
    looks = _Looks(repositories, [], [], [])
    with bench.scratch() as scratch, forge.serving("many", scratch, repositories, pulls) as running:
        where = (scratch, running.url, running.secret, repositories)
        filled = measured("github_tick:first_looks", *where)
        assert filled.facts["changes"] == repositories * pulls, filled.facts
        for _ in range(rounds):
            begin = running.asked()
            looks.each.append(measured("github_tick:a_request_for_each", *where))
            between = running.asked()
            looks.quiet.append(measured("github_tick:quiet_looks", *where))
            end = running.asked()
            assert between.since(begin).requests == repositories * TIMES, between
            assert end.wrong == 0, end
            looks.requests.append(end.since(between).requests // TIMES)
    seen = {"repositories": repositories, "pulls": repositories * pulls, "changes": 0}
    assert all(seen.items() <= run.facts.items() for run in looks.quiet), looks.quiet
    return looks


def github_publish(bench: Bench) -> list[Row]:
    findings = bench.size(60, 6)
    runs: dict[int, list[Measured]] = {1: [], findings: []}
    writes: list[int] = []
    for _ in bench.rounds(3):
        for number, measurements in runs.items():
            with bench.scratch() as scratch, forge.serving("change", scratch, number) as running:
                measurements.append(measured("github_publish:published", scratch, running.url, running.secret, number))
                asked = running.asked()
                assert asked.wrong == 0, asked
                if number == findings:
                    writes.append(asked.writes)
    inline = {run.facts["inline"] for run in runs[findings]}
    assert inline == {min(findings, MOST_INLINE)}, inline
    one, all_of_them = (median(run.facts["cpu_us"] for run in measurements) / 1e6 for measurements in runs.values())
    peak = max(run.peak_mb for run in runs[findings])
    return [
        Row(
            f"github_publish: {findings} findings", f"a comment for each: {findings} writes", f"{max(writes)} writes",
            f"{max(writes) / findings:.2f}x", f"<= {PUBLISH_WRITES}", peak, max(writes) <= PUBLISH_WRITES,
        ),
        Row(
            f"github_publish: CPU with {findings} findings", f"one finding: {one:.2f} s", f"{all_of_them:.2f} s", f"{all_of_them / one:.2f}x", "-",
            peak, None,
        ),
    ]  # fmt: skip


BENCHMARKS: dict[str, Callable[[Bench], list[Row]]] = {
    function.__name__: function
    for function in (
        results_to_findings,
        plan_and_send,
        incremental,
        quiet_tick,
        reconcile,
        ledger_during_ingest,
        definitions_load,
        review_tokens,
        review_overhead,
        github_tick,
        github_publish,
    )
}
