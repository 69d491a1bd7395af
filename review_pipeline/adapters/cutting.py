"""Looks for the places where a file may be cut in a process of its own: parsers are native code, and files are hostile.

Of made-up files, some made grammars crash, some took minutes, and some gigabytes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from review_pipeline.core.boundaries import GRAMMARS, boundaries, boundaries_of_layout

# Real files of 400 kB take a fifth of a second and 100 MB.
_CPU_SECONDS = 5
_MEMORY_BYTES = 1_500_000_000
_LIMIT_SECONDS = 30.0
_ROOT = Path(__file__).parents[2]
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE")  # no key: a parser that is taken over finds none


def cut_costs(language: str, lines: Sequence[str]) -> tuple[int, ...]:
    """As boundaries(); by indents and blank lines alone where its process came to no end within its limits."""
    if language not in GRAMMARS:
        return boundaries(language, lines)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", __name__],
            input=orjson.dumps([language, list(lines)]),
            cwd=_ROOT,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            capture_output=True,
            timeout=_LIMIT_SECONDS,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return boundaries_of_layout(lines)
    return tuple(orjson.loads(ended.stdout))


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    language, lines = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(boundaries(language, lines)))


if __name__ == "__main__":
    _main()
