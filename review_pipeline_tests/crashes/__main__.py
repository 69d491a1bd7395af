"""Whole audits, each killed before random steps and gone on with: `python -m review_pipeline_tests.crashes [--kills 200] [--seed 1]`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from review_pipeline_tests.crashes.killable import trips
from review_pipeline_tests.crashes.place import DAY, Place, made_repository
from review_pipeline_tests.crashes.test_kill import KINDS, NEVER, served


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m review_pipeline_tests.crashes")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    order, counts = random.Random(wish.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as scratch, trips() as run:
        repository = made_repository(_new(Path(scratch) / "acme"))
        while counts["kills"] < wish.kills:
            kind = KINDS[counts["audits"] % len(KINDS)]
            with served(kind) as api:
                place = Place(Path(scratch) / str(counts["audits"]), repository, api, kind.rules)
                while order.random() < 0.85:
                    counts["kills"] += run(place.environment, DAY, order.randint(1, 60), kind.hours_late)["killed"]
                run(place.environment, DAY, NEVER, kind.hours_late)
                counts["audits"] += 1
                counts["batches"] += len(place.creations())
                counts["paid twice"] += tuple(place.creations()) != kind.creations
                counts["asked again"] += place.asked() - kind.asked
                counts["not reviewed"] += 3 - len(place.reviewed())
            print(f"\r{counts['kills']} of {wish.kills} kills, {counts['audits']} audits", end="", file=sys.stderr)
    print("\n" + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if counts["paid twice"] or counts["not reviewed"] else 0


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
