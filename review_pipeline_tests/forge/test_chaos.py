"""Two hundred faults and kills at random: each head that was reviewed has exactly one review in the end, and nothing is said twice."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from review_pipeline.core.marker import marks
from review_pipeline.ports import InDoubt, Unavailable
from review_pipeline.wiring_forge import ForgeWiring
from review_pipeline_tests.forge.office import Office, fault
from review_pipeline_tests.forge.server import Forge

PULLS, ENOUGH = 12, 200
KILLS = 0.06


def killing(wiring: ForgeWiring, chance: random.Random, killed: list[str]) -> ForgeWiring:
    client = wiring.forge.client
    once = client._once

    def dies(method: str, url: str, *rest: Any) -> Any:
        if chance.random() < KILLS:
            killed.append(f"before {method} {url}")
            raise KeyboardInterrupt
        answer = once(method, url, *rest)
        if chance.random() < KILLS:
            killed.append(f"after {method} {url}")
            raise KeyboardInterrupt
        return answer

    client.__dict__["_once"] = dies
    return wiring


def told_in_spite_of(office: Office, number: int, chance: random.Random, killed: list[str]) -> None:
    for attempt in range(60):
        calm = attempt >= 50
        office.forge.fault_rate = 0.0 if calm else 0.15
        wiring = office.process() if calm else killing(office.process(), chance, killed)
        try:
            row = office.review(number, wiring=wiring)
            if office.publish(row, wiring).state == "posted":
                return
        except (KeyboardInterrupt, Unavailable, InDoubt):
            continue
    raise AssertionError(f"#{number} is not told after 60 processes")


@pytest.mark.timeout(280)
@pytest.mark.parametrize("seed", [1, 2])
def test_each_reviewed_head_has_exactly_one_review_whatever_breaks(office: Office, forge: Forge, seed: int) -> None:
    chance, killed = random.Random(seed), []
    forge.chance = random.Random(seed + 100)
    heads: dict[int, list[str]] = {}
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n"})
    office.pull().state = "closed"
    assert office.repository.bare is not None
    base = office.repository.bare.tip("refs/heads/main")
    for number in range(2, PULLS + 2):
        branch = f"feature-{number}"
        office.push({"a.py": fault("First") + fault("Second"), "b.py": fault("Third")}, branch, onto=base)
        pull = forge.world.open_pull("acme/api", branch)
        heads[number] = [pull.head]
        told_in_spite_of(office, number, chance, killed)
        talked = office.thread("Third", number)
        forge.world.reply(pull, talked, "dev", "Let us see.")
        office.push({"a.py": fault("Second") + "more = 1\n", "b.py": "fine = 1\n", "c.py": fault("Fourth")}, branch)
        heads[number].append(pull.head)
        told_in_spite_of(office, number, chance, killed)
        assert office.thread("First", number).is_resolved
        assert not office.thread("Second", number).is_resolved
        assert not talked.is_resolved
    forge.chance, forge.fault_rate = None, 0.0
    for number, expected in heads.items():
        pull = office.pull(number)
        assert [(review.commit, review.state) for review in pull.reviews] == [(head, "COMMENTED") for head in expected]
        said = [mark for review in pull.reviews for mark in marks(review.body)]
        said += [
            mark for t in pull.threads() for c in t.comments if c.author.login == "reviewer" for mark in marks(c.body)
        ]  # type: ignore[union-attr]
        assert [mark for mark, times in Counter(said).items() if times > 1] == []
        assert len(office.threads(number)) == 4
    faults = sum(bool(entry.fault) for entry in forge.journal)
    print(f"{faults} faults, {len(killed)} kills")
    assert faults + len(killed) >= ENOUGH / 2  # of each of two seeds
