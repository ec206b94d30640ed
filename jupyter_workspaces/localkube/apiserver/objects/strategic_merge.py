"""Strategic merge patches of built-in kinds.

Objects are merged; lists are merged by item if the schema has a merge key. Directives are `$patch`
(replace, delete), `$retainKeys`, `$setElementOrder/LIST` and `$deleteFromPrimitiveList/LIST`.
Source: Kubernetes docs, "Update API Objects in Place Using kubectl patch"; SIG API Machinery,
"Strategic Merge Patch".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request

from . import schemas

_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"
_DIRECTIVES = (_PATCH, _RETAIN)


@dataclass(frozen=True)
class Place:
    """A place in an object, and how its schema merges values there.

    Attributes:
        schema: schema of the value; None if unknown.
        strategies: `merge`, `replace` or `retainKeys`.
        key: merge key of the items of a list.
    """

    schema: Object | None
    strategies: tuple[str, ...] = ()
    key: str = ""

    def at(self, name: str) -> Place:
        """Return the place of a field."""
        schema = self.schema or {}
        child = (schema.get("properties") or {}).get(name)
        if child is None:
            child = schema.get("additionalProperties")
        if not isinstance(child, dict):
            return Place(None)
        strategies = tuple(
            part for part in str(child.get("x-kubernetes-patch-strategy", "")).split(",") if part
        )
        return Place(_resolved(child), strategies, child.get("x-kubernetes-patch-merge-key", ""))

    def item(self) -> Place:
        """Return the place of the items of a list."""
        items = (self.schema or {}).get("items")
        return Place(_resolved(items) if isinstance(items, dict) else None)


def merge(schema: Object | None, target: Object, patch: Object) -> Object:
    """Return the patched object; the arguments are not changed.

    Raises:
        Refusal: if the patch cannot be applied.
    """
    return _map(Place(schema), target, patch)


def _resolved(schema: Object) -> Object:
    reference = schema.get("$ref") or next(
        (one["$ref"] for one in schema.get("allOf", ()) if "$ref" in one), None
    )
    return schema if reference is None else schemas.named(reference)


def _map(place: Place, target: Object, patch: Object) -> Object:
    if _PATCH in patch:
        return _replace_or_delete(patch)
    rest = dict(patch)
    merged = dict(target)
    if _RETAIN in rest:
        merged = _retain_keys(merged, rest)
    _order_lists(place, merged, rest)
    for name, value in rest.items():
        if name.startswith(_DELETE):
            field = name.removeprefix(_DELETE)
            if isinstance(merged.get(field), list):
                identity = _identity_by("")
                gone = {identity(item) for item in _list(name, value)}
                merged[field] = [item for item in merged[field] if identity(item) not in gone]
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = _value(place.at(name), merged.get(name), value)
    return merged


def _value(place: Place, held: Any, value: Any) -> Any:
    if isinstance(held, dict) and isinstance(value, dict):
        return _new_value(value) if "replace" in place.strategies else _map(place, held, value)
    if isinstance(held, list) and isinstance(value, list) and "merge" in place.strategies:
        return _items(place, held, value)
    return _new_value(value)


def _replace_or_delete(patch: Object) -> Object:
    match patch[_PATCH]:
        case "replace":
            return {name: value for name, value in patch.items() if name != _PATCH}
        case "delete":
            return {}
    raise _not_applicable(f"unknown patch type found: {patch[_PATCH]} in map")


def _retain_keys(held: Object, patch: Object) -> Object:
    """Return only the fields that `$retainKeys` lists; the directive is removed from the patch."""
    keys = {name for name in _list(_RETAIN, patch.pop(_RETAIN)) if isinstance(name, str)}
    strange = [
        name for name in patch if name not in keys and not name.startswith((_ORDER, _DELETE))
    ]
    if strange:
        raise bad_request(
            f"{_RETAIN} must name every field that the patch sets; "
            f"it does not name {', '.join(strange)}"
        )
    return {name: value for name, value in held.items() if name in keys}


def _order_lists(place: Place, merged: Object, patch: Object) -> None:
    """Apply and remove each `$setElementOrder`, and the list in the patch that it orders."""
    for directive in [name for name in patch if name.startswith(_ORDER)]:
        field = directive.removeprefix(_ORDER)
        wanted = _list(directive, patch.pop(directive))
        child = place.at(field)
        identity = _identity_by(child.key)
        given = patch.pop(field, None)
        if given is not None:
            _check_order(identity, _list(field, given), wanted, directive)
        held = merged.get(field)
        if held is None and given is None:
            continue
        before = _list(field, held or [])
        items = (
            before
            if given is None
            else _items(child, before, given)
            if held is not None
            else _new_value(given)
        )
        merged[field] = _ordered(identity, items, wanted, _places(identity, before, items))


def _check_order(
    identity: Callable[[Any], bytes], given: Sequence[Any], wanted: Sequence[Any], directive: str
) -> None:
    positions = _positions(identity, wanted)
    last = -1
    for item in given:
        if isinstance(item, dict) and _PATCH in item:
            continue
        position = positions.get(identity(item), -1)
        if position < max(last, 0):
            raise bad_request(
                f"the list that {directive} orders has items that it does not name, "
                "or in another order"
            )
        last = position


def _items(place: Place, held: list[Any], patch: list[Any]) -> list[Any]:
    if not held and not patch:
        return held
    if not all(isinstance(item, dict) for item in [*held, *patch]):
        if any(isinstance(item, (dict, list)) for item in [*held, *patch]):
            raise _not_applicable("lists whose items have several types cannot be merged")
        identity = _identity_by("")
        unique: dict[bytes, Any] = {}
        for item in [*held, *patch]:
            unique.setdefault(identity(item), item)
        return _ordered(identity, list(unique.values()), patch, held)
    if not place.key:
        raise _not_applicable("cannot merge lists without merge key")
    held, patch = _apply_directives(place.key, held, patch)
    merged = list(held)
    identity = _identity_by(place.key)
    positions = _positions(identity, merged)
    for item in patch:
        _key_of(item, place.key)
        position = positions.setdefault(identity(item), len(merged))
        if position == len(merged):
            merged.append(_without_directives(item))
        else:
            merged[position] = _map(place.item(), merged[position], item)
    return _ordered(identity, merged, patch, held)


def _apply_directives(key: str, held: list[Any], patch: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return both lists after the items of the patch that are directives."""
    rest, replaced = [], False
    identity, deleted = _identity_by(key), set[bytes]()
    for item in patch:
        match item.get(_PATCH):
            case None:
                rest.append(item)
            case "delete":
                _key_of(item, key)
                deleted.add(identity(item))
            case "replace":
                replaced = True
            case strange:
                raise _not_applicable(f"unknown patch type found: {strange} in list")
    held = [one for one in held if identity(one) not in deleted] if deleted else held
    return ([], rest) if replaced else (held, rest)


