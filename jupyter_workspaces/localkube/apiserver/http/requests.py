"""What an HTTP request means to the API: its path, its query, its body. Everything wrong with them is a `Refusal`, never a fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import msgspec

from jupyter_workspaces.common.documents import json_text, yaml_text
from jupyter_workspaces.common.documents.bounds import Bounds, DocumentError, TooLarge
from jupyter_workspaces.common.documents.threads import aside
from jupyter_workspaces.localkube.apiserver.objects import patches, schemas, strategic_merge
from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from . import protobuf, status

Object = dict[str, Any]

BODY_LIMIT = 3 * 2**20
BOUNDS = Bounds(size=BODY_LIMIT, depth=250, values=50_000)
"""Of a body in JSON. Kubernetes bounds the size alone; what is written here is checked on the event loop, where everybody waits."""

_JSON_TYPES = ("application/json", "")
_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
_ACCEPTED = ["application/json", "application/yaml", protobuf.MEDIA]


@dataclass(frozen=True)
class Target:
    """The resource that a path names. Without a name it is the collection; without a namespace, all of them."""

    group: str
    version: str
    plural: str
    namespace: str | None
    name: str | None
    subresource: str | None


def target(parts: list[str]) -> Target | None:
    """Segments of a path below `/api/v1` or `/apis/{group}/{version}`; None when they name nothing (discovery)."""
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
    return (header or "").partition(";")[0].strip().lower()


def body(data: bytes, content_type: str | None) -> Object:
    """The object in a request's body. Raises `Refusal` 415 for another language than JSON, YAML or Kubernetes' protobuf, 400, 413."""
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


async def read(data: bytes, content_type: str | None) -> Object:
    """The same; a long body is read in a thread."""
    return await aside(data, partial(body, content_type=content_type))


def patch(data: bytes, content_type: str | None, row: Row) -> Callable[[Object], Object]:
    """The change that a patch asks for, as a function of the object. Raises `Refusal` 415 for another form, 400 for what is no patch."""
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


def applied(data: bytes) -> Any:
    """What a server-side apply sends: YAML, of which JSON is a part. Raises `Refusal` 400, 413."""
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
    """Raises `msgspec.DecodeError`, `TooLarge`, `TooDeep`."""
    json_text.check(data, BOUNDS)
    return msgspec.json.decode(data)


def _yaml(data: bytes) -> Any:
    """Raises `DocumentError`, `TooLarge`."""
    # Through JSON, so that numbers are what they would be there.
    return msgspec.json.decode(msgspec.json.encode(yaml_text.load(data, yaml_text.BODY)))


def duplicates(data: bytes) -> list[str]:
    """Fields that stand twice in one object of a JSON body, by their paths, for strict validation."""
    try:
        return [
            f'duplicate field "{path}"'
            for path in _repeated(json.loads(data, object_pairs_hook=_Pairs), "")
        ]
    except (ValueError, RecursionError):
        return []


class _Pairs(dict[str, Any]):
    """A JSON object that remembers which of its names stood twice."""

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
    """A whole number that is not negative; None when absent or empty. Raises `Refusal` 400."""
    text = query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise status.bad_request(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "t", "true")
