"""Request bodies in protobuf, which kubectl 1.32 and later sends for built-in kinds: decoded into the same objects as JSON.

Field numbers are those of `k8s.io/api` and `k8s.io/apimachinery` (generated.proto). Kinds that no kubectl command sends this way are
not in the table: they are refused, and the refusal names JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from ...documents.bounds import TooLarge

Object = dict[str, Any]
Message = dict[int, tuple[str, Any]]
"""Fields by number: name and type. A type is `str`, `bytes` (base64 in JSON), `int`, `bool`, a message, `[type]` or `{"": type}` (a map)."""

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_MOST_FIELDS = 200_000
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5

_OWNER: Message = {
    1: ("kind", str),
    3: ("name", str),
    4: ("uid", str),
    5: ("apiVersion", str),
    6: ("controller", bool),
    7: ("blockOwnerDeletion", bool),
}
_METADATA: Message = {
    1: ("name", str), 2: ("generateName", str), 3: ("namespace", str), 5: ("uid", str), 6: ("resourceVersion", str), 11: ("labels", {"": str}),
    12: ("annotations", {"": str}), 13: ("ownerReferences", [_OWNER]), 14: ("finalizers", [str]),
}  # fmt: skip
_RESOURCE: Message = {
    1: ("namespace", str), 2: ("verb", str), 3: ("group", str), 4: ("version", str), 5: ("resource", str), 6: ("subresource", str), 7: ("name", str),
}  # fmt: skip
_NON_RESOURCE: Message = {1: ("path", str), 2: ("verb", str)}
_RULE: Message = {
    1: ("verbs", [str]),
    2: ("apiGroups", [str]),
    3: ("resources", [str]),
    4: ("resourceNames", [str]),
    5: ("nonResourceURLs", [str]),
}
_SUBJECT: Message = {1: ("kind", str), 2: ("apiGroup", str), 3: ("name", str), 4: ("namespace", str)}
_ROLE_REFERENCE: Message = {1: ("apiGroup", str), 2: ("kind", str), 3: ("name", str)}
_TEXT_OR_NUMBER: Message = {1: ("type", int), 2: ("number", int), 3: ("text", str)}
_PORT: Message = {1: ("name", str), 2: ("protocol", str), 3: ("port", int), 4: ("targetPort", _TEXT_OR_NUMBER)}
_SERVICE: Message = {1: ("ports", [_PORT]), 2: ("selector", {"": str}), 3: ("clusterIP", str), 4: ("type", str), 10: ("externalName", str)}
_REFERENCE: Message = {1: ("kind", str), 2: ("namespace", str), 3: ("name", str), 4: ("uid", str), 5: ("apiVersion", str)}
_ROLE: Message = {1: ("metadata", _METADATA), 2: ("rules", [_RULE])}
_BINDING: Message = {1: ("metadata", _METADATA), 2: ("subjects", [_SUBJECT]), 3: ("roleRef", _ROLE_REFERENCE)}
_SELECTOR: Message = {
    1: ("matchLabels", {"": str}),
    2: ("matchExpressions", [{1: ("key", str), 2: ("operator", str), 3: ("values", [str])}]),
}
_ACCESS: Message = {
    1: ("metadata", _METADATA),
    2: ("spec", {
        1: ("resourceAttributes", _RESOURCE), 2: ("nonResourceAttributes", _NON_RESOURCE), 3: ("user", str), 4: ("groups", [str]), 6: ("uid", str),
    }),
}  # fmt: skip
_BOUND: Message = {1: ("kind", str), 2: ("apiVersion", str), 3: ("name", str), 4: ("uid", str)}
_TOKEN: Message = {1: ("audiences", [str]), 3: ("boundObjectRef", _BOUND), 4: ("expirationSeconds", int)}
_PRECONDITIONS: Message = {1: ("uid", str), 2: ("resourceVersion", str)}

_KINDS: dict[str, Message] = {
    "Namespace": {1: ("metadata", _METADATA), 2: ("spec", {1: ("finalizers", [str])})},
    "ConfigMap": {1: ("metadata", _METADATA), 2: ("data", {"": str}), 3: ("binaryData", {"": bytes}), 4: ("immutable", bool)},
    "Secret": {1: ("metadata", _METADATA), 2: ("data", {"": bytes}), 3: ("type", str), 4: ("stringData", {"": str}), 5: ("immutable", bool)},
    "ServiceAccount": {
        1: ("metadata", _METADATA),
        2: ("secrets", [_REFERENCE]),
        3: ("imagePullSecrets", [{1: ("name", str)}]),
        4: ("automountServiceAccountToken", bool),
    },
    "Service": {1: ("metadata", _METADATA), 2: ("spec", _SERVICE)},
    "Role": _ROLE,
    "ClusterRole": _ROLE | {3: ("aggregationRule", {1: ("clusterRoleSelectors", [_SELECTOR])})},
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "SelfSubjectAccessReview": {
        1: ("metadata", _METADATA),
        2: ("spec", {1: ("resourceAttributes", _RESOURCE), 2: ("nonResourceAttributes", _NON_RESOURCE)}),
    },
    "SubjectAccessReview": _ACCESS,
    "LocalSubjectAccessReview": _ACCESS,
    "TokenReview": {1: ("metadata", _METADATA), 2: ("spec", {1: ("token", str), 2: ("audiences", [str])})},
    "TokenRequest": {1: ("metadata", _METADATA), 2: ("spec", _TOKEN)},
    "SelfSubjectRulesReview": {1: ("metadata", _METADATA), 2: ("spec", {1: ("namespace", str)})},
    "SelfSubjectReview": {1: ("metadata", _METADATA)},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", int),
        2: ("preconditions", _PRECONDITIONS),
        3: ("orphanDependents", bool),
        4: ("propagationPolicy", str),
        5: ("dryRun", [str]),
    },
}  # fmt: skip
_UNKNOWN: Message = {1: ("type", {1: ("apiVersion", str), 2: ("kind", str)}), 2: ("raw", bytes)}


class UnknownKind(Exception):
    """A kind that is not decoded from protobuf."""


def decode(data: bytes) -> Object:
    """The object in `k8s\\0` + runtime.Unknown. Raises `ValueError` for what is no such message, `TooLarge`, `UnknownKind`."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a Kubernetes protobuf message")
    left = [_MOST_FIELDS]
    envelope = _message(data[len(_MAGIC) :], _UNKNOWN, left)
    about = envelope.get("type", {})
    kind = about.get("kind", "")
    if kind not in _KINDS:
        raise UnknownKind(kind)
    return {
        "apiVersion": about.get("apiVersion", ""),
        "kind": kind,
        **_message(base64.b64decode(envelope.get("raw", "")), _KINDS[kind], left),
    }


