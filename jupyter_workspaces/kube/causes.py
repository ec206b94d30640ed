"""Causes of a refused object, with the wording of the Kubernetes API (`Status.details.causes`).

Each function makes the cause of one type (Kubernetes API reference, `StatusCause`). `field` is the
path of the field, such as `spec.podTemplate.volumes.data[0].mountPath`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True)
class Cause:
    """One error in an object. `reason` is a cause type of Kubernetes, `field` a path or empty."""

    reason: str
    message: str
    field: str = ""


def quoted(value: Any) -> str:
    """Return a value as JSON for a message, cut at 200 characters."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else text[:200] + "…"


def required(field: str, detail: str = "") -> Cause:
    """Return the cause for a missing field."""
    return Cause("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), field)


def invalid(field: str, value: Any, detail: str) -> Cause:
    """Return the cause for an invalid value; `detail` says what is wrong."""
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {detail}", field)


def wrong_type(field: str, value: Any, wanted: str) -> Cause:
    """Return the cause for a value that is not of the type `wanted`."""
    return Cause(
        "FieldValueTypeInvalid", f"Invalid value: {quoted(value)}: must be of type {wanted}", field
    )


def not_supported(field: str, value: Any, allowed: list[Any]) -> Cause:
    """Return the cause for a value that is not one of `allowed`."""
    names = ", ".join(quoted(choice) for choice in allowed)
    return Cause(
        "FieldValueNotSupported",
        f"Unsupported value: {quoted(value)}: supported values: {names}",
        field,
    )


def duplicate(field: str, value: Any) -> Cause:
    """Return the cause for a value that occurs twice where it must be unique."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {quoted(value)}", field)


def too_long(field: str, limit: int) -> Cause:
    """Return the cause for a text or data of more than `limit` bytes."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def too_many(field: str, count: int, limit: int) -> Cause:
    """Return the cause for a list of `count` items, which is more than `limit`."""
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", field)


def forbidden(field: str, detail: str) -> Cause:
    """Return the cause for a value that may not be set; `detail` says why."""
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def not_found(field: str, value: Any) -> Cause:
    """Return the cause for a reference to an object that does not exist."""
    return Cause("FieldValueNotFound", f"Not found: {quoted(value)}", field)
