"""Types of fields for merging: what is one value, and which lists and maps merge by item.

They are made from OpenAPI schemas of built-in kinds and from schemas of CRDs. Source: Kubernetes
docs, "Server-Side Apply", Merge strategy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.localkube.apiserver.objects import schemas

Schema = dict[str, Any]

_SCALARS = {"string": "string", "boolean": "boolean", "integer": "numeric", "number": "numeric"}
_ABSENT = object()


@dataclass(slots=True)
class Property:
    """A named field. `default` is its default, which keys of lists need."""

    type: Type
    default: Any = None


@dataclass(slots=True)
class Mapping:
    """An object.

    Attributes:
        fields: named fields.
        element: type of the values of other names; None if there are none.
        atomic: whether it is one value.
        zeros: values of fields that built-in kinds always have.
    """

    fields: dict[str, Property] = field(default_factory=dict)
    element: Type | None = None
    atomic: bool = False
    zeros: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Type | None:
        """Return the type of a field; None if it is not allowed."""
        known = self.fields.get(name)
        return self.element if known is None else known.type


@dataclass(slots=True)
class Listing:
    """A list: atomic (one value), a map by `keys` of its items, or, without keys, a set."""

    element: Type
    keys: tuple[str, ...] = ()
    atomic: bool = True


@dataclass(slots=True)
class Type:
    """The forms that a value may have. `scalar` is string, numeric, boolean or untyped."""

    scalar: str | None = None
    listing: Listing | None = None
    mapping: Mapping | None = None

    def form(self, value: Any) -> Type:
        """Return the one of several forms that a value has."""
        if isinstance(value, dict):
            return self if self.mapping is None else self._only(mapping=self.mapping)
        if isinstance(value, list):
            return self if self.listing is None else self._only(listing=self.listing)
        return self if value is None or self.scalar is None else self._only(scalar=self.scalar)

    def _only(self, **form: Any) -> Type:
        known = sum(one is not None for one in (self.scalar, self.listing, self.mapping))
        return self if known <= 1 else Type(**form)


ATOMIC = Type("untyped")
ATOMIC.listing, ATOMIC.mapping = Listing(ATOMIC), Mapping(element=ATOMIC, atomic=True)
FREE = Type("untyped")
"""Type without schema: lists are one value, maps are not."""
FREE.listing, FREE.mapping = Listing(ATOMIC), Mapping(element=FREE)


_known: dict[str, Type] = {}


def named(name: str) -> Type:
    """Return the type of a built-in schema by full name or reference."""
    name = name.removeprefix(schemas.REFERENCE)
    found = _known.get(name)
    if found is None:
        found = _known[name] = Type()  # completed below, because schemas may refer to themselves
        made = _made(schemas.named(name), built_in=True, free=False)
        found.scalar, found.listing, found.mapping = made.scalar, made.listing, made.mapping
    return found


def custom(schema: Schema) -> Type:
    """Return the type of a custom resource from the structural schema of its version."""
    made = _made(schema, built_in=False, free=False)
    if made.mapping is None:
        made = Type(mapping=Mapping(element=FREE))
    assert made.mapping is not None
    _as_object(made.mapping)
    return made


def _as_object(mapping: Mapping) -> None:
    text = Type("string")
    mapping.fields |= {
        "apiVersion": Property(text),
        "kind": Property(text),
        "metadata": Property(named(schemas.OBJECT_META)),
    }


def _made(schema: Schema, *, built_in: bool, free: bool) -> Type:
    """Return the type of a schema. `free`: an object above preserves unknown fields."""
    reference = (
        schema.get("$ref")
        or next((one["$ref"] for one in schema.get("allOf", ()) if "$ref" in one), None)
        if built_in
        else None
    )
    if reference is not None:
        return _related(named(reference), schema)
    free = bool(schema.get("x-kubernetes-preserve-unknown-fields", free))
    match schema.get("type"):
        case "object":
            return Type(mapping=_mapping(schema, built_in=built_in, free=free))
        case "array":
            return Type(listing=_listing(schema, built_in=built_in, free=free))
        case str(name) if name in _SCALARS and schema.get("format") not in (
            "int-or-string",
            "date-time",
        ):
            return Type(_SCALARS[name])
        case str(name) if name in _SCALARS:
            return Type("untyped")
    return Type("untyped") if schema.get("x-kubernetes-int-or-string") else FREE


def _related(held: Type, schema: Schema) -> Type:
    """Return a referenced type with the merge strategy of the place that refers to it."""
    relation = schema.get("x-kubernetes-map-type")
    if relation is None or held.mapping is None or held.mapping.atomic == (relation == "atomic"):
        return held
    return Type(
        mapping=Mapping(
            held.mapping.fields, held.mapping.element, relation == "atomic", held.mapping.zeros
        )
    )


def _mapping(schema: Schema, *, built_in: bool, free: bool) -> Mapping:
    properties: Schema = schema.get("properties") or {}
    found = Mapping(atomic=schema.get("x-kubernetes-map-type") == "atomic")
    for name, child in properties.items():
        type_ = _made(child, built_in=built_in, free=free)
        found.fields[name] = Property(type_, default=child.get("default"))
        if built_in:
            zero = _zero(type_, child, name in schema.get("required", ()))
            if zero is not _ABSENT:
                found.zeros[name] = zero
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        found.element = _made(more, built_in=built_in, free=free)
    elif more is True or (more is None and (free or not properties)):
        found.element = FREE
    if schema.get("x-kubernetes-embedded-resource"):
        _as_object(found)
    return found


def _zero(type_: Type, schema: Schema, required: bool) -> Any:
    """Return what Go writes for an absent field.

    That is the empty structure, and null for a list or map that may not be left out.
    """
    if type_.scalar is not None and type_.mapping is None:
        return _ABSENT
    if schema.get("default") == {}:
        return {}
    return None if required else _ABSENT


def _listing(schema: Schema, *, built_in: bool, free: bool) -> Listing:
    element = _made(schema.get("items") or {}, built_in=built_in, free=free)
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        return Listing(element, tuple(schema.get("x-kubernetes-list-map-keys") or ()), atomic=False)
    if kind == "set":
        return Listing(element, atomic=False)
    if kind is None and "merge" in str(schema.get("x-kubernetes-patch-strategy", "")).split(","):
        key = schema.get("x-kubernetes-patch-merge-key")
        return Listing(element, (key,) if key else (), atomic=False)
    return Listing(element)
