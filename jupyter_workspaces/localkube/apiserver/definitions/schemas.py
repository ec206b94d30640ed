"""Validation of the schemas in CRDs: they must be readable and structural.

So unknown fields and defaults can be determined from the schema alone. Source: Kubernetes docs,
"Extend the Kubernetes API with CustomResourceDefinitions", Specifying a structural schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jupyter_workspaces.common import patterns
from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.schemas.expressions import checking
from jupyter_workspaces.kube.schemas.structural import validate
from jupyter_workspaces.kube.types import Object

_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_NUMBERS = (
    "maximum",
    "minimum",
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "maxProperties",
    "minProperties",
    "multipleOf",
)
_RULE = {
    **dict.fromkeys(
        ("rule", "message", "messageExpression", "reason", "fieldPath"), (str, type(None))
    ),
    "optionalOldSelf": (bool, type(None)),
}
_DEPTH = 64
_INT_OR_TEXT, _PRESERVE = "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"
_EMBEDDED, _LIST_TYPE, _MAP_TYPE = (
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
)
_LIST_KEYS = "x-kubernetes-list-map-keys"
_FORBIDDEN_IN_BRANCHES = (
    "additionalProperties",
    "default",
    "description",
    "nullable",
    "title",
    "type",
    _INT_OR_TEXT,
    _PRESERVE,
)
"""Fields that allOf, anyOf, oneOf and not may not have, because they define the value."""

_INT_OR_TEXT_BRANCHES = [[{"type": "integer"}, {"type": "string"}]]


def check_schemas(schemas: list[Any], known_rules: frozenset[str]) -> Iterator[Cause]:
    """Yield what is invalid in the schemas of a CRD's versions.

    A schema that all versions share is reported at `spec.validation`, as by Kubernetes.

    Args:
        schemas: schema of each version.
        known_rules: validation rules that need no CEL library.
    """
    shared = all(schema == schemas[0] for schema in schemas)
    size = patterns.Budget(patterns.COMPILING)
    for index, schema in enumerate(schemas[:1] if shared else schemas):
        path = (
            "spec.validation.openAPIV3Schema"
            if shared
            else f"spec.versions[{index}].schema.openAPIV3Schema"
        )
        root = schema.get("openAPIV3Schema") if isinstance(schema, dict) else None
        if not isinstance(root, dict):
            yield required(
                path if not shared else f"spec.versions[{index}].schema.openAPIV3Schema",
                "schemas are required",
            )
            continue
        if root.get("type") != "object":
            yield required(f"{path}.type", "must not be empty at the root: object")
        found = list(_check_schema(root, path, 0, size)) or list(
            _check_structure(root, path, root=True)
        )
        yield from found or [*checking.check(root, path, known_rules), *_check_defaults(root, path)]


def _check_defaults(schema: Object, path: str) -> Iterator[Cause]:
    """Yield what is invalid in the defaults of a valid schema."""
    if "default" in schema:
        for cause in validate(schema, schema["default"]):
            yield Cause(
                cause.reason,
                cause.message,
                f"{path}.default" + (f".{cause.field}" if cause.field else ""),
            )
    for name, child in (schema.get("properties") or {}).items():
        yield from _check_defaults(child, f"{path}.properties[{name}]")
    for field in ("items", "additionalProperties"):
        if isinstance(child := schema.get(field), dict):
            yield from _check_defaults(child, f"{path}.{field}")


def _check_structure(schema: Object, path: str, *, root: bool = False) -> Iterator[Cause]:
    """Yield where a readable schema is not structural: each value must have a type."""
    free = schema.get(_INT_OR_TEXT) or schema.get(_PRESERVE)
    if not schema.get("type") and not free and not root:
        yield required(f"{path}.type", "must not be empty for what is specified")
    if schema.get("type") == "array" and "items" not in schema:
        yield required(f"{path}.items", "must be specified for an array")
    if schema.get("additionalProperties") not in (None, True) and schema.get("properties"):
        yield forbidden(f"{path}.additionalProperties", "cannot be set together with properties")
    yield from _check_lists(schema, path)
    if schema.get(_EMBEDDED):
        if schema.get("type") != "object":
            yield invalid(f"{path}.type", schema.get("type"), "must be object for what is embedded")
        if not schema.get("properties") and not schema.get(_PRESERVE):
            yield required(f"{path}.properties", "must not be empty for what is embedded")
    for at, child in _children(schema, path):
        yield from _check_structure(child, at)
    for field in ("allOf", "anyOf", "oneOf"):
        if schema.get(_INT_OR_TEXT) and schema.get(field) in _INT_OR_TEXT_BRANCHES:
            continue  # the only form that code generators write
        for index, branch in enumerate(schema.get(field) or ()):
            yield from _check_branch(branch, f"{path}.{field}[{index}]")
    if "not" in schema:
        yield from _check_branch(schema["not"], f"{path}.not")


def _check_lists(schema: Object, path: str) -> Iterator[Cause]:
    """Check the extensions that define how lists and objects merge."""
    kind, keys = schema.get(_LIST_TYPE), schema.get(_LIST_KEYS) or []
    for field, wanted, allowed in (
        (_LIST_TYPE, "array", ["atomic", "map", "set"]),
        (_MAP_TYPE, "object", ["atomic", "granular"]),
    ):
        if (value := schema.get(field)) is None:
            continue
        if value not in allowed:
            yield not_supported(f"{path}.{field}", value, allowed)
        if schema.get("type") != wanted:
            yield invalid(f"{path}.type", schema.get("type"), f"must be {wanted} beside {field}")
    if keys and kind is None:
        yield required(f"{path}.{_LIST_TYPE}", f"must be map beside {_LIST_KEYS}")
    elif keys and kind != "map":
        yield invalid(f"{path}.{_LIST_TYPE}", kind, f"must be map beside {_LIST_KEYS}")
    if kind == "map":
        yield from _check_keys(schema, keys, path)


def _check_keys(schema: Object, keys: list[str], path: str) -> Iterator[Cause]:
    """Check that each item of a list of type map has the keys, with single values."""
    items: Object = held if isinstance(held := schema.get("items"), dict) else {}
    if not keys:
        yield required(f"{path}.{_LIST_KEYS}", "must not be empty for a list of the type map")
    if items.get("type") != "object":
        yield invalid(
            f"{path}.items.type", items.get("type"), "must be object in a list of the type map"
        )
        return
    properties, there = items.get("properties") or {}, items.get("required") or ()
    if len(set(keys)) != len(keys) or not set(keys) <= properties.keys():
        yield invalid(f"{path}.{_LIST_KEYS}", keys, "must be different fields of the items")
    for key in keys:
        child = properties.get(key)
        if child is not None and child.get("type") in ("array", "object"):
            yield invalid(
                f"{path}.items.properties[{key}].type", child["type"], "must be a single value"
            )
        if child is not None and key not in there and child.get("default") is None:
            yield required(
                f"{path}.items.properties[{key}].default", "must be given, or the field be required"
            )


def _check_branch(schema: Object, path: str) -> Iterator[Cause]:
    for field in _FORBIDDEN_IN_BRANCHES:
        if schema.get(field) not in (None, "", False):
            yield forbidden(f"{path}.{field}", "must be set outside of allOf, anyOf, oneOf and not")
    for at, child in _children(schema, path):
        yield from _check_branch(child, at)
    for field in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(field) or ()):
            yield from _check_branch(branch, f"{path}.{field}[{index}]")
    if "not" in schema:
        yield from _check_branch(schema["not"], f"{path}.not")


def _children(schema: Object, path: str) -> Iterator[tuple[str, Object]]:
    for name, child in (schema.get("properties") or {}).items():
        yield f"{path}.properties[{name}]", child
    for field in ("items", "additionalProperties"):
        if isinstance(child := schema.get(field), dict):
            yield f"{path}.{field}", child


def _check_schema(schema: Any, path: str, depth: int, size: patterns.Budget) -> Iterator[Cause]:
    """Check what validation needs to read a schema."""
    if not isinstance(schema, dict):
        yield invalid(path, schema, "must be an object")
        return
    if depth > _DEPTH:
        yield invalid(path, "…", f"must not be nested deeper than {_DEPTH}")
        return
    if schema.get("$ref"):
        yield forbidden(f"{path}.$ref", "a schema must be whole")
    if schema.get("uniqueItems"):
        yield forbidden(f"{path}.uniqueItems", f"is not supported; use {_LIST_TYPE}: set")
    if schema.get("type", "object") not in _TYPES:
        yield not_supported(f"{path}.type", schema["type"], _TYPES)
    for field in _NUMBERS:
        if field in schema and (
            isinstance(schema[field], bool) or not isinstance(schema[field], (int, float))
        ):
            yield invalid(f"{path}.{field}", schema[field], "must be a number")
    for field in ("enum", "x-kubernetes-list-map-keys"):
        if field in schema and not isinstance(schema[field], list):
            yield invalid(f"{path}.{field}", schema[field], "must be a list")
    if not isinstance(schema.get("required", []), list) or not all(
        isinstance(name, str) for name in schema.get("required", ())
    ):
        yield invalid(f"{path}.required", schema["required"], "must be a list of names")
    if not _are_rules(schema.get(checking.VALIDATIONS, [])):
        raise TypeError(f"{path}.{checking.VALIDATIONS} must be a list of rules")
    if "pattern" in schema:
        yield from _check_pattern(schema["pattern"], f"{path}.pattern", size)
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        yield invalid(f"{path}.properties", properties, "must be an object")
        properties = {}
    for name, child in properties.items():
        yield from _check_schema(child, f"{path}.properties[{name}]", depth + 1, size)
    for field in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(field, [])
        if not isinstance(branches, list):
            yield invalid(f"{path}.{field}", branches, "must be a list of schemas")
            continue
        for index, branch in enumerate(branches):
            yield from _check_schema(branch, f"{path}.{field}[{index}]", depth + 1, size)
    for field in ("items", "not"):
        if field in schema:
            yield from _check_schema(schema[field], f"{path}.{field}", depth + 1, size)
    if "additionalProperties" in schema and not isinstance(schema["additionalProperties"], bool):
        yield from _check_schema(
            schema["additionalProperties"], f"{path}.additionalProperties", depth + 1, size
        )


def _are_rules(rules: Any) -> bool:
    if not isinstance(rules, list):
        return rules is None
    return all(
        isinstance(rule, dict)
        and all(isinstance(rule.get(field), kind) for field, kind in _RULE.items())
        for rule in rules
    )


def _check_pattern(pattern: Any, path: str, size: patterns.Budget) -> Iterator[Cause]:
    if not isinstance(pattern, str):
        yield invalid(path, pattern, "must be a regular expression")
        return
    try:
        size.spend(patterns.COMPILING_ONE)
        size.left += patterns.COMPILING_ONE - patterns.size(pattern)
    except patterns.PatternError as error:
        yield invalid(path, pattern, f"must be a valid regular expression, but isn't: {error}")
    except patterns.TooMuchWork:
        yield invalid(
            path,
            pattern,
            "must be simpler: the regular expressions of one definition are too large together",
        )
