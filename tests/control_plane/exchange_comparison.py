"""Differences between two servers, checked against the table in docs/differences.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

TABLE_FILE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
NOTHING = "(nothing)"
_ROW = re.compile(
    r"^\|\s*`(?P<exchange>[^`]+)`\s*\|\s*`(?P<where>[^`]+)`\s*\|\s*(?P<reason>.+?)\s*\|$"
)

Exchanges = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """One value of one exchange; `where` is its place: `outcome`, `headers/Warning`, `body/metadata/labels`."""

    exchange: str
    where: str
    embedded: Any
    real: Any

    def __str__(self) -> str:
        return f"{self.exchange} · {self.where}: embedded {_short(self.embedded)}, real {_short(self.real)}"


@dataclass(frozen=True)
class Row:
    """A line of the table: patterns (`*`, `?`) of exchanges and places, and why it is so."""

    exchange: str
    where: str
    reason: str

    def tells(self, difference: Difference) -> bool:
        return fnmatchcase(difference.exchange, self.exchange) and fnmatchcase(
            difference.where, self.where
        )

    def __str__(self) -> str:
        return f"| `{self.exchange}` | `{self.where}` | {self.reason} |"


@dataclass(frozen=True)
class Verdict:
    """`untold` differences stand in no row; `untrue` rows tell of no difference."""

    told: list[Difference]
    untold: list[Difference]
    untrue: list[Row]


def compare(embedded: Exchanges, real: Exchanges) -> list[Difference]:
    """In the order of the exchanges. Where already the outcome differs, that is the difference, and its body is not told."""
    names = [*real, *(name for name in embedded if name not in real)]
    found: list[Difference] = []
    for name in names:
        mine, theirs = embedded.get(name, NOTHING), real.get(name, NOTHING)
        outcomes = _outcome(mine), _outcome(theirs)
        if outcomes[0] != outcomes[1]:
            found.append(Difference(name, "outcome", *outcomes))
        else:
            found += [
                Difference(name, where, one, other)
                for where, one, other in _differ(mine, theirs, "")
            ]
    return found


def _outcome(exchange: Any) -> str:
    """`200`, or `422 Invalid` of a refusal."""
    if not isinstance(exchange, dict):
        return "not asked"
    body = exchange.get("body")
    reason = body.get("reason") if isinstance(body, dict) and body.get("kind") == "Status" else None
    return " ".join(str(part) for part in (exchange.get("status", "noted"), reason) if part)


def _differ(mine: Any, theirs: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in [*theirs, *(key for key in mine if key not in theirs)]:
            path = f"{where}/{key}" if where else key
            yield from _differ(mine.get(key, NOTHING), theirs.get(key, NOTHING), path)
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            yield from _differ(one, other, f"{where}/{number}")
    elif mine != theirs or type(mine) is not type(theirs):
        yield where, mine, theirs


def read_table(text: str) -> list[Row]:
    """The rows of the table: lines that begin with two columns in backticks."""
    return [
        Row(**found.groupdict())
        for line in text.splitlines()
        if (found := _ROW.match(line.strip()))
    ]


def judge(differences: Sequence[Difference], rows: Sequence[Row]) -> Verdict:
    told = [difference for difference in differences if any(row.tells(difference) for row in rows)]
    untold = [
        difference for difference in differences if not any(row.tells(difference) for row in rows)
    ]
    untrue = [row for row in rows if not any(row.tells(difference) for difference in differences)]
    return Verdict(told, untold, untrue)


def _short(value: Any) -> str:
    text = value if value is NOTHING else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 110 else f"{text[:100]}… ({len(text)})"
