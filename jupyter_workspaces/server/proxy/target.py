"""Resolves a workspace's port to a network address.

`resolve` reads the workspace, its kind, its pod and its Service from the cache, and returns a
`Target`. There are three ways into a workspace:

1. On the local cluster: the pod's loopback address.
2. Inside a cluster: the workspace's Service.
3. From outside a cluster: a port-forward through the API server (`ForwardedPod`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources import unreadable
from jupyter_workspaces.resources.templates import (
    TemplateError,
    base_url,
    connect_path,
    render,
)
from jupyter_workspaces.resources.views import PodView, WorkspaceKindView, WorkspaceView

from .interfaces import ClusterView
from .unavailable import Unavailable

log = logging.getLogger(__name__)

LOCALHOST = "localhost"
CLUSTER_DOMAIN = os.environ.get("CLUSTER_DOMAIN", "cluster.local")


@dataclass(frozen=True)
class WorkspacePort:
    """A port of a workspace, as it is named in URLs."""

    namespace: str
    name: str
    port_id: str

    @property
    def path(self) -> str:
        """The path of the port below a server's base URL, with a slash at both ends."""
        return connect_path(self.namespace, self.name, self.port_id)


@dataclass(frozen=True)
class ForwardedPod:
    """A pod that is reached by a port-forward through the API server."""

    namespace: str
    pod: str
    uid: str

    @property
    def host(self) -> str:
        """A host name for the connection pool. It contains the uid, since names are reused."""
        return f"{self.pod}.{self.namespace}.{self.uid}"

    @classmethod
    def from_host(cls, host: str) -> ForwardedPod:
        """Parse `host`."""
        pod, namespace, uid = host.rsplit(".", 2)
        return cls(namespace, pod, uid)


