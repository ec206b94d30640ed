"""Examines and rewrites the text of CEL rules without parsing it, and without the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .formats import FORMATS
from .functions import MATCHES, UNKNOWN

# A literal without an end is taken to end with its line, so that matching takes linear time.
_LITERAL = re.compile(
    r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'?|"(?:\\.|[^"\\\n])*"?)""", re.DOTALL
)
_OLD = re.compile(r"\boldSelf\b")
_MACRO = re.compile(
    r"\.\s*(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap|transformMapEntry)\s*\("
)
_MAKES_LIST = re.compile(r"\.\s*(?:map|filter|transformList|transformMap|transformMapEntry)\s*\(")
_JOINS = re.compile(r"(?<![\d'])(?<!\d\))\+(?!['\d])")
"""A `+` that may join lists: not beside a text or a number, nor after a choice between numbers.

An example of such a choice is `(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0)`.
"""

_GROWS = re.compile(r"\+|\b(?:join|replace|format)\s*\(")
_MATCHES = re.compile(r"\bmatches\s*\(\s*")
_CALL = re.compile(r"\bmatches(?=\s*\()")
_CLOSED = re.compile(r"\s*\)")
_VALIDATE = re.compile(
    r"\bformat\.(?:named\(\s*['\"](\w+)['\"]\s*\)\.value\(\)|(\w+)\(\))\.validate\("
)
_NAMED = re.compile(r"\bformat\.named\(\s*['\"](\w+)['\"]\s*\)\.hasValue\(\)")
_STEP = re.compile(r"\.([a-zA-Z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\]")


class Shape(NamedTuple):
    """What makes a rule costly.

    Nested macros, macros, functions that make values longer, macros that make lists, and `+` that
    may join lists.
    """

    depth: int
    macros: int
    growth: int
    lists: int
    joins: int


def without_literals(rule: str) -> str:
    """Return a rule with empty text literals."""
    return _LITERAL.sub("''", rule)


@lru_cache(maxsize=1024)
def uses_old(rule: str) -> bool:
    """Return whether a rule is a transition rule: it uses the old value."""
    return bool(_OLD.search(without_literals(rule)))


def is_beyond(rule: str) -> bool:
    """Return whether a rule uses functions of Kubernetes that are missing here."""
    return bool(UNKNOWN.search(without_literals(rewritten(rule))))


@lru_cache(maxsize=1024)
def rewritten(rule: str) -> str:
    """Return a rule with its calls of `format.NAME().validate(TEXT)` replaced.

    The replacement calls our function, which returns a list, within one that makes it optional.
    """
    closing = _closing(rule)
    changes: list[tuple[int, int, str]] = []
    for found in _VALIDATE.finditer(rule):
        name, end = found[1] or found[2], closing.get(found.end() - 1)
        if name in FORMATS and end is not None:
            changes += [
                (*found.span(), f"optional.ofNonZeroValue(format.validate('{name}', "),
                (end, end + 1, "))"),
            ]
    parts, place = [], 0
    for start, end, text in sorted(changes):
        parts += [rule[place:start], text]
        place = end
    rule = "".join(parts) + rule[place:]
    return _NAMED.sub(lambda found: "true" if found[1] in FORMATS else "false", rule)


def _closing(rule: str) -> dict[int, int]:
    """Return the position of the closing parenthesis by that of the opening one."""
    plain = _LITERAL.sub(lambda found: "_" * len(found[0]), rule)
    held: list[int] = []
    found = {}
    for place, letter in enumerate(plain):
        if letter == "(":
            held.append(place)
        elif letter == ")" and held:
            found[held.pop()] = place
    return found


@lru_cache(maxsize=1024)
def runnable(rule: str) -> str:
    """Return a rule with calls of `matches` replaced by calls of the bounded function."""
    plain = _LITERAL.sub(lambda found: "_" * len(found[0]), rule)
    parts, place = [], 0
    for found in _CALL.finditer(plain):
        parts += [rule[place : found.start()], MATCHES]
        place = found.end()
    return "".join(parts) + rule[place:]


def patterns(rule: str) -> Iterator[str]:
    """Yield the regular expressions that are literals in a rule, as they are written."""
    for found in _MATCHES.finditer(rule):
        literal = _LITERAL.match(rule, found.end())
        if literal is not None and _CLOSED.match(rule, literal.end()):
            yield literal[0]


@lru_cache(maxsize=1024)
def shape(rule: str) -> Shape:
    """Return what makes a rule costly."""
    plain = without_literals(rule)
    starts = {found.end() - 1 for found in _MACRO.finditer(plain)}
    held: list[bool] = []
    depth = within = 0
    for place, letter in enumerate(plain):
        if letter == "(":
            held.append(place in starts)
            within += held[-1]
            depth = max(depth, within)
        elif letter == ")" and held:
            within -= held.pop()
    joins = len(_JOINS.findall("".join(plain.split())))
    return Shape(
        depth, len(starts), len(_GROWS.findall(plain)), len(_MAKES_LIST.findall(plain)), joins
    )


def steps(path: str) -> list[tuple[str, bool]] | None:
    """Return the steps of a `fieldPath`, None if it is invalid.

    A step is a name, and whether it is a key (`['a.b']`) instead of a field (`.a`).
    """
    found, place = [], 0
    for step in _STEP.finditer(path):
        if step.start() != place:
            return None
        place = step.end()
        found.append(
            (step[1], False) if step[1] is not None else (step[2].replace("\\'", "'"), True)
        )
    return found if place == len(path) else None
