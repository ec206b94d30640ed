"""Interfaces of what the proxy needs from the rest of the server.

The server sets an object that implements `Services` as the web application's setting
`jupyter_workspaces`. The protocols here list only what the proxy calls, so tests can replace the
cluster by a small object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.server.access_reviews import Access


class Watched(Protocol):
    """Cached objects whose changes can be observed (`kube.reflector.Reflector`)."""

    def listen(
        self, listener: Callable[[str, dict[str, Any], dict[str, Any] | None], None], /
    ) -> Callable[[], None]:
        """Register a listener. Returns a function that unsubscribes it."""


class ClusterView(Protocol):
    """The part of the server's cache that the proxy reads (`server.cache.Cache`)."""

    @property
    def workspaces(self) -> Watched:
        """The cached workspaces."""

    @property
    def cluster(self) -> Cluster:
        """The client of the Kubernetes API."""

    async def reach(self, namespace: str) -> None:
        """Wait until the cache contains a namespace. Raises `ClusterError`."""

    def workspace(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a workspace, None if it does not exist."""

    def kind_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None:
        """Return a workspace's kind."""

    def pod_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None:
        """Return the pod that a workspace owns."""

    def service_of(self, workspace: dict[str, Any]) -> dict[str, Any] | None:
        """Return the Service that a workspace owns."""

    def strangers_of(
        self, workspace: dict[str, Any], service: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the pods that a workspace's Service selects and the workspace does not own."""


class Workspaces(Protocol):
    """Actions on workspaces (`server.api.workspaces`). They raise `http.problems.Problem`."""

    async def pause(self, namespace: str, name: str, paused: bool, /) -> object:
        """Pause or resume a workspace."""

    async def restart(self, namespace: str, name: str) -> None:
        """Restart a workspace."""


class Pods(Protocol):
    """Progress of workspaces' pods (`server.api.workspaces`)."""

    async def progress(self, namespace: str, name: str) -> Any:
        """Return an object whose `steps` have `name`, `state` and `seconds`."""


class Services(Protocol):
    """The services of the server (`server.api.workspaces.services.Services`)."""

    async def ready(self, seconds: float = ..., /, *, stale: bool = ...) -> Services:
        """Wait until the cluster answers. Raises `NotReady` after `seconds`."""

    @property
    def access(self) -> Access:
        """Authorization of the users that trusted headers name."""

    @property
    def cluster(self) -> ClusterView:
        """The cached cluster."""

    @property
    def workspaces(self) -> Workspaces:
        """Actions on workspaces."""

    @property
    def pods(self) -> Pods:
        """Progress of workspaces' pods."""
