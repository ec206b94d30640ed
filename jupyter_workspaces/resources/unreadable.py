"""Describes malformed objects in one sentence.

Where only the definitions are installed, or a lax or later version of them, the API server accepts a
Workspace without `spec`. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.kube.schemas.structural import validate

from . import bundled

Object = Mapping[str, Any]

ERRORS = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""What reading such an object raises: fields that are not there, of another type, or far out of range."""

_OTHERWISE = "a part of it is missing or has another type than its kind says"


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def reason(obj: Object) -> str:
    """Return the reason why an object is malformed: `spec.podTemplate: Required value`."""
    if "spec" not in obj:
        return "it has no spec"
    schema = _schemas().get(text(obj.get("kind")))
    if schema is None:
        return _OTHERWISE
    try:
        causes = validate(schema, dict(obj))
    except ERRORS:
        return _OTHERWISE
    first = next((cause for cause in causes if cause.field != "<nil>"), None)
    if first is None:
        return _OTHERWISE
    said = " ".join(f"{first.field}: {first.message}".split())
    return said if len(said) <= 300 else said[:299] + "…"


def sentence(obj: Object) -> str:
    """Why an object is shown as Unknown, and what to do about it."""
    return f"It cannot be read: {reason(obj)}. Correct it with kubectl, or delete it."


@functools.cache
def _schemas() -> dict[str, Any]:
    found = {}
    for crd in bundled.crds():
        version = next(one for one in crd["spec"]["versions"] if one["storage"])
        found[crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found
