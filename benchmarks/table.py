"""One row for each thing measured: what, against what, the ratio, its limit, memory, and the word."""

from __future__ import annotations

from dataclasses import dataclass

_HEAD = ("benchmark", "baseline", "ours", "ratio", "limit", "peak RSS", "")


@dataclass(frozen=True, slots=True)
class Row:
    """passed: None where there is no limit, only information."""

    what: str
    baseline: str
    ours: str
    ratio: str
    limit: str
    peak_mb: float | None
    passed: bool | None

    def cells(self) -> tuple[str, ...]:
        word = {True: "pass", False: "FAIL", None: "-"}[self.passed]
        memory = f"{self.peak_mb:,.0f} MB" if self.peak_mb is not None else "-"
        return (self.what, self.baseline, self.ours, self.ratio, self.limit, memory, word)


def rendered(rows: list[Row]) -> str:
    table = [_HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
    )
