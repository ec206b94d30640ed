"""Structural schemas of custom resources as in Kubernetes: prune, default, validate.

All functions are pure and take JSON values. jsonschema covers neither pruning, defaults and list
types nor Kubernetes' messages. Source: Kubernetes docs, "Extend the Kubernetes API with
CustomResourceDefinitions"; the notation of fields was compared with a real API server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from jupyter_workspaces.common import patterns
from jupyter_workspaces.kube.causes import (
    Cause,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    wrong_type,
)

from . import formats
from .expressions.checking import VALIDATIONS
from .expressions.values import identity
from .rules import ValueWithRules, check_rules

Schema = dict[str, Any]

# Fields at the root of every object, embedded or not, that the schema does not describe.
_ROOT = ("apiVersion", "kind", "metadata")
_EMBEDDED = "x-kubernetes-embedded-resource"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INTEGER_BITS = {"int32": 31, "int64": 63, None: 63}
_BLOCKS_RULES = {
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTypeInvalid",
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def prune(schema: Schema, value: Any, *, root: bool = True) -> Any:
    """Return a copy of a value without the fields that the schema does not know."""
    if isinstance(value, dict):
        properties: Schema = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        keep, root = schema.get(_PRESERVE, False), root or schema.get(_EMBEDDED, False)
        pruned = {}
        for key, child in value.items():
            if root and key in _ROOT:
                pruned[key] = child
            elif key in properties:
                pruned[key] = prune(properties[key], child, root=False)
            elif isinstance(additional, dict):
                pruned[key] = prune(additional, child, root=False)
            elif keep or additional is True:
                pruned[key] = child
        return pruned
    if isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        return [prune(items, child, root=False) for child in value]
    return value


def without_nulls(schema: Schema, value: Any) -> Any:
    """Return a value without the fields that are null but not nullable.

    A client means "absent" by such a null. Does not change the value.
    """
    if isinstance(value, dict):
        kept = {}
        for key, held in value.items():
            child = _of_key(schema, key)
            if held is not None or child is None or child.get("nullable"):
                kept[key] = held if child is None else without_nulls(child, held)
        return kept
    if isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        return [without_nulls(items, child) for child in value]
    return value


def default(schema: Schema, value: Any) -> Any:
    """Return a value with defaults for absent fields. Does not change the value.

    A null is replaced by the default, too, if the field is not nullable.
    """
    if isinstance(value, dict):
        filled = dict(value)
        for key, child in schema.get("properties", {}).items():
            if "default" in child and (
                key not in filled or (filled[key] is None and not child.get("nullable"))
            ):
                filled[key] = msgspec.json.decode(msgspec.json.encode(child["default"]))
            if key in filled:
                filled[key] = default(child, filled[key])
        if isinstance(additional := schema.get("additionalProperties"), dict):
            known = schema.get("properties", {})
            filled = {
                key: child if key in known else default(additional, child)
                for key, child in filled.items()
            }
        return filled
    if isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        return [default(items, child) for child in value]
    return value


def _of_key(schema: Schema, key: str) -> Schema | None:
    """Return the schema of an object's field, None if the schema does not mention it."""
    additional = schema.get("additionalProperties")
    found: Schema | None = schema.get("properties", {}).get(
        key, additional if isinstance(additional, dict) else None
    )
    return found


def unknown_fields(schema: Schema, value: Any, path: str = "", *, root: bool = True) -> list[str]:
    """Return the paths of the fields that `prune` would drop, in document order."""
    return list(_unknown(schema, value, path, root))


def _unknown(schema: Schema, value: Any, path: str, root: bool) -> Iterator[str]:
    if isinstance(value, dict):
        properties: Schema = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        keep, root = (
            schema.get(_PRESERVE, False) or additional is True,
            root or schema.get(_EMBEDDED, False),
        )
        for key, child in value.items():
            if root and key in _ROOT:
                continue
            if key in properties:
                yield from _unknown(properties[key], child, _join(path, key), False)
            elif isinstance(additional, dict):
                yield from _unknown(additional, child, f"{path}[{key}]", False)
            elif not keep:
                yield _join(path, key)
    elif isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        for index, child in enumerate(value):
            yield from _unknown(items, child, f"{path}[{index}]", False)


