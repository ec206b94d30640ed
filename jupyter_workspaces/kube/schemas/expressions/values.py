"""Converts values of custom resources to values of CEL, by their schema.

The schema decides what a text or a number is, and which fields have other names in CEL. Source:
Kubernetes docs, "Validation rules".
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timezone
from typing import Any

import msgspec

Schema = dict[str, Any]

_NAME = re.compile(r"[a-zA-Z_./-][a-zA-Z0-9_./-]*")
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in"}
    | {"let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while"}
)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def escaped(name: str) -> str | None:
    """Return the name of a field in CEL, None if it has none and rules cannot use it."""
    if name in _RESERVED:
        return f"__{name}__"
    if not _NAME.fullmatch(name):
        return None
    for plain, sign in _ESCAPES:
        name = name.replace(plain, sign)
    return name


def to_cel(schema: Schema, value: Any, *, root: bool = False) -> Any:
    """Return a value as the library takes it.

    Times and durations become messages, bytes are decoded, fields get their names in CEL, and nulls
    are dropped from objects. `root` is true for a whole object: rules see only the names in its
    metadata.
    """
    if isinstance(value, dict):
        return _object(
            schema, value, root=root or bool(schema.get("x-kubernetes-embedded-resource"))
        )
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [to_cel(items, child) for child in value]
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)  # as Go reads it, where no schema says otherwise
    if schema.get("type") == "integer" and isinstance(value, float):
        return int(value)
    if schema.get("type") == "string" and isinstance(value, str):
        return _text(schema.get("format"), value)
    return value


def _object(schema: Schema, value: Schema, *, root: bool) -> Schema:
    properties: Schema = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    found = {}
    for key, child in value.items():
        if root and key == "metadata":
            found[key] = {name: child[name] for name in ("name", "generateName") if name in child}
        elif key in properties:
            name = escaped(key)
            if name is not None and child is not None:
                found[name] = to_cel(properties[key], child)
        else:
            found[key] = to_cel(additional if isinstance(additional, dict) else {}, child)
    return found


def _text(form: str | None, value: str) -> Any:
    from google.protobuf import duration_pb2, timestamp_pb2

    try:
        match form:
            case "byte":
                return base64.b64decode(value, validate=True)
            case "date":
                day = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=timezone.utc)
                return timestamp_pb2.Timestamp(seconds=int(day.timestamp()))
            case "date-time":
                moment = timestamp_pb2.Timestamp()
                moment.FromJsonString(value)
                return moment
            case "duration":
                return duration_pb2.Duration(**_seconds_and_nanos(value))
    except (ValueError, binascii.Error):
        # The schema's check refuses a text without its format; a rule sees the text.
        return value
    return value


def _seconds_and_nanos(text: str) -> dict[str, int]:
    """Parse a duration as Go writes it: `1h30m`."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    parts, place = [], 0
    while found := _DURATION.match(rest, place):
        parts.append((found[1], found[2]))
        place = found.end()
    if rest != "0" and (place < len(rest) or not parts):
        raise ValueError(f"{text!r} is not a duration")
    total = sign * round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
    seconds = (
        int(total / 10**9)
        if abs(total) < 10**15
        else total // 10**9 + (1 if total < 0 and total % 10**9 else 0)
    )
    return {"seconds": seconds, "nanos": total - seconds * 10**9}


def aligned(schema: Schema, value: Any, old: Any) -> Any:
    """Return the old value with sets and lists by key in the order of the new value.

    Their order has no meaning, so it must not make them unequal.
    """
    if isinstance(value, dict) and isinstance(old, dict):
        properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
        more = additional if isinstance(additional, dict) else {}
        return {
            key: aligned(properties.get(key, more), value[key], child) if key in value else child
            for key, child in old.items()
        }
    if (
        isinstance(value, list)
        and isinstance(old, list)
        and schema.get("x-kubernetes-list-type") in ("set", "map")
    ):
        items = schema.get("items") or {}
        held = {identity(schema, child): child for child in old}
        now = [identity(schema, child) for child in value]
        first = [
            aligned(items, child, held[name])
            for name, child in zip(now, value, strict=True)
            if name in held
        ]
        return first + [child for name, child in held.items() if name not in now]
    return old


def identity(schema: Schema, item: Any) -> bytes:
    """Return the identity of an item of a set, or of a list by key."""
    if schema.get("x-kubernetes-list-type") == "map" and isinstance(item, dict):
        item = [item.get(key) for key in schema.get("x-kubernetes-list-map-keys") or ()]
    return msgspec.json.encode(item, order="sorted")
