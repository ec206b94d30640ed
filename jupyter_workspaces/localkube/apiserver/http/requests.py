"""Decodes the path, the query and the body of a request. Every client error is a `Refusal`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import msgspec

from jupyter_workspaces.common.documents import json_text, yaml_text
from jupyter_workspaces.common.documents.bounds import Bounds, DocumentError, TooLarge
from jupyter_workspaces.common.documents.threads import read_in_thread
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import patches, schemas, strategic_merge
from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from . import protobuf, status

BODY_LIMIT = 3 * 2**20
BOUNDS = Bounds(size=BODY_LIMIT, depth=250, values=50_000)
"""Bounds of a JSON body.

Kubernetes limits only the size. Here, objects are checked on the event loop, which all requests
share.
"""

_JSON_TYPES = ("application/json", "")
_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
_ACCEPTED = ["application/json", "application/yaml", protobuf.MEDIA]


@dataclass(frozen=True)
class Target:
    """The resource in a path.

    Attributes:
        namespace: None for all namespaces, or a cluster-scoped resource.
        name: None for the collection.
    """

    group: str
    version: str
    plural: str
    namespace: str | None
    name: str | None
    subresource: str | None


def parse_path(parts: list[str]) -> Target | None:
    """Return the resource in a path below `/api/v1` or `/apis/GROUP/VERSION`.

    Returns None if the path names no resource.

    Args:
        parts: segments of the whole path.
    """
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    else:
        group, version, rest = parts[1], parts[2], parts[3:]
    namespace = None
    if (
        len(rest) >= 3
        and rest[0] == "namespaces"
        and not (group == "" and len(rest) == 3 and rest[2] in ("status", "finalize"))
    ):
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3 or not all(rest):
        return None
    return Target(
        group,
        version,
        rest[0],
        namespace,
        rest[1] if len(rest) > 1 else None,
        rest[2] if len(rest) > 2 else None,
    )


def media_type(header: str | None) -> str:
    """Return the media type of a Content-Type header, without parameters."""
    return (header or "").partition(";")[0].strip().lower()


def decode_body(data: bytes, content_type: str | None) -> Object:
    """Return the object in a body.

    Raises:
        Refusal: 415 unless it is JSON, YAML or Kubernetes' protobuf, 400, 413.
    """
    media = media_type(content_type)
    try:
        if media in _JSON_TYPES:
            decoded = _json(data)
        elif media in _YAML_TYPES:
            decoded = _yaml(data)
        elif media == protobuf.MEDIA:
            decoded = protobuf.decode(data, BOUNDS)
        else:
            raise status.unsupported_media(_ACCEPTED)
    except protobuf.UnknownKind as error:
        raise status.unsupported_media(_ACCEPTED[:2]) from error
    except TooLarge as error:
        raise status.entity_too_large(str(error)) from error
    except (msgspec.DecodeError, RecursionError, TypeError, ValueError) as error:
        raise status.bad_request(f"the body cannot be read: {error}") from error
    if not isinstance(decoded, dict):
        raise status.bad_request("the body must be an object")
    return decoded


async def read_body(data: bytes, content_type: str | None) -> Object:
    """Return the object in a body; a long one is decoded in a thread."""
    return await read_in_thread(data, partial(decode_body, content_type=content_type))


def decode_patch(data: bytes, content_type: str | None, row: Row) -> Callable[[Object], Object]:
    """Return a patch as a function from the old to the new object.

    Raises:
        Refusal: 415 for another media type, 400 if it is malformed.
    """
    media = media_type(content_type)
    accepted = [
        patches.JSON,
        patches.MERGE,
        *([] if row.custom else [patches.STRATEGIC]),
        patches.APPLY,
    ]
    if media not in accepted[:-1]:
        raise status.unsupported_patch(accepted, detailed=media != patches.STRATEGIC)
    try:
        given = _json(data)
    except TooLarge as error:
        raise status.entity_too_large(str(error)) from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise status.bad_request(f"the patch cannot be read: {error}") from error
    if media == patches.JSON:
        return lambda held: patches.apply_operations(held, given)
    if not isinstance(given, dict):
        raise status.bad_request("the patch must be an object")
    if media == patches.MERGE:
        return lambda held: cast(Object, patches.merge(held, given))
    return lambda held: strategic_merge.merge(schemas.of(row.resource), held, given)


def decode_apply(data: bytes) -> Any:
    """Return the configuration of a server-side apply, which is YAML or JSON.

    Raises:
        Refusal: 400, 413.
    """
    try:
        try:
            return _json(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _yaml(data)
    except TooLarge as error:
        raise status.entity_too_large(str(error)) from error
    except (DocumentError, msgspec.DecodeError) as error:
        raise status.bad_request(f"error decoding YAML: {error}") from error


def _json(data: bytes) -> Any:
    """Decode JSON.

    Raises:
        msgspec.DecodeError: if it is malformed.
        TooLarge: if it exceeds the bounds.
        TooDeep: if it exceeds the bounds.
    """
    json_text.check(data, BOUNDS)
    return msgspec.json.decode(data)


def _yaml(data: bytes) -> Any:
    """Decode YAML.

    Raises:
        DocumentError: if it is malformed.
        TooLarge: if it exceeds the bounds.
    """
    # Through JSON, so that numbers get the same types.
    return msgspec.json.decode(msgspec.json.encode(yaml_text.load(data, yaml_text.BODY)))


def duplicate_fields(data: bytes) -> list[str]:
    """Return a message for each field that an object of a JSON body has twice."""
    try:
        return [
            f'duplicate field "{path}"'
            for path in _repeated(json.loads(data, object_pairs_hook=_Pairs), "")
        ]
    except (ValueError, RecursionError):
        return []


class _Pairs(dict[str, Any]):
    """A JSON object with the names that it has more than once."""

    def __init__(self, items: list[tuple[str, Any]]) -> None:
        super().__init__(items)
        seen: set[str] = set()
        self.twice = [key for key, _ in items if key in seen or seen.add(key)]  # type: ignore[func-returns-value]


def _repeated(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _repeated(item, f"{path}[{number}]")
    elif isinstance(value, _Pairs):
        start = f"{path}." if path else ""
        yield from (f"{start}{key}" for key in value.twice)
        for key, child in value.items():
            yield from _repeated(child, f"{start}{key}")


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a parameter that is an integer of zero or more; None when absent or empty.

    Raises:
        Refusal: 400 for anything else.
    """
    text = query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise status.bad_request(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return a boolean parameter as Go parses it: `1`, `t` and `true` are true."""
    return query.get(name, "").lower() in ("1", "t", "true")
