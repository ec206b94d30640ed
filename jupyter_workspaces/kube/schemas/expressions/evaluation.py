"""Evaluates rules of CRDs within limits of time, because they run on the event loop.

The library stops a rule after 10,000 iterations. A rule is not started if its loops and texts could
make it slow, and an object whose rules take longer than `SECONDS` together is refused, as a real
API server refuses rules that exceed its cost budget.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from . import bounds
from .environments import (
    OLD,
    OLD_GIVEN,
    OLD_VALUE,
    EvaluationError,
    evaluate,
    runner,
)
from .texts import (
    is_beyond,
    rewritten,
    runnable,
    shape,
)
from .values import Schema, to_cel

if TYPE_CHECKING:
    from cel_expr_python import cel

SECONDS = 2.0
COST = 2 * 10**9
MEMORY = 64 * 2**20
_ITEM_BYTES = 33  # measured: memory of an item of a list that a macro or `+` copies
_CUTS = ("split", "findAll", "getQuery")
_ITERATIONS = 10_000
_MESSAGE_LENGTH = 5 * 1024
_TOO_DEAR = "no further validation rules will be run due to call cost exceeds limit for rule: {}"


@dataclass
class RuleEvaluator:
    """Evaluates the rules of one object; they must be done at `deadline`."""

    deadline: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def failure(
        self, rule: Mapping[str, Any], schema: Schema, value: Any, old: Any, *, root: bool
    ) -> str | None:
        """Return the message for a broken rule, else None. Raises `EvaluationError`."""
        text, optional = rule["rule"], bool(rule.get("optionalOldSelf"))
        program = _program(text, optional)
        if program is None:
            return None
        if time.monotonic() > self.deadline or _is_too_dear(text, value, old):
            raise EvaluationError(_TOO_DEAR.format(text))
        data = {
            "self": to_cel(schema, value, root=root),
            OLD: None,
            OLD_VALUE: None,
            OLD_GIVEN: old is not None,
        }
        if old is not None:
            data[OLD_VALUE if optional else OLD] = to_cel(schema, old, root=root)
        if evaluate(program, data) is True:
            return None
        return (
            self._message(rule, data, optional)
            or (rule.get("message") or "").strip()
            or f"failed rule: {text.strip()}"
        )

    def _message(
        self, rule: Mapping[str, Any], data: Mapping[str, Any], optional: bool
    ) -> str | None:
        """Return the text of the rule's `messageExpression`, None if it is not one line."""
        program = (
            _program(rule["messageExpression"], optional) if rule.get("messageExpression") else None
        )
        if program is None:
            return None
        try:
            made = evaluate(program, data)
        except EvaluationError:
            return None
        fits = isinstance(made, str) and len(made) <= _MESSAGE_LENGTH and "\n" not in made
        return made.strip() if fits else None


def can_run(text: str) -> bool:
    """Return whether the library can evaluate a rule, if it is valid."""
    return _program(text, False) is not None


@lru_cache(maxsize=1024)
def _program(text: str, optional: bool) -> cel.Expression | None:
    """Return the compiled rule, None if the library cannot evaluate it.

    Such rules are not evaluated, and a warning says so when the CRD is written.
    """
    if is_beyond(text):
        return None
    text = runnable(rewritten(text))
    wrapped = (
        f"cel.bind({OLD}, {OLD_GIVEN} ? optional.of({OLD_VALUE}) : optional.none(), {text}\n)"
        if optional
        else text
    )
    try:
        return runner().compile(wrapped)
    except RuntimeError:
        return None


def _is_too_dear(text: str, value: Any, old: Any) -> bool:
    """Return whether a rule may be too slow or need too much memory, by upper bounds in bytes."""
    depth, macros, growth, lists, joins = shape(text)
    extent = _extent(value, old, text)
    iterations = max(min(float(extent.items) ** min(depth, 8), _ITERATIONS), 1)
    looked_at = (
        iterations
        * (1000 + extent.bytes)
        * max(1.0, len(text) / 100)
        * float(growth + 1) ** min(macros, 64)
    )
    # The library copies the list for each item that a macro appends.
    kept = _ITEM_BYTES * extent.items * iterations / 2 if lists and macros else 0.0
    kept += iterations * joins * (joins + 1) * _ITEM_BYTES * extent.items
    kept += iterations * growth * (growth + 1) / 2 * (extent.longest + len(text))
    return looked_at > COST or kept > MEMORY


class _Extent(NamedTuple):
    """Items of the largest collection, bytes of all values, letters of the longest text."""

    items: int
    bytes: int
    longest: int


def _extent(value: Any, old: Any, text: str) -> _Extent:
    """Return the size of the values. A list in the text of the rule counts, too."""
    most, longest, waiting = text.count(",") + 1, 0, [value, old]
    while waiting:
        held = waiting.pop()
        if isinstance(held, (dict, list)):
            most = max(most, len(held))
            waiting += held.values() if isinstance(held, dict) else held
        elif isinstance(held, str):
            longest = max(longest, len(held))
    if any(name in text for name in _CUTS):
        most = max(most, bounds.PARTS)
    return _Extent(most, len(msgspec.json.encode((value, old))), longest)
