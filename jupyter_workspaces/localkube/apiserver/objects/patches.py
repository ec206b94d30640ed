"""Merge patches (RFC 7386), JSON patches (RFC 6902), and the media types of all patches."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.common.documents import json_patch
from jupyter_workspaces.common.documents.bounds import TooDeep, TooLarge
from jupyter_workspaces.kube.merge_patch import merge
from jupyter_workspaces.localkube.apiserver.http.status import (
    Refusal,
    bad_request,
    entity_too_large,
)

__all__ = ["APPLY", "JSON", "MERGE", "STRATEGIC", "apply_operations", "merge"]

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def apply_operations(target: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Apply a JSON patch; the target is changed.

    Raises:
        Refusal: 400 if it is malformed, 413 if it is too large, 422 if it cannot be applied.
    """
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise bad_request("a JSON patch is a list of operations, each with op and path (RFC 6902)")
    try:
        patched = json_patch.apply(target, operations, replaces_absent=True)
    except json_patch.TooManyOperations as error:
        raise entity_too_large(
            "The allowed maximum operations in a JSON patch is "
            f"{json_patch.OPERATIONS}, got {error.count}"
        ) from error
    except TooLarge as error:
        raise entity_too_large(str(error)) from error
    except (json_patch.PatchError, TooDeep) as error:
        text = f"the server rejected our request due to an error in our request: {error}"
        raise Refusal(422, "Invalid", text, details={}) from error
    if not isinstance(patched, dict):
        raise bad_request("the result of the patch must be an object")
    return patched
