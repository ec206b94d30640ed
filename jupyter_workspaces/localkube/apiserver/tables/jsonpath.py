"""The part of JSONPath for printer columns: fields, `['a.b']`, `[0]`, `[*]` and filters.

Filters are comparisons such as `[?(@.type=="Ready")]`. Other paths are rejected when a CRD is
stored. JSONPath libraries are not used, because they read another dialect (RFC 9535). Source:
Kubernetes docs, "JSONPath Support".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

_FIELD = re.compile(r"\.((?:[^.\[\]\\]|\\.)+)")
_QUOTED = re.compile(r"\[\s*'((?:[^'\\]|\\.)*)'\s*\]|\[\s*\"((?:[^\"\\]|\\.)*)\"\s*\]")
_INDEX = re.compile(r"\[(-?\d{1,9})\]")
_EVERY = re.compile(r"\[\*\]|\.\*")
_FILTER = re.compile(
    r"""\[\?\(\s*@((?:\.[^.\[\]\\=!<>\s]+)+)\s*(==|!=)\s*("(?:[^"\\]|\\.)*"|'[^']*'|true|false|-?\d+)\s*\)\]"""
)
_ESCAPED = re.compile(r"\\(.)")

LENGTH = 4096
"""Maximum length of a path in characters."""

Step = Callable[[Any], Iterator[Any]]


class PathError(ValueError):
    """The path is not supported; the message has the part."""


def compile_path(path: str) -> Callable[[Any], Any]:
    """Return a function that reads the first value at a path, or None.

    Raises:
        PathError: if the path is not supported.
    """
    steps = list(_steps(path))

    def read(value: Any) -> Any:
        found = [value]
        for step in steps:
            found = [result for held in found for result in step(held)]
        return found[0] if found else None

    return read


def _steps(path: str) -> Iterator[Step]:
    if len(path) > LENGTH:
        raise PathError(f"{path[:60]!r}… is longer than {LENGTH} letters")
    rest = path.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1]
    rest = rest.removeprefix("$")
    place = 0
    while place < len(rest) and not (place == len(rest) - 1 and rest[place] == "."):
        if match := _EVERY.match(rest, place):
            yield _every
        elif match := _FIELD.match(rest, place):
            yield _field(_ESCAPED.sub(r"\1", match[1]))
        elif match := _QUOTED.match(rest, place):
            yield _field(_ESCAPED.sub(r"\1", match[1] if match[1] is not None else match[2]))
        elif match := _INDEX.match(rest, place):
            yield _index(int(match[1]))
        elif match := _FILTER.match(rest, place):
            yield _filter(match[1][1:].split("."), match[2] == "!=", _literal(match[3]))
        else:
            raise PathError(f"{rest[place : place + 60]!r} in {path[:120]!r} is not supported")
        place = match.end()


def _literal(text: str) -> Any:
    return text[1:-1] if text.startswith("'") else json.loads(text)


def _field(name: str) -> Step:
    return lambda held: iter((held[name],) if isinstance(held, dict) and name in held else ())


def _index(position: int) -> Step:
    return lambda held: iter(
        (held[position],) if isinstance(held, list) and -len(held) <= position < len(held) else ()
    )


def _every(held: Any) -> Iterator[Any]:
    return (
        iter(held)
        if isinstance(held, list)
        else iter(held.values())
        if isinstance(held, dict)
        else iter(())
    )


def _filter(names: list[str], negated: bool, wanted: Any) -> Step:
    reads = [_field(name) for name in names]

    def step(held: Any) -> Iterator[Any]:
        for item in _every(held):
            values = [item]
            for read in reads:
                values = [result for value in values for result in read(value)]
            if values and (values[0] == wanted) is not negated:
                yield item

    return step
