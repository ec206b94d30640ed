"""The API as an OpenAPI 3.1 document, made from the models that decode and encode it."""

from __future__ import annotations

from typing import Any

import msgspec

from ...._version import __version__
from ..kinds import models as kinds
from ..pods import models as pods
from ..volumes import models as volumes
from ..workspaces import models as workspaces
from . import models as about

Object = dict[str, Any]

# (method, path, what it does, body, answer); a list of one type is a list of it.
OPERATIONS: tuple[tuple[str, str, str, Any, Any], ...] = (
    ("get", "/namespaces", "Namespaces of the cluster", None, list[about.Namespace]),
    ("get", "/cluster", "Which cluster this server speaks to", None, about.ClusterInfo),
    ("get", "/workspaces", "Workspaces of all namespaces", None, list[workspaces.WorkspaceListItem]),
    ("get", "/workspaces/{namespace}", "Workspaces of a namespace", None, list[workspaces.WorkspaceListItem]),
    ("post", "/workspaces/{namespace}", "Create a workspace", workspaces.WorkspaceCreate, workspaces.WorkspaceCreate),
    ("get", "/workspaces/{namespace}/{name}", "A workspace's update model", None, workspaces.WorkspaceUpdate),
    ("put", "/workspaces/{namespace}/{name}", "Replace a workspace", workspaces.WorkspaceUpdate, workspaces.WorkspaceUpdate),
    ("patch", "/workspaces/{namespace}/{name}", "Change a workspace by a merge or JSON patch", None, workspaces.WorkspaceUpdate),
    ("delete", "/workspaces/{namespace}/{name}", "Delete a workspace; its volumes stay", None, None),
    ("post", "/workspaces/{namespace}/{name}/actions/pause", "Pause or start a workspace", workspaces.Pause, workspaces.Pause),
    ("post", "/workspaces/{namespace}/{name}/actions/restart", "Pause, wait, start", workspaces.Restart, workspaces.Restart),
    ("get", "/workspaces/{namespace}/{name}/podtemplate/details", "What is mounted, and the pod", None, pods.Details),
    ("get", "/workspaces/{namespace}/{name}/podtemplate/logs/batch", "The log, as text", None, str),
    ("get", "/workspaces/{namespace}/{name}/events", "What happened to it", None, list[pods.Event]),
    ("get", "/workspaces/{namespace}/{name}/progress", "The steps of its start", None, pods.Progress),
    ("get", "/workspacekinds", "Workspace kinds", None, list[kinds.KindListItem]),
    ("post", "/workspacekinds", "Create a kind from a manifest in YAML", None, kinds.KindCreated),
    ("get", "/workspacekinds/{name}", "A kind's update model", None, kinds.KindUpdate),
    ("put", "/workspacekinds/{name}", "Replace a kind", kinds.KindUpdate, kinds.KindUpdate),
    ("patch", "/workspacekinds/{name}", "Change a kind by a merge or JSON patch", None, kinds.KindUpdate),
    ("delete", "/workspacekinds/{name}", "Delete a kind that nobody uses", None, None),
    ("get", "/storageclasses", "Storage classes", None, list[volumes.StorageClass]),
    ("get", "/persistentvolumeclaims/{namespace}", "Claims of a namespace", None, list[volumes.Claim]),
    ("post", "/persistentvolumeclaims/{namespace}", "Create a claim", volumes.ClaimCreate, volumes.ClaimCreate),
    ("delete", "/persistentvolumeclaims/{namespace}/{name}", "Delete a claim", None, None),
)


def description(prefix: str) -> Object:
    """The document; `prefix` is where the API is served."""
    types = [found for operation in OPERATIONS for found in operation[3:] if found is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: Object = {"/healthcheck": {"get": {"summary": "Whether the server runs", "responses": {"200": {"description": "It does"}}}}}
    for method, path, summary, body, answer in OPERATIONS:
        operation: Object = {"summary": summary, "responses": _responses(method, path, schema_of.get(repr(answer)))}
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
        if body is not None:
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _enveloped(schema_of[repr(body)])}}}
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "jupyter-workspaces", "version": __version__},
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _responses(method: str, path: str, schema: Object | None) -> Object:
    if method == "delete":
        return {"204": {"description": "Done"}}
    code = "202" if path.endswith("/restart") else "201" if method == "post" and "/actions/" not in path else "200"
    if path.endswith("/logs/batch"):
        return {code: {"description": "Done", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {code: {"description": "Done", "content": {"application/json": {"schema": _enveloped(schema or {})}}}}


def _enveloped(schema: Object) -> Object:
    return {"type": "object", "required": ["data"], "properties": {"data": schema}}
