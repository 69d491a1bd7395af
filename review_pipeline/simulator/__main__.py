"""Command line of the offline API: python -m review_pipeline.simulator."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from review_pipeline.simulator.rules import EFFECTS_ON, READY_MADE_ERRORS, IllegalRule, Rule, rule_from_json
from review_pipeline.simulator.server import Simulator
from review_pipeline.simulator.service import Options

_DESCRIPTION = """\
A local server that speaks the wire protocol of Anthropic's API: Messages (JSON and SSE), token counting, models and
Message Batches with all their states, limits and faults. It calls no model and needs no key: answers come from static
analysis (ruff, and a table of patterns for other languages) of the code that it finds in the prompt.
"""

_EXAMPLES = f"""\
with curl:
  python -m review_pipeline.simulator --port 8765 --state var/offline &
  curl http://127.0.0.1:8765/v1/messages -H 'x-api-key: made-up' -H 'anthropic-version: 2026-10-21' \\
    -d '{{"model": "claude-haiku-5-5", "max_tokens": 1000,
         "messages": [{{"role": "user", "content": "```python\\ntry:\\n    go()\\nexcept:\\n    pass\\n```"}}]}}'

with the anthropic SDK:
  client = anthropic.Anthropic(base_url="http://127.0.0.1:8765", api_key="made-up")
  batch = client.messages.batches.create(requests=[{{"custom_id": "one", "params": {{...}}}}])

with the claude CLI:
  ANTHROPIC_BASE_URL=http://127.0.0.1:8765 ANTHROPIC_API_KEY=made-up claude -p 'Review this: ...'

move its clock (a batch expires after 24 hours, results are kept for 29 days):
  curl http://127.0.0.1:8765/_simulator/clock -d '{{"advance_seconds": 90000}}'

make things go wrong (a rule is an object; a list of them is a --scripts file):
  curl http://127.0.0.1:8765/_simulator/scripts -d '[{{"effect": "refusal", "custom_id": "^audit-7", "times": 1}}]'
  fields:  effect, on, via (batch | messages), custom_id (regex), contains (text), every (nth), times,
           calls and seconds (only the first ones after a batch was created), error, stop_reason, text, category,
           rows, retry_after
  errors:  {", ".join(READY_MADE_ERRORS)},
           or {{"type": ..., "message": ..., "details": {{...}}}}
  effects: {(chr(10) + "           ").join(f"on {on}: {', '.join(sorted(e))}" for on, e in EFFECTS_ON.items())}

see every call it got:
  curl http://127.0.0.1:8765/_simulator/journal
"""


def main(arguments: list[str] | None = None) -> int:
    wish = _parser().parse_args(arguments)
    try:
        rules = _rules_from(wish.scripts) if wish.scripts else ()
    except (OSError, ValueError, TypeError) as error:
        print(f"--scripts {wish.scripts}: {error}", file=sys.stderr)
        return 2
    options = Options(
        batch_seconds=wish.batch_seconds,
        cancel_seconds=wish.cancel_seconds,
        latency_seconds=wish.latency_ms / 1000,
        seed=wish.seed,
    )
    try:
        simulator = Simulator(wish.state, host=wish.host, port=wish.port, rules=rules, options=options)
    except OSError as error:
        print(f"Cannot listen on {wish.host}:{wish.port}: {error.strerror}. Try --port 0.", file=sys.stderr)
        return 1
    if wish.exit_with_parent is not None:
        _leave_with(wish.exit_with_parent or os.getppid(), simulator)
    if wish.port_file:
        _write_whole(wish.port_file, f"{simulator.port}\n")
    # The server stops on its own when it is asked to, and then repeats the signal: what is left is to clean up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(simulator.base_url, flush=True)
    try:
        simulator.run()
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m review_pipeline.simulator",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    add("--state", type=Path, metavar="DIR", help="keep everything here over restarts; default: forget at exit")
    add("--batch-seconds", type=float, default=2.0, help="a batch takes at least this long (default %(default)s)")
    add("--cancel-seconds", type=float, default=0.0, help="how long a batch stays canceling (default %(default)s)")
    add("--latency-ms", type=float, default=0.0, help="delay of each answer of /v1/messages (default %(default)s)")
    add("--scripts", type=Path, metavar="FILE", help="JSON list of rules, added to those in the state")
    add("--seed", type=int, default=0, help="decides the order of result lines (default %(default)s)")
    add("--port-file", type=Path, metavar="FILE", help="write the port here when ready")
    add(
        "--exit-with-parent",
        nargs="?",
        type=int,
        const=0,
        metavar="PID",
        help="leave when the process that started this one ends, even by kill -9",
    )
    return parser


def _rules_from(path: Path) -> tuple[Rule, ...]:
    rules = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rules, list):
        raise IllegalRule("the file should hold a JSON list of rules")
    return tuple(rule_from_json(rule) for rule in rules)


def _leave_with(parent: int, simulator: Simulator) -> None:
    """A killed parent cannot say goodbye; its children then belong to another process, which can be seen."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        simulator.stop()
        # A request that never ends must not keep an orphan alive.
        time.sleep(5)
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(path.name + f".{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
