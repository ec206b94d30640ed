"""Reads and writes a kind's spec like the Go types of the original, by the schema of the CRD.

Reading reports unknown fields and wrong types. Writing adds what Go always writes: a missing
required field gets its zero value, so that the cluster reports the same errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jupyter_workspaces.common.quantities import QuantityError, canonical
from jupyter_workspaces.resources import bundled
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS

Schema = Mapping[str, Any]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_ZEROS: Mapping[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0}
_BITS = {"int32": 31, "int64": 63}
_ROOT = ("apiVersion", "kind", "metadata")
_ALWAYS = ("divisor",)
"""Optional fields that Go always writes, because they are not pointers in its structs."""


@cache
def kind_schema() -> Schema:
    """Return the schema of a WorkspaceKind."""
    for manifest in bundled.crds():
        if manifest["spec"]["names"]["kind"] == WORKSPACE_KINDS.kind:
            found: Schema = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            return found
    raise LookupError(WORKSPACE_KINDS.kind)


def part(*names: str) -> Schema:
    """Return the schema of a field at a path."""
    schema = kind_schema()
    for name in names:
        schema = schema["properties"][name]
    return schema


@dataclass
class Reading:
    """Reads values and collects errors: unknown fields, and values of a wrong type."""

    any_case: bool = False
    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def read(self, schema: Schema, value: Any, path: str = "") -> Any:
        """Return a value with the schema's names and without nulls."""
        kind = schema.get("type", "")
        if value is not None and schema.get("x-kubernetes-int-or-string"):
            self._int_or_string(schema, value, path)
            return value
        if value is None or kind not in _TYPES:
            return value
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            self.wrong.append(f"{path or 'the body'} must be of type {kind}, not {_name(value)}")
        elif kind == "integer" and not -(
            2 ** _BITS.get(schema.get("format", ""), 63)
        ) <= value < 2 ** _BITS.get(schema.get("format", ""), 63):
            self.wrong.append(f"{path} must fit {schema.get('format', 'int64')}")
        elif isinstance(value, dict):
            return self._object(schema, value, path)
        elif isinstance(value, list):
            items = schema.get("items") or {}
            return [
                _zero(items) if child is None else self.read(items, child, f"{path}[{index}]")
                for index, child in enumerate(value)
            ]
        return value

    def _int_or_string(self, schema: Schema, value: Any, path: str) -> None:
        if _is_quantity(schema):
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                self.wrong.append(f"{path} must be a quantity, not {_name(value)}")
                return
            try:
                canonical(str(value))
            except QuantityError as error:
                self.wrong.append(f"{path} is no quantity: {error}")
        elif isinstance(value, bool) or not isinstance(value, (str, int)):
            self.wrong.append(f"{path} must be a whole number or a text, not {_name(value)}")
        elif isinstance(value, int) and not -(2**31) <= value < 2**31:
            self.wrong.append(f"{path} must fit int32")

    def _object(self, schema: Schema, value: Mapping[str, Any], path: str) -> dict[str, Any]:
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        by_case = {name.lower(): name for name in properties} if self.any_case else {}
        found: dict[str, Any] = {}
        for key, child in value.items():
            name = key if key in properties else by_case.get(key.lower(), key)
            where = f"{path}.{name}" if path else name
            if not path and name in _ROOT:
                found[name] = child
            elif name in properties:
                if child is not None:
                    found[name] = self.read(properties[name], child, where)
            elif isinstance(additional, Mapping):
                found[name] = (
                    _zero(additional) if child is None else self.read(additional, child, where)
                )
            elif schema.get("x-kubernetes-preserve-unknown-fields") or additional:
                found[name] = child
            else:
                self.unknown.append(f'unknown field "{where}"')
        return found


def written(schema: Schema, value: Any) -> Any:
    """Return a value with its required fields, and with canonical quantities."""
    if isinstance(value, list):
        return [written(schema.get("items") or {}, child) for child in value]
    if _is_quantity(schema):
        return canonical(str(value))
    if not isinstance(value, dict):
        return value
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    filled = {
        key: written(
            properties.get(key) or (additional if isinstance(additional, Mapping) else {}), child
        )
        for key, child in value.items()
    }
    for name in (*(schema.get("required") or ()), *_ALWAYS):
        if (
            name not in filled
            and name in properties
            and (zero := _zero(properties[name])) is not None
        ):
            filled[name] = zero
    return filled


def _zero(schema: Schema) -> Any:
    """Return what Go writes for an unset field; None for null, which the cluster drops."""
    if schema.get("x-kubernetes-int-or-string"):
        return "0" if _is_quantity(schema) else 0
    if schema.get("type") == "object":
        return written(schema, {})
    return _ZEROS.get(schema.get("type", ""))


def _is_quantity(schema: Schema) -> bool:
    """Return whether a schema is a quantity: the only int-or-string type with a pattern."""
    return bool(schema.get("x-kubernetes-int-or-string")) and "pattern" in schema


def _name(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)
