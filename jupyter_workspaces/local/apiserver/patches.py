"""The ways to change an object by a patch: merge (RFC 7386), JSON patch (RFC 6902), and Kubernetes' strategic merge for built-in kinds."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from ...resources.causes import Cause
from ...resources.merge import merge
from .status import Refusal, bad_request

__all__ = ["APPLY", "JSON", "MERGE", "STRATEGIC", "apply_operations", "merge", "strategic"]

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_OPERATIONS = 10_000
_MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "volumeDevices": "devicePath", "ownerReferences": "uid", "imagePullSecrets": "name", "secrets": "name", "conditions": "type", "hostAliases": "ip",
    "addresses": "type", "volumeClaimTemplates": None,
}  # fmt: skip
"""Lists that merge by a key of their items (patchMergeKey in the Kubernetes API reference); `ports` depends on where it stands."""
_MERGED_SETS = {"finalizers"}


def apply_operations(target: dict[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902. Raises `Refusal` 400 for what is no patch, 422 for one that does not fit the object."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) and isinstance(one.get("path"), str) for one in operations):
        raise bad_request("a JSON patch is a list of operations, each with op and path (RFC 6902)")
    if len(operations) > _OPERATIONS:
        raise Refusal(
            413, "RequestEntityTooLarge", f"The allowed maximum operations in a JSON patch is {_OPERATIONS}, got {len(operations)}"
        )
    try:
        patched = jsonpatch.apply_patch(target, operations)
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"not a JSON patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, IndexError, ValueError) as error:
        cause = Cause("FieldValueInvalid", f"the patch does not fit the object: {error}", "patch")
        raise Refusal(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}", causes=(cause,)
        ) from error
    if not isinstance(patched, dict):
        raise bad_request("the patch leaves no object")
    return patched


def strategic(target: Any, patch: Any, parent: str = "") -> Any:
    """Kubernetes' strategic merge: maps merge, lists with a merge key merge item by item, other lists are replaced."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key == "$retainKeys" and isinstance(value, list):
            merged = {name: held for name, held in merged.items() if name in value}
    for key, value in patch.items():
        if key.startswith("$setElementOrder/") or key in ("$retainKeys", "$patch"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            if not isinstance(value, list) or not isinstance(merged.get(field) or [], list):
                raise bad_request(f"{key} must be a list, and so must what it names")
            merged[field] = [item for item in merged.get(field) or () if item not in value]
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _strategic_list(merged.get(key), value, key, parent)
        else:
            merged[key] = strategic(merged.get(key), value, key)
    return merged


def _strategic_list(target: Any, patch: list[Any], name: str, parent: str) -> list[Any]:
    held = target if isinstance(target, list) else []
    if name in _MERGED_SETS:
        return held + [item for item in patch if item not in held]
    key = _MERGE_KEYS.get(name) or ({"spec": "port", "containers": "containerPort"}.get(parent) if name == "ports" else None)
    if key is None or not all(isinstance(item, dict) for item in [*held, *patch]):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    merged = list(held)
    for item in patch:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        position = next((index for index, known in enumerate(merged) if known.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if position is not None:
                del merged[position]
        elif position is None:
            merged.append(item)
        else:
            merged[position] = strategic(merged[position], item, name)
    return merged
