"""CustomResourceDefinitions: defaults, validation, and their status.

Source: Kubernetes docs, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.common import dns_names
from jupyter_workspaces.kube.causes import (
    Cause,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.schemas.rules import registered, unchecked, unchecked_warning
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy
from jupyter_workspaces.localkube.apiserver.tables.jsonpath import PathError, compile_path

from .schemas import check_schemas

_PROTECTED = ("k8s.io", "kubernetes.io")
_APPROVAL = "api-approved.kubernetes.io"
_COLUMN_TYPES = ["boolean", "date", "integer", "number", "string"]
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionStrategy(Strategy):
    """Rules of CRDs. A stored CRD is served at once, so it is Established from the start."""

    has_generation = True
    finalizers_have_domains = False

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        spec = obj.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if (
            isinstance(spec, dict)
            and isinstance(names, dict)
            and isinstance(names.get("kind"), str)
        ):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", names["kind"] + "List")
            spec.setdefault("conversion", {"strategy": "None"})

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the status of a valid CRD, in place."""
        if not self.check(obj, old):
            obj["status"] = _established(obj, {} if old is None else obj.get("status") or {})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes = list(_check(obj))
        if old is not None and not causes:
            before, after = old["spec"], obj["spec"]
            for path, was, now in (
                ("spec.group", before["group"], after["group"]),
                ("spec.names.plural", before["names"]["plural"], after["names"]["plural"]),
                ("spec.names.kind", before["names"]["kind"], after["names"]["kind"]),
                ("spec.scope", before["scope"], after["scope"]),
            ):
                if was != now:
                    causes.append(invalid(path, now, "field is immutable"))
        return causes

    def warnings(self, obj: Object, old: Object | None) -> list[str]:
        """Return a warning about validation rules that are not evaluated here."""
        schemas = [version["schema"]["openAPIV3Schema"] for version in obj["spec"]["versions"]]
        found = list(dict.fromkeys(rule for schema in schemas for rule in unchecked(schema)))
        return [unchecked_warning(found)] if found else []


def _check(definition: Object) -> Iterator[Cause]:
    spec = definition.get("spec")
    if not isinstance(spec, dict):
        yield required("spec")
        return
    names, versions, group = spec.get("names"), spec.get("versions"), spec.get("group")
    if not isinstance(group, str) or "." not in group or not dns_names.is_subdomain(group):
        yield (
            required("spec.group")
            if not group
            else invalid("spec.group", group, "should be a domain with at least one dot")
        )
    elif group.endswith(_PROTECTED) and not (definition["metadata"].get("annotations") or {}).get(
        _APPROVAL
    ):
        yield required(
            f"metadata.annotations[{_APPROVAL}]", "protected groups must have approval annotation"
        )
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield (
            required("spec.scope")
            if not spec.get("scope")
            else not_supported("spec.scope", spec["scope"], ["Cluster", "Namespaced"])
        )
    if not isinstance(names, dict):
        yield required("spec.names")
        return
    yield from _check_names(names)
    if isinstance(group, str) and isinstance(names.get("plural"), str):
        wanted = f"{names['plural']}.{group}"
        if definition["metadata"].get("name") != wanted:
            yield invalid(
                "metadata.name",
                definition["metadata"].get("name"),
                "must be spec.names.plural+'.'+spec.group",
            )
    if not isinstance(versions, list) or not versions:
        yield required("spec.versions", "must have exactly one version marked as storage version")
        return
    for index, version in enumerate(versions):
        yield from _check_version(version, f"spec.versions[{index}]")
    yield from check_schemas(
        [version.get("schema") if isinstance(version, dict) else None for version in versions],
        registered(str(group)),
    )
    stored = [
        version
        for version in versions
        if isinstance(version, dict) and version.get("storage") is True
    ]
    if len(stored) != 1:
        yield invalid(
            "spec.versions", len(stored), "must have exactly one version marked as storage version"
        )
    if len({str(version.get("name")) for version in versions if isinstance(version, dict)}) != len(
        versions
    ):
        yield invalid("spec.versions", len(versions), "must contain unique version names")


def _is_kind(name: str) -> bool:
    """Return whether a name is a DNS-1035 label but for the case of its letters."""
    return name.isascii() and dns_names.is_dns1035_label(name.lower())


