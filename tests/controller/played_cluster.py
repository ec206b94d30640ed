"""An API server with all controllers in the test process; the test writes the status of pods."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from filled_store import installed_store
from real_cluster import RealCluster
from shared_cluster import clean, prepare
from waiting import Answer, until

from jupyter_workspaces import controller
from jupyter_workspaces.kube.catalog import (
    NODES,
    PODS,
    STATEFUL_SETS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.responses import Listing
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local.admission import Admission
from jupyter_workspaces.local.settings import PROVISIONER
from jupyter_workspaces.localkube import controllers
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

LIMIT_SECONDS = 15.0
TOKEN = "a-token-for-tests"


class CountingCluster(Cluster):
    """Client that counts the requests of the controller by verb and resource."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.asked: Counter[tuple[str, str]] = Counter()

    @property
    def writes(self) -> int:
        return sum(count for (verb, _), count in self.asked.items() if verb != "list")

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Object:
        self.asked["create", resource.plural] += 1
        return await super().create(resource, body, namespace, dry_run=dry_run)

    async def replace(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        self.asked["replace", resource.plural] += 1
        return await super().replace(resource, body, subresource=subresource, dry_run=dry_run)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        self.asked["patch", resource.plural] += 1
        return await super().patch(
            resource, name, patch, namespace, subresource=subresource, dry_run=dry_run
        )

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Listing:
        self.asked["list", resource.plural] += 1
        return await super().list(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )


class PlayedCluster:
    """A running API server with the workspace controller.

    `cluster` is the client of the test, `counted` that of the controller. `admission` is whether
    the admission rules are on.
    """

    def __init__(
        self, cluster: Cluster, counted: CountingCluster, *, real: bool, admission: bool
    ) -> None:
        self.cluster, self.counted, self.admission = cluster, counted, admission
        self._real = real
        self._controller: asyncio.Task[None] | None = None
        self._built_in: asyncio.Task[None] | None = None

    def start_built_in(self, directory: Path) -> None:
        """Pods for StatefulSets, a scheduler, garbage collection."""
        self._built_in = asyncio.create_task(controllers.run(self.cluster, directory, PROVISIONER))

    async def stop_built_in(self) -> None:
        if self._real:
            pytest.skip("a test cannot stop a real cluster's own controllers")
        task, self._built_in = self._built_in, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def start_controller(self) -> None:
        self._controller = asyncio.create_task(controller.run(self.counted))

    async def stop_controller(self) -> None:
        if self._controller is not None:
            self._controller.cancel()
            ended = (await asyncio.gather(self._controller, return_exceptions=True))[0]
            assert isinstance(ended, asyncio.CancelledError), ended
            self._controller = None

    async def until(self, condition: Callable[[], Awaitable[Answer]], what: str) -> Answer:
        """Its first true answer; a `NotFound` counts as not yet."""
        return await until(condition, what, LIMIT_SECONDS)

    async def make_kind(self, name: str, **pod_template: Any) -> Object:
        """Create the JupyterLab kind under another name.

        Arguments replace parts of its pod template; `activityRules` replaces its activity rules.
        """
        kind = await self.cluster.get(WORKSPACE_KINDS, "jupyterlab")
        rules = pod_template.pop("activityRules", [])
        spec = kind["spec"] | {
            "podTemplate": kind["spec"]["podTemplate"] | pod_template,
            "activityRules": rules,
        }
        metadata = {"name": name, "annotations": kind["metadata"]["annotations"]}
        return await self.cluster.create(
            WORKSPACE_KINDS,
            {
                "apiVersion": kind["apiVersion"],
                "kind": kind["kind"],
                "metadata": metadata,
                "spec": spec,
            },
        )

    async def change_kind(self, name: str, **pod_template: Any) -> Object:
        return await self.cluster.patch(
            WORKSPACE_KINDS, name, {"spec": {"podTemplate": pod_template}}
        )

    async def stateful_set(self, name: str = "dora") -> Object:
        async def found() -> Object | None:
            return next(iter(await self.owned(STATEFUL_SETS, name)), None)

        return await self.until(found, f"a StatefulSet of {name}")

    async def make(self, name: str = "dora", kind: str = "jupyterlab", **spec: Any) -> Object:
        return await self.cluster.create(WORKSPACES, workspace(name, kind, **spec), "default")

    async def change(self, name: str, spec: Object) -> Object:
        return await self.cluster.patch(WORKSPACES, name, {"spec": spec}, "default")

    async def workspace(self, name: str = "dora") -> Object:
        return await self.cluster.get(WORKSPACES, name, "default")

    async def status(self, name: str = "dora") -> Object:
        return dict((await self.workspace(name)).get("status") or {})

    async def state(self, wanted: str, name: str = "dora", message: str = "") -> Object:
        """The status once the state is this and the message has that in it."""

        async def reached() -> Object | None:
            found = await self.status(name)
            return (
                found if found.get("state") == wanted and message in found["stateMessage"] else None
            )

        try:
            return await self.until(reached, f"{name} to be {wanted} ({message})")
        except AssertionError as error:
            raise AssertionError(f"{error}; its status: {await self.status(name)}") from None

    async def kinds_counted(self) -> None:
        """The controller has seen every kind."""

        async def counted() -> bool:
            return all(
                kind.get("status") for kind in (await self.cluster.list(WORKSPACE_KINDS)).items
            )

        await self.until(counted, "a status of every kind")

    async def pod(self, name: str = "dora") -> Object:
        """The workspace's pod, waited for."""

        async def found() -> Object | None:
            pods = await self.cluster.list(
                PODS, "default", label_selector=f"notebooks.kubeflow.org/workspace-name={name}"
            )
            return next(
                (pod for pod in pods.items if not pod["metadata"].get("deletionTimestamp")), None
            )

        return await self.until(found, f"a pod of {name}")

    async def owned(self, resource: Resource, name: str = "dora") -> list[Object]:
        return (
            await self.cluster.list(
                resource, "default", label_selector=f"notebooks.kubeflow.org/workspace-name={name}"
            )
        ).items

    async def say(self, pod: Object, **status: Any) -> None:
        """As its node says it; a pod that runs has one, and deleting it takes its time."""
        if status.get("phase") == "Running":
            await self.until(lambda: self._scheduled(pod), f"a node for {pod['metadata']['name']}")
        await self.cluster.patch(
            PODS, pod["metadata"]["name"], {"status": status}, "default", subresource="status"
        )

    async def _scheduled(self, pod: Object) -> bool:
        return bool(
            (await self.cluster.get(PODS, pod["metadata"]["name"], "default"))["spec"].get(
                "nodeName"
            )
        )

    async def run_pod(
        self, name: str = "dora", address: str = "127.0.0.1", port: int | None = None
    ) -> Object:
        """The pod's program runs and answers, on another port than it was told if one is given."""
        pod = await self.pod(name)
        if port is not None:
            annotations = {f"{metadata_keys.LOCAL_PORT}8888": str(port)}
            pod = await self.cluster.patch(
                PODS, pod["metadata"]["name"], {"metadata": {"annotations": annotations}}, "default"
            )
        main = {
            "name": "main",
            "ready": True,
            "restartCount": 0,
            "image": "i",
            "imageID": "",
            "state": {"running": {"startedAt": now()}},
        }
        conditions = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True"},
        ]
        await self.say(
            pod, phase="Running", podIP=address, conditions=conditions, containerStatuses=[main]
        )
        return pod

    async def end_pods(self, name: str = "dora") -> None:
        """Delete the pods that are being deleted, as their node does, once there are some.

        On a real cluster another client may have deleted them already.
        """

        async def deleting() -> list[Object]:
            return [
                pod
                for pod in await self.owned(PODS, name)
                if pod["metadata"].get("deletionTimestamp")
            ]

        for pod in await self.until(deleting, "a pod that is being deleted"):
            with contextlib.suppress(NotFound):
                await self.cluster.delete(
                    PODS,
                    pod["metadata"]["name"],
                    "default",
                    grace_seconds=0,
                    uid=pod["metadata"]["uid"],
                )


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def workspace(
    name: str = "dora",
    kind: str = "jupyterlab",
    image: str = "jupyterlab_scipy_190",
    size: str = "tiny_cpu",
    **spec: Any,
) -> Object:
    template = {"volumes": {"data": []}, "options": {"imageConfig": image, "podConfig": size}}
    return {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"kind": kind, "podTemplate": template, **spec},
    }


