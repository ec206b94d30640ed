"""Media types of patches; merge patches (RFC 7386) and JSON patches (RFC 6902)."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from ...resources.merge import merge
from .status import Refusal, bad_request

__all__ = ["APPLY", "JSON", "MERGE", "STRATEGIC", "apply_operations", "merge"]

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_OPERATIONS = 10_000


def apply_operations(target: dict[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902. The target is changed. Raises `Refusal` 400 for what is no patch, 422 for one that does not fit the object."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise bad_request("a JSON patch is a list of operations, each with op and path (RFC 6902)")
    if len(operations) > _OPERATIONS:
        raise Refusal(
            413, "RequestEntityTooLarge", f"The allowed maximum operations in a JSON patch is {_OPERATIONS}, got {len(operations)}"
        )
    patched: Any = target
    try:
        for operation in operations:
            patched = jsonpatch.apply_patch(patched, [_lenient(patched, operation)], in_place=True)
    except (
        jsonpatch.JsonPatchException, jsonpatch.InvalidJsonPatch, jsonpointer.JsonPointerException, TypeError, KeyError, IndexError, ValueError,
    ) as error:  # fmt: skip
        text = f"the server rejected our request due to an error in our request: {error}"
        raise Refusal(422, "Invalid", text, details={}) from error
    if not isinstance(patched, dict):
        raise bad_request("the patch leaves no object")
    return patched


def _lenient(target: Any, operation: Any) -> Any:
    """Kubernetes lets `replace` set a key that an object does not have yet."""
    if operation.get("op") != "replace" or not isinstance(operation.get("path"), str):
        return operation
    parent, key = jsonpointer.JsonPointer(operation["path"]).to_last(target)
    return {**operation, "op": "add"} if isinstance(parent, dict) and key is not None and key not in parent else operation
