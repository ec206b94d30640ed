"""CustomResourceDefinitions: what one must say to be served, what may be left out, and the status that tells clients it is served.

Source: Kubernetes docs, “Extend the Kubernetes API with CustomResourceDefinitions”.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from ...resources.catalog import WORKSPACES
from ...resources.causes import Cause, invalid, not_supported, required
from ...resources.expressions import checking
from ...resources.rules import RULES, unchecked, unchecked_warning
from ...resources.schema import validate
from .jsonpath import PathError, compile_path
from .strategies import Strategy

Object = dict[str, Any]

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_PROTECTED = ("k8s.io", "kubernetes.io")
_APPROVAL = "api-approved.kubernetes.io"
_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_COLUMN_TYPES = ["boolean", "date", "integer", "number", "string"]
_NUMBERS = ("maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "multipleOf")
_RULE = {
    **dict.fromkeys(("rule", "message", "messageExpression", "reason", "fieldPath"), (str, type(None))),
    "optionalOldSelf": (bool, type(None)),
}
_DEPTH = 64
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionStrategy(Strategy):
    """The rules of a CRD. What is stored is served at once, so its status says so from the beginning."""

    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if isinstance(spec, dict) and isinstance(names, dict) and isinstance(names.get("kind"), str):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", names["kind"] + "List")
            spec.setdefault("conversion", {"strategy": "None"})

    def prepare(self, obj: Object, old: Object | None) -> None:
        if not self.check(obj, old):
            obj["status"] = _established(obj, {} if old is None else obj.get("status") or {})

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
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
        """Of validation rules that are not evaluated here."""
        schemas = [version["schema"]["openAPIV3Schema"] for version in obj["spec"]["versions"]]
        found = list(dict.fromkeys(rule for schema in schemas for rule in unchecked(schema)))
        return [unchecked_warning(found)] if found else []


def _check(definition: Object) -> Iterator[Cause]:
    spec = definition.get("spec")
    if not isinstance(spec, dict):
        yield required("spec")
        return
    names, versions, group = spec.get("names"), spec.get("versions"), spec.get("group")
    if not isinstance(group, str) or not _GROUP.fullmatch(group):
        yield required("spec.group") if not group else invalid("spec.group", group, "should be a domain with at least one dot")
    elif group.endswith(_PROTECTED) and not (definition["metadata"].get("annotations") or {}).get(_APPROVAL):
        yield required(f"metadata.annotations[{_APPROVAL}]", "protected groups must have approval annotation")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield required("spec.scope") if not spec.get("scope") else not_supported("spec.scope", spec["scope"], ["Cluster", "Namespaced"])
    if not isinstance(names, dict):
        yield required("spec.names")
        return
    yield from _check_names(names)
    if isinstance(group, str) and isinstance(names.get("plural"), str):
        wanted = f"{names['plural']}.{group}"
        if definition["metadata"].get("name") != wanted:
            yield invalid("metadata.name", definition["metadata"].get("name"), "must be spec.names.plural+'.'+spec.group")
    if not isinstance(versions, list) or not versions:
        yield required("spec.versions", "must have exactly one version marked as storage version")
        return
    for index, version in enumerate(versions):
        yield from _check_version(version, f"spec.versions[{index}]")
    known = frozenset(RULES if group == WORKSPACES.group else ())
    yield from _check_schemas([version.get("schema") if isinstance(version, dict) else None for version in versions], known)
    stored = [version for version in versions if isinstance(version, dict) and version.get("storage") is True]
    if len(stored) != 1:
        yield invalid("spec.versions", len(stored), "must have exactly one version marked as storage version")
    if len({str(version.get("name")) for version in versions if isinstance(version, dict)}) != len(versions):
        yield invalid("spec.versions", len(versions), "must contain unique version names")


def _check_names(names: Object) -> Iterator[Cause]:
    for field, pattern in (("plural", _LABEL), ("singular", _LABEL), ("kind", _KIND), ("listKind", _KIND)):
        value = names.get(field)
        if value is None:
            if field in ("plural", "kind"):
                yield required(f"spec.names.{field}")
        elif not isinstance(value, str) or not pattern.fullmatch(value):
            yield invalid(f"spec.names.{field}", value, "must be a DNS-1035 label")
    for field in ("shortNames", "categories"):
        value = names.get(field)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, str) and _LABEL.fullmatch(one) for one in value)):
            yield invalid(f"spec.names.{field}", value, "must be a list of DNS-1035 labels")


def _check_version(version: Any, path: str) -> Iterator[Cause]:
    if not isinstance(version, dict):
        yield invalid(path, version, "must be an object")
        return
    name = version.get("name")
    if not isinstance(name, str) or not _VERSION.fullmatch(name):
        yield invalid(f"{path}.name", name, "must be a DNS-1035 label")
    for flag in ("served", "storage"):
        if not isinstance(version.get(flag), bool):
            yield required(f"{path}.{flag}", "true or false")
    subresources = version.get("subresources")
    if subresources is not None and not (isinstance(subresources, dict) and all(isinstance(one, dict) for one in subresources.values())):
        yield invalid(f"{path}.subresources", subresources, "must be an object of objects")
    columns = version.get("additionalPrinterColumns")
    if columns is not None and not isinstance(columns, list):
        yield invalid(f"{path}.additionalPrinterColumns", columns, "must be a list")
        return
    for index, column in enumerate(columns or ()):
        yield from _check_column(column, f"{path}.additionalPrinterColumns[{index}]")


def _check_schemas(schemas: list[Any], known_rules: frozenset[str]) -> Iterator[Cause]:
    """One that all versions share stands at `spec.validation`, as it did when there was one for all."""
    shared = all(schema == schemas[0] for schema in schemas)
    for index, schema in enumerate(schemas[:1] if shared else schemas):
        path = "spec.validation.openAPIV3Schema" if shared else f"spec.versions[{index}].schema.openAPIV3Schema"
        root = schema.get("openAPIV3Schema") if isinstance(schema, dict) else None
        if not isinstance(root, dict):
            yield required(path if not shared else f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
            continue
        if root.get("type") != "object":
            yield required(f"{path}.type", "must not be empty at the root: object")
        found = list(_check_schema(root, path, 0)) or [*checking.check(root, path, known_rules), *_check_defaults(root, path)]
        yield from found


def _check_defaults(schema: Object, path: str) -> Iterator[Cause]:
    """What the schema holds against defaults that stand in it. Only of schemas that are sound."""
    if "default" in schema:
        for cause in validate(schema, schema["default"]):
            yield Cause(cause.reason, cause.message, f"{path}.default" + (f".{cause.field}" if cause.field else ""))
    for name, child in (schema.get("properties") or {}).items():
        yield from _check_defaults(child, f"{path}.properties[{name}]")
    for field in ("items", "additionalProperties"):
        if isinstance(child := schema.get(field), dict):
            yield from _check_defaults(child, f"{path}.{field}")


def _check_column(column: Any, path: str) -> Iterator[Cause]:
    if not isinstance(column, dict):
        yield invalid(path, column, "must be an object")
        return
    for field in ("name", "jsonPath"):
        if not isinstance(column.get(field), str) or not column[field]:
            yield required(f"{path}.{field}")
    if column.get("type") not in _COLUMN_TYPES:
        yield not_supported(f"{path}.type", column.get("type"), _COLUMN_TYPES)
    if isinstance(column.get("priority", 0), bool) or not isinstance(column.get("priority", 0), int):
        yield invalid(f"{path}.priority", column["priority"], "must be a whole number")
    if not isinstance(column.get("description", ""), str):
        yield invalid(f"{path}.description", column["description"], "must be text")
    if isinstance(column.get("jsonPath"), str):
        try:
            compile_path(column["jsonPath"])
        except PathError as error:
            yield invalid(f"{path}.jsonPath", column["jsonPath"], str(error))


def _check_schema(schema: Any, path: str, depth: int) -> Iterator[Cause]:
    """Only what validation relies on; rules beyond that are the schema author's."""
    if not isinstance(schema, dict):
        yield invalid(path, schema, "must be an object")
        return
    if depth > _DEPTH:
        yield invalid(path, "…", f"must not be nested deeper than {_DEPTH}")
        return
    if schema.get("type", "object") not in _TYPES:
        yield not_supported(f"{path}.type", schema["type"], _TYPES)
    for field in _NUMBERS:
        if field in schema and (isinstance(schema[field], bool) or not isinstance(schema[field], (int, float))):
            yield invalid(f"{path}.{field}", schema[field], "must be a number")
    for field in ("enum", "x-kubernetes-list-map-keys"):
        if field in schema and not isinstance(schema[field], list):
            yield invalid(f"{path}.{field}", schema[field], "must be a list")
    if not isinstance(schema.get("required", []), list) or not all(isinstance(name, str) for name in schema.get("required", ())):
        yield invalid(f"{path}.required", schema["required"], "must be a list of names")
    if not _are_rules(schema.get(checking.VALIDATIONS, [])):
        raise TypeError(f"{path}.{checking.VALIDATIONS} must be a list of rules")
    if "pattern" in schema:
        yield from _check_pattern(schema["pattern"], f"{path}.pattern")
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        yield invalid(f"{path}.properties", properties, "must be an object")
        properties = {}
    for name, child in properties.items():
        yield from _check_schema(child, f"{path}.properties[{name}]", depth + 1)
    for field in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(field, [])
        if not isinstance(branches, list):
            yield invalid(f"{path}.{field}", branches, "must be a list of schemas")
            continue
        for index, branch in enumerate(branches):
            yield from _check_schema(branch, f"{path}.{field}[{index}]", depth + 1)
    for field in ("items", "not"):
        if field in schema:
            yield from _check_schema(schema[field], f"{path}.{field}", depth + 1)
    if "additionalProperties" in schema and not isinstance(schema["additionalProperties"], bool):
        yield from _check_schema(schema["additionalProperties"], f"{path}.additionalProperties", depth + 1)


