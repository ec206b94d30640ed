"""Reads the pods of workspaces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jupyter_workspaces.kube.catalog import EVENTS, PODS
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.kube.ownership import controller
from jupyter_workspaces.kube.transport import REQUEST_SECONDS
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.views import MAIN_CONTAINER, WorkspaceView
from jupyter_workspaces.server.api.workspaces.unreadable import readable, reading
from jupyter_workspaces.server.api.workspaces.volumes.views import claims_of_workspace
from jupyter_workspaces.server.api.workspaces.workspaces.service import Workspaces
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.http import problems

from . import models, views
from .progress import progress

if TYPE_CHECKING:
    import aiohttp


METRICS = "/apis/metrics.k8s.io/v1beta1"
NOT_RUNNING, NOT_MEASURED = "WORKSPACE_NOT_RUNNING", "METRICS_API_NOT_AVAILABLE"
DEFAULT_LINES = 1000
LIMIT_BYTES = 100 * 2**20


@dataclass(frozen=True)
class LogQuery:
    """Which part of a log to read. `since` is an RFC 3339 time."""

    container: str = MAIN_CONTAINER
    tail_lines: int = DEFAULT_LINES
    previous: bool = False
    since: str | None = None
    follow: bool = False


class Pods:
    """Pods of workspaces."""

    def __init__(self, cache: Cache, workspaces: Workspaces) -> None:
        self._cache, self._workspaces = cache, workspaces

    async def details(self, namespace: str, name: str) -> models.Details:
        """Return details of the pod. Raises `Problem` 404."""
        workspace = await self._workspaces.find(namespace, name)
        with reading(workspace):
            return views.details(workspace, self._cache.kind_of(workspace))

    async def events(self, namespace: str, name: str) -> list[models.Event]:
        """Return events of the workspace and of its objects, newest last. Raises `Problem` 404."""
        workspace = await self._workspaces.find(namespace, name)
        shown = (
            readable(event, partial(views.event, event)) for event in await self._events(workspace)
        )
        return sorted((event for event in shown if event is not None), key=lambda event: event.time)

    async def progress(self, namespace: str, name: str) -> models.Progress:
        """Return the steps of the start. Raises `Problem` 404."""
        workspace = await self._workspaces.find(namespace, name)
        pod = self._cache.pod_of(workspace)
        with reading(workspace):
            claims = [
                self._cache.claims.get(one, namespace) or {}
                for one in claims_of_workspace(workspace)
            ]
        told = await self._events_of(namespace, [pod["metadata"]["uid"]]) if pod is not None else []
        with reading(workspace):
            return progress(workspace, pod, claims, told, int(time.time() * 1000))

    async def resources(self, namespace: str, name: str) -> models.Resources:
        """Return requests, limits and usage of the containers. Raises `Problem` 404."""
        workspace = await self._workspaces.find(namespace, name)
        pod = self._cache.pod_of(workspace)
        with reading(workspace):
            running = WorkspaceView(workspace).state == "Running"
        if pod is None or not running:
            return models.Resources(error=NOT_RUNNING)
        try:
            measured = await self._cache.cluster.raw(
                "GET", f"{METRICS}/namespaces/{namespace}/pods/{pod['metadata']['name']}"
            )
        except NotFound:
            if not await self._measures():
                return models.Resources(error=NOT_MEASURED)
            measured = {}  # too young to have been measured
        except ClusterError as error:
            if error.status == 503:
                return models.Resources(error=NOT_MEASURED)
            raise
        return views.resources(pod, measured)

    async def _measures(self) -> bool:
        """Return whether the cluster has the metrics API."""
        try:
            await self._cache.cluster.raw("GET", METRICS)
        except ClusterError:
            return False
        return True

    @asynccontextmanager
    async def log(
        self, namespace: str, name: str, query: LogQuery
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open the log as a stream. Raises `Problem` 404, and 400 if there is no such log."""
        workspace = await self._workspaces.find(namespace, name)
        with reading(workspace):
            recorded = WorkspaceView(workspace).status.get("podTemplatePod") or {}
            known = [
                str(one["name"])
                for kind in ("containers", "initContainers")
                for one in recorded.get(kind) or ()
            ]
            pod = str(recorded.get("name") or "")
        if not pod:
            raise problems.bad_request(f"{name} has no pod now, so it has no log. Resume it first.")
        if query.container not in known:
            containers = ", ".join(known) or "none yet"
            raise problems.bad_request(
                f"{name} has no container {query.container}; it has {containers}."
            )
        await self._started(workspace, pod, query)
        asked = {
            "container": query.container,
            "tailLines": str(query.tail_lines),
            "timestamps": "true",
            "limitBytes": str(LIMIT_BYTES),
            "previous": str(query.previous).lower(),
            "follow": str(query.follow).lower(),
        }
        if query.since is not None:
            asked["sinceTime"] = query.since
        path = PODS.path(namespace, pod, "log")
        try:
            async with self._cache.cluster.stream(
                path, query=asked, read_seconds=None if query.follow else REQUEST_SECONDS
            ) as content:
                yield content
        except ClusterError as error:
            if error.status in (400, 404):
                raise problems.bad_request(f"There is no such log: {error.message}") from error
            raise problems.from_cluster(error, "log", name) from error

    async def _started(self, workspace: Object, pod: str, query: LogQuery) -> None:
        """Raise `Problem` 400 if the container has no log yet: some clusters send an empty one."""
        try:
            found = await self._cache.cluster.get(PODS, pod, workspace["metadata"]["namespace"])
        except NotFound:
            raise problems.bad_request(f"The pod {pod} is gone, and its log with it.") from None
        # Without a StatefulSet, only the status names the pod; only the controller writes it.
        if self._cache.has_stateful_set(workspace) and not self._cache.owns_pod(
            workspace, found
        ):  # another pod has the same name
            raise problems.bad_request(f"The pod {pod} is gone, and its log with it.")
        status = found.get("status") or {}
        told = [
            *(status.get("containerStatuses") or ()),
            *(status.get("initContainerStatuses") or ()),
        ]
        container: Object = next((one for one in told if one["name"] == query.container), {})
        if query.previous:
            if "terminated" not in (container.get("lastState") or {}):
                raise problems.bad_request(
                    f"{query.container} has not run before, so there is no log from before."
                )
        elif not (
            {"running", "terminated"} & (container.get("state") or {}).keys()
            or "terminated" in (container.get("lastState") or {})
        ):
            why = ((container.get("state") or {}).get("waiting") or {}).get(
                "reason"
            ) or "it has not started"
            raise problems.bad_request(f"No log yet: {query.container} has not started ({why}).")

    async def _events(self, workspace: Object) -> list[Object]:
        metadata = workspace["metadata"]
        uids = [metadata["uid"]]
        for pod in self._cache.pods_of(workspace):
            uids += [pod["metadata"]["uid"], controller(pod)["uid"]]
        uids += [service["metadata"]["uid"] for service in self._cache.services_of(workspace)]
        return await self._events_of(metadata["namespace"], list(dict.fromkeys(uids)))

    async def _events_of(self, namespace: str, uids: list[str]) -> list[Object]:
        cluster = self._cache.cluster
        lists = await asyncio.gather(
            *(
                cluster.list(EVENTS, namespace, field_selector=f"involvedObject.uid={uid}")
                for uid in uids
            )
        )
        return [event for found in lists for event in found.items]
