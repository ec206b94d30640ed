"""Operations on typed values: fields of a value, comparison, merge, removal of fields.

Semantics are those of Kubernetes' structured-merge-diff. An absent value is `ABSENT`; null is a
value.
"""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.types import Object

from . import sets
from .sets import (
    EMPTY,
    LEAF,
    MEMBER,
    Fields,
    field,
)
from .types import Listing, Mapping, Type


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


class Mismatch(Exception):
    """A value does not match its type, or an item of a list lacks its keys."""


def element_of(listing: Listing, item: Any, index: int) -> str:
    """Return the path element of an item.

    Raises:
        Mismatch: if it has none.
    """
    if listing.atomic:
        return f"i:{index}"
    if not listing.keys:
        if isinstance(item, (dict, list)) or item is None:
            raise Mismatch(
                f"element {index}: associative list without keys has an element "
                f"that's a {kind_of(item)} type"
            )
        return sets.valued(item)
    if not isinstance(item, dict):
        raise Mismatch(f"element {index}: associative list with keys may not have non-map elements")
    key = {}
    mapping = listing.element.mapping
    for name in listing.keys:
        value = item.get(name)
        if value is None and mapping is not None and name in mapping.fields:
            value = mapping.fields[name].default
        if value is None:
            raise Mismatch(
                f"element {index}: associative list with keys has an element "
                f'that omits key field "{name}"'
            )
        key[name] = value
    return sets.keyed(key)


def fields_of(type_: Type, value: Any) -> Fields:
    """Return all fields of a value.

    Raises:
        Mismatch: if it does not match the type.
    """
    form = type_.form(value)
    if form.mapping is not None and (isinstance(value, dict) or value is None):
        if form.mapping.atomic:
            return LEAF
        found: Fields = {}
        for name, child in (value or {}).items():
            known = form.mapping.of(name)
            if known is None:
                raise Mismatch(f".{name}: field not declared in schema")
            inner = fields_of(known, child)
            if child is None or child == {} or name not in form.mapping.fields:
                inner = sets.union(inner, LEAF)
            if inner:
                found[field(name)] = inner
        return found
    if form.scalar is not None:
        return LEAF
    if form.listing is None or form.listing.atomic:
        return LEAF
    found = {}
    for element, items in _by_element(form.listing, value or []).items():
        found[element] = (
            LEAF if len(items) > 1 else sets.union(fields_of(form.listing.element, items[0]), LEAF)
        )
    return found


def compare(type_: Type, before: Any, after: Any) -> tuple[Fields, Fields]:
    """Return the fields that were added or changed, and those that were removed.

    Raises:
        Mismatch: if a value does not match the type.
    """
    if before is after or (before == after and _same_types(before, after)):
        return EMPTY, EMPTY
    first, second = type_.form(before), type_.form(after)
    if after is ABSENT:
        return _compared(first, before, after)
    if (
        before is ABSENT
        or before is None
        or after is None
        or first is second
        or kind_of(before) == kind_of(after)
    ):
        return _compared(second if after is not None else first, before, after)
    one, other = _compared(first, before, after), _compared(second, before, after)
    return sets.union(one[0], other[0]), sets.union(one[1], other[1])


def _compared(form: Type, before: Any, after: Any) -> tuple[Fields, Fields]:
    inner: tuple[Fields, Fields] | None = None
    if form.mapping is not None:
        one, other = _if_type(dict, before), _if_type(dict, after)
        if not form.mapping.atomic and (one or other):
            inner = _compared_mapping(form.mapping, one, other)
    elif form.scalar is None and form.listing is not None:
        one, other = _if_type(list, before), _if_type(list, after)
        if not form.listing.atomic and (one or other):
            inner = _compared_items(form.listing, one or [], other or [])
    if before is ABSENT:
        return sets.union(inner[0] if inner else EMPTY, LEAF), inner[1] if inner else EMPTY
    if after is ABSENT:
        return inner[0] if inner else EMPTY, sets.union(inner[1] if inner else EMPTY, LEAF)
    if inner is not None:
        return inner
    return (EMPTY, EMPTY) if before == after and _same_types(before, after) else (LEAF, EMPTY)


def _compared_mapping(
    mapping: Mapping, one: Object | None, other: Object | None
) -> tuple[Fields, Fields]:
    changed: Fields = {}
    removed: Fields = {}
    left, right = one or {}, other or {}
    zeros = mapping.zeros
    for name in left.keys() | right.keys() | zeros.keys():
        was, now = left.get(name, ABSENT), right.get(name, ABSENT)
        if zeros and name in zeros:  # fields that are never left out
            was = zeros[name] if was is ABSENT and one is not None else was
            now = zeros[name] if now is ABSENT and other is not None else now
        known = mapping.of(name)
        if known is None:
            raise Mismatch(f".{name}: field not declared in schema")
        more, less = compare(known, was, now)
        if more:
            changed[field(name)] = more
        if less:
            removed[field(name)] = less
    return changed, removed


