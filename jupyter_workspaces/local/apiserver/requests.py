"""What an HTTP request means to the API: its path, its query, its body. Everything wrong with them is a `Refusal`, never a fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import yaml
from aiohttp import web

from ...resources.catalog import Resource
from ...resources.causes import Cause, forbidden, invalid, not_supported, required
from . import patches, protobuf, schemas, status, strategic, yaml_bodies
from .fields.entries import LONGEST_MANAGER, name_of
from .options import DeleteOptions, WriteOptions
from .rows import Row

Object = dict[str, Any]

BODY_LIMIT = 3 * 2**20
_JSON_TYPES = ("application/json", "")
_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
_ACCEPTED = ["application/json", "application/yaml", protobuf.MEDIA]
_LONGEST_GRACE = 10**9
_OPTIONS = {
    method: Resource("meta.k8s.io", "v1", "", kind)
    for method, kind in (("POST", "CreateOptions"), ("PUT", "UpdateOptions"), ("PATCH", "PatchOptions"))
}


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
    if len(rest) >= 3 and rest[0] == "namespaces" and not (group == "" and len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3 or not all(rest):
        return None
    return Target(group, version, rest[0], namespace, rest[1] if len(rest) > 1 else None, rest[2] if len(rest) > 2 else None)


def media_type(header: str | None) -> str:
    return (header or "").partition(";")[0].strip().lower()


def body(data: bytes, content_type: str | None) -> Object:
    """The object in a request's body. Raises `Refusal` 415 for another language than JSON, YAML or Kubernetes' protobuf, 400 for what is no object."""
    media = media_type(content_type)
    try:
        if media in _JSON_TYPES:
            decoded = msgspec.json.decode(data)
        elif media in _YAML_TYPES:
            if len(data) > yaml_bodies.LIMIT:
                raise status.too_large(yaml_bodies.LIMIT)
            decoded = yaml_bodies.decode(data)
        elif media == protobuf.MEDIA:
            decoded = protobuf.decode(data)
        else:
            raise status.unsupported_media(_ACCEPTED)
    except protobuf.UnknownKind as error:
        raise status.unsupported_media(_ACCEPTED[:2]) from error
    except (msgspec.DecodeError, yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise status.bad_request(f"the body cannot be read: {error}") from error
    if not isinstance(decoded, dict):
        raise status.bad_request("the body must be an object")
    return decoded


def patch(data: bytes, content_type: str | None, row: Row) -> Callable[[Object], Object]:
    """The change that a patch asks for, as a function of the object. Raises `Refusal` 415 for another form, 400 for what is no patch."""
    media = media_type(content_type)
    accepted = [patches.JSON, patches.MERGE, *([] if row.custom else [patches.STRATEGIC]), patches.APPLY]
    if media not in accepted[:-1]:
        raise status.unsupported_patch(accepted)
    try:
        given = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise status.bad_request(f"the patch cannot be read: {error}") from error
    if media == patches.JSON:
        return lambda held: patches.apply_operations(held, given)
    if not isinstance(given, dict):
        raise status.bad_request("the patch must be an object")
    if media == patches.MERGE:
        return lambda held: cast(Object, patches.merge(held, given))
    return lambda held: strategic.merge(schemas.of(row.resource), held, given)


def applied(data: bytes) -> Any:
    """What a server-side apply sends: YAML, of which JSON is a part. Raises `Refusal` 400."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        pass
    if len(data) > yaml_bodies.LIMIT:
        raise status.too_large(yaml_bodies.LIMIT)
    try:
        return yaml_bodies.decode(data)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise status.bad_request(f"error decoding YAML: {error}") from error


def duplicates(data: bytes) -> list[str]:
    """Fields that stand twice in one object of a JSON body, by their paths, for strict validation."""
    try:
        return [f'duplicate field "{path}"' for path in _repeated(json.loads(data, object_pairs_hook=_Pairs), "")]
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


def write_options(request: web.Request) -> WriteOptions:
    """How a create, update or patch is meant. Raises `Refusal` 400 for values that Kubernetes does not know, 422 for a manager that may not be."""
    query = request.query
    if query.get("dryRun", "All") != "All":
        raise status.bad_request(f"invalid dryRun: {query['dryRun']}; only All is known")
    validation = query.get("fieldValidation", "Warn")
    if validation not in ("", "Strict", "Warn", "Ignore"):
        raise status.invalid(_OPTIONS[request.method], "", [not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"])])
    applies = request.method == "PATCH" and media_type(request.headers.get("Content-Type")) == patches.APPLY
    given = query.get("fieldManager", "")
    if causes := list(_manager_causes(request.method, applies, given, "force" in query)):
        raise status.invalid(_OPTIONS[request.method], "", causes)
    manager = name_of(given, request.headers.get("User-Agent"))
    return WriteOptions("dryRun" in query, validation, manager, query.get("force", "false").lower() not in ("false", "0"))


def _manager_causes(method: str, applies: bool, manager: str, force: bool) -> Iterator[Cause]:
    if applies and not manager:
        yield required("fieldManager", "is required for apply patch")
    if method == "PATCH" and not applies and force:
        yield forbidden("force", "may not be specified for non-apply patch")
    if len(manager.encode()) > LONGEST_MANAGER:
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {LONGEST_MANAGER} bytes", "fieldManager")
    strange = next((index for index, letter in enumerate(manager) if not letter.isprintable()), None)
    if strange is not None:
        yield invalid("fieldManager", manager, f"invalid character U+{ord(manager[strange]):04X} (at position {strange})")


def delete_options(query: Mapping[str, str], data: bytes, content_type: str | None) -> DeleteOptions:
    """From the body (DeleteOptions), else the query. Raises `Refusal` 400."""
    given = body(data, content_type) if data.strip() else {}
    preconditions = given.get("preconditions") or {}
    grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    dry = given.get("dryRun") or ([query["dryRun"]] if "dryRun" in query else [])
    propagation = given.get("propagationPolicy", query.get("propagationPolicy"))
    if propagation is None and (given.get("orphanDependents") is True or query.get("orphanDependents") == "true"):
        propagation = "Orphan"
    if propagation not in (None, "Orphan", "Background", "Foreground"):
        raise status.bad_request(f"invalid propagationPolicy: {propagation}")
    if not isinstance(preconditions, dict) or dry not in ([], ["All"]):
        raise status.bad_request("preconditions must be an object and dryRun All")
    for name in ("uid", "resourceVersion"):
        if preconditions.get(name) is not None and not isinstance(preconditions[name], str):
            raise status.bad_request(f"preconditions.{name} must be text")
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError, OverflowError) as error:
        raise status.bad_request("gracePeriodSeconds must be a whole number") from error
    if seconds is not None and seconds > _LONGEST_GRACE:
        raise status.bad_request(f"gracePeriodSeconds must be at most {_LONGEST_GRACE}")
    return DeleteOptions(seconds, propagation, preconditions.get("uid"), preconditions.get("resourceVersion"), bool(dry))


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
