"""The agent of the node `local`: registers the node and runs the pods that are scheduled to it.

It does what a kubelet does on a real node. Each pod is run by a task of its own (`pod.Pod`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil

from jupyter_workspaces.common.supervision import Supervisor, ended
from jupyter_workspaces.kube.catalog import NODES, PODS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, ClusterError, NotFound
from jupyter_workspaces.kube.peer_connector import PeerConnector
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.settings import NodeSettings

from .context import FIRST_PAUSE, NodeContext
from .pod import Pod
from .preparation import Host
from .processes import cgroups, mounts, trees
from .processes.limits import SCAN_SECONDS, NodeMetrics
from .records import all_pods
from .start_limit import StartLimit
from .status import rfc3339

log = logging.getLogger(__name__)

NAME = "local"
MOST_PODS = 110
HEARTBEAT_SECONDS = 300.0
LOG_BYTES, LOG_FILES = 10 * 2**20, 3
LIST_SECONDS = 60.0
STOP_SECONDS = 35.0
"""Starting a program cannot be cancelled, and may take half a minute."""


class Agent:
    """The agent of a node.

    Attributes:
        metrics: Measures what each container uses.
    """

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        settings: NodeSettings,
        *,
        log_bytes: int = LOG_BYTES,
        log_files: int = LOG_FILES,
        first_pause: float = FIRST_PAUSE,
        starts: int | None = None,
        scan_seconds: float = SCAN_SECONDS,
        kubelet_port: int | None = None,
        within: Supervisor | None = None,
    ) -> None:
        """Create the agent; `run` starts it.

        Args:
            cluster: Client of the API server.
            directory: The cluster's directory.
            settings: Names and hints of the node.
            log_bytes: Maximum size of a log file.
            log_files: Maximum number of log files of a container.
            first_pause: Shortest backoff of containers, in seconds.
            starts: How many programs start at the same time; by default one for each core.
            scan_seconds: Seconds between measurements.
            kubelet_port: Port of the kubelet's endpoint, which the node reports if it has one.
            within: The supervisor whose health includes that of the node's tasks.
        """
        self.metrics = NodeMetrics(scan_seconds, NAME)
        self._within = within
        self._cluster = cluster
        self._directory = directory
        self._settings = settings
        self._logs = (log_bytes, log_files)
        self._first_pause = first_pause
        self._starts = starts
        self._endpoints = (
            {}
            if kubelet_port is None
            else {"daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}}}
        )
        self._pods: dict[str, tuple[Pod, asyncio.Task[None]]] = {}
        self._taken: dict[str, str] = {}
        self._node: NodeContext | None = None

    async def run(self) -> None:
        """Run the node until cancelled. Pods outlive it."""
        await self._register()  # first, so that no pod is reported as unschedulable meanwhile
        allowed = self._settings.mount_namespaces
        kind = await asyncio.to_thread(mounts.namespaces) if allowed else None
        log.info(
            "Volumes are %s",
            f"mounted in mount namespaces ({kind})"
            if kind
            else "links, because mount namespaces are not available",
        )
        connector = PeerConnector(force_close=True, limit=100)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            groups = await asyncio.to_thread(cgroups.parent, self._settings.cgroup_prefix)
            log.info(
                "Control groups of containers are %s",
                f"created in {groups}" if groups is not None else "not available",
            )
            host = Host(self._directory, kind, *self._logs, self._settings, groups)
            tasks = Supervisor(log, within=self._within)
            self._node = NodeContext(
                self._cluster,
                host,
                StartLimit(self._starts),
                self.metrics,
                session,
                tasks,
                self._first_pause,
            )
            for files in all_pods(self._directory):
                if (kept := files.load()) is not None and kept.address:
                    self._taken[kept.uid] = kept.address
            reflector = Reflector(self._cluster, PODS, field_selector=f"spec.nodeName={NAME}")
            tasks.include(lambda: reflector.health)
            try:
                tasks.start("usage of pods", self.metrics.run)
                reflector.listen(self._changed)
                reflector.start()
                await reflector.synced(LIST_SECONDS)
                await self._remove_deleted_pods(
                    {pod["metadata"]["uid"] for pod in reflector.items()}
                )
                tasks.start("heartbeat of the node", self._beat)
                await asyncio.Event().wait()  # until cancelled; a failure above restarts the node
            finally:
                await reflector.stop()
                await ended([task for _, task in self._pods.values()], STOP_SECONDS, log)
                await tasks.stop()
                self._pods.clear()

    def _changed(self, change: str, obj: ObjectView, previous: ObjectView | None) -> None:
        uid = obj["metadata"]["uid"]
        if previous is not None and previous["metadata"]["uid"] != uid:
            self._deleted(previous["metadata"]["uid"])
        if change == "DELETED":
            self._deleted(uid)
            return
        held = self._pods.get(uid)
        if held is not None:
            held[0].update(obj)
            return
        if self._node is None:
            return
        pod = Pod(self._node, obj, self._taken)
        task = asyncio.create_task(pod.run(), name=f"pod {obj['metadata']['name']}")
        self._pods[uid] = (pod, task)
        task.add_done_callback(lambda done: self._done(uid, done))

    def _deleted(self, uid: str) -> None:
        held = self._pods.get(uid)
        if held is not None:
            held[0].object_deleted()

    def _done(self, uid: str, task: asyncio.Task[None]) -> None:
        self._pods.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The task of pod %s failed", uid, exc_info=error)

    async def _remove_deleted_pods(self, known: set[str]) -> None:
        """Stop and remove pods that were deleted while the node did not run."""
        for files in list(all_pods(self._directory)):
            if files.path.name in known or files.path.name in self._pods:
                continue
            for shim in trees.shims(files):
                log.info("Killing process %d of a pod that was deleted", shim.pid)
                await asyncio.to_thread(trees.kill, shim)
            await asyncio.to_thread(trees.kill_lost, files, self._settings.uid_variable)
            if (kept := files.load()) is not None:
                for container in kept.containers.values():
                    mounts.clear_points(container.made)
            await asyncio.to_thread(files.remove)
            self._taken.pop(files.path.name, None)

    # The node's own object

    async def _register(self) -> None:
        metadata = {"name": NAME, "labels": _labels()}
        try:
            await self._cluster.create(
                NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}}
            )
        except AlreadyExists:
            await self._cluster.patch(NODES, NAME, {"metadata": {"labels": metadata["labels"]}})
        await self._report()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._report()
            except NotFound:
                await self._register()
            except ClusterError as error:
                log.warning("Cannot report the status of the node: %s", error)

    async def _report(self) -> None:
        try:
            held = (await self._cluster.get(NODES, NAME)).get("status") or {}
        except NotFound:
            held = {}
        before: ObjectView = next(
            (found for found in held.get("conditions") or () if found["type"] == "Ready"), {}
        )
        now = rfc3339(time.time())
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "NodeReady",
            "message": "the node is ready; pods are processes of this computer",
            "lastHeartbeatTime": now,
            "lastTransitionTime": before.get("lastTransitionTime", now)
            if before.get("status") == "True"
            else now,
        }
        capacity = _capacity(self._directory)
        await self._cluster.patch(
            NODES,
            NAME,
            {
                "status": {
                    "capacity": capacity,
                    "allocatable": capacity,
                    "conditions": [ready],
                    "addresses": [
                        {"type": "InternalIP", "address": "127.0.0.1"},
                        {"type": "Hostname", "address": socket.gethostname()},
                    ],
                    "nodeInfo": _info(self._settings.version),
                    **self._endpoints,
                }
            },
            subresource="status",
        )


async def run(
    cluster: Cluster,
    directory: Path,
    settings: NodeSettings,
    measure: Callable[[NodeMetrics | None], None] = lambda metrics: None,
    within: Supervisor | None = None,
) -> None:
    """Run the node of a local cluster until cancelled.

    Args:
        cluster: Client of the API server.
        directory: The cluster's directory.
        settings: Names and hints of the node.
        measure: Called with what measures the pods, and with None at the end.
        within: The supervisor whose health includes that of the node's tasks.
    """
    agent = Agent(cluster, directory, settings, within=within)
    measure(agent.metrics)
    try:
        await agent.run()
    finally:
        measure(None)


def _labels() -> dict[str, str]:
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine().lower()
    )
    return {
        "kubernetes.io/hostname": NAME,
        "kubernetes.io/os": sys.platform.replace("win32", "windows"),
        "kubernetes.io/arch": machine,
    }


def _capacity(directory: Path) -> dict[str, str]:
    found = {
        "cpu": str(psutil.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{psutil.disk_usage(str(directory)).total // 1024}Ki",
        "pods": str(MOST_PODS),
    }
    if sys.platform.startswith("linux"):
        graphics = sum(1 for name in os.listdir("/dev") if re.fullmatch(r"nvidia\d+", name))
        if graphics:
            found["nvidia.com/gpu"] = str(graphics)
    return found


def _info(version: str) -> dict[str, str]:
    return {
        "architecture": _labels()["kubernetes.io/arch"],
        "operatingSystem": _labels()["kubernetes.io/os"],
        "osImage": platform.platform(),
        "kernelVersion": platform.release(),
        "kubeletVersion": f"v{version}",
        "kubeProxyVersion": "",
        "containerRuntimeVersion": f"process://{platform.python_version()}",
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
    }
