"""The subresource `/scale`: the number of replicas, in the same form for every kind."""

from __future__ import annotations

from typing import Any

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import invalid
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.http.options import WriteOptions, WriteResult
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.store.store import Stored
from jupyter_workspaces.localkube.apiserver.tables.columns import at

from .engine import Engine
from .rows import Row, Scaling

SCALE = Resource("autoscaling", "v1", "scales", "Scale")
_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def read(row: Row, stored: Stored) -> Object:
    """Return the Scale of an object.

    Raises:
        Refusal: 500 if a custom object has no number of replicas.
    """
    obj = row.decode(stored)
    scaling = _scaling(row)
    if row.custom and at(*scaling.spec_path)(obj) is None:
        raise Refusal(
            500,
            "InternalError",
            f"Internal error occurred: the field .{'.'.join(scaling.spec_path)} does not exist",
        )
    return document(row, obj)


def document(row: Row, obj: Object) -> Object:
    """Return the Scale of a decoded object."""
    scaling = _scaling(row)
    wanted, selector = at(*scaling.spec_path)(obj), scaling.selector(obj)
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {
            field: obj["metadata"][field] for field in _METADATA if field in obj["metadata"]
        },
        "spec": {"replicas": wanted} if wanted else {},
        "status": {
            "replicas": at(*scaling.status_path)(obj) or 0,
            **({"selector": selector} if selector else {}),
        },
    }


def replace(
    engine: Engine, row: Row, namespace: str, name: str, body: Object, options: WriteOptions
) -> WriteResult:
    """Set the number of replicas from a Scale.

    Raises:
        Refusal: if the write is rejected.
    """
    metadata = _fitting(body, name)
    replicas = _replicas(body, name)
    if row.custom:
        # As on a real cluster, the field gets no manager.
        options = WriteOptions(options.dry_run, options.field_validation, manager=None)

    def change(obj: Object) -> Object:
        _set(obj, _scaling(row).spec_path, replicas)
        obj["metadata"] |= {
            field: metadata[field] for field in ("uid", "resourceVersion") if metadata.get(field)
        }
        return obj

    return _as_scale(row, engine.patch(row, namespace, name, change, "scale", options))


def apply(
    engine: Engine, row: Row, namespace: str, name: str, config: Any, options: WriteOptions
) -> WriteResult:
    """Apply a Scale server-side; the field of the object gets the manager.

    Raises:
        Refusal: if the write is rejected.
    """
    if row.custom:
        raise Refusal(
            500, "", f"a Scale of {row.resource.kind} cannot be applied; patch it instead"
        )
    if not isinstance(config, dict) or (config.get("apiVersion"), config.get("kind")) != (
        SCALE.api_version,
        SCALE.kind,
    ):
        raise status.bad_request(
            f"the applied configuration must be a {SCALE.kind} of {SCALE.api_version}"
        )
    metadata = _fitting(config, name)
    _replicas(config, name)
    parent: Object = {
        "apiVersion": row.resource.api_version,
        "kind": row.resource.kind,
        "metadata": metadata,
    }
    if (config.get("spec") or {}).get("replicas") is not None:
        _set(parent, _scaling(row).spec_path, config["spec"]["replicas"])
    return _as_scale(row, engine.apply(row, namespace, name, parent, "scale", options))


def _as_scale(row: Row, outcome: WriteResult) -> WriteResult:
    outcome.object = document(row, outcome.object)
    return outcome


def _fitting(body: Object, name: str) -> Object:
    given = body.get("apiVersion", SCALE.api_version), body.get("kind", SCALE.kind)
    if given != (SCALE.api_version, SCALE.kind):
        raise status.bad_request(
            f"{given[1]} in {given[0]} cannot be handled as a {SCALE.kind} of {SCALE.api_version}"
        )
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise status.bad_request("metadata must be an object")
    if metadata.get("name", name) != name:
        raise status.bad_request(
            f"the name of the object ({metadata['name']}) "
            f"does not match the name on the URL ({name})"
        )
    return {field: value for field, value in metadata.items() if field in _METADATA} | {
        "name": name
    }


def _replicas(body: Object, name: str) -> int:
    spec = body.get("spec")
    replicas = spec.get("replicas") if isinstance(spec, dict) else None
    if replicas is None and (spec is None or isinstance(spec, dict)):
        return 0
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise status.undecodable("spec.replicas must be a whole number")
    if replicas < 0:
        raise status.invalid(
            SCALE, name, [invalid("spec.replicas", replicas, "must be greater than or equal to 0")]
        )
    return replicas


def _scaling(row: Row) -> Scaling:
    assert row.scaling is not None, f"{row.name} has no scale"
    return row.scaling


def _set(obj: Object, path: tuple[str, ...], value: int) -> None:
    for part in path[:-1]:
        obj = obj.setdefault(part, {})
    obj[path[-1]] = value
