"""Runs one function in a process of its own, so that its time and its peak memory are nobody else's."""

from __future__ import annotations

import importlib
import json
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Timed:
    """What a measured function answers: the seconds that it took itself, and what a check may want to know."""

    seconds: float
    facts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    facts: dict[str, int]
    peak_mb: float


def measured(function: str, *arguments: str | int) -> Measured:
    """function: 'module:name' below benchmarks, with the arguments that it takes; it answers a Timed."""
    command = (sys.executable, "-m", "benchmarks.child", function, json.dumps(arguments))
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError(f"{function}{arguments} failed; its words are above")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def peak_mb() -> float:
    """Not ru_maxrss on Linux: it starts with what the parent had at the fork."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(found[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    timed = getattr(importlib.import_module(f"benchmarks.{module}"), name)(*json.loads(sys.argv[2]))
    print(json.dumps({"seconds": timed.seconds, "facts": timed.facts, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
