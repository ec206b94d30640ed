"""Differences between two servers, and the table of them in docs/differences.md."""

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
    """One value that differs. `where` is its place, such as `headers/Warning`."""

    exchange: str
    where: str
    embedded: Any
    real: Any

    def __str__(self) -> str:
        values = f"embedded {_short(self.embedded)}, real {_short(self.real)}"
        return f"{self.exchange} · {self.where}: {values}"


@dataclass(frozen=True)
class Row:
    """A row of the table: patterns (`*`, `?`) of exchanges and places, and the reason."""

    exchange: str
    where: str
    reason: str

    def matches(self, difference: Difference) -> bool:
        return fnmatchcase(difference.exchange, self.exchange) and fnmatchcase(
            difference.where, self.where
        )

    def __str__(self) -> str:
        return f"| `{self.exchange}` | `{self.where}` | {self.reason} |"


@dataclass(frozen=True)
class Verdict:
    """`unlisted` differences are in no row; `obsolete` rows match no difference."""

    listed: list[Difference]
    unlisted: list[Difference]
    obsolete: list[Row]


def compare(embedded: Exchanges, real: Exchanges) -> list[Difference]:
    """Yield the differences in the order of the exchanges.

    If the outcome differs, the body is not compared.
    """
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
    """Return `200`, or `422 Invalid` for an error."""
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
    """Return the rows of the table: lines that start with two columns in backticks."""
    return [
        Row(**found.groupdict())
        for line in text.splitlines()
        if (found := _ROW.match(line.strip()))
    ]


def judge(differences: Sequence[Difference], rows: Sequence[Row]) -> Verdict:
    listed = [
        difference for difference in differences if any(row.matches(difference) for row in rows)
    ]
    unlisted = [
        difference for difference in differences if not any(row.matches(difference) for row in rows)
    ]
    obsolete = [
        row for row in rows if not any(row.matches(difference) for difference in differences)
    ]
    return Verdict(listed, unlisted, obsolete)


def _short(value: Any) -> str:
    text = value if value is NOTHING else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 110 else f"{text[:100]}… ({len(text)})"
