"""An API server in the test process and the real node beside it: pods are real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from waiting import Answer, until

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint, from_embedded
from jupyter_workspaces.kube.errors import BadRequest, NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local.settings import POD_VARIABLE, node_settings
from jupyter_workspaces.localkube import certificates, kubeconfig_file
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.pods.logs import PodLogReader
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.localkube.directory import Directory
from jupyter_workspaces.localkube.node import (
    Agent,
    PodAccess,
    PodLogs,
    stop_pods,
)
from jupyter_workspaces.localkube.node.records import all_pods

LIMIT_SECONDS = 40.0
TOKEN = "a-token-for-tests"


class NodeCluster:
    """A node and its cluster. `cluster` is a client, `directory` holds pods and volumes."""

    def __init__(self, cluster: Cluster, directory: Path, url: str, server: ApiServer) -> None:
        self.cluster = cluster
        self.directory = directory
        self.url = url
        self.server = server
        self.agent: Agent | None = None
        self._task: asyncio.Task[None] | None = None

    def start_agent(self, *, namespaces: bool | None = None, **options: Any) -> Agent:
        """Start the node; `namespaces=False` forbids it mount namespaces."""
        settings = node_settings()
        if namespaces is False:
            settings = replace(settings, mount_namespaces=False)
        self.agent = Agent(self.cluster, self.directory, settings, **options)
        self._task = asyncio.create_task(self.agent.run())
        return self.agent

    async def stop_agent(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(ended, asyncio.CancelledError):
            raise AssertionError("the node ended") from ended

    async def until(
        self, condition: Callable[[], Awaitable[Answer]], what: str = "the condition"
    ) -> Answer:
        """Wait for a true answer of `condition` and return it; `NotFound` counts as false."""
        return await until(condition, what, LIMIT_SECONDS)

    async def make(self, resource: Resource, name: str, **fields: Any) -> Object:
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            **fields,
        }
        return await self.cluster.create(resource, body, "default" if resource.namespaced else None)

    async def program(
        self,
        name: str,
        script: str,
        *,
        container: Object | None = None,
        metadata: Object | None = None,
        **spec: Any,
    ) -> Object:
        """Create a pod that runs a shell script."""
        main = {
            "name": "main",
            "image": "local",
            "command": ["/bin/sh", "-c", script],
            **(container or {}),
        }
        made = {
            "nodeName": "local",
            "terminationGracePeriodSeconds": 5,
            "containers": [main],
            **spec,
        }
        return await self.make(PODS, name, spec=made, metadata=metadata or {})

    async def claim(self, name: str) -> Path:
        """Create a bound claim and return its folder."""
        folder = self.directory / "volumes" / f"pv-{name}"
        folder.mkdir(parents=True)
        asked = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "volumeName": f"pv-{name}",
        }
        await self.make(
            PERSISTENT_VOLUMES,
            f"pv-{name}",
            spec={
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": str(folder)},
            },
        )
        await self.make(PERSISTENT_VOLUME_CLAIMS, name, spec=asked)
        await self.cluster.patch(
            PERSISTENT_VOLUME_CLAIMS,
            name,
            {"status": {"phase": "Bound"}},
            "default",
            subresource="status",
        )
        return folder

    async def secret(self, name: str, **data: str) -> Object:
        return await self.make(SECRETS, name, stringData=data)

    async def pod(self, name: str) -> Object:
        return await self.cluster.get(PODS, name, "default")

    async def delete(self, name: str, grace_seconds: int | None = None) -> None:
        await self.cluster.delete(PODS, name, "default", grace_seconds=grace_seconds)

    async def gone(self, name: str) -> None:
        async def is_gone() -> bool:
            try:
                await self.pod(name)
            except NotFound:
                return True
            return False

        await self.until(is_gone, f"pod {name} to be gone")

    async def ready(self, name: str) -> Object:
        async def is_ready() -> Object | None:
            pod = await self.pod(name)
            return pod if condition(pod, "Ready") == "True" else None

        return await self.until(is_ready, f"pod {name} to be ready")

    async def state(
        self, name: str, wanted: str, reason: str | None = None, *, last: bool = False
    ) -> Object:
        """Wait for a state of the main container: running, waiting or terminated."""

        async def found() -> Object | None:
            pod = await self.pod(name)
            for status in pod["status"].get("containerStatuses") or ():
                held = status["lastState" if last else "state"].get(wanted)
                if held is not None and (reason is None or held.get("reason") == reason):
                    return {**held, "restartCount": status["restartCount"]}
            return None

        return await self.until(found, f"container of {name} {wanted} {reason or ''}")

    async def log(self, name: str, **query: str) -> str:
        async with self.cluster.stream(PODS.path("default", name, "log"), query=query) as content:
            return (await content.read()).decode()

    async def says(self, name: str, text: str) -> str:
        """Wait until the log of a pod contains `text` and return the log."""

        async def found() -> str | None:
            try:
                log = await self.log(name)
            except BadRequest:
                return None  # it has not started yet
            return log if text in log else None

        return await self.until(found, f"log of {name} to hold {text!r}")

    async def events(self, reason: str) -> list[Object]:
        return [
            event
            for event in (await self.cluster.list(EVENTS, "default")).items
            if event["reason"] == reason
        ]


def condition(pod: Object, name: str) -> str | None:
    return next(
        (
            found["status"]
            for found in pod["status"].get("conditions") or ()
            if found["type"] == name
        ),
        None,
    )


def processes(word: str) -> list[psutil.Process]:
    """Return the processes with a word in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@asynccontextmanager
async def node_cluster(
    directory: Path,
    *,
    agent: bool = True,
    logs: PodLogReader | None = None,
    secure: bool = False,
    **options: Any,
) -> AsyncIterator[NodeCluster]:
    """`secure` speaks TLS and writes a kubeconfig into the directory, for kubectl and its like."""

    async def token() -> str:
        return TOKEN

    store = Store.open(directory / "cluster.db")
    server = ApiServer(store, TOKEN)
    server.logs, server.programs = logs or PodLogs(directory), PodAccess(directory)
    files = Directory(directory)
    context = None
    if secure:
        certificates.ensure(files)
        context = certificates.server_context(files)
    url = f"http{'s' if secure else ''}://127.0.0.1:{await server.start('127.0.0.1', 0, context)}"
    if secure:
        kubeconfig_file.save(files, url, TOKEN)
    endpoint = (
        from_embedded(files.kubeconfig)
        if secure
        else Endpoint(url, "test", None, token, embedded=True)
    )
    try:
        async with Cluster(endpoint) as cluster:
            await cluster.create(
                NAMESPACES,
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
            )
            nodes = NodeCluster(cluster, directory, url, server)
            # What a cluster's controllers bring to each namespace.
            await nodes.make(SERVICE_ACCOUNTS, "default")
            await nodes.make(
                CONFIG_MAPS, "kube-root-ca.crt", data={"ca.crt": "a certificate for tests"}
            )
            if agent:
                nodes.start_agent(**options)
            try:
                yield nodes
            finally:
                await nodes.stop_agent()
                await asyncio.to_thread(stop_pods, directory, POD_VARIABLE)
                for pod in all_pods(directory):
                    pod.remove()  # with what it has outside of this directory
    finally:
        await server.stop()
        store.close()
