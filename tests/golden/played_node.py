"""A node that only says that pods run: Running and Ready as soon as they are bound to it, gone as soon as they are deleted, one log for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from jupyter_workspaces.cluster.client import Cluster
from jupyter_workspaces.cluster.errors import ClusterError, Conflict, NotFound
from jupyter_workspaces.cluster.reflector import Key, Reflector, key_of
from jupyter_workspaces.local.apiserver.logs import LogOptions, LogsUnavailable
from jupyter_workspaces.resources.catalog import NODES, PODS

Object = dict[str, Any]

NAME = "played"
LINES = ("line 5", "line 6", "line 7")
FIRST = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class PlayedNode:
    """One node. Also the reader of its pods' logs (`logs`)."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._changed: asyncio.Queue[Key] = asyncio.Queue(1000)

    async def run(self) -> None:
        await self._cluster.create(NODES, _node())
        pods = Reflector(self._cluster, PODS)
        pods.listen(lambda change, pod, previous: self._changed.put_nowait(key_of(pod)))
        pods.start()
        try:
            while True:
                namespace, name = await self._changed.get()
                pod = pods.get(name, namespace)
                if pod is not None and pod["spec"].get("nodeName"):
                    await self._play(pod)
        finally:
            await pods.stop()

    async def _play(self, pod: Object) -> None:
        metadata = pod["metadata"]
        try:
            if metadata.get("deletionTimestamp"):
                await self._cluster.delete(PODS, metadata["name"], metadata["namespace"], grace_seconds=0, uid=metadata["uid"])
            elif (pod.get("status") or {}).get("phase") != "Running":
                patch = {"status": _running(pod)}
                await self._cluster.patch(PODS, metadata["name"], patch, metadata["namespace"], subresource="status")
        except (NotFound, Conflict):
            return  # gone meanwhile
        except ClusterError as error:
            raise RuntimeError(f"the pod {metadata['name']} could not be played: {error}") from error


async def logs(pod: Mapping[str, Any], container: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
    """The same three lines for every container that runs; nothing ran before."""
    if options.previous:
        raise LogsUnavailable(f'previous terminated container "{container}" in pod "{pod["metadata"]["name"]}" not found')
    if (pod.get("status") or {}).get("phase") != "Running":
        raise LogsUnavailable(f'container "{container}" is waiting to start')
    told = []
    for index, line in enumerate(LINES):
        moment = FIRST + timedelta(seconds=index)
        if options.since is None or moment >= options.since.replace(microsecond=0):
            stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.000000001Z ") if options.timestamps else ""
            told.append(f"{stamp}{line}\n".encode())
    for piece in told[-options.tail_lines :] if options.tail_lines is not None else told:
        yield piece


def _node() -> Object:
    resources = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/hostname": NAME}},
        "spec": {},
        "status": {"capacity": resources, "allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _running(pod: Object) -> Object:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    states = [
        {
            "name": one["name"],
            "ready": True,
            "restartCount": 0,
            "image": one["image"],
            "imageID": "",
            "state": {"running": {"startedAt": now}},
        }
        for one in pod["spec"]["containers"]
    ]
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("PodScheduled", "Initialized", "Ready")]
    return {"phase": "Running", "podIP": "127.0.0.1", "startTime": now, "conditions": conditions, "containerStatuses": states}
