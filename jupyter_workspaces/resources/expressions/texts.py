"""What can be said of a rule by its text alone, without the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .functions import UNKNOWN

_LITERAL = re.compile(r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")""", re.DOTALL)
_OLD = re.compile(r"\boldSelf\b")
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap|transformMapEntry)\s*\(")
_GROWS = re.compile(r"\+|\b(?:join|replace|format)\s*\(")
_PATTERN = re.compile(rf"\bmatches\s*\(\s*({_LITERAL.pattern})\s*\)", re.DOTALL)
_STEP = re.compile(r"\.([a-zA-Z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\]")


class Shape(NamedTuple):
    """How dear a rule can become: macros within macros, macros, and what makes values longer."""

    depth: int
    macros: int
    growth: int


def without_literals(rule: str) -> str:
    return _LITERAL.sub("''", rule)


@lru_cache(maxsize=1024)
def uses_old(rule: str) -> bool:
    """Whether it is a transition rule: one that speaks of the value before."""
    return bool(_OLD.search(without_literals(rule)))


def is_beyond(rule: str) -> bool:
    """Whether it uses what Kubernetes has and the library has not."""
    return bool(UNKNOWN.search(without_literals(rule)))


def patterns(rule: str) -> Iterator[str]:
    """The regular expressions that stand in it as literals, as they are written."""
    return (found[1] for found in _PATTERN.finditer(rule))


@lru_cache(maxsize=1024)
def shape(rule: str) -> Shape:
    plain = without_literals(rule)
    starts = {found.end() - 1 for found in _MACRO.finditer(plain)}
    held: list[bool] = []
    depth = 0
    for place, letter in enumerate(plain):
        if letter == "(":
            held.append(place in starts)
            depth = max(depth, sum(held))
        elif letter == ")" and held:
            held.pop()
    return Shape(depth, len(starts), len(_GROWS.findall(plain)))


def steps(path: str) -> list[tuple[str, bool]] | None:
    """Of a `fieldPath`: names, and whether each is a key (`['a.b']`) and no field (`.a`). None for what is no path."""
    found, place = [], 0
    for step in _STEP.finditer(path):
        if step.start() != place:
            return None
        place = step.end()
        found.append((step[1], False) if step[1] is not None else (step[2].replace("\\'", "'"), True))
    return found if place == len(path) else None