def validate(schema: Schema, value: Any, path: str = "", old: Any = None) -> list[Cause]:
    """Return the causes for which a schema and its rules refuse a value.

    If a type, length, number of items, enumeration or required field is wrong, rules are not
    evaluated, and one more cause for the field `<nil>` says so, as in a real API server.

    Args:
        schema: the structural schema.
        value: the value.
        path: path of the value, for the causes.
        old: the value before an update.
    """
    rules: list[ValueWithRules] = []
    causes = list(_validate(schema, value, path, old, _Seen(rules, path, patterns.Budget())))
    if any(cause.reason in _BLOCKS_RULES for cause in causes):
        if has_rules(schema):
            causes.append(
                Cause(
                    "FieldValueInvalid",
                    "Invalid value: null: rules were not checked; correct the other errors first",
                    "<nil>",
                )
            )
        return causes
    return causes + list(check_rules(rules))


def tolerated(schema: Schema, value: Any, old: Any) -> list[Cause]:
    """Return the causes of rules that a valid value breaks, but that an update did not change.

    They are no reason to refuse the update.
    """
    rules: list[ValueWithRules] = []
    deque(_validate(schema, value, "", old, _Seen(rules, "", patterns.Budget())), maxlen=0)
    return list(check_rules(rules, tolerated=True))


def has_rules(schema: Any) -> bool:
    """Return whether a schema, or a schema within it, has rules."""
    if isinstance(schema, dict):
        return bool(schema.get(VALIDATIONS)) or any(has_rules(child) for child in schema.values())
    return isinstance(schema, list) and any(has_rules(child) for child in schema)


class _Seen(NamedTuple):
    """State of a walk: collected rules, and the path in their notation (map keys in brackets).

    `work` is what regular expressions may still cost for the whole object. `unchanged` is true
    within a list that an update did not change; its items cannot be matched with old ones.
    """

    rules: list[ValueWithRules]
    path: str
    work: patterns.Budget
    unchanged: bool = False

    def at(self, path: str, *, unchanged: bool = False) -> _Seen:
        return _Seen(self.rules, path, self.work, self.unchanged or unchanged)

    def collect(self, schema: Schema, value: Any, old: Any) -> None:
        if schema.get(VALIDATIONS):
            self.rules.append(
                ValueWithRules(
                    schema,
                    value,
                    old,
                    self.path,
                    self.unchanged or (old is not None and _same(value, old)),
                )
            )


def _validate(schema: Schema, value: Any, path: str, old: Any, seen: _Seen) -> Iterator[Cause]:
    if value is None:
        if not schema.get("nullable") and "type" in schema:
            yield wrong_type(path, "null", schema["type"])
        return
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            yield wrong_type(path, value, "integer or string")
            return
        seen.collect(schema, value, old)
        if isinstance(value, str):
            yield from _validate_text(schema, value, path, seen.work)
        return
    kind = schema.get("type")
    if kind is not None and not _is_of(kind, value):
        yield wrong_type(path, value, kind)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield not_supported(path, value, schema["enum"])
    seen.collect(schema, value, old)
    yield from _validate_junctors(schema, value, path, seen.work)
    if isinstance(value, dict):
        yield from _validate_object(schema, value, path, old, seen)
    elif isinstance(value, list):
        yield from _validate_list(schema, value, path, old, seen)
    elif isinstance(value, str):
        yield from _validate_text(schema, value, path, seen.work)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _validate_number(schema, value, path)


def _is_of(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON_TYPES[kind])


def _validate_object(
    schema: Schema, value: dict[str, Any], path: str, old: Any, seen: _Seen
) -> Iterator[Cause]:
    for name in schema.get("required", ()):
        if name not in value:
            yield required(_join(path, name))
    properties: Schema = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for key, child in value.items():
        if key in properties:
            if not (path == "" and key in _ROOT):
                yield from _validate(
                    properties[key],
                    child,
                    _join(path, key),
                    before.get(key),
                    seen.at(_join(seen.path, key)),
                )
        elif isinstance(additional, dict):
            yield from _validate(
                additional, child, _join(path, key), before.get(key), seen.at(f"{seen.path}[{key}]")
            )
    if "maxProperties" in schema and len(value) > schema["maxProperties"]:
        yield too_many(path, len(value), schema["maxProperties"])
    if len(value) < schema.get("minProperties", 0):
        yield invalid(path, value, f"must have at least {schema['minProperties']} entries")


