"""The outcomes of all steps, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Outcome of a step. `failure` is empty if it passed."""

    column: str
    row: str
    failure: str
    seconds: float


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table of steps by clients: `ok` with seconds, `FAIL`, or `-` if not offered."""
    columns = list(dict.fromkeys(one.column for one in outcomes))
    rows = list(dict.fromkeys(one.row for one in outcomes))
    held = {(one.column, one.row): one for one in outcomes}
    cells = [["", *columns]] + [
        [row, *(_cell(held.get((column, row))) for column in columns)] for row in rows
    ]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return "FAIL" if outcome.failure else f"ok {outcome.seconds:.1f} s"


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{one.column}: {one.row}: {one.failure}" for one in outcomes if one.failure]
