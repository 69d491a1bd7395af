"""Runs the benchmarks, each in processes of its own, and prints one table: `python -m benchmarks [--small] [--only NAME]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import BENCHMARKS, Bench
from benchmarks.table import Row, rendered


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a smoke run: its ratios mean nothing")
    parser.add_argument("--only", metavar="NAME", choices=sorted(BENCHMARKS), help=", ".join(BENCHMARKS))
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name, benchmark in BENCHMARKS.items():
        if arguments.only in (None, name):
            started = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
                rows += benchmark(Bench(Path(folder), arguments.small))
            print(f"{name}: measured in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if arguments.small:  # mostly start-up: only its assertions count
        rows = [replace(row, passed=None) for row in rows]
    print(rendered(rows))
    return 0 if all(row.passed is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
