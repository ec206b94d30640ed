"""Types of fields as far as merging needs them: what is one value, what is a list or map by items, and by which keys.

Made from OpenAPI schemas of built-in kinds and from schemas of CRDs alike. Source: Kubernetes docs, “Server-Side Apply”, merge strategy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.localkube.apiserver.objects import schemas

Schema = dict[str, Any]
Object = dict[str, Any]

_SCALARS = {"string": "string", "boolean": "boolean", "integer": "numeric", "number": "numeric"}
_ABSENT = object()


@dataclass(slots=True)
class Property:
    """A named field. `zero` is what stands there when nothing does: built-in kinds always have their plain structures."""

    type: Type
    zero: Any = _ABSENT
    default: Any = None
    required: bool = False


@dataclass(slots=True)
class Mapping:
    """An object: named fields and, for free names, the type of their values (None: no other names). Atomic: it is one value."""

    fields: dict[str, Property] = field(default_factory=dict)
    element: Type | None = None
    atomic: bool = False
    zeros: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Type | None:
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
    """The forms that a value may have; mostly one. `scalar` is string, numeric, boolean or untyped."""

    scalar: str | None = None
    listing: Listing | None = None
    mapping: Mapping | None = None

    def form(self, value: Any) -> Type:
        """Of several forms the one that a value has."""
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
"""Where no schema says what stands: lists are one value, maps are not."""
FREE.listing, FREE.mapping = Listing(ATOMIC), Mapping(element=FREE)


_known: dict[str, Type] = {}


def named(name: str) -> Type:
    """The type of a built-in schema by its full name or reference."""
    name = name.removeprefix(schemas.REFERENCE)
    found = _known.get(name)
    if found is None:
        found = _known[name] = Type()  # known before it is made: schemas refer to themselves
        made = _made(schemas.named(name), built_in=True, free=False)
        found.scalar, found.listing, found.mapping = made.scalar, made.listing, made.mapping
    return found


def custom(schema: Schema) -> Type:
    """The type of a custom resource, by the structural schema of its version."""
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
    """`free`: an object above keeps names that its schema does not know."""
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
    """A referred type as the place that refers to it wants it merged."""
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
            required = found.fields[name].required = name in schema.get("required", ())
            zero = _zero(type_, child, required)
            if zero is not _ABSENT:
                found.fields[name].zero = found.zeros[name] = zero
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        found.element = _made(more, built_in=built_in, free=free)
    elif more is True or (more is None and (free or not properties)):
        found.element = FREE
    if schema.get("x-kubernetes-embedded-resource"):
        _as_object(found)
    return found


def _zero(type_: Type, schema: Schema, required: bool) -> Any:
    """What Go writes where nothing was said: the empty structure, and null for a list or map that may not be left out."""
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
