"""What can be said of a rule by its text alone, without the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .formats import FORMATS
from .functions import UNKNOWN

_LITERAL = re.compile(r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")""", re.DOTALL)
_OLD = re.compile(r"\boldSelf\b")
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap|transformMapEntry)\s*\(")
_GROWS = re.compile(r"\+|\b(?:join|replace|format)\s*\(")
_PATTERN = re.compile(rf"\bmatches\s*\(\s*({_LITERAL.pattern})\s*\)", re.DOTALL)
_VALIDATE = re.compile(r"\bformat\.(?:named\(\s*['\"](\w+)['\"]\s*\)\.value\(\)|(\w+)\(\))\.validate\(")
_NAMED = re.compile(r"\bformat\.named\(\s*['\"](\w+)['\"]\s*\)\.hasValue\(\)")
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
    return bool(UNKNOWN.search(without_literals(rewritten(rule))))


@lru_cache(maxsize=1024)
def rewritten(rule: str) -> str:
    """With `format.NAME().validate(TEXT)`, which returns an optional list, as a call that returns a list within one that makes it optional."""
    place = 0
    while found := _VALIDATE.search(rule, place):
        name, end = found[1] or found[2], _closing(rule, found.end())
        place = found.end()
        if name in FORMATS and end is not None:
            call = f"optional.ofNonZeroValue(format.validate('{name}', "
            place = found.start() + len(call)
            rule = f"{rule[: found.start()]}{call}{rule[found.end() : end]})){rule[end + 1 :]}"
    return _NAMED.sub(lambda found: "true" if found[1] in FORMATS else "false", rule)


def _closing(rule: str, start: int) -> int | None:
    """Where the parenthesis is closed after which `start` stands."""
    plain = _LITERAL.sub(lambda found: "_" * len(found[0]), rule)
    depth = 1
    for place in range(start, len(plain)):
        depth += {"(": 1, ")": -1}.get(plain[place], 0)
        if not depth:
            return place
    return None


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