Play = Callable[..., AbstractAsyncContextManager[PlayedCluster]]


async def _node(cluster: Cluster) -> None:
    """Create a node. Its pods run only as far as the test writes their status."""
    await cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "local"}})
    allocatable = {"cpu": "16", "memory": "64Gi", "pods": "50"}
    ready = [{"type": "Ready", "status": "True"}]
    await cluster.patch(
        NODES,
        "local",
        {"status": {"allocatable": allocatable, "conditions": ready}},
        subresource="status",
    )


@asynccontextmanager
async def played_cluster(
    directory: Path, *, admission: bool = True
) -> AsyncIterator[PlayedCluster]:
    """Run the embedded API server.

    Without admission rules, kinds can be changed and deleted while workspaces use them, as on a
    real cluster without our webhook.
    """

    async def token() -> str:
        return TOKEN

    store = await installed_store(directory, admission=admission)
    server = ApiServer(store, TOKEN, admission=Admission(store) if admission else None)
    port = await server.start("127.0.0.1", 0)
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "test", None, token, embedded=True)
    try:
        async with Cluster(endpoint) as cluster, CountingCluster(endpoint) as counted:
            await _node(cluster)
            played = PlayedCluster(cluster, counted, real=False, admission=admission)
            played.start_built_in(directory)
            played.start_controller()
            try:
                yield played
            finally:
                await played.stop_controller()
                await played.stop_built_in()
    finally:
        await server.stop()
        store.close()


@asynccontextmanager
async def played_real_cluster(real: RealCluster) -> AsyncIterator[PlayedCluster]:
    """Use a real cluster with its own controllers; its objects are deleted before and after."""
    endpoint = real.endpoint()
    async with Cluster(endpoint) as cluster, CountingCluster(endpoint) as counted:
        await prepare(cluster)
        await _node(cluster)
        played = PlayedCluster(cluster, counted, real=True, admission=False)
        played.start_controller()
        try:
            yield played
        finally:
            await played.stop_controller()
            await clean(cluster)
