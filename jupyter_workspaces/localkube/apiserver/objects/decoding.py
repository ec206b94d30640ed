"""Decodes objects of built-in kinds by their structures.

Unknown fields are dropped and reported, values of other types are rejected. The result is what the
real API server would store: quantities in canonical form, times in UTC, empty fields left out where
their type says so.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from jupyter_workspaces.common.quantities import QuantityError, canonical
from jupyter_workspaces.kube.types import Object

from . import structures
from .structures import Field

_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_BITS = {"int32": 31, "int64": 63}
_ZEROS: Object = {
    **{
        "string": "",
        "bytes": "",
        "int32": 0,
        "int64": 0,
        "float64": 0,
        "bool": False,
        "quantity": "0",
        "intOrString": 0,
    },
    **dict.fromkeys(
        (
            "time",
            "microTime",
            "raw",
            "items",
            "duration",
            "schemaOrArray",
            "schemaOrBool",
            "schemaOrTexts",
        )
    ),
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NEVER_EMPTY = ("quantity", "intOrString", "time", "microTime")


class WrongType(ValueError):
    """A value does not have the type of its field, which the message names."""


def decode(structure: str, value: Any, path: str = "") -> tuple[Object, list[str]]:
    """Return the normalized object, and the paths of unknown fields in their order.

    Raises:
        WrongType: if a value has the wrong type.
    """
    unknown: list[str] = []
    return _structure(structure, value, path, unknown), unknown


def _structure(name: str, value: Any, path: str, unknown: list[str]) -> Object:
    if not isinstance(value, dict):
        raise _wrong(path, value, "an object")
    known = structures.fields(name)
    given: Object = {}
    for key, child in value.items():
        below = f"{path}.{key}" if path else key
        if key not in known:
            unknown.append(below)
        elif child is not None:
            given[key] = _value(known[key].kind, child, below, unknown)
    found: Object = {}
    for key, field in known.items():
        held = given[key] if key in given else None if field.pointer else _zero(field.kind)
        if not _left_out(field, held):
            found[key] = held
    return found


def _left_out(field: Field, value: Any) -> bool:
    if field.pointer:
        return value is None
    if field.whole and value in (None, {}):
        return True
    return (
        field.optional
        and field.kind not in _NEVER_EMPTY
        and not _is_structure(field.kind)
        and not value
    )


def _is_structure(kind: str) -> bool:
    return "." in kind and kind[:2] not in ("[]", "{}")


def _zero(kind: str) -> Any:
    if kind[:2] in ("[]", "{}"):
        return None
    return _structure(kind, {}, "", []) if _is_structure(kind) else _ZEROS[kind]


def _value(kind: str, value: Any, path: str, unknown: list[str]) -> Any:
    if kind.startswith("[]"):
        if not isinstance(value, list):
            raise _wrong(path, value, "a list")
        items = kind[2:]
        return [
            _item(items, child, f"{path}[{number}]", unknown) for number, child in enumerate(value)
        ] or None
    if kind.startswith("{}"):
        if not isinstance(value, dict):
            raise _wrong(path, value, "an object")
        items = kind[2:]
        return {
            key: _item(items, child, f"{path}.{key}", unknown) for key, child in value.items()
        } or None
    if _is_structure(kind):
        return _structure(kind, value, path, unknown)
    if kind.startswith("schema"):
        return _schema(kind, value, path, unknown)
    return _BASIC[kind](value, path)


def _item(kind: str, value: Any, path: str, unknown: list[str]) -> Any:
    return _zero(kind) if value is None else _value(kind, value, path, unknown)


def _schema(kind: str, value: Any, path: str, unknown: list[str]) -> Any:
    if isinstance(value, dict):
        return _structure(_SCHEMA, value, path, unknown)
    if kind == "schemaOrBool":
        return _flag(value, path)
    return _value(f"[]{_SCHEMA}" if kind == "schemaOrArray" else "[]string", value, path, unknown)


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, value, "text")
    return value


def _whole(bits: int) -> Callable[[Any, str], int]:
    def read(value: Any, path: str) -> int:
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not -(2**bits) <= value < 2**bits
        ):
            raise _wrong(path, value, f"a whole number of {bits + 1} bits")
        return value

    return read


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(path, value, "a number")
    return value


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, value, "true or false")
    return value


def _bytes(value: Any, path: str) -> str:
    text = _text(value, path)
    try:
        return base64.b64encode(
            base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
        ).decode()
    except (binascii.Error, ValueError) as error:
        raise WrongType(f"{path} must be base64: {error}") from error


def _quantity(value: Any, path: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _wrong(path, value, "a quantity")
    try:
        return canonical(str(value))
    except QuantityError as error:
        raise WrongType(f"{path}: {error}") from error


def _text_or_number(value: Any, path: str) -> int | str:
    return value if isinstance(value, str) else _whole(31)(value, path)


def _time_reader(form: str, digits: int | None = None) -> Callable[[Any, str], str]:
    """Return a function that normalizes a time.

    Args:
        form: format of the result.
        digits: digits that the fraction of a second must have; None for any.
    """

    def read(value: Any, path: str) -> str:
        text = _text(value, path)
        try:
            if (parts := _TIME.fullmatch(text)) is None or (
                digits is not None and len(parts[2] or "") != digits + 1
            ):
                raise ValueError
            fraction, zone = (
                (parts[2] or ".")[1:7].ljust(6, "0"),
                "+00:00" if parts[3] == "Z" else parts[3],
            )
            moment = datetime.fromisoformat(f"{parts[1]}.{fraction}{zone}").astimezone(timezone.utc)
        except (ValueError, OverflowError) as error:
            raise WrongType(
                f"{path} is {text[:40]!r}, but must be a time such as 2006-01-02T15:04:05Z"
            ) from error
        # `strftime` does not pad years with zeros.
        return moment.strftime(form.replace("%Y", f"{moment.year:04}"))

    return read


def _any(value: Any, path: str) -> Any:
    return value


def _items(value: Any, path: str) -> Any:
    return _value("[]string", value, path, [])


normalize_time = _time_reader("%Y-%m-%dT%H:%M:%SZ")

_BASIC: dict[str, Callable[[Any, str], Any]] = {
    **{
        "string": _text,
        "duration": _text,
        "bytes": _bytes,
        "bool": _flag,
        "float64": _number,
        "raw": _any,
        "items": _items,
    },
    **{kind: _whole(bits) for kind, bits in _BITS.items()},
    **{"quantity": _quantity, "intOrString": _text_or_number},
    **{"time": normalize_time, "microTime": _time_reader("%Y-%m-%dT%H:%M:%S.%fZ", 6)},
}


def _wrong(path: str, value: Any, wanted: str) -> WrongType:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }
    return WrongType(
        f"{path or 'the object'} is {kinds.get(type(value), f'the number {str(value)[:40]}')}, "
        f"but must be {wanted}"
    )
