"""A node for tests and benchmarks that runs no programs: it only reports that its pods run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from jupyter_workspaces.kube.catalog import NODES, PODS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, Conflict, NotFound
from jupyter_workspaces.kube.reflector import Key, Reflector, key_of
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.kube.work_queue import WorkQueue
from jupyter_workspaces.localkube.apiserver.pods.logs import LogOptions, LogsUnavailable

from . import addresses, status
from .logs import read, unavailable_reason
from .records import Ended
from .status import ContainerState, rfc3339

log = logging.getLogger(__name__)

NAME = "simulated"
CAPACITY = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "11000"}
LIST_SECONDS = 60.0
WORKERS = 8


class SimulatedNode:
    """A node that reports its pods as running and ready, and removes those that are deleted."""

    def __init__(self, cluster: Cluster, ready_after: float = 0.0) -> None:
        """Create a node whose pods are ready `ready_after` seconds after they were scheduled."""
        self._cluster = cluster
        self._ready_after = ready_after
        self._pods = Reflector(cluster, PODS, field_selector=f"spec.nodeName={NAME}")
        self._queue: WorkQueue[Key] = WorkQueue("simulated node")
        self._began: dict[str, float] = {}

    async def run(self) -> None:
        """Register the node and report pods until cancelled."""
        await self._register()
        stop_listening = self._pods.listen(self._changed)
        self._pods.start()
        try:
            await self._pods.synced(LIST_SECONDS)
            await self._queue.run(self._reconcile, WORKERS)
        finally:
            stop_listening()
            await self._pods.stop()

    def _changed(self, change: str, pod: ObjectView, previous: ObjectView | None) -> None:
        if change == "DELETED":
            self._began.pop(pod["metadata"]["uid"], None)
        else:
            self._queue.add(key_of(dict(pod)))

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(key[1], key[0])
        if pod is None:
            return None
        metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
        try:
            if metadata.get("deletionTimestamp"):
                await self._cluster.delete(
                    PODS,
                    metadata["name"],
                    metadata["namespace"],
                    grace_seconds=0,
                    uid=metadata["uid"],
                )
            elif phase in (None, "Pending"):
                left = (
                    self._began.setdefault(metadata["uid"], time.monotonic())
                    + self._ready_after
                    - time.monotonic()
                )
                if left > 0:
                    return left
                self._pods.apply(await self._report_running(pod))
        except (NotFound, Conflict):
            return None  # deleted or replaced; its event queues it again
        return None

    async def _report_running(self, pod: ObjectView) -> dict[str, Any]:
        metadata, now = pod["metadata"], time.time()
        found = status.build(
            pod,
            addresses.address_of(metadata["uid"]),
            now,
            [_running(container, metadata["uid"], now) for container in pod["spec"]["containers"]],
            [
                _completed(container, metadata["uid"], now)
                for container in pod["spec"].get("initContainers") or ()
            ],
        )
        patch = {"metadata": {"uid": metadata["uid"]}, "status": found}
        return await self._cluster.patch(
            PODS, metadata["name"], patch, metadata["namespace"], subresource="status"
        )

    async def _register(self) -> None:
        metadata = {
            "name": NAME,
            "labels": {
                "kubernetes.io/hostname": NAME,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        }
        try:
            await self._cluster.create(
                NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}}
            )
        except AlreadyExists:
            log.debug("The node %s is already registered", NAME)
        now = rfc3339(time.time())
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "NodeReady",
            "message": "this node simulates pods",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        made = {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "conditions": [ready],
            "addresses": [{"type": "Hostname", "address": NAME}],
        }
        await self._cluster.patch(NODES, NAME, {"status": made}, subresource="status")


class SimulatedLogs:
    """Logs of a simulated node: every container has the content of the same file."""

    def __init__(self, path: Path | None) -> None:
        """Use the log in a file, in the log format of the CRI; without a file logs are empty."""
        self._path = path

    def __call__(
        self, pod: ObjectView, container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        """Return the pieces of a container's log. See `ApiServer.logs`."""
        return self._pieces(pod, container, options)

    async def _pieces(
        self, pod: ObjectView, container: str, options: LogOptions
    ) -> AsyncGenerator[bytes, None]:
        if options.previous or (pod.get("status") or {}).get("phase") != "Running":
            raise LogsUnavailable(unavailable_reason(pod, container, options.previous))
        if self._path is None:
            return
        if not await asyncio.to_thread(self._path.exists):
            raise LogsUnavailable(f"the simulated node's log {self._path} does not exist")
        path = self._path
        async for piece in read(path, options, lambda: not path.exists()):
            yield piece


async def mark_unavailable(cluster: Cluster, name: str) -> None:
    """Report a node that does not run as not ready, so that no pod is scheduled to it.

    Raises:
        ClusterError: The status could not be written.
    """
    try:
        held = await cluster.get(NODES, name)
    except NotFound:
        return
    known = next(
        (
            found
            for found in (held.get("status") or {}).get("conditions") or ()
            if found["type"] == "Ready"
        ),
        None,
    )
    if known is None or known["status"] != "True":
        return
    now = rfc3339(time.time())
    unknown = {
        **known,
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "the local cluster runs without this node",
    }
    await cluster.patch(
        NODES,
        name,
        {"status": {"conditions": [{**unknown, "lastTransitionTime": now}]}},
        subresource="status",
    )


def _running(container: ObjectView, uid: str, now: float) -> ContainerState:
    prefix = f"simulated://{uid}/{container['name']}/"
    return ContainerState(
        container["name"],
        container["image"],
        prefix,
        1,
        reason="",
        started_at=now,
        ready=True,
        started=True,
    )


def _completed(container: ObjectView, uid: str, now: float) -> ContainerState:
    prefix, ended = (
        f"simulated://{uid}/{container['name']}/",
        Ended(0, "Completed", now, now, attempt=1),
    )
    return ContainerState(
        container["name"], container["image"], prefix, 1, over=True, ended=ended, ready=True
    )