def _validate_list(
    schema: Schema, value: list[Any], path: str, old: Any, seen: _Seen
) -> Iterator[Cause]:
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield too_many(path, len(value), schema["maxItems"])
    if len(value) < schema.get("minItems", 0):
        yield invalid(path, value, f"must have at least {schema['minItems']} items")
    if isinstance(items := schema.get("items"), dict):
        by_key = schema.get("x-kubernetes-list-type") == "map" and isinstance(old, list)
        before = {identity(schema, child): child for child in old} if by_key else {}
        unchanged = old is not None and has_rules(items) and _same(value, old)
        for index, child in enumerate(value):
            was = before.get(identity(schema, child)) if by_key else None
            yield from _validate(
                items,
                child,
                f"{path}[{index}]",
                was,
                seen.at(f"{seen.path}[{index}]", unchanged=unchanged),
            )
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    keys: list[str] = schema.get("x-kubernetes-list-map-keys", [])
    names: set[bytes] = set()
    for index, child in enumerate(value):
        name = identity(schema, child)
        if name in names:
            yield duplicate(
                f"{path}[{index}]",
                {key: child.get(key) for key in keys}
                if kind == "map" and isinstance(child, dict)
                else child,
            )
        names.add(name)


def _validate_junctors(
    schema: Schema, value: Any, path: str, work: patterns.Budget
) -> Iterator[Cause]:
    for branch in schema.get("allOf", ()):
        yield from _validate(branch, value, path, None, _Seen([], path, work))
    if "anyOf" in schema and not any(_fits(branch, value, work) for branch in schema["anyOf"]):
        yield invalid(path, value, "must fit at least one of the schemas of anyOf")
    if "oneOf" in schema and sum(_fits(branch, value, work) for branch in schema["oneOf"]) != 1:
        yield invalid(path, value, "must fit exactly one of the schemas of oneOf")
    if "not" in schema and _fits(schema["not"], value, work):
        yield invalid(path, value, "must not fit the schema of not")


def _fits(schema: Schema, value: Any, work: patterns.Budget) -> bool:
    return next(_validate(schema, value, "", None, _Seen([], "", work)), None) is None


def _validate_text(schema: Schema, value: str, path: str, work: patterns.Budget) -> Iterator[Cause]:
    """Check a text. Yields only the first cause, as the API server does."""
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield too_long(path, schema["maxLength"])
    elif len(value) < schema.get("minLength", 0):
        yield invalid(path, value, f"must be at least {schema['minLength']} characters long")
    elif "pattern" in schema and (problem := _mismatch(schema["pattern"], value, work)) is not None:
        yield invalid(path, value, problem)
    elif not formats.fits(schema.get("format", ""), value):
        yield wrong_type(path, value, schema["format"])


def _validate_number(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    if schema.get("type") == "integer":
        limit = 2 ** _INTEGER_BITS.get(schema.get("format"), 63)
        if not -limit <= value < limit:
            yield invalid(
                path, value, f"must be an integer of format {schema.get('format', 'int64')}"
            )
    if "minimum" in schema and (
        value < schema["minimum"] or (schema.get("exclusiveMinimum") and value == schema["minimum"])
    ):
        yield invalid(
            path,
            value,
            f"must be {'more than' if schema.get('exclusiveMinimum') else 'at least'} "
            f"{schema['minimum']}",
        )
    if "maximum" in schema and (
        value > schema["maximum"] or (schema.get("exclusiveMaximum") and value == schema["maximum"])
    ):
        yield invalid(
            path,
            value,
            f"must be {'less than' if schema.get('exclusiveMaximum') else 'at most'} "
            f"{schema['maximum']}",
        )
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        yield invalid(path, value, f"must be a multiple of {schema['multipleOf']}")


def _mismatch(pattern: str, value: str, work: patterns.Budget) -> str | None:
    """Return what is wrong with a text that does not match, None if it matches."""
    try:
        return None if patterns.matches(pattern, value, work) else f"must match {pattern}"
    except patterns.PatternError as error:
        return f"must match {pattern}, but the pattern is invalid: {error}"
    except patterns.TooMuchWork:
        return (
            f"must match {pattern}, and this object's texts are too long to be matched here; "
            "make them shorter or the pattern simpler"
        )


def _same(one: Any, other: Any) -> bool:
    """Compare two values as JSON: in Python `True == 1`, in JSON not."""
    return one == other and msgspec.json.encode(one, order="sorted") == msgspec.json.encode(
        other, order="sorted"
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
