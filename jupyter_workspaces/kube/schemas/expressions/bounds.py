"""Limits of one evaluation: the library only limits iterations, not the size of results.

A real API server estimates the cost of a rule and refuses one that exceeds its budget (Kubernetes
docs, "Resource use by validation functions"). Here, functions whose result may be larger than their
arguments, and regular expressions, are replaced by our own, which check a budget first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_workspaces.common import patterns

MADE = 8 * 2**20
"""Letters of all results of functions in one evaluation."""

PARTS = 1000
"""Items of a list that `split`, `findAll` or `getQuery` returns."""

_left = {"made": patterns.Budget(MADE), "work": patterns.Budget()}


def start() -> None:
    """Begin an evaluation with full budgets."""
    _left.update(made=patterns.Budget(MADE), work=patterns.Budget())


def check(name: str, arguments: Sequence[Any]) -> None:
    """Check the result of a function of the library's extension `strings` before it is called.

    Raises `ValueError` if it would exceed a budget.
    """
    size = sum(_size(one) for one in arguments)
    if name == "replace":
        text, old, new, *most = arguments
        count = text.count(old) if old else len(text) + 1
        if most and most[0] >= 0:
            count = min(count, most[0])
        size += count * len(new)
    elif name == "join":
        size += len(arguments[0]) * len(arguments[1] if len(arguments) > 1 else "")
    elif name == "split":
        text, separator, *most = arguments
        count = text.count(separator) + 1 if separator else len(text)
        parts(min(count, most[0]) if most and most[0] >= 0 else count)
    _spend("made", size, f"{name} makes a text that is too long")


def parts(count: int) -> None:
    """Raise `ValueError` for a list of more than `PARTS` items."""
    if count > PARTS:
        raise ValueError(f"a text is cut into more than {PARTS} parts")


def match(pattern: str, text: str) -> None:
    """Check a match before the library does it.

    Raises `ValueError` for a pattern that is invalid, or would take too long.
    """
    _spend(
        "work",
        patterns.size(pattern) * (len(text.encode("utf-8", "replace")) + 1),
        "a regular expression takes too long",
    )


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text. Raises `ValueError`."""
    work = _left["work"]
    try:
        return patterns.matches(pattern, text, work)
    except patterns.TooMuchWork as error:
        raise ValueError("a regular expression takes too long") from error


def _spend(budget: str, amount: int, why: str) -> None:
    try:
        _left[budget].spend(amount)
    except patterns.TooMuchWork as error:
        raise ValueError(f"call cost exceeds limit: {why}") from error


def _size(value: Any) -> int:
    """Return about how many letters a value has."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(key) + _size(held) for key, held in value.items())
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else 8
