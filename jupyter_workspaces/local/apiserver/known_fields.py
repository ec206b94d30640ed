"""Which fields of a built-in kind are known, by Kubernetes' own schemas: others are dropped, and told (kubernetes.io “API concepts”, Field validation)."""

from __future__ import annotations

from typing import Any

from ...resources.catalog import Resource
from . import schemas
from .schemas import Schema

Object = dict[str, Any]


def drop_unknown(resource: Resource, obj: Object) -> list[str]:
    """Remove the fields that the kind has not; their paths, as `spec.ports[0].prt`. Kinds without a schema keep all."""
    schema = schemas.of(resource)
    found: list[str] = []
    if schema is not None:
        _walk(schema, obj, "", found)
    return found


def drop_unknown_of_metadata(obj: Object) -> list[str]:
    """The same for what every object has; the rest of a custom kind is known by its own schema."""
    found: list[str] = []
    _walk(schemas.named(schemas.OBJECT_META), obj.get("metadata"), "metadata", found)
    return found


def _walk(schema: Schema, value: Any, path: str, found: list[str]) -> None:
    schema = _resolved(schema)
    if isinstance(value, list):
        if (items := schema.get("items")) is not None:
            for number, item in enumerate(value):
                _walk(items, item, f"{path}[{number}]", found)
        return
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    known, free = schema.get("properties"), schema.get("additionalProperties")
    for name in list(value):
        below = f"{path}.{name}" if path else name
        if known is not None and name in known:
            _walk(known[name], value[name], below, found)
        elif isinstance(free, dict):
            _walk(free, value[name], below, found)
        elif known is not None:
            found.append(below)
            del value[name]


def _resolved(schema: Schema) -> Schema:
    """References and the wrapping that gives them a default are followed."""
    while True:
        if (reference := schema.get("$ref")) is not None:
            schema = schemas.named(reference)
        elif len(wrapped := schema.get("allOf", ())) == 1:
            schema = wrapped[0]
        else:
            return schema
