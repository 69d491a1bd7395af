"""All checks, the same for people, hooks and CI: format, lint, types, layers, tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy", "--strict"),
    ("lint-imports",),
)
# One process for each core; more than eight only wait for each other's disk.
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "8", "--dist", "worksteal")


def main() -> int:
    failed = [check for check in CHECKS if _fails(str(BIN / check[0]), *check[1:])]
    arguments = [argument for argument in sys.argv[1:] if argument != "--lint-only"]
    if "--lint-only" not in sys.argv and _fails(sys.executable, "-m", "pytest", *SIDE_BY_SIDE, *arguments):
        failed.append(("pytest",))
    for check in failed:
        print(f"FAILED: {' '.join(check)}", file=sys.stderr)
    return 1 if failed else 0


def _fails(*command: str) -> bool:
    print(f"$ {Path(command[0]).name} {' '.join(command[1:])}", flush=True)
    return subprocess.run(command, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
