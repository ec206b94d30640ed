"""Custom resources: what a stored CRD makes of the API: rows, their schema as a strategy, their printer columns."""

from __future__ import annotations

from typing import Any

from ...resources import schema as structural
from ...resources.catalog import Resource
from ...resources.causes import Cause
from .jsonpath import compile_path
from .rows import Column, Row, Scaling, at
from .strategies import Strategy

Object = dict[str, Any]


class CustomStrategy(Strategy):
    """Prunes, defaults and validates by the structural schema of one CRD version."""

    has_generation = True
    unconditional_update = False

    def __init__(self, schema: Object) -> None:
        self.schema = schema

    def unknown_fields(self, obj: Object) -> list[str]:
        return structural.unknown_fields(self.schema, obj)

    def default(self, obj: Object) -> None:
        pruned = structural.default(self.schema, structural.prune(self.schema, obj))
        obj.clear()
        obj.update(pruned)

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return structural.validate(self.schema, obj, old=old)


def rows(definition: Object) -> list[Row]:
    """One row for each served version of a stored CustomResourceDefinition."""
    spec = definition["spec"]
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    ever = {version["name"] for version in spec["versions"]} | set((definition.get("status") or {}).get("storedVersions") or ())
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        resource = Resource(spec["group"], version["name"], spec["names"]["plural"], spec["names"]["kind"], spec["scope"] == "Namespaced")
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True}
        found.append(
            Row(
                resource,
                tuple(spec["names"].get("shortNames") or ()),
                tuple(spec["names"].get("categories") or ()),
                subresources=tuple(name for name in ("scale", "status") if (version.get("subresources") or {}).get(name) is not None),
                strategy=CustomStrategy(schema),
                schema=schema,
                scaling=_scaling((version.get("subresources") or {}).get("scale")),
                columns=tuple(_column(column) for column in version.get("additionalPrinterColumns") or ()),
                custom=True,
                ending=bool(definition["metadata"].get("deletionTimestamp")),
                stored_version=stored if len(ever) > 1 else None,
            )
        )
    return found


def _scaling(paths: Object | None) -> Scaling | None:
    if paths is None:
        return None
    selector = at(*_parts(paths.get("labelSelectorPath", "")))
    return Scaling(_parts(paths["specReplicasPath"]), _parts(paths["statusReplicasPath"]), lambda obj: str(selector(obj) or ""))


def _parts(path: str) -> tuple[str, ...]:
    """A path of a scale subresource: `.spec.replicas`, names and dots only."""
    return tuple(part for part in path.split(".") if part) or ("",)


def _column(column: Object) -> Column:
    read = compile_path(column["jsonPath"])
    return Column(column["name"], read, column.get("type", "string"), column.get("description", ""), column.get("priority", 0))
