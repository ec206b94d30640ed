"""The OpenAPI 3.1 document of the API, made from the models that decode and encode it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from jupyter_workspaces._version import __version__
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.server.api.workspaces.kinds import models as kinds
from jupyter_workspaces.server.api.workspaces.pods import models as pods
from jupyter_workspaces.server.api.workspaces.secrets import models as secrets
from jupyter_workspaces.server.api.workspaces.volumes import models as volumes
from jupyter_workspaces.server.api.workspaces.workspaces import models as workspaces

from . import models as about

JSON, YAML, TEXT, SVG, EVENTS = (
    "application/json",
    "application/yaml",
    "text/plain",
    "image/svg+xml",
    "text/event-stream",
)
PATCHES = ("application/merge-patch+json", "application/json-patch+json")
LISTS = ("filter", "sort", "fields", "limit", "continue")
LOGS = ("container", "tailLines", "previous", "sinceTime")
PARAMETERS = {
    "filter": "PATH=VALUE or PATH!=VALUE, such as state=Running; * is a wildcard; may be "
    "repeated, all must match",
    "sort": "Paths; a - in front sorts in descending order",
    "fields": "Return only these paths of each item",
    "limit": "Largest number of items; the header Link has the next page",
    "continue": "Token of the next page",
    "watch": "true: Server-Sent Events instead of a list",
    "namespace": "For users who have permissions in this namespace only",
    "namespaceFilter": "For users who may create workspaces in this namespace only",
    "container": "Name of the container; default: main",
    "tailLines": "Number of lines from the end; default: 1000",
    "previous": "true: log of the previous container",
    "sinceTime": "Only lines since this time (RFC 3339)",
    "follow": "true: continue until the container ends",
    "revision": "Revision that the object must have",
}


@dataclass(frozen=True)
class Operation:
    """One method of one path. `body` and `answer` are types of models."""

    method: str
    path: str
    summary: str
    body: Any = None
    answer: Any = None
    query: tuple[str, ...] = ()
    media: str = JSON
    takes: tuple[str, ...] = (JSON,)
    code: int = 200


_WORKSPACE, _KIND = "/workspaces/{namespace}/{name}", "/workspacekinds/{name}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/healthcheck", "Check the health of the server", answer=about.Health),
    Operation("get", "/swagger/doc.json", "Get this document"),
    Operation("get", "/swagger/index.html", "Get this document as a page", media="text/html"),
    Operation("get", "/namespaces", "List namespaces", answer=list[about.Namespace], query=LISTS),
    Operation("get", "/cluster", "Get the cluster of this server", answer=about.ClusterInfo),
    Operation(
        "get",
        "/events",
        "Stream changes of workspaces and kinds",
        query=("namespace",),
        media=EVENTS,
    ),
    Operation(
        "get",
        "/workspaces",
        "List workspaces of all namespaces",
        answer=list[workspaces.WorkspaceListItem],
        query=(*LISTS, "watch"),
    ),
    Operation(
        "get",
        "/workspaces/{namespace}",
        "List workspaces of a namespace",
        answer=list[workspaces.WorkspaceListItem],
        query=(*LISTS, "watch"),
    ),
    Operation(
        "post",
        "/workspaces/{namespace}",
        "Create a workspace",
        workspaces.WorkspaceCreate,
        workspaces.WorkspaceCreate,
        code=201,
    ),
    Operation(
        "get", _WORKSPACE, "Get the update model of a workspace", answer=workspaces.WorkspaceUpdate
    ),
    Operation(
        "put",
        _WORKSPACE,
        "Replace a workspace",
        workspaces.WorkspaceUpdate,
        workspaces.WorkspaceUpdate,
        query=("revision",),
    ),
    Operation(
        "patch",
        _WORKSPACE,
        "Patch a workspace",
        Any,
        workspaces.WorkspaceUpdate,
        takes=PATCHES,
        query=("revision",),
    ),
    Operation(
        "delete", _WORKSPACE, "Delete a workspace; its volumes stay", code=204, query=("revision",)
    ),
    Operation(
        "post",
        f"{_WORKSPACE}/actions/pause",
        "Pause or start a workspace",
        workspaces.Pause,
        workspaces.Pause,
    ),
    Operation(
        "post",
        f"{_WORKSPACE}/actions/stop",
        "End the programs of a stopping workspace at once",
        workspaces.Stop,
        workspaces.Stop,
        code=202,
    ),
    Operation(
        "post",
        f"{_WORKSPACE}/actions/restart",
        "Restart a workspace",
        workspaces.Restart,
        workspaces.Restart,
        code=202,
    ),
    Operation("get", f"{_WORKSPACE}/events", "List events of a workspace", answer=list[pods.Event]),
    Operation("get", f"{_WORKSPACE}/progress", "Get the steps of the start", answer=pods.Progress),
    Operation(
        "get",
        f"{_WORKSPACE}/podtemplate/details",
        "Get mounted volumes and the pod",
        answer=pods.Details,
    ),
    Operation(
        "get",
        f"{_WORKSPACE}/podtemplate/logs/batch",
        "Get the log",
        query=(*LOGS, "follow"),
        media=TEXT,
    ),
    Operation(
        "get",
        f"{_WORKSPACE}/podtemplate/logs/stream",
        "Follow the log",
        query=LOGS,
        media=TEXT,
    ),
    Operation(
        "get",
        f"{_WORKSPACE}/podtemplate/resources",
        "Get requests, limits and usage",
        answer=pods.Resources,
    ),
    Operation(
        "get",
        "/workspacekinds",
        "List workspace kinds",
        answer=list[kinds.KindListItem],
        query=("namespaceFilter", *LISTS, "watch"),
    ),
    Operation(
        "post",
        "/workspacekinds",
        "Create a workspace kind from a manifest",
        Any,
        kinds.KindCreated,
        takes=(YAML,),
        code=201,
    ),
    Operation("get", _KIND, "Get the update model of a kind", answer=kinds.KindUpdate),
    Operation(
        "put", _KIND, "Replace a kind", kinds.KindUpdate, kinds.KindUpdate, query=("revision",)
    ),
    Operation(
        "patch",
        _KIND,
        "Patch a kind",
        Any,
        kinds.KindUpdate,
        takes=PATCHES,
        query=("revision",),
    ),
    Operation(
        "delete", _KIND, "Delete a kind that has no workspaces", code=204, query=("revision",)
    ),
    Operation(
        "post",
        f"{_KIND}/podtemplate/options/listvalues",
        "List the options for a namespace",
        kinds.ListValues,
        kinds.KindOptions,
    ),
    Operation("get", f"{_KIND}/assets/icon", "Get the icon", query=("namespace",), media=SVG),
    Operation("get", f"{_KIND}/assets/logo", "Get the logo", query=("namespace",), media=SVG),
    Operation(
        "get",
        "/storageclasses",
        "List storage classes",
        answer=list[volumes.StorageClass],
        query=("namespace", *LISTS),
    ),
    Operation(
        "get",
        "/persistentvolumeclaims/{namespace}",
        "List claims of a namespace",
        answer=list[volumes.Claim],
        query=LISTS,
    ),
    Operation(
        "post",
        "/persistentvolumeclaims/{namespace}",
        "Create a claim",
        volumes.ClaimCreate,
        volumes.ClaimCreate,
        code=201,
    ),
    Operation("delete", "/persistentvolumeclaims/{namespace}/{name}", "Delete a claim", code=204),
    Operation(
        "get",
        "/secrets/{namespace}",
        "List Secrets of a namespace, without values",
        answer=list[secrets.SecretListItem],
        query=LISTS,
    ),
    Operation(
        "post",
        "/secrets/{namespace}",
        "Create a Secret",
        secrets.SecretCreate,
        secrets.SecretCreate,
        code=201,
    ),
    Operation(
        "get",
        "/secrets/{namespace}/{name}",
        "Get the keys of a Secret, without values",
        answer=secrets.SecretUpdate,
    ),
    Operation(
        "put",
        "/secrets/{namespace}/{name}",
        "Replace a Secret",
        secrets.SecretUpdate,
        secrets.SecretUpdate,
        query=("revision",),
    ),
    Operation(
        "delete", "/secrets/{namespace}/{name}", "Delete a Secret", code=204, query=("revision",)
    ),
)


def description(prefix: str) -> Object:
    """Return the OpenAPI document for an API that is served at `prefix`."""
    types = list(
        dict.fromkeys(
            found
            for one in OPERATIONS
            for found in (one.body, one.answer)
            if found not in (None, Any)
        )
    )
    schemas, components = msgspec.json.schema_components(
        [*types, about.Error], ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(repr, [*types, about.Error]), schemas, strict=True))
    paths: Object = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "jupyter-workspaces", "version": __version__},
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(one: Operation, schema_of: Object) -> Object:
    failed = {
        "description": "Refused; the message says why",
        "content": {JSON: {"schema": schema_of[repr(about.Error)]}},
    }
    found: Object = {
        "summary": one.summary,
        "responses": {str(one.code): _answer(one, schema_of), "default": failed},
    }
    parts = [part[1:-1] for part in one.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in parts
    ]
    parameters += [
        {"name": name, "in": "query", "description": PARAMETERS[name], "schema": {"type": "string"}}
        for name in one.query
    ]
    if parameters:
        found["parameters"] = parameters
    if one.body is not None:
        body = {} if one.body is Any else _enveloped(schema_of[repr(one.body)])
        found["requestBody"] = {
            "required": True,
            "content": {media: {"schema": body} for media in one.takes},
        }
    return found


def _answer(one: Operation, schema_of: Object) -> Object:
    if one.code == 204:
        return {"description": "Done"}
    schema: Object = {"type": "string"} if one.media != JSON else {}
    if one.answer is not None:
        schema = schema_of[repr(one.answer)]
        schema = schema if one.answer is about.Health else _enveloped(schema)
    return {"description": "Done", "content": {one.media: {"schema": schema}}}


def _enveloped(schema: Object) -> Object:
    return {"type": "object", "required": ["data"], "properties": {"data": schema}}