def _are_rules(rules: Any) -> bool:
    if not isinstance(rules, list):
        return rules is None
    return all(isinstance(rule, dict) and all(isinstance(rule.get(field), kind) for field, kind in _RULE.items()) for rule in rules)


def _check_pattern(pattern: Any, path: str) -> Iterator[Cause]:
    try:
        re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        yield invalid(path, pattern, f"must be a regular expression: {error}")


def _established(definition: Object, before: Object) -> Object:
    """Conditions keep the time since when they hold; versions that were ever stored stay named."""
    spec = definition["spec"]
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = before.get("conditions") or [
        {"type": "NamesAccepted", "status": "True", "lastTransitionTime": now, "reason": "NoConflicts", "message": "no conflicts found"},
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
    return {"acceptedNames": dict(spec["names"]), "conditions": conditions, "storedVersions": kept + stored}


def begin_to_end(definition: Object) -> None:
    """Say of a definition that is deleted that its objects go first, in place."""
    held = definition["metadata"].get("finalizers") or []
    definition["metadata"]["finalizers"] = [*held, *({CLEANUP} - set(held))]
    say_terminating(
        definition,
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    )


def say_terminating(definition: Object, value: str, reason: str, message: str) -> None:
    """Set the condition Terminating, in place."""
    status = definition.setdefault("status", {})
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"type": "Terminating", "status": value, "lastTransitionTime": now, "reason": reason, "message": message}
    status["conditions"] = [one for one in status.get("conditions") or () if one["type"] != "Terminating"] + [told]
