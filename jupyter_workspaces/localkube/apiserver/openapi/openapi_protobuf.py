"""The OpenAPI 2.0 document in protobuf, as kubectl before 1.27 reads it for `explain` and to validate what it applies.

Field numbers are those of gnostic (`openapiv2/OpenAPIv2.proto`). Parts of OpenAPI that our document never has are not in the table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

Object = dict[str, Any]
Message = dict[str, tuple[int, Any]]
"""Fields by name: number and type. A type is `str`, `bool`, `int`, `float`, the name of a message, or a list with one of these."""

_EXTENSIONS = "x-"
"""Names that begin so are extensions of a message; the entry with this name is their field."""
_EVERY = "*"
"""Messages with free names: the entry with this name is the field of all of them."""

_LIMITS: dict[str, type] = {
    "maximum": float, "exclusiveMaximum": bool, "minimum": float, "exclusiveMinimum": bool, "maxLength": int, "minLength": int, "pattern": str,
    "maxItems": int, "minItems": int, "uniqueItems": bool,
}  # fmt: skip


def _parameter(first: int) -> Message:
    """Path and query parameters are alike but for one more field of the latter."""
    described: Message = {
        "required": (1, bool),
        "in": (2, str),
        "description": (3, str),
        "name": (4, str),
    }
    described |= {"type": (first, str), "format": (first + 1, str), "default": (first + 4, "Any")}
    described |= {
        name: (first + 5 + index, kind) for index, (name, kind) in enumerate(_LIMITS.items())
    }
    return described | {
        "enum": (first + 15, ["Any"]),
        "multipleOf": (first + 16, float),
        _EXTENSIONS: (first + 17, "Any"),
    }


_MESSAGES: dict[str, Message] = {
    "Document": {
        "swagger": (1, str), "info": (2, "Info"), "paths": (8, "Paths"), "definitions": (9, "Schemas"), "parameters": (10, "Parameters"),
        "security": (12, ["SecurityRequirement"]), "securityDefinitions": (13, "SecurityDefinitions"), _EXTENSIONS: (16, "Any"),
    },
    "Info": {"title": (1, str), "version": (2, str), "description": (3, str)},
    "Paths": {_EVERY: (2, "PathItem")},
    "PathItem": {
        "get": (2, "Operation"), "put": (3, "Operation"), "post": (4, "Operation"), "delete": (5, "Operation"), "options": (6, "Operation"),
        "head": (7, "Operation"), "patch": (8, "Operation"), "parameters": (9, ["ParametersItem"]), _EXTENSIONS: (10, "Any"),
    },
    "Operation": {
        "tags": (1, [str]), "summary": (2, str), "description": (3, str), "operationId": (5, str), "produces": (6, [str]), "consumes": (7, [str]),
        "parameters": (8, ["ParametersItem"]), "responses": (9, "Responses"), "schemes": (10, [str]), "deprecated": (11, bool),
        _EXTENSIONS: (13, "Any"),
    },
    "Responses": {_EVERY: (1, "Response")},
    "Response": {"description": (1, str), "schema": (2, "Schema")},
    "Parameters": {},
    "BodyParameter": {"description": (1, str), "name": (2, str), "in": (3, str), "required": (4, bool), "schema": (5, "Schema"), _EXTENSIONS: (6, "Any")},
    "QueryParameter": _parameter(6) | {"allowEmptyValue": (5, bool)},
    "PathParameter": _parameter(5),
    "SecurityRequirement": {_EVERY: (1, "Texts")},
    "SecurityDefinitions": {_EVERY: (1, "ApiKeySecurity")},
    "ApiKeySecurity": {"type": (1, str), "name": (2, str), "in": (3, str), "description": (4, str)},
    "Schemas": {_EVERY: (1, "Schema")},
    "Schema": {
        "$ref": (1, str), "format": (2, str), "title": (3, str), "description": (4, str), "default": (5, "Any"), "multipleOf": (6, float),
        **{name: (7 + index, kind) for index, (name, kind) in enumerate(_LIMITS.items())},
        "maxProperties": (17, int), "minProperties": (18, int), "required": (19, [str]), "enum": (20, ["Any"]),
        "additionalProperties": (21, "AdditionalProperties"), "type": (22, "Texts"), "items": (23, "Items"), "allOf": (24, ["Schema"]),
        "properties": (25, "Schemas"), "readOnly": (27, bool), "externalDocs": (29, "ExternalDocs"), "example": (30, "Any"), _EXTENSIONS: (31, "Any"),
    },
    "ExternalDocs": {"description": (1, str), "url": (2, str)},
}  # fmt: skip
_VARINT, _EIGHT_BYTES, _LENGTH = 0, 1, 2


def encode(document: Object) -> bytes:
    """An OpenAPI 2.0 document. What the table does not know, or is of another type than it says, is left out."""
    return _message("Document", document)


def _message(name: str, value: Any) -> bytes:
    """The messages whose JSON has another form than their fields come first."""
    match name, value:
        case "Any", _:
            return _field(2, str, msgspec.json.encode(value).decode() + "\n")  # YAML, which JSON is
        case "Texts", list():
            return b"".join(_field(1, str, text) for text in value)
        case "Texts", _:
            return _field(1, str, value)
        case "Items", _:
            return _field(1, "Schema", value)
        case "AdditionalProperties", bool():
            return _tag(2, _VARINT) + _varint(value)
        case "AdditionalProperties", _:
            return _field(1, "Schema", value)
        case "ParametersItem", {"in": "body"}:
            return _wrapped(_message("BodyParameter", value), 1, 1)
        case "ParametersItem", {"in": "path"}:
            return _wrapped(_message("PathParameter", value), 4, 2, 1)
        case "ParametersItem", _:
            return _wrapped(_message("QueryParameter", value), 3, 2, 1)
    if not isinstance(value, dict):
        return b""
    return b"".join(_named(_MESSAGES[name], key, child) for key, child in value.items())


def _named(message: Message, key: str, value: Any) -> bytes:
    if (every := message.get(_EVERY)) is not None:
        number, kind = every
        return _wrapped(_field(1, str, key) + _entry(kind, value), number)
    if key in message:
        number, kind = message[key]
        if isinstance(kind, list):
            return (
                b"".join(_field(number, kind[0], one) for one in value)
                if isinstance(value, list)
                else b""
            )
        return _field(number, kind, value)
    if key.startswith(_EXTENSIONS) and _EXTENSIONS in message:
        return _wrapped(_field(1, str, key) + _field(2, "Any", value), message[_EXTENSIONS][0])
    return b""


def _entry(kind: str, value: Any) -> bytes:
    """The value of a name; some stand in one more message, which says which of several kinds it is."""
    inner = _message(kind, value)
    match kind:
        case "Response":
            return _wrapped(inner, 1, 2)
        case "ApiKeySecurity":
            return _wrapped(inner, 2, 2)
    return _wrapped(inner, 2)


def _field(number: int, kind: Any, value: Any) -> bytes:
    """Zero is absent (proto3)."""
    if kind is str:
        return _wrapped(value.encode(), number) if isinstance(value, str) and value else b""
    if kind is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and value
        return _tag(number, _EIGHT_BYTES) + struct.pack("<d", value) if fits else b""
    if kind in (bool, int):
        return (
            _tag(number, _VARINT) + _varint(value)
            if isinstance(value, (int, bool)) and value
            else b""
        )
    if kind == "Schema" and number == 2:
        return _wrapped(_message(kind, value), 1, number)  # of a response: a schema or a file
    return _wrapped(_message(kind, value), number)


def _wrapped(data: bytes, *numbers: int) -> bytes:
    """Data as a field, that as the only field of a message in the next one, and so on."""
    for number in numbers:
        data = _tag(number, _LENGTH) + _varint(len(data)) + data
    return data


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    return bytes(_groups(value & (2**64 - 1)))


def _groups(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
