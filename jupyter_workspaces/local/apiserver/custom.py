"""Custom resources: a CRD's schema as a strategy, its printer columns, and what a CRD itself must say."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ...resources import schema as structural
from ...resources.catalog import Resource
from ...resources.causes import Cause, invalid, required
from .jsonpath import compile_path
from .rows import Column, Row
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

    def prepare(self, obj: Object, old: Object | None) -> None:
        pruned = structural.default(self.schema, structural.prune(self.schema, obj))
        obj.clear()
        obj.update(pruned)

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        return structural.validate(self.schema, obj)


def rows(definition: Object) -> list[Row]:
    """One row for each served version of a stored CustomResourceDefinition."""
    spec = definition["spec"]
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        resource = Resource(spec["group"], version["name"], spec["names"]["plural"], spec["names"]["kind"], spec["scope"] == "Namespaced")
        found.append(
            Row(
                resource,
                tuple(spec["names"].get("shortNames") or ()),
                tuple(spec["names"].get("categories") or ()),
                subresources=("status",) if (version.get("subresources") or {}).get("status") is not None else (),
                strategy=CustomStrategy((version.get("schema") or {}).get("openAPIV3Schema") or {"x-kubernetes-preserve-unknown-fields": True}),
                columns=tuple(_column(column) for column in version.get("additionalPrinterColumns") or ()),
                custom=True,
            )
        )
    return found


def check_definition(definition: Object) -> list[Cause]:
    """What makes a CRD unusable here."""
    spec = definition.get("spec")
    if not isinstance(spec, dict):
        return [required("spec")]
    causes = [required(f"spec.{name}") for name in ("group", "names", "scope", "versions") if not spec.get(name)]
    if causes:
        return causes
    if not isinstance(spec["names"], dict) or not all(isinstance(spec["names"].get(name), str) for name in ("plural", "kind")):
        return [required("spec.names", "plural and kind are needed")]
    if spec["scope"] not in ("Namespaced", "Cluster"):
        causes.append(invalid("spec.scope", spec["scope"], "must be Namespaced or Cluster"))
    wanted = f"{spec['names']['plural']}.{spec['group']}"
    if definition["metadata"]["name"] != wanted:
        causes.append(invalid("metadata.name", definition["metadata"]["name"], f"must be spec.names.plural+'.'+spec.group, here {wanted}"))
    versions = spec["versions"] if isinstance(spec["versions"], list) else []
    if sum(bool(version.get("storage")) for version in versions if isinstance(version, dict)) != 1:
        causes.append(invalid("spec.versions", "…", "must have exactly one version marked as storage version"))
    for index, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema") if isinstance(version, dict) else None
        if not isinstance(schema, dict):
            causes.append(required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required"))
        elif schema.get("type") != "object":
            causes.append(required(f"spec.versions[{index}].schema.openAPIV3Schema.type", "must be object at the root"))
    return causes


def established(definition: Object) -> Object:
    """The status that says: served from now on (clients wait for `Established`)."""
    spec = definition["spec"]
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = {"singular": spec["names"]["kind"].lower(), "listKind": spec["names"]["kind"] + "List"} | spec["names"]
    conditions = [
        {"type": "NamesAccepted", "status": "True", "lastTransitionTime": now, "reason": "NoConflicts", "message": "no conflicts found"},
        {"type": "Established", "status": "True", "lastTransitionTime": now, "reason": "InitialNamesAccepted", "message": "the names are accepted"},
    ]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    return {"acceptedNames": names, "conditions": conditions, "storedVersions": stored}


def prepare_definition(definition: Object) -> None:
    """Names that may be left out, in place."""
    names = (definition.get("spec") or {}).get("names")
    if isinstance(names, dict) and isinstance(names.get("kind"), str):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", names["kind"] + "List")
        definition["spec"].setdefault("conversion", {"strategy": "None"})


def _column(column: Object) -> Column:
    read = compile_path(column["jsonPath"])
    return Column(column["name"], read, column.get("type", "string"), column.get("description", ""), column.get("priority", 0))
