"""Checks whether the object in a request's body fits the path and the kind.

The object is changed in place: fields that the path determines are filled in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.causes import invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.known_fields import (
    check_types as check_field_types,
)
from jupyter_workspaces.localkube.apiserver.objects.metadata import check_types
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.store.store import Stored

from . import status
from .status import Refusal


def read(row: Row, namespace: str, body: Object) -> Object:
    """Check and normalize an object that is created or replaced. Return its metadata.

    Raises:
        Refusal: 400 if it does not fit.
    """
    fitting(row, namespace, body)
    row.strategy.read(body)
    metadata: Object = body["metadata"]
    return metadata


def fitting(row: Row, namespace: str, body: Object) -> Object:
    """Check that an object fits the path. Return its metadata, which is created if absent.

    Raises:
        Refusal: 400 if it does not fit.
    """
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
            "the object provided is unrecognized or does not fit the path: "
            f"got {version}, Kind={kind}, expected {wanted}"
        )
    metadata = body.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise status.bad_request("metadata must be an object")
    check_types(metadata)
    if row.resource.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request "
            f"({metadata['namespace']} and {namespace})"
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
    """Require apiVersion and kind, which only built-in kinds may leave out.

    Raises:
        Refusal: 400 if one is missing, 422 for another kind of the same API version.
    """
    for field in ("apiVersion", "kind"):
        if not isinstance(body.get(field), str) or not body[field]:
            raise status.bad_request(
                f"the object provided must have {field}: "
                f"{row.resource.api_version}, Kind={row.resource.kind}"
            )
    if body["apiVersion"] == row.resource.api_version and body["kind"] != row.resource.kind:
        metadata = body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else ""
        cause = invalid("kind", body["kind"], f"must be {row.resource.kind}")
        raise status.invalid(
            replace(row.resource, kind=body["kind"]), name if isinstance(name, str) else "", [cause]
        )


def applied(row: Row, namespace: str, name: str, config: Any) -> Object:
    """Check the configuration of a server-side apply. Return it with name and namespace.

    Raises:
        Refusal: 400 if it does not fit.
    """
    if not isinstance(config, dict):
        raise status.bad_request("the applied configuration must be an object")
    for field in ("apiVersion", "kind"):
        if not isinstance(config.get(field), str) or not config[field]:
            raise status.bad_request(
                f"the applied configuration must have {field}: "
                f"expected {row.resource.api_version}, Kind={row.resource.kind}"
            )
    given = config.get("metadata")
    if isinstance(given, dict) and given.get("managedFields") is not None:
        raise status.bad_request("metadata.managedFields must be nil")
    metadata = fitting(row, namespace, config)
    if metadata.get("name", name) != name:
        raise status.bad_request(
            f"the name of the object ({metadata['name']}) "
            f"does not match the name on the URL ({name})"
        )
    metadata["name"] = name
    if row.resource.namespaced:
        metadata["namespace"] = namespace
    return config


def patched(row: Row, stored: Stored, body: Object) -> Object:
    """Check the result of a patch. Return it.

    Raises:
        Refusal: 400 if it has another name, 422 if it is no valid object of the kind any more.
    """
    before = stored.decode()["metadata"]
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        metadata = body["metadata"] = {}
    for field in ("name", "namespace"):
        if metadata.setdefault(field, before.get(field)) != before.get(field):
            raise status.bad_request(
                f"the {field} of the object ({metadata[field]}) "
                f"does not match the {field} on the URL ({before.get(field)})"
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
    """Return the object with the status of a body that is written to `/status`.

    Built-in kinds get an empty status if the body has none.
    """
    kept = {key: value for key, value in obj.items() if key != "status"}
    if row.custom:
        return kept | ({"status": body["status"]} if "status" in body else {})
    return kept | {"status": body.get("status") or {}}


def status_metadata(row: Row, metadata: Object, before: Object) -> Object:
    """Return the metadata that a write to `/status` of a built-in kind may change.

    It cannot change the owner references of a pod.
    """
    if row.resource != catalog.PODS:
        return metadata
    owners = {"ownerReferences": before["ownerReferences"]} if "ownerReferences" in before else {}
    return {key: value for key, value in metadata.items() if key != "ownerReferences"} | owners
