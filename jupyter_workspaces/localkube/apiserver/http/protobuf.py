"""Decodes request bodies in protobuf, which kubectl and Go clients send for built-in kinds.

Field numbers come from the generated tables of Kubernetes' Go types (`objects/structures/`). Only
types that have an encoding of their own are decoded by functions here: quantities, times,
IntOrString and free JSON. The `protobuf` package is not used: it needs generated classes for every
kind, beside the tables that JSON is decoded by.

Sources: `generated.proto` of k8s.io/api and k8s.io/apimachinery; Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from jupyter_workspaces.common.documents import json_text
from jupyter_workspaces.common.documents.bounds import Bounds, TooLarge
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import structures
from jupyter_workspaces.localkube.apiserver.objects.structures import Field

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_MOST_FIELDS = 200_000
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_EVERY_GROUP = "DeleteOptions"
"""Registered in each API group, with the same structure."""


class UnknownKind(Exception):
    """The kind cannot be decoded from protobuf."""


def decode(data: bytes, bounds: Bounds) -> Object:
    """Return the object in a message: the bytes `k8s` and zero, then a `runtime.Unknown`.

    Raises:
        ValueError: if it is not such a message.
        TooLarge: if it exceeds the bounds.
        UnknownKind: if its kind is not known.
    """
    if not data.startswith(_MAGIC):
        raise ValueError("not a Kubernetes protobuf message")
    envelope = dict(_fields(data[len(_MAGIC) :]))
    about = {number: _text(value) for number, value in _fields(_bytes(envelope.get(1, b"")))}
    api_version, kind = about.get(1, ""), about.get(2, "")
    group, _, version = api_version.rpartition("/")
    structure = (
        structures.of("", "v1", kind)
        if kind == _EVERY_GROUP
        else structures.of(group, version, kind)
    )
    if structure is None:
        raise UnknownKind(kind)
    found = _Reading(bounds).message(structure, _bytes(envelope.get(2, b"")))
    return {"apiVersion": api_version, "kind": kind, **found}


class _Reading:
    """Decodes one body.

    Attributes:
        bounds: bounds of JSON inside of it.
        left: how many more fields it may have, in all its messages together.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.left = _MOST_FIELDS

    def fields(self, data: bytes) -> Iterator[tuple[int, int | bytes]]:
        for number, value in _fields(data):
            self.left -= 1
            if self.left < 0:
                raise TooLarge(f"The message has more than {_MOST_FIELDS} fields.")
            yield number, value

    def message(self, structure: str, data: bytes) -> Object:
        known = structures.numbers(structure)
        found: Object = {}
        for number, raw in self.fields(data):
            if number not in known:
                continue
            field, inlined = known[number]
            if inlined:
                found |= self.message(field.kind, _bytes(raw))
            elif field.kind.startswith("[]"):
                found.setdefault(field.name, []).extend(self.items(field.kind[2:], raw))
            elif field.kind.startswith("{}"):
                key, value = self.entry(field.kind[2:], _bytes(raw))
                found.setdefault(field.name, {})[key] = value
            else:
                value = self.value(field.kind, raw)
                if not _is_left_out(field, value):
                    found[field.name] = value
        return found

    def items(self, kind: str, raw: int | bytes) -> Iterator[Any]:
        """Yield one item, or the numbers of a packed field."""
        if kind in ("int32", "int64") and isinstance(raw, bytes):
            position = 0
            while position < len(raw):
                self.left -= 1
                number, position = _varint(raw, position)
                yield _signed(number)
        else:
            yield self.value(kind, raw)

    def entry(self, kind: str, data: bytes) -> tuple[str, Any]:
        held = dict(self.fields(data))
        key = _text(held.get(1, b""))
        return key, self.value(kind, held.get(2, 0 if kind in _NUMBERS else b""))

    def value(self, kind: str, raw: int | bytes) -> Any:
        if kind in _NUMBERS:
            return _NUMBERS[kind](_int(raw))
        data = _bytes(raw)
        if kind.startswith("[]"):
            return list(self.items(kind[2:], data))
        if kind in _TEXTS:
            return _TEXTS[kind](data)
        if kind in _MESSAGES:
            return _MESSAGES[kind](self, dict(self.fields(data)))
        if kind == "items":
            return [_text(value) for number, value in self.fields(data) if number == 1]
        if kind == "schemaOrArray":
            schemas = [
                (number, self.message(_SCHEMA, _bytes(value)))
                for number, value in self.fields(data)
            ]
            return next(
                (schema for number, schema in schemas if number == 1),
                [schema for _, schema in schemas],
            )
        if kind == "schemaOrTexts":
            held = list(self.fields(data))
            texts = [_text(value) for number, value in held if number == 2]
            return next(
                (self.message(_SCHEMA, _bytes(value)) for number, value in held if number == 1),
                texts,
            )
        return self.message(kind, data)


def _is_left_out(field: Field, value: Any) -> bool:
    """Return whether JSON leaves out a value: Go encodes empty values that are no pointers."""
    return value is None or (
        not field.pointer and value in ("", 0, False) and not isinstance(value, float)
    )


def _int_or_string(reading: _Reading, held: dict[int, int | bytes]) -> int | str:
    return _text(held.get(3, b"")) if held.get(1) else _signed(_int(held.get(2, 0)))


def _quantity(reading: _Reading, held: dict[int, int | bytes]) -> str:
    return _text(held.get(1, b"")) or "0"


def _time(spec: str) -> Callable[[_Reading, dict[int, int | bytes]], str | None]:
    def read(reading: _Reading, held: dict[int, int | bytes]) -> str | None:
        seconds, nanos = _signed(_int(held.get(1, 0))), _signed(_int(held.get(2, 0)))
        if not seconds and not nanos:
            return None
        try:
            moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
        except OverflowError as error:
            raise ValueError("a time is out of range") from error
        return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"

    return read


def _free_json(reading: _Reading, held: dict[int, int | bytes]) -> Any:
    data = _bytes(held.get(1, b""))
    json_text.check(data, reading.bounds)
    return msgspec.json.decode(data) if data else None


def _schema_or_bool(reading: _Reading, held: dict[int, int | bytes]) -> Any:
    return reading.message(_SCHEMA, _bytes(held[2])) if 2 in held else bool(_int(held.get(1, 0)))


_NUMBERS: dict[str, Callable[[int], Any]] = {
    "int32": lambda value: _signed(value),
    "int64": lambda value: _signed(value),
    "bool": bool,
}
_TEXTS: dict[str, Callable[[bytes], Any]] = {
    "string": lambda data: data.decode(),
    "bytes": lambda data: base64.b64encode(data).decode(),
    "float64": lambda data: _double(data),
}
_MESSAGES: dict[str, Callable[[_Reading, dict[int, int | bytes]], Any]] = {
    "quantity": _quantity,
    "intOrString": _int_or_string,
    "time": _time("seconds"),
    "microTime": _time("microseconds"),
    "raw": _free_json,
    "schemaOrBool": _schema_or_bool,
}


def _double(data: bytes) -> float:
    if len(data) != 8:
        raise ValueError("a number of 8 bytes was expected")
    found: float = struct.unpack("<d", data)[0]
    return found


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a number was expected")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("text or a message was expected")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and raw value of each field (Protocol Buffers encoding)."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            number, position = _varint(data, position)
            yield tag >> 3, number
            continue
        if wire == _LENGTH:
            length, position = _varint(data, position)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire} is not known")
        if position + length > len(data):
            raise ValueError("the message is cut off")
        yield tag >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("the message is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & (2**64 - 1), position
    raise ValueError("a number is too long")
