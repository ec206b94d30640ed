"""OpenAPI documents: v3 by group and version, and v2 in one document.

They are built at the first request, and again after a CRD changed. Source: Kubernetes docs, "The
Kubernetes API", OpenAPI interface definition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import schemas
from jupyter_workspaces.localkube.apiserver.objects.rows import Registry, Row
from jupyter_workspaces.localkube.apiserver.objects.schemas import REFERENCE, Schema

from .operations import META, KindOperations

INFO = {"title": "Kubernetes", "version": "1.36"}
SECURITY = {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}}
LIST_META, OBJECT_META = f"{META}.ListMeta", f"{META}.ObjectMeta"
DEFINITIONS = "#/definitions/"

# Keywords that OpenAPI 2.0 does not have ("Schema Object").
_NOT_IN_V2 = frozenset(("anyOf", "oneOf", "not", "nullable"))


class Documents:
    """The documents of one registry."""

    def __init__(self, registry: Registry) -> None:
        """Create it for the kinds of a registry."""
        self._registry = registry
        self._cache: dict[str, tuple[tuple[Row, ...], bytes, str]] = {}

    def index(self) -> Object:
        """Return `/openapi/v3`: the URL of each document, with the hash of its content."""
        paths = {}
        for name in self._names():
            document = self.document(name)
            if document is not None:
                paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={document[1]}"}
        return {"paths": paths}

    def document(self, name: str) -> tuple[bytes, str] | None:
        """Return a document (`api/v1`, `apis/apps/v1`) as JSON, and its hash; None if unknown."""
        if name not in self._names():
            return None
        rows = tuple(self._rows(name))
        known = self._cache.get(name)
        if known is None or list(map(id, known[0])) != list(map(id, rows)):
            body = msgspec.json.encode(_document(rows))
            known = self._cache[name] = (rows, body, hashlib.sha512(body).hexdigest().upper())
        return known[1], known[2]

    def v2(self) -> Object:
        """Return `/openapi/v2`: one document of OpenAPI 2.0 for all kinds."""
        rows = tuple(self._registry)
        document = _document(rows)
        return {
            "swagger": "2.0",
            "info": INFO,
            "paths": {path: _path_of_v2(item) for path, item in document["paths"].items()},
            "definitions": {
                name: _schema_of_v2(schema)
                for name, schema in document["components"]["schemas"].items()
            },
            "parameters": {},
            "securityDefinitions": SECURITY,
            "security": [{"BearerToken": []}],
        }

    def _names(self) -> list[str]:
        versions = self._registry.group_versions().items()
        return [
            f"apis/{group}/{version}" if group else f"api/{version}"
            for group, found in versions
            for version in found
        ]

    def _rows(self, name: str) -> list[Row]:
        group, _, version = name.removeprefix("apis/").removeprefix("api/").rpartition("/")
        return self._registry.of_version(group, version)


def _document(rows: tuple[Row, ...]) -> Object:
    found: dict[str, Schema] = {}
    paths: Object = {}
    for row in rows:
        described = _describe(row, found)
        paths |= dict(described.paths())
    for reference in set(_references(paths)):
        _add_schema(reference, found)
    components = {"schemas": dict(sorted(found.items())), "securitySchemes": SECURITY}
    return {
        "openapi": "3.0.0",
        "info": INFO,
        "paths": dict(sorted(paths.items())),
        "components": components,
    }


def _describe(row: Row, found: dict[str, Schema]) -> KindOperations:
    """Return the operations of a kind, and add its schemas to `found`."""
    resource = row.resource
    kind = schemas.name_of(resource.group, resource.version, resource.kind)
    if kind is not None:
        _add_schema(kind, found)
        list_kind = schemas.name_of(resource.group, resource.version, f"{resource.kind}List")
        return KindOperations(row, kind, list_kind)
    kind = ".".join((*reversed(resource.group.split(".")), resource.version, resource.kind))
    found[kind] = _custom(row)
    found[f"{kind}List"] = _list_of(row, kind)
    _add_schema(OBJECT_META, found)
    _add_schema(LIST_META, found)
    return KindOperations(row, kind, f"{kind}List")


def _custom(row: Row) -> Schema:
    """Return the schema of a custom kind, with the fields of every object."""
    own: Schema = getattr(row.strategy, "schema", None) or {"type": "object"}
    schema = {
        key: _with_int_or_string(value) if key == "properties" else value
        for key, value in own.items()
    }
    texts = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    metadata = {"metadata": {"allOf": [{"$ref": REFERENCE + OBJECT_META}]}}
    schema["type"] = "object"
    schema["properties"] = {
        **texts,
        **metadata,
        **{k: v for k, v in schema.get("properties", {}).items() if k not in (*texts, "metadata")},
    }
    return schema | _kind_extension(row, row.resource.kind)


def _with_int_or_string(value: Any) -> Any:
    """Return a schema in which IntOrString is expressed by `anyOf`."""
    if isinstance(value, dict):
        found = {key: _with_int_or_string(child) for key, child in value.items()}
        if found.get("x-kubernetes-int-or-string") is True and "anyOf" not in found:
            found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        return found
    return [_with_int_or_string(child) for child in value] if isinstance(value, list) else value


def _list_of(row: Row, kind: str) -> Schema:
    items = {"type": "array", "items": {"$ref": REFERENCE + kind}}
    properties = {
        **{"apiVersion": {"type": "string"}, "items": items, "kind": {"type": "string"}},
        "metadata": {"allOf": [{"$ref": REFERENCE + LIST_META}]},
    }
    return {"type": "object", "required": ["items"], "properties": properties} | _kind_extension(
        row, f"{row.resource.kind}List"
    )


def _kind_extension(row: Row, kind: str) -> Schema:
    return {
        "x-kubernetes-group-version-kind": [
            {"group": row.resource.group, "kind": kind, "version": row.resource.version}
        ]
    }


def _add_schema(name: str, found: dict[str, Schema]) -> None:
    """Add a schema of Kubernetes and all schemas that it refers to."""
    wanted = [name]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = schemas.named(name)
            wanted += _references(found[name])


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(REFERENCE)
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


def _schema_of_v2(value: Any) -> Any:
    """Convert a schema to OpenAPI 2.0.

    References have another path there and stand alone; some keywords do not exist.
    """
    if isinstance(value, list):
        return [_schema_of_v2(child) for child in value]
    if not isinstance(value, dict):
        return value
    if len(wrapped := value.get("allOf", ())) == 1 and "$ref" in wrapped[0]:
        value = {**{key: child for key, child in value.items() if key != "allOf"}, **wrapped[0]}
    return {
        key: child.replace(REFERENCE, DEFINITIONS)
        if key == "$ref" and isinstance(child, str)
        else _schema_of_v2(child)
        for key, child in value.items()
        if key not in _NOT_IN_V2 or not isinstance(child, (list, dict, bool))
    }


def _path_of_v2(item: Object) -> Object:
    return {
        verb: [_parameter_of_v2(one) for one in part]
        if verb == "parameters"
        else _operation_of_v2(part)
        for verb, part in item.items()
    }


def _operation_of_v2(operation: Object) -> Object:
    found = {
        key: part
        for key, part in operation.items()
        if key not in ("requestBody", "parameters", "responses")
    }
    parameters = [_parameter_of_v2(one) for one in operation.get("parameters", ())]
    if (body := operation.get("requestBody")) is not None:
        media, content = list(body["content"]), next(iter(body["content"].values()))
        parameters.insert(
            0,
            {
                "name": "body",
                "in": "body",
                "required": body["required"],
                "schema": _schema_of_v2(content["schema"]),
            },
        )
        found["consumes"] = media
    if parameters:
        found["parameters"] = parameters
    found["produces"] = sorted(
        {
            media
            for response in operation["responses"].values()
            for media in response.get("content", ())
        }
    )
    found["responses"] = {
        code: _response_of_v2(response) for code, response in operation["responses"].items()
    }
    return found


def _response_of_v2(response: Object) -> Object:
    """Convert a response to OpenAPI 2.0, which has one schema for all media types."""
    schema = next((content["schema"] for content in response.get("content", {}).values()), None)
    return {"description": response["description"]} | (
        {} if schema is None else {"schema": _schema_of_v2(schema)}
    )


def _parameter_of_v2(parameter: Object) -> Object:
    return {
        **{key: part for key, part in parameter.items() if key != "schema"},
        **parameter["schema"],
    }
