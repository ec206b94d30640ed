"""The subresource `pods/NAME/eviction`: deletes a pod with its grace period, and records why.

There are no disruption budgets in this cluster. Source: Kubernetes docs, "API-initiated Eviction".
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
from aiohttp import web

from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import request_options, requests, status
from jupyter_workspaces.localkube.apiserver.http.options import WriteOptions, now

from .engine import Engine
from .rows import Row

EVICTION = Resource("policy", "v1", "evictions", "Eviction")
_VERSIONS = (EVICTION.api_version, "policy/v1beta1")
_UNMANAGED = WriteOptions(manager=None)
_CONDITION = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


async def evict(
    request: web.Request, engine: Engine, row: Row, namespace: str, name: str
) -> Object:
    """Evict a pod. Return a Status.

    Raises:
        Refusal: 400, 404, 409, 422.
    """
    write = request_options.write_options(request)
    body = await requests.read_body(await request.read(), request.headers.get("Content-Type"))
    given = _options(body, namespace, name)
    options = request_options.delete_options({}, msgspec.json.encode(given), "application/json")
    if write.dry_run:
        options = replace(options, dry_run=True)
    engine.delete(row, namespace, name, replace(options, dry_run=True))
    if not options.dry_run:
        engine.patch(row, namespace, name, _with_condition, "status", _UNMANAGED)
        # The precondition was checked above; the status update changed the revision.
        engine.delete(row, namespace, name, replace(options, resource_version=None))
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _options(body: Object, namespace: str, name: str) -> Object:
    kind, version = body.get("kind", EVICTION.kind), body.get("apiVersion", _VERSIONS[0])
    if kind != EVICTION.kind or version not in _VERSIONS:
        raise status.bad_request(
            f'{kind} in version "{version}" cannot be handled as a Eviction: '
            f"it must be {_VERSIONS[0]}, Kind=Eviction"
        )
    metadata, given = body.get("metadata") or {}, body.get("deleteOptions") or {}
    if not isinstance(metadata, dict) or not isinstance(given, dict):
        raise status.bad_request("metadata and deleteOptions of an Eviction must be objects")
    if metadata.get("namespace") not in (None, "", namespace):
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if metadata.get("name") != name:
        raise status.bad_request("name in URL does not match name in Eviction object")
    return given


def _with_condition(pod: Object) -> Object:
    held = pod.get("status") or {}
    others = [one for one in held.get("conditions") or () if one.get("type") != _CONDITION["type"]]
    condition = {**_CONDITION, "lastProbeTime": None, "lastTransitionTime": now()}
    return pod | {"status": held | {"conditions": [*others, condition]}}