def _check_names(names: Object) -> Iterator[Cause]:
    for field, is_valid in (
        ("plural", dns_names.is_dns1035_label),
        ("singular", dns_names.is_dns1035_label),
        ("kind", _is_kind),
        ("listKind", _is_kind),
    ):
        value = names.get(field)
        if value is None:
            if field in ("plural", "kind"):
                yield required(f"spec.names.{field}")
        elif not isinstance(value, str) or not is_valid(value):
            yield invalid(f"spec.names.{field}", value, "must be a DNS-1035 label")
    for field in ("shortNames", "categories"):
        value = names.get(field)
        if value is not None and not (
            isinstance(value, list)
            and all(isinstance(one, str) and dns_names.is_dns1035_label(one) for one in value)
        ):
            yield invalid(f"spec.names.{field}", value, "must be a list of DNS-1035 labels")


def _check_version(version: Any, path: str) -> Iterator[Cause]:
    if not isinstance(version, dict):
        yield invalid(path, version, "must be an object")
        return
    name = version.get("name")
    if not isinstance(name, str) or not dns_names.is_dns1035_label(name):
        yield invalid(f"{path}.name", name, "must be a DNS-1035 label")
    for flag in ("served", "storage"):
        if not isinstance(version.get(flag), bool):
            yield required(f"{path}.{flag}", "true or false")
    subresources = version.get("subresources")
    if subresources is not None and not (
        isinstance(subresources, dict)
        and all(isinstance(one, dict) for one in subresources.values())
    ):
        yield invalid(f"{path}.subresources", subresources, "must be an object of objects")
    columns = version.get("additionalPrinterColumns")
    if columns is not None and not isinstance(columns, list):
        yield invalid(f"{path}.additionalPrinterColumns", columns, "must be a list")
        return
    for index, column in enumerate(columns or ()):
        yield from _check_column(column, f"{path}.additionalPrinterColumns[{index}]")


def _check_column(column: Any, path: str) -> Iterator[Cause]:
    if not isinstance(column, dict):
        yield invalid(path, column, "must be an object")
        return
    for field in ("name", "jsonPath"):
        if not isinstance(column.get(field), str) or not column[field]:
            yield required(f"{path}.{field}")
    if column.get("type") not in _COLUMN_TYPES:
        yield not_supported(f"{path}.type", column.get("type"), _COLUMN_TYPES)
    if isinstance(column.get("priority", 0), bool) or not isinstance(
        column.get("priority", 0), int
    ):
        yield invalid(f"{path}.priority", column["priority"], "must be a whole number")
    if not isinstance(column.get("description", ""), str):
        yield invalid(f"{path}.description", column["description"], "must be text")
    if isinstance(column.get("jsonPath"), str):
        try:
            compile_path(column["jsonPath"])
        except PathError as error:
            yield invalid(f"{path}.jsonPath", column["jsonPath"], str(error))


def _established(definition: Object, before: Object) -> Object:
    """Return the status of an established CRD.

    Existing conditions keep their times, and `storedVersions` keeps earlier versions.
    """
    spec = definition["spec"]
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = before.get("conditions") or [
        {
            "type": "NamesAccepted",
            "status": "True",
            "lastTransitionTime": now,
            "reason": "NoConflicts",
            "message": "no conflicts found",
        },
        {
            "type": "Established",
            "status": "True",
            "lastTransitionTime": now,
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    stored = [version["name"] for version in spec["versions"] if version["storage"]]
    kept = [name for name in before.get("storedVersions") or () if name not in stored]
    return {
        "acceptedNames": dict(spec["names"]),
        "conditions": conditions,
        "storedVersions": kept + stored,
    }


def start_termination(definition: Object) -> None:
    """Mark a deleted CRD, in place: its objects are deleted first."""
    held = definition["metadata"].get("finalizers") or []
    definition["metadata"]["finalizers"] = [*held, *({CLEANUP} - set(held))]
    set_terminating(
        definition,
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    )


def set_terminating(definition: Object, value: str, reason: str, message: str) -> None:
    """Set the condition Terminating, in place."""
    status = definition.setdefault("status", {})
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Terminating",
        "status": value,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }
    status["conditions"] = [
        one for one in status.get("conditions") or () if one["type"] != "Terminating"
    ] + [condition]
