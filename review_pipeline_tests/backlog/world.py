"""A repository with open branches, and nights in which they are reviewed through the offline API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from review_pipeline.core.audit import Cell, State
from review_pipeline.core.backlog import BacklogPull
from review_pipeline.core.cost import Usage, batch_cost_usd, sync_cost_usd
from review_pipeline.core.review_record import FindingRow, ReviewRow
from review_pipeline.simulator.store import Billed
from review_pipeline.wiring_backlog import BacklogWiring, conclude
from review_pipeline_tests.audit.world import World, git

FAULTY = """\
def {name}(path, seen=[]):
    try:
        return eval(open(path).read())
    except:
        pass
"""


class Nights(World):
    """Branches of `acme` are its pull requests, into main."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        git(self.repository, "symbolic-ref", "HEAD", "refs/heads/main")
        self.commit({"base.py": "value = 1\n", "CLAUDE.md": "# Ours\n"})
        self._before = (0, Decimal(0))
        self._before = (self.paid(), self.bill())

    def configure(self, **sections: Any) -> None:
        repositories = [{"name": "acme", "path": "acme", "pull_requests": {"base": "main"}}]
        super().configure(**{"repositories": repositories, **sections})

    def branch(self, name: str, files: Mapping[str, str | None], onto: str = "main") -> str:
        git(self.repository, "checkout", "-q", "-B", name, onto)
        head = self.commit(files)
        git(self.repository, "checkout", "-q", "main")
        return head

    def push(self, name: str, files: Mapping[str, str | None]) -> str:
        return self.branch(name, files, onto=name)

    def cell(self, day: int = 0, audit: str = "backlog-acme") -> Cell:
        return super().cell(day, audit)

    @property
    def wiring(self) -> BacklogWiring:
        self.restart()
        return BacklogWiring(self.pipeline, self.pipeline.settings.repository("acme"))

    def ask(self, day: int = 0) -> None:
        self.wiring.plan(self.cell(day))
        self.sender.send_due(self.cell(day))

    def night(self, day: int = 0) -> dict[str, BacklogPull]:
        """Planned, answered and ended."""
        self.ask(day)
        self.finish()
        return self.pulls(day)

    def step(self) -> bool:
        work = self.look()
        for cell in work.to_submit:
            self.sender.send_due(cell)
        for cell in work.to_collect:
            self.collector.collect_cell(cell)
            self.resubmit(cell)
            self.sender.send_due(cell)
            conclude(self.pipeline, cell)
        is_open = any(one.state is not State.COLLECTED for one in self.ledger.submissions())
        return is_open or bool(self.ledger.unsettled_cells())

    def pulls(self, day: int = 0) -> dict[str, BacklogPull]:
        return {pull.number: pull for pull in self.ledger.backlog(self.cell(day))}

    def states(self, day: int = 0) -> dict[str, tuple[str, str]]:
        return {number: (pull.state.value, pull.note) for number, pull in self.pulls(day).items()}

    def review_now(self, branch: str) -> ReviewRow:
        """As a person asks for it: at once, by the real binary."""
        self.restart()
        review = self.pipeline.review(self.pipeline.settings.repository("acme"), "main")
        return review.run(review.planner.target("acme", "main", branch))

    def row(self, branch: str) -> ReviewRow:
        """Of its newest review."""
        return self.ledger.reviews("acme", branch)[0]

    def told(self, branch: str, status: str = "open") -> list[FindingRow]:
        return [row for row in self.ledger.finding_rows("acme", branch) if row.status == status]

    def paid(self) -> int:
        """Answers that somebody pays for."""
        return len(self.api.billed()) - self._before[0]

    def bill(self) -> Decimal:
        """By the server's own usage and the price list alone."""
        return sum((self._price(one) for one in self.api.billed()), -self._before[1])

    def _price(self, one: Billed) -> Decimal:
        written, usage = one.usage["cache_creation"], one.usage
        tokens = Usage(
            usage["input_tokens"], usage["output_tokens"], usage["cache_read_input_tokens"], written["ephemeral_5m_input_tokens"],
            written["ephemeral_1h_input_tokens"],
        )  # fmt: skip
        day = datetime.fromtimestamp(one.at, UTC).date()
        price = self.pipeline.prices.price(one.model, day, tokens.prompt_tokens)
        return batch_cost_usd(tokens, price) if one.is_batch else sync_cost_usd(tokens, price)


def identities(rows: list[FindingRow]) -> list[tuple[Any, ...]]:
    """What of a finding must not depend on how it was asked for."""
    return sorted(
        (row.finding, row.where, row.category, row.severity, row.confidence, row.issue, row.evidence, row.anchor, row.route, row.delivery)
        for row in rows
    )  # fmt: skip
