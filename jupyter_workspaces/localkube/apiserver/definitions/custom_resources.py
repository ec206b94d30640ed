"""Turns stored CRDs into rows of the API: schema as strategy, printer columns, scale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.schemas import structural
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.rows import Row, Scaling
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy
from jupyter_workspaces.localkube.apiserver.tables.columns import (
    AGE,
    NAME,
    Cell,
    Column,
    at,
)
from jupyter_workspaces.localkube.apiserver.tables.jsonpath import compile_path

_AGE = replace(AGE, type="date")


class CustomStrategy(Strategy):
    """Prunes, defaults and validates objects by the structural schema of one CRD version."""

    has_generation = True
    finalizers_have_domains = False
    unconditional_update = False

    def __init__(self, schema: Object) -> None:
        """Create it for a schema."""
        self.schema = schema
        self._has_rules = structural.has_rules(schema)

    def unknown_fields(self, obj: Object) -> list[str]:
        """Return the paths of fields that the schema does not have."""
        return structural.unknown_fields(self.schema, obj)

    def read(self, obj: Object) -> None:
        """Remove nulls that the schema does not allow, in place."""
        kept = structural.without_nulls(self.schema, obj)
        obj.clear()
        obj.update(kept)

    def default(self, obj: Object) -> None:
        """Prune unknown fields and fill in defaults, in place."""
        pruned = structural.default(self.schema, structural.prune(self.schema, obj))
        obj.clear()
        obj.update(pruned)

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid by the schema and its validation rules."""
        return structural.validate(self.schema, obj, old=old)

    def warnings(self, obj: Object, old: Object | None) -> list[str]:
        """Return violations of rules that an update leaves as they were."""
        if old is None or not self._has_rules:
            return []
        return [
            f"{cause.field}: {cause.message}"
            for cause in structural.tolerated(self.schema, obj, old)
        ]


def rows(definition: Object) -> list[Row]:
    """Return a row for each served version of a CRD."""
    spec = definition["spec"]
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    ever = {version["name"] for version in spec["versions"]} | set(
        (definition.get("status") or {}).get("storedVersions") or ()
    )
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        resource = Resource(
            spec["group"],
            version["name"],
            spec["names"]["plural"],
            spec["names"]["kind"],
            spec["scope"] == "Namespaced",
        )
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {
            "x-kubernetes-preserve-unknown-fields": True
        }
        found.append(
            Row(
                resource,
                tuple(spec["names"].get("shortNames") or ()),
                tuple(spec["names"].get("categories") or ()),
                subresources=tuple(
                    name
                    for name in ("scale", "status")
                    if (version.get("subresources") or {}).get(name) is not None
                ),
                strategy=CustomStrategy(schema),
                schema=schema,
                scaling=_scaling((version.get("subresources") or {}).get("scale")),
                columns=(NAME, *map(_column, version.get("additionalPrinterColumns") or ()))
                if version.get("additionalPrinterColumns")
                else (NAME, _AGE),
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
    return Scaling(
        _parts(paths["specReplicasPath"]),
        _parts(paths["statusReplicasPath"]),
        lambda obj: str(selector(obj) or ""),
    )


def _parts(path: str) -> tuple[str, ...]:
    """Split the path of a scale subresource, such as `.spec.replicas`."""
    return tuple(part for part in path.split(".") if part) or ("",)


def _column(column: Object) -> Column:
    path, kind = column["jsonPath"], column.get("type", "string")
    description = (
        column.get("description")
        or f"Custom resource definition column (in JSONPath format): {path}"
    )
    read = _typed(compile_path(path), kind)
    return Column(
        column["name"],
        read,
        kind,
        description,
        column.get("priority", 0),
        column.get("format", ""),
        since=kind == "date",
    )


def _typed(read: Cell, kind: str) -> Cell:
    """Return a cell that omits values of another type; columns of type string show any value."""

    def cell(obj: Object) -> Any:
        value = read(obj)
        match kind:
            case "string":
                return (
                    value
                    if value is None or isinstance(value, str)
                    else msgspec.json.encode(value, order="sorted").decode()
                )
            case "integer" | "number":
                fits = isinstance(value, (int, float)) and not isinstance(value, bool)
                return (int(value) if kind == "integer" else value) if fits else None
            case "boolean":
                return value if isinstance(value, bool) else None
        return value

    return cell
