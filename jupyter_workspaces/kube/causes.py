"""Why an object was refused, in the words of the Kubernetes API (`Status.details.causes`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong: `reason` is one of Kubernetes' cause types, `field` a path such as `spec.podTemplate.volumes.data[0].mountPath`."""

    reason: str
    message: str
    field: str = ""


def quoted(value: Any) -> str:
    """A value as it stands in a message: JSON, cut when long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else text[:200] + "…"


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), field)


def invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {detail}", field)


def wrong_type(field: str, value: Any, wanted: str) -> Cause:
    return Cause(
        "FieldValueTypeInvalid", f"Invalid value: {quoted(value)}: must be of type {wanted}", field
    )


def not_supported(field: str, value: Any, allowed: list[Any]) -> Cause:
    names = ", ".join(quoted(choice) for choice in allowed)
    return Cause(
        "FieldValueNotSupported",
        f"Unsupported value: {quoted(value)}: supported values: {names}",
        field,
    )


def duplicate(field: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {quoted(value)}", field)


def too_long(field: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def too_many(field: str, count: int, limit: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", field)


def forbidden(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def not_found(field: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", f"Not found: {quoted(value)}", field)
