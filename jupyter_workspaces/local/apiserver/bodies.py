"""Whether a body fits the path it was sent to and the kind it says it is."""

from __future__ import annotations

from typing import Any

from . import status
from .metadata import check_types
from .rows import Row

Object = dict[str, Any]


def fitting(row: Row, namespace: str, body: Object) -> Object:
    """The metadata of a body that fits the path it was sent to; made when absent. Raises `Refusal` 400."""
    kind, version = body.get("kind"), body.get("apiVersion")
    body.setdefault("kind", row.resource.kind)
    body.setdefault("apiVersion", row.resource.api_version)
    if (kind is not None and kind != row.resource.kind) or (version is not None and version != row.resource.api_version):
        wanted = f"{row.resource.api_version}, Kind={row.resource.kind}"
        raise status.bad_request(
            f"the object provided is unrecognized or does not fit the path: got {version}, Kind={kind}, expected {wanted}"
        )
    metadata = body.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise status.bad_request("metadata must be an object")
    check_types(metadata)
    if row.resource.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise status.bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request ({metadata['namespace']} and {namespace})"
        )
    for field in ("spec", "status"):
        if field in body and body[field] is not None and not isinstance(body[field], dict) and not row.custom:
            raise status.bad_request(f"{field} must be an object")
        if field in body and body[field] is None:
            del body[field]
    return metadata


def applied(row: Row, namespace: str, name: str, config: Any) -> Object:
    """What somebody applies, as one that fits the path. Raises `Refusal` 400."""
    if not isinstance(config, dict):
        raise status.bad_request("what is applied must be an object")
    for field in ("apiVersion", "kind"):
        if not isinstance(config.get(field), str) or not config[field]:
            raise status.bad_request(f"what is applied must say its {field}: expected {row.resource.api_version}, Kind={row.resource.kind}")
    given = config.get("metadata")
    if isinstance(given, dict) and given.get("managedFields") is not None:
        raise status.bad_request("metadata.managedFields must be nil")
    metadata = fitting(row, namespace, config)
    if metadata.get("name", name) != name:
        raise status.bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    metadata["name"] = name
    if row.resource.namespaced:
        metadata["namespace"] = namespace
    return config