@dataclass(frozen=True)
class Target:
    """Where to connect to a workspace's port, and how its kind changes requests.

    Attributes:
        host: Host name or address of the program, without brackets.
        port: TCP port of the program.
        secret: Name of the Secret with the workspace's token, None if its kind has no token.
        remove_prefix: Whether the kind sets `httpProxy.removePathPrefix`.
        set_headers: Request headers that the kind sets.
        add_headers: Request headers that the kind adds.
        drop_headers: Lower-case names of the request headers that the kind removes.
        forwarded: The pod, if it is reached by a port-forward.
        workspace: The Workspace object.
        path: The path that the program got when it started, with a slash at both ends.
    """

    host: str
    port: int
    secret: str | None = None
    remove_prefix: bool = False
    set_headers: Mapping[str, str] = field(default_factory=dict)
    add_headers: Mapping[str, str] = field(default_factory=dict)
    drop_headers: frozenset[str] = frozenset()
    forwarded: ForwardedPod | None = None
    workspace: ObjectView = field(default_factory=dict)
    path: str = ""

    @property
    def netloc(self) -> str:
        """Host and port, as the program knows itself."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"

    @property
    def connect_netloc(self) -> str:
        """Host and port that the connection is opened to, for the connection pool."""
        return self.netloc if self.forwarded is None else f"{self.forwarded.host}:{self.port}"


def resolve(view: ClusterView, workspace_port: WorkspacePort) -> Target:
    """Return the target of a workspace's port.

    Raises:
        Unavailable: The workspace cannot be opened now.
    """
    namespace, name = workspace_port.namespace, workspace_port.name
    workspace = view.workspace(namespace, name)
    if workspace is None:
        raise Unavailable(
            "gone",
            f"Workspace '{name}' not found in namespace '{namespace}'. It may have been deleted.",
        )
    try:
        return _resolve(view, workspace_port, workspace)
    except unreadable.ERRORS as error:
        log.warning(
            "Workspace %s/%s, its kind or its pod is malformed", namespace, name, exc_info=error
        )
        raise Unavailable("failed", unreadable.sentence(workspace)) from error


def _resolve(view: ClusterView, workspace_port: WorkspacePort, workspace: dict[str, Any]) -> Target:
    name, own = workspace_port.name, WorkspaceView(workspace)
    if own.is_deleting:
        raise Unavailable("gone", f"Workspace '{name}' is being deleted.")
    pod = view.pod_of(workspace)
    if own.spec.get("paused"):
        if pod is None and own.state == "Paused":
            raise Unavailable(
                "paused", "Its programs are stopped. The files in its volumes are kept."
            )
        raise Unavailable(
            "stopping", "Its programs are being stopped. The files in its volumes are kept."
        )
    kind = view.kind_of(workspace)
    if kind is None:
        raise Unavailable(
            "failed",
            f"Its workspace kind '{own.kind_name}' no longer exists. Ask your"
            " administrator to restore the workspace kind.",
        )
    ports = WorkspaceKindView(kind).image_ports(own.options["imageConfig"])
    if workspace_port.port_id not in ports:
        known = ", ".join(sorted(ports)) or "none"
        raise Unavailable(
            "port",
            f"Workspace '{name}' has no port '{workspace_port.port_id}'. Its ports: {known}.",
        )
    if pod is None or not _is_ready(PodView(pod)):
        if own.state == "Error":
            text = own.state_message or "It needs attention. Check its events and its log."
            raise Unavailable("failed", text)
        text = own.state_message or "Waiting for its pod to be created."
        raise Unavailable("starting", text)
    return _target(view, workspace_port, kind, workspace, pod, ports)


def _is_ready(pod: PodView) -> bool:
    running = not pod.is_deleting and pod.phase == "Running" and bool(pod.ip)
    return running and pod.is_ready


def _target(
    view: ClusterView,
    workspace_port: WorkspacePort,
    kind: ObjectView,
    workspace: dict[str, Any],
    pod: ObjectView,
    ports: Mapping[str, int],
) -> Target:
    namespace, name, port_id = (
        workspace_port.namespace,
        workspace_port.name,
        workspace_port.port_id,
    )
    own = PodView(pod)
    port = ports[port_id]
    endpoint = view.cluster.endpoint
    forwarded = None
    if endpoint.embedded:
        host, port = own.ip, own.listening_port(port)
    elif endpoint.in_cluster:
        host = _service_host(view, workspace_port, port, workspace, pod)
    else:
        host = LOCALHOST  # the host name that a program sees behind a port-forward
        forwarded = ForwardedPod(own.namespace, own.name, own.uid)
    proxy = WorkspaceKindView(kind).http_proxy(port_id)
    headers = proxy.get("requestHeaders") or {}
    base = base_url(own.metadata)

    def prefix(other_id: str) -> str:
        return connect_path(namespace, name, other_id, base) if other_id in ports else ""

    def rendered(templates: Mapping[str, str] | None) -> dict[str, str]:
        return {header: render(value, prefix) for header, value in (templates or {}).items()}

    try:
        set_headers, add_headers = rendered(headers.get("set")), rendered(headers.get("add"))
    except TemplateError as error:
        raise Unavailable(
            "failed",
            f"The request headers of its workspace kind '{WorkspaceView(workspace).kind_name}' "
            "are invalid:"
            f" {error}. Ask your administrator to fix the workspace kind.",
        ) from error
    return Target(
        host,
        port,
        own.token_secret,
        bool(proxy.get("removePathPrefix")),
        set_headers,
        add_headers,
        frozenset(header.lower() for header in headers.get("remove") or ()),
        forwarded,
        workspace,
        connect_path(namespace, name, port_id, base),
    )


def _service_host(
    view: ClusterView,
    workspace_port: WorkspacePort,
    port: int,
    workspace: dict[str, Any],
    pod: ObjectView,
) -> str:
    """Return the DNS name of the workspace's Service, which must have the port.

    Returns the pod's address if the Service also selects pods that the workspace does not own: any
    user can set the labels of a pod.
    """
    service = view.service_of(workspace)
    if service is not None and view.strangers_of(workspace, service):
        log.warning(
            "The Service of workspace %s/%s also selects pods of others, so it is not used",
            workspace_port.namespace,
            workspace_port.name,
        )
        return PodView(pod).ip
    if service is not None and any(
        _forwards_to(entry, port) for entry in service["spec"].get("ports") or ()
    ):
        return f"{service['metadata']['name']}.{workspace_port.namespace}.svc.{CLUSTER_DOMAIN}"
    raise Unavailable("starting", f"Waiting for its Service to have port {port}.")


def _forwards_to(entry: ObjectView, port: int) -> bool:
    """Return whether a Service's port is TCP and has the same number in the pod."""
    return (entry["port"], entry.get("protocol", "TCP"), entry.get("targetPort", port)) == (
        port,
        "TCP",
        port,
    )