def _message(data: bytes, fields: Message, left: list[int]) -> Object:
    """`left`: how many fields may still come, in all messages together."""
    found: Object = {}
    for number, value in _fields(data):
        left[0] -= 1
        if left[0] < 0:
            raise TooLarge(f"The message has more than {_MOST_FIELDS} fields.")
        if number not in fields:
            continue
        name, kind = fields[number]
        if isinstance(kind, list):
            found.setdefault(name, []).append(_value(value, kind[0], left))
        elif isinstance(kind, dict) and "" in kind:
            entry = _message(_bytes(value), {1: ("key", str), 2: ("value", kind[""])}, left)
            found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        elif value != b"":  # Go writes empty texts out; in JSON they are left out
            found[name] = _value(value, kind, left)
    return found


def _value(value: int | bytes, kind: Any, left: list[int]) -> Any:
    if kind is int or kind is bool:
        if isinstance(value, bytes):
            raise ValueError("a number was expected")
        return bool(value) if kind is bool else value - 2**64 if value >= 2**63 else value
    data = _bytes(value)
    if kind is str:
        return data.decode()
    if kind is bytes:
        return base64.b64encode(data).decode()
    decoded = _message(data, kind, left)
    if kind is _TEXT_OR_NUMBER:
        return decoded.get("text", "") if decoded.get("type") else decoded.get("number", 0)
    return decoded


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
