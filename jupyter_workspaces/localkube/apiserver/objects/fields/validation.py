"""Validation of values against their types, with the messages of structured-merge-diff."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import sets
from .types import Listing, Type
from .values import Mismatch, element_of, kind_of

_SCALAR_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "numeric": (int, float),
    "boolean": (bool,),
}


def check(type_: Type, value: Any, *, duplicates: bool = False) -> list[str]:
    """Return what does not match the type, each with its path.

    Args:
        type_: type of the value.
        value: the value.
        duplicates: whether lists may have an item twice.
    """
    return [
        problem if problem.startswith((".", "[")) else f": {problem}"
        for problem in _check(type_, value, duplicates)
    ]


def _check(type_: Type, value: Any, duplicates: bool) -> Iterable[str]:
    if value is None:
        return
    form = type_.form(value)
    if form.mapping is not None:
        if not isinstance(value, dict):
            yield f": expected map, got {_describe(value)}"
            return
        for name, child in value.items():
            if (known := form.mapping.of(name)) is None:
                yield f".{name}: field not declared in schema"
                return
            yield from (f".{name}{problem}" for problem in _check(known, child, duplicates))
    elif form.scalar is not None:
        expected = _SCALAR_TYPES.get(form.scalar)
        if isinstance(value, (dict, list)) or (
            expected is not None
            and (
                not isinstance(value, expected)
                or (isinstance(value, bool) and form.scalar != "boolean")
            )
        ):
            wanted = "numeric (int or float)" if form.scalar == "numeric" else form.scalar
            yield f": expected {wanted}, got {_describe(value)}"
    elif form.listing is not None:
        if not isinstance(value, list):
            yield f": expected list, got {_describe(value)}"
            return
        yield from _check_items(form.listing, value, duplicates)


def _check_items(listing: Listing, items: list[Any], duplicates: bool) -> Iterable[str]:
    seen = set()
    for index, item in enumerate(items):
        try:
            element = element_of(listing, item, index)
        except Mismatch as mismatch:
            yield f": {mismatch}"
            return
        if element in seen and not duplicates:
            yield f": duplicate entries for key {sets.element_text(element)}"
        seen.add(element)
        yield from (
            sets.element_text(element) + problem
            for problem in _check(listing.element, item, duplicates)
        )


def _describe(value: Any) -> str:
    return f"{kind_of(value)} {value!r}"[:120]