def _ordered(
    identity: Callable[[Any], bytes],
    merged: list[Any],
    wanted: Sequence[Any],
    before: Sequence[Any],
) -> list[Any]:
    """Order the items: wanted ones as given, others before the wanted one that followed them."""
    order, places = _positions(identity, wanted), _positions(identity, before)
    named = [(identity(item), item) for item in merged]
    mine = deque(
        sorted((pair for pair in named if pair[0] in order), key=lambda pair: order[pair[0]])
    )
    others = deque(
        sorted(
            (pair for pair in named if pair[0] not in order),
            key=lambda pair: places.get(pair[0], len(before)),
        )
    )
    found: list[Any] = []
    while mine and others:
        one, other = others[0][0], mine[0][0]
        first = one in places and other in places and places[one] < places[other]
        found.append((others if first else mine).popleft()[1])
    return [*found, *(item for _, item in mine or others)]


def _places(
    identity: Callable[[Any], bytes], before: Sequence[Any], items: Sequence[Any]
) -> list[Any]:
    """Return the previous order, with new items in the places of those that were deleted."""
    still = {identity(item) for item in items}
    kept = [item for item in before if identity(item) in still]
    places = {identity(item) for item in kept}
    new = [item for item in items if identity(item) not in places]
    return [*kept, *new][: len(before)] if len(kept) < len(before) else list(before)


def _positions(identity: Callable[[Any], bytes], items: Sequence[Any]) -> dict[bytes, int]:
    """Return the first position of each item: lists may be long, so none is searched."""
    found: dict[bytes, int] = {}
    for position, item in enumerate(items):
        found.setdefault(identity(item), position)
    return found


def _identity_by(key: str) -> Callable[[Any], bytes]:
    """Return what identifies an item, as JSON: its merge key, or without one, the item itself."""

    def identity(item: Any) -> bytes:
        return msgspec.json.encode(
            item.get(key) if key and isinstance(item, dict) else item, order="sorted"
        )

    return identity


def _key_of(item: Object, key: str) -> Any:
    if key not in item:
        raise _not_applicable(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _new_value(value: Any) -> Any:
    """Return a value without directives and nulls, for a field that has no value to merge with."""
    if isinstance(value, dict):
        return {
            name: _new_value(child)
            for name, child in value.items()
            if child is not None
            and name not in _DIRECTIVES
            and not name.startswith((_ORDER, _DELETE))
        }
    if isinstance(value, list):
        return [
            _new_value(item) for item in value if not (isinstance(item, dict) and _PATCH in item)
        ]
    return value


def _without_directives(value: Any) -> Any:
    """Return an added item without directives; the values beside them stay."""
    if isinstance(value, dict):
        return {
            name: _without_directives(child)
            for name, child in value.items()
            if child is not None
            and name not in _DIRECTIVES
            and not name.startswith((_ORDER, _DELETE))
        }
    return [_without_directives(item) for item in value] if isinstance(value, list) else value


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"{name} must be a list")
    return value


def _not_applicable(why: str) -> Refusal:
    return Refusal(500, "", why)
