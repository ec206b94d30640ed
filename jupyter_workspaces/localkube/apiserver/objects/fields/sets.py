"""Sets of fields in the form of FieldsV1: trees of `f:name`, `k:{"key":…}`, `v:value`, `i:index`.

A node that is itself a member has `.`; in JSON, a member without children is `{}` instead. Sets are
immutable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

Fields = dict[str, "Fields"]

MEMBER = "."
EMPTY: Fields = {}
LEAF: Fields = {MEMBER: EMPTY}
_DEPTH = 200


def field(name: str) -> str:
    """Return the path element of a property."""
    return f"f:{name}"


def keyed(key: dict[str, Any]) -> str:
    """Return the path element of an item of a list with keys."""
    return "k:" + msgspec.json.encode(key, order="sorted").decode()


def valued(value: Any) -> str:
    """Return the path element of an item of a set."""
    return "v:" + msgspec.json.encode(value, order="sorted").decode()


def of(*paths: tuple[str, ...]) -> Fields:
    """Return the set of paths of properties: `of(("status",), ("metadata", "labels"))`."""
    found: Fields = EMPTY
    for path in paths:
        node = LEAF
        for name in reversed(path):
            node = {field(name): node}
        found = union(found, node)
    return found


def union(one: Fields, other: Fields) -> Fields:
    """Return the members of either set."""
    if not one or not other:
        return one or other
    found = dict(one)
    for element, child in other.items():
        found[element] = union(found[element], child) if element in found else child
    return found


def difference(one: Fields, other: Fields) -> Fields:
    """Return the members of one that are not members of the other."""
    if not other:
        return one
    found: Fields = {}
    for element, child in one.items():
        if element not in other:
            found[element] = child
        elif element != MEMBER and (rest := difference(child, other[element])):
            found[element] = rest
    return found


def without(one: Fields, other: Fields) -> Fields:
    """Return the members of one that are neither members of the other nor below one."""
    found: Fields = {}
    for element, child in one.items():
        if element not in other:
            found[element] = child
        elif (
            element != MEMBER
            and MEMBER not in other[element]
            and (rest := without(child, other[element]))
        ):
            found[element] = rest
    return found


def intersection(one: Fields, other: Fields) -> Fields:
    """Return the members of both sets."""
    found: Fields = {}
    for element, child in one.items():
        if element not in other:
            continue
        if element == MEMBER:
            found[element] = child
        elif both := intersection(child, other[element]):
            found[element] = both
    return found


def encode(fields: Fields) -> Any:
    """Return the set as `fieldsV1` in JSON."""
    return {element: {} if child == LEAF else encode(child) for element, child in fields.items()}


def decode(document: Any) -> Fields:
    """Decode `fieldsV1`.

    Raises:
        ValueError: if it is malformed.
    """
    return _decoded(document, 0) if document else EMPTY


def _decoded(document: Any, depth: int) -> Fields:
    if not isinstance(document, dict) or depth > _DEPTH:
        raise ValueError("a set of fields is an object of objects")
    if not document:
        return LEAF if depth else EMPTY
    found: Fields = {}
    for element, child in document.items():
        found[_canonical(element)] = EMPTY if element == MEMBER else _decoded(child, depth + 1)
    return found


def _canonical(element: str) -> str:
    kind, mark, text = element.partition(":")
    if element == MEMBER or (kind == "f" and mark):
        return element
    if not mark or kind not in ("k", "v", "i"):
        raise ValueError(f"{element[:40]!r} is not an element of a path")
    value = msgspec.json.decode(text)
    if kind == "k" and not isinstance(value, dict):
        raise ValueError(f"{element[:40]!r} has no keys")
    return keyed(value) if kind == "k" else valued(value) if kind == "v" else element


def path_texts(fields: Fields, prefix: str = "") -> Iterator[str]:
    """Yield the members in order, such as `.spec.containers[name="main"].image`."""
    for element in sorted(fields):
        if element == MEMBER:
            yield prefix
        else:
            yield from path_texts(fields[element], prefix + element_text(element))


def element_text(element: str) -> str:
    """Return one path element as text."""
    kind, _, text = element.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "k":
        keys = msgspec.json.decode(text, type=dict[str, Any])
        return "[" + ",".join(f"{name}={_json(value)}" for name, value in keys.items()) + "]"
    return f"[={text}]" if kind == "v" else f"[{text}]"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
