"""Where a workspace answers, by what workspace, kind, pod and Service say; or why it does not answer now."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.peers import FOREIGN
from jupyter_workspaces.resources import metadata_keys, unreadable
from jupyter_workspaces.resources.templates import (
    TemplateError,
    base_url,
    connect_path,
    render,
)
from jupyter_workspaces.server.access_reviews import Access

log = logging.getLogger(__name__)

Object = Mapping[str, Any]

LOCALHOST = "localhost"
DOMAIN = os.environ.get("CLUSTER_DOMAIN", "cluster.local")


class Listened(Protocol):
    """Objects whose changes can be listened to (`cluster.reflector.Reflector`)."""

    def listen(
        self, listener: Callable[[str, dict[str, Any], dict[str, Any] | None], None]
    ) -> Callable[[], None]: ...


class View(Protocol):
    """What of the cluster the proxy reads (`cluster.cache.Cache`)."""

    @property
    def workspaces(self) -> Listened: ...
    @property
    def cluster(self) -> Cluster: ...
    async def reach(self, namespace: str) -> None: ...
    def workspace(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    def kind_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None: ...
    def pod_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None: ...
    def service_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None: ...
    def strangers_of(
        self, workspace: dict[str, Any], service: dict[str, Any]
    ) -> list[dict[str, Any]]: ...


class Workspaces(Protocol):
    """What the pages can do with a workspace. Both raise `Problem`."""

    async def pause(self, namespace: str, name: str, paused: bool) -> object: ...
    async def restart(self, namespace: str, name: str) -> None: ...


class Pods(Protocol):
    """How far a start is: an object whose `steps` have `name`, `state`, `seconds` (`api.workspaces.pods.service.Pods`)."""

    async def progress(self, namespace: str, name: str) -> Any: ...


class Services(Protocol):
    """Services that the proxy uses. `ready` waits for the cluster and raises `NotReady`."""

    async def ready(self, seconds: float = ..., *, stale: bool = ...) -> Services: ...
    @property
    def access(self) -> Access: ...
    @property
    def cluster(self) -> View: ...
    @property
    def workspaces(self) -> Workspaces: ...
    @property
    def pods(self) -> Pods: ...


@dataclass(frozen=True)
class Place:
    """A port of a workspace, as an address names it."""

    namespace: str
    name: str
    port_id: str

    @property
    def path(self) -> str:
        return connect_path(self.namespace, self.name, self.port_id)


@dataclass(frozen=True)
class Forwarded:
    """A pod that is reached through the API server, because its address cannot be dialled from here."""

    namespace: str
    pod: str
    uid: str

    @property
    def host(self) -> str:
        """A name for the pool of connections: another pod of the same name is another place."""
        return f"{self.pod}.{self.namespace}.{self.uid}"

    @classmethod
    def of_host(cls, host: str) -> Forwarded:
        pod, namespace, uid = host.rsplit(".", 2)
        return cls(namespace, pod, uid)


@dataclass(frozen=True)
class Target:
    """Where to connect, and what the kind wants of a request (contracts/kubeflow-workspaces.md §3.2 `httpProxy`)."""

    host: str
    port: int
    secret: str | None = None
    remove_prefix: bool = False
    set_headers: Mapping[str, str] = field(default_factory=dict)
    add_headers: Mapping[str, str] = field(default_factory=dict)
    drop_headers: frozenset[str] = frozenset()
    forwarded: Forwarded | None = None
    workspace: Object = field(default_factory=dict)
    path: str = ""
    """The path that the program got at its start, with a slash at both ends."""

    @property
    def dialled(self) -> str:
        """What the connection is opened to; `netloc` is what the workspace is told of it."""
        return self.netloc if self.forwarded is None else f"{self.forwarded.host}:{self.port}"

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


_STATUS = {"gone": 404, "port": 404, "unreachable": 502, "token": 502, "secret": 502, "silent": 504}


class Unavailable(Exception):
    """The workspace cannot be reached now; `message` is for a person.

    `state` is cluster (which does not answer, or not yet), gone, port, stopping, paused, starting, failed, unreachable, token (there is
    none), secret (this server may not read it) or silent (the program takes requests and does not answer).
    """

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state, self.message = state, message

    @property
    def status(self) -> int:
        """The HTTP status to answer with."""
        return _STATUS.get(self.state, 503)


def foreign_listener() -> Unavailable:
    """Why a workspace is not opened at whose address another user listens. A pod that is made anew gets another address."""
    return Unavailable(
        "failed",
        f"{FOREIGN} Nothing was sent to it. Restart the workspace: it then gets another address.",
    )


def resolve(view: View, place: Place) -> Target:
    """Where `place` answers. Raises `Unavailable`."""
    workspace = view.workspace(place.namespace, place.name)
    if workspace is None:
        raise Unavailable(
            "gone",
            f"There is no workspace {place.name} in {place.namespace}. It may have been deleted.",
        )
    try:
        return _resolve(view, place, workspace)
    except unreadable.ERRORS as error:
        log.warning(
            "Workspace %s/%s, its kind or its pod cannot be read",
            place.namespace,
            place.name,
            exc_info=error,
        )
        raise Unavailable("failed", unreadable.sentence(workspace)) from error


def _resolve(view: View, place: Place, workspace: dict[str, Any]) -> Target:
    if workspace["metadata"].get("deletionTimestamp"):
        raise Unavailable("gone", f"{place.name} is being deleted.")
    pod = view.pod_of(workspace)
    status = workspace.get("status") or {}
    message = status.get("stateMessage") or ""
    if workspace["spec"].get("paused"):
        if pod is None and status.get("state") == "Paused":
            raise Unavailable("paused", "Its programs are stopped; the files in its volumes stay.")
        raise Unavailable(
            "stopping", "Its programs are asked to end; the files in its volumes stay."
        )
    kind = view.kind_of(workspace)
    if kind is None:
        raise Unavailable(
            "failed",
            f"Its kind {workspace['spec']['kind']} does not exist any more. Ask who manages the kinds.",
        )
    ports = _ports(workspace, kind)
    if place.port_id not in ports:
        known = ", ".join(sorted(ports)) or "none"
        raise Unavailable("port", f"{place.name} has no port {place.port_id}. Its ports: {known}.")
    if pod is None or not _answers(pod):
        if status.get("state") == "Error":
            raise Unavailable(
                "failed", message or "It needs attention; look at its events and its log."
            )
        raise Unavailable("starting", message or "Waiting for its pod to be made.")
    return _target(view, place, kind, workspace, pod, ports)


def _ports(workspace: Object, kind: Object) -> dict[str, int]:
    """Port id → container port of the image that the workspace uses."""
    chosen = workspace["spec"]["podTemplate"]["options"]["imageConfig"]
    images = kind["spec"]["podTemplate"]["options"]["imageConfig"]["values"]
    return {
        port["id"]: port["port"]
        for image in images
        if image["id"] == chosen
        for port in image["spec"]["ports"]
    }


def _answers(pod: Object) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    status = pod.get("status") or {}
    if status.get("phase") != "Running" or not status.get("podIP"):
        return False
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )


def _target(
    view: View,
    place: Place,
    kind: Object,
    workspace: dict[str, Any],
    pod: Object,
    ports: Mapping[str, int],
) -> Target:
    port = ports[place.port_id]
    annotations = pod["metadata"].get("annotations") or {}
    endpoint = view.cluster.endpoint
    forwarded = None
    if endpoint.embedded:
        host = pod["status"]["podIP"]
        local = annotations.get(f"{metadata_keys.LOCAL_PORT}{port}", "")
        port = int(local) if local.isdecimal() else port
    elif endpoint.in_cluster:
        host = _service(view, place, port, workspace, pod)
    else:
        host = LOCALHOST  # what a program sees that is reached by port-forward
        metadata = pod["metadata"]
        forwarded = Forwarded(metadata["namespace"], metadata["name"], metadata["uid"])
    declared = kind["spec"]["podTemplate"].get("ports") or ()
    proxy = next(
        (entry.get("httpProxy") or {} for entry in declared if entry["id"] == place.port_id), {}
    )
    headers = proxy.get("requestHeaders") or {}

    base = base_url(pod["metadata"])

    def prefix(port_id: str) -> str:
        return connect_path(place.namespace, place.name, port_id, base) if port_id in ports else ""

    try:
        set_headers = {
            name: render(value, prefix) for name, value in (headers.get("set") or {}).items()
        }
        add_headers = {
            name: render(value, prefix) for name, value in (headers.get("add") or {}).items()
        }
    except TemplateError as error:
        text = f"The headers of its kind {workspace['spec']['kind']} are wrong: {error}. Ask who manages the kinds."
        raise Unavailable("failed", text) from error
    return Target(
        host,
        port,
        annotations.get(metadata_keys.TOKEN_SECRET),
        bool(proxy.get("removePathPrefix")),
        set_headers,
        add_headers,
        frozenset(name.lower() for name in headers.get("remove") or ()),
        forwarded,
        workspace,
        connect_path(place.namespace, place.name, place.port_id, base),
    )


def _service(view: View, place: Place, port: int, workspace: dict[str, Any], pod: Object) -> str:
    """The DNS name of the workspace's Service, which must have the port.

    Returns the pod's own address if the Service selects other pods as well: labels are forgeable.
    """
    service = view.service_of(workspace)
    if service is not None and view.strangers_of(workspace, service):
        log.warning(
            "The Service of the workspace %s/%s leads to pods that are not its own; it is not used",
            place.namespace,
            place.name,
        )
        return str(pod["status"]["podIP"])
    if service is not None and any(
        _leads_to(entry, port) for entry in service["spec"].get("ports") or ()
    ):
        return f"{service['metadata']['name']}.{place.namespace}.svc.{DOMAIN}"
    raise Unavailable("starting", f"Waiting for its Service to have port {port}.")


def _leads_to(entry: Object, port: int) -> bool:
    """Whether a Service's port is TCP and leads to the same port of the pod."""
    return (entry["port"], entry.get("protocol", "TCP"), entry.get("targetPort", port)) == (
        port,
        "TCP",
        port,
    )
