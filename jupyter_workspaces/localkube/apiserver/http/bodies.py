"""Whether a body fits the path it was sent to and the kind it says it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.causes import invalid
from jupyter_workspaces.localkube.apiserver.objects.known_fields import (
    check_types as check_field_types,
)
from jupyter_workspaces.localkube.apiserver.objects.metadata import check_types
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.store.store import Stored

from . import status
from .status import Refusal

Object = dict[str, Any]


def read(row: Row, namespace: str, body: Object) -> Object:
    """The metadata of a body that somebody sent whole; the body is read, in place, as its kind is. Raises `Refusal` 400."""
    fitting(row, namespace, body)
    row.strategy.read(body)
    metadata: Object = body["metadata"]
    return metadata


def fitting(row: Row, namespace: str, body: Object) -> Object:
    """The metadata of a body that fits the path it was sent to; made when absent. Raises `Refusal` 400."""
    kind, version = body.get("kind"), body.get("apiVersion")
    if row.custom:
        _say_what_it_is(row, body)
    body.setdefault("kind", row.resource.kind)
    body.setdefault("apiVersion", row.resource.api_version)
    if (kind is not None and kind != row.resource.kind) or (
        version is not None and version != row.resource.api_version
    ):
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
        if (
            field in body
            and body[field] is not None
            and not isinstance(body[field], dict)
            and not row.custom
        ):
            raise status.bad_request(f"{field} must be an object")
        if field in body and body[field] is None:
            del body[field]
    return metadata


def _say_what_it_is(row: Row, body: Object) -> None:
    """Only built-in kinds may leave it to the path. Raises `Refusal` 400, and 422 for another kind of the same API version."""
    for field in ("apiVersion", "kind"):
        if not isinstance(body.get(field), str) or not body[field]:
            raise status.bad_request(
                f"the object provided must say its {field}: {row.resource.api_version}, Kind={row.resource.kind}"
            )
    if body["apiVersion"] == row.resource.api_version and body["kind"] != row.resource.kind:
        metadata = body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else ""
        cause = invalid("kind", body["kind"], f"must be {row.resource.kind}")
        raise status.invalid(
            replace(row.resource, kind=body["kind"]), name if isinstance(name, str) else "", [cause]
        )


def applied(row: Row, namespace: str, name: str, config: Any) -> Object:
    """What somebody applies, as one that fits the path. Raises `Refusal` 400."""
    if not isinstance(config, dict):
        raise status.bad_request("what is applied must be an object")
    for field in ("apiVersion", "kind"):
        if not isinstance(config.get(field), str) or not config[field]:
            raise status.bad_request(
                f"what is applied must say its {field}: expected {row.resource.api_version}, Kind={row.resource.kind}"
            )
    given = config.get("metadata")
    if isinstance(given, dict) and given.get("managedFields") is not None:
        raise status.bad_request("metadata.managedFields must be nil")
    metadata = fitting(row, namespace, config)
    if metadata.get("name", name) != name:
        raise status.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    metadata["name"] = name
    if row.resource.namespaced:
        metadata["namespace"] = namespace
    return config


def patched(row: Row, stored: Stored, body: Object) -> Object:
    """What a patch made of an object, if it is that object still. Raises `Refusal` 400 for another one, 422 for one of another kind."""
    before = stored.decode()["metadata"]
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        metadata = body["metadata"] = {}
    for field, told in (("name", "name"), ("namespace", "namespace")):
        if metadata.setdefault(field, before.get(field)) != before.get(field):
            raise status.bad_request(
                f"the {told} of the object ({metadata[field]}) does not match the {told} on the URL ({before.get(field)})"
            )
        if metadata[field] is None:
            del metadata[field]
    if metadata.get("uid", before["uid"]) != before["uid"]:
        raise status.invalid(
            row.resource,
            stored.name,
            [invalid("metadata.uid", metadata["uid"], "field is immutable")],
        )
    try:
        read(row, stored.namespace, body)
        check_field_types(row, body)
    except Refusal as refusal:
        raise status.undecodable(refusal.message) from refusal
    return body


def with_status(row: Row, obj: Object, body: Object) -> Object:
    """The object with the status of a body that is written to `/status`; where there is none, built-in kinds have an empty one."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    if row.custom:
        return kept | ({"status": body["status"]} if "status" in body else {})
    return kept | {"status": body.get("status") or {}}


def status_metadata(row: Row, metadata: Object, before: Object) -> Object:
    """The metadata of a built-in kind that a write of its status may change; a pod's owners it may not."""
    if row.resource != catalog.PODS:
        return metadata
    owners = {"ownerReferences": before["ownerReferences"]} if "ownerReferences" in before else {}
    return {key: value for key, value in metadata.items() if key != "ownerReferences"} | owners
