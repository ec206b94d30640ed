"""Describes malformed objects in one sentence.

Without our admission webhook, or with other versions of the custom resource definitions, the API
server accepts a Workspace without `spec`. Code that reads objects raises one of `ERRORS` for it;
callers catch them, show the object as Unknown, and use `sentence` as the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.kube.schemas.structural import validate
from jupyter_workspaces.kube.types import ObjectView

from . import bundled

ERRORS = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""Exceptions for missing fields, fields of another type, and values that are out of range."""

_UNKNOWN_REASON = "a part of it is missing or has another type than its kind says"


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a mapping, otherwise an empty mapping."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    """Return the value if it is a string, otherwise an empty string."""
    return value if isinstance(value, str) else ""


def reason(obj: ObjectView) -> str:
    """Return the reason why an object is malformed: `spec.podTemplate: Required value`."""
    if "spec" not in obj:
        return "it has no spec"
    schema = _schemas().get(text(obj.get("kind")))
    if schema is None:
        return _UNKNOWN_REASON
    try:
        causes = validate(schema, dict(obj))
    except ERRORS:
        return _UNKNOWN_REASON
    first = next((cause for cause in causes if cause.field != "<nil>"), None)
    if first is None:
        return _UNKNOWN_REASON
    said = " ".join(f"{first.field}: {first.message}".split())
    return said if len(said) <= 300 else said[:299] + "…"


def sentence(obj: ObjectView) -> str:
    """Return a message for users: why the object is shown as Unknown, and what to do."""
    return f"It cannot be read: {reason(obj)}. Correct it with kubectl, or delete it."


@functools.cache
def _schemas() -> dict[str, Any]:
    found = {}
    for crd in bundled.crds():
        version = next(one for one in crd["spec"]["versions"] if one["storage"])
        found[crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found