def _compared_items(listing: Listing, one: list[Any], other: list[Any]) -> tuple[Fields, Fields]:
    changed: Fields = {}
    removed: Fields = {}
    left, right = _by_element(listing, one), _by_element(listing, other)
    for element in {**left, **right}:
        was, now = left.get(element, []), right.get(element, [])
        if len(was) <= 1 and len(now) <= 1:
            more, less = compare(
                listing.element, was[0] if was else ABSENT, now[0] if now else ABSENT
            )
            if more:
                changed[element] = more
            if less:
                removed[element] = less
        elif was != now:  # duplicate items have no fields of their own
            if was:
                removed[element] = (
                    LEAF if len(was) > 1 else compare(listing.element, was[0], ABSENT)[1]
                )
            if now:
                changed[element] = (
                    LEAF if len(now) > 1 else compare(listing.element, ABSENT, now[0])[0]
                )
    return changed, removed


def _by_element(listing: Listing, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for index, item in enumerate(items):
        found.setdefault(element_of(listing, item, index), []).append(item)
    return found


def merge(type_: Type, held: Any, wanted: Any) -> Any:
    """Return a value with another merged over it; neither is changed.

    Raises:
        Mismatch: if a value does not match the type.
    """
    if wanted is ABSENT or held is ABSENT:
        return held if wanted is ABSENT else wanted
    form = type_.form(wanted if wanted is not None else held)
    if form.mapping is not None and not form.mapping.atomic:
        if isinstance(held, dict) and held and (isinstance(wanted, dict) or wanted is None):
            merged = dict(held)
            for name, child in (wanted or {}).items():
                known = form.mapping.of(name)
                if known is None:
                    raise Mismatch(f".{name}: field not declared in schema")
                merged[name] = merge(known, held.get(name, ABSENT), child)
            return merged
        return wanted
    items = form.listing if form.mapping is None and form.scalar is None else None
    if (
        items is not None
        and not items.atomic
        and isinstance(held, list)
        and held
        and (isinstance(wanted, list) or wanted is None)
    ):
        return _merged_items(items, held, wanted or [])
    return wanted


def _merged_items(listing: Listing, held: list[Any], wanted: list[Any]) -> list[Any]:
    """Merge items in the wanted order; other held items stay between their neighbors."""
    right = {element_of(listing, item, index): item for index, item in enumerate(wanted)}
    left: dict[str, Any] = {}
    order = [element_of(listing, item, index) for index, item in enumerate(held)]
    for element, item in zip(order, held, strict=True):
        left.setdefault(element, item)
    elements = list(right)
    shared = iter([element for element in elements if element in left])
    awaited = next(shared, None)
    merged: list[Any] = []
    done: set[str] = set()
    at, to = 0, 0

    def take(element: str) -> None:
        merged.append(merge(listing.element, left.get(element, ABSENT), right[element]))
        done.add(element)

    while at < len(order) or to < len(elements):
        if at < len(order) and to < len(elements):
            if order[at] == elements[to]:
                take(order[at])
                at, to = at + 1, to + 1
                awaited = next(shared, None)
                continue
            if order[at] in right and awaited is not None and awaited != order[at]:
                at += 1
                continue
        if at < len(order):
            if order[at] not in right:
                merged.append(held[at])
                at += 1
                continue
            if order[at] in done:
                at += 1
        if to < len(elements):
            element = elements[to]
            take(element)
            to += 1
            if awaited == element:
                awaited = next(shared, None)
    return merged


def without(type_: Type, value: Any, gone: Fields) -> Any:
    """Return a value without these fields; None if nothing is left of it."""
    if not gone:
        return value
    form = type_.form(value)
    if form.mapping is not None and isinstance(value, dict):
        if form.mapping.atomic or not value:
            return None
        kept = {}
        for name, child in value.items():
            inner = gone.get(field(name))
            if inner is None:
                kept[name] = child
            elif MEMBER not in inner:
                known = form.mapping.of(name)
                kept[name] = child if known is None else without(known, child, inner)
        return kept or None
    if form.scalar is None and form.listing is not None and isinstance(value, list):
        if form.listing.atomic or not value:
            return None
        left = []
        for index, item in enumerate(value):
            inner = gone.get(element_of(form.listing, item, index))
            if inner is None:
                left.append(item)
            elif (
                MEMBER not in inner
                and (rest := without(form.listing.element, item, inner)) is not None
            ):
                left.append(rest)
        return left or None
    return value


def with_named(type_: Type, fields: Fields) -> Fields:
    """Make each named field above a member a member too.

    So it is removed with the last of its fields.
    """
    found: Fields = {}
    for element, child in fields.items():
        if element == MEMBER:
            found[element] = child
            continue
        inner, named = UNTYPED, False
        if element.startswith("f:") and type_.mapping is not None:
            name = element[2:]
            named = name in type_.mapping.fields
            inner = type_.mapping.of(name) or UNTYPED
        elif element.startswith("k:") and type_.listing is not None:
            inner = type_.listing.element
        below = with_named(inner, child)
        found[element] = {MEMBER: EMPTY, **below} if named and MEMBER not in below else below
    return found


UNTYPED = Type()


def _if_type(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else None


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value: map, list, null or scalar."""
    return (
        "map"
        if isinstance(value, dict)
        else "list"
        if isinstance(value, list)
        else "null"
        if value is None
        else "scalar"
    )


def _same_types(one: Any, other: Any) -> bool:
    """Compare the types of equal values: in Python, `True` equals 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return type(one) is type(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same_types(child, other[name]) for name, child in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return all(_same_types(child, twin) for child, twin in zip(one, other, strict=True))
    return True
