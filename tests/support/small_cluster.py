"""An API server with the built-in controllers in the test's process, and a simulated node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from filled_store import installed_store
from waiting import Answer, until

from jupyter_workspaces.kube.catalog import (
    EVENTS,
    NODES,
    PODS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local.admission import Admission
from jupyter_workspaces.local.settings import PROVISIONER
from jupyter_workspaces.localkube import controllers
from jupyter_workspaces.localkube.apiserver.access.tokens import Keys
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer

LIMIT_SECONDS = 15.0
TOKEN = "a-token-for-tests"
AUTHORITY = "a certificate for tests"


class SmallCluster:
    """A running cluster: its client, its folder of volumes, and pods that never get ready."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.sick: set[str] = set()
        self.lingering: set[str] = set()

    async def until(
        self, condition: Callable[[], Awaitable[Answer]], what: str = "the condition"
    ) -> Answer:
        """Its first true answer; a `NotFound` counts as not yet."""
        return await until(condition, what, LIMIT_SECONDS)

    async def gone(self, resource: Resource, name: str, namespace: str | None = "default") -> None:
        async def is_gone() -> bool:
            try:
                await self.cluster.get(resource, name, namespace)
            except NotFound:
                return True
            return False

        await self.until(is_gone, f"{resource.kind} {name} to be gone")

    async def make(
        self, resource: Resource, name: str, namespace: str | None = "default", **fields: Any
    ) -> Object:
        metadata = {"name": name, **fields.pop("metadata", {})}
        return await self.cluster.create(
            resource,
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": metadata,
                **fields,
            },
            namespace,
        )

    async def pods(self, namespace: str = "default") -> dict[str, Object]:
        return {
            pod["metadata"]["name"]: pod for pod in (await self.cluster.list(PODS, namespace)).items
        }

    async def events(self, reason: str, namespace: str = "default") -> list[Object]:
        return [
            event
            for event in (await self.cluster.list(EVENTS, namespace)).items
            if event["reason"] == reason
        ]

    async def end_pod(self, name: str, phase: str = "Failed") -> None:
        """As if its process had ended."""
        await self.cluster.patch(
            PODS,
            name,
            {"status": {"phase": phase, "conditions": []}},
            "default",
            subresource="status",
        )

    async def play_node(self) -> None:
        """Report scheduled pods as running, and remove deleted ones."""
        pods = Reflector(self.cluster, PODS)
        changed = asyncio.Event()
        pods.listen(lambda *_: changed.set())
        pods.start()
        try:
            while True:
                await changed.wait()
                changed.clear()
                for pod in pods.items():
                    await self._act(pod)
        finally:
            await pods.stop()

    async def _act(self, pod: Object) -> None:
        metadata = pod["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        try:
            if metadata.get("deletionTimestamp"):
                if name not in self.lingering:
                    await self.cluster.delete(
                        PODS, name, namespace, grace_seconds=0, uid=metadata["uid"]
                    )
            elif pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
                good = "False" if name in self.sick else "True"
                status = {"phase": "Running", "conditions": [{"type": "Ready", "status": good}]}
                await self.cluster.patch(
                    PODS, name, {"status": status}, namespace, subresource="status"
                )
        except NotFound:
            return


def node(name: str = "local", **allocatable: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "50", **allocatable},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@asynccontextmanager
async def small_cluster(directory: Path, *, with_node: bool = True) -> AsyncIterator[SmallCluster]:
    async def token() -> str:
        return TOKEN

    store = await installed_store(directory)
    keys = Keys.generate()
    server = ApiServer(store, TOKEN, admission=Admission(store), keys=keys)
    port = await server.start("127.0.0.1", 0)
    tasks = []
    try:
        async with Cluster(
            Endpoint(f"http://127.0.0.1:{port}", "test", None, token, embedded=True)
        ) as cluster:
            small = SmallCluster(cluster, directory)
            tasks.append(
                asyncio.create_task(
                    controllers.run(
                        cluster, directory, PROVISIONER, controllers.Signing(keys, AUTHORITY)
                    )
                )
            )
            if with_node:
                made = await cluster.create(NODES, node())
                await cluster.patch(
                    NODES,
                    made["metadata"]["name"],
                    {"status": node()["status"]},
                    subresource="status",
                )
                tasks.append(asyncio.create_task(small.play_node()))
            try:
                yield small
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if not isinstance(error, asyncio.CancelledError):
                    raise AssertionError("a controller ended") from error
    finally:
        await server.stop()
        store.close()
