"""One pod: gives it an address, runs its containers, writes its status and events, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import psutil

from jupyter_workspaces.common.supervision import (
    Backoff,
    SupervisedTask,
    Supervisor,
    ended,
)
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.errors import ClusterError, Conflict, NotFound
from jupyter_workspaces.kube.event_recorder import record as record_event
from jupyter_workspaces.kube.types import ObjectView

from . import addresses, status
from .access import PodAccess
from .container import Container
from .context import GRACE_SECONDS, NodeContext
from .preparation import DEFAULT_PORT
from .probes import hooks
from .processes import shims, trees
from .processes.mounts import clear_points
from .records import PodFiles, PodRecord

log = logging.getLogger(__name__)

COMPONENT = "node"
RETRY_SECONDS = 5.0
LOST_GRACE_SECONDS = 5.0
"""Grace period of a pod whose object is already deleted, so that programs can save their files."""

CANCEL_SECONDS, CANCEL_RETRY_SECONDS = 20.0, 2.0
"""How long the work on a pod may take to end after it is cancelled, before programs are killed."""

GRACE_CHECK_SECONDS = 0.5
STATUS_DELAY_SECONDS = 0.02
EVENTS_WAITING = 100


class StillRunning(Exception):
    """A program of the pod cannot be killed."""


class Pod:
    """Runs one pod, from its scheduling until it is removed.

    Cancelling `run` leaves its programs running.
    """

    def __init__(self, node: NodeContext, pod: ObjectView, taken: dict[str, str]) -> None:
        """Create the pod; `run` starts it.

        Args:
            node: The node.
            pod: The pod's object.
            taken: Addresses of pods by uid, which this pod updates.
        """
        self.pod = pod
        self._node = node
        self._taken = taken
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self.files = PodFiles(node.host.directory, self.uid)
        self.record = self.files.load() or PodRecord(
            self.uid, metadata["namespace"], metadata["name"]
        )
        self._containers: list[Container] = []
        self._init_containers: list[Container] = []
        self._ending = asyncio.Event()
        self._object_gone = False
        self._dirty = asyncio.Event()
        self._events: asyncio.Queue[tuple[Literal["Normal", "Warning"], str, str]] = asyncio.Queue(
            EVENTS_WAITING
        )
        self.update(pod)

    def update(self, pod: ObjectView) -> None:
        """Take over a newer version of the pod's object; older versions are ignored."""
        if int(pod["metadata"]["resourceVersion"]) < int(self.pod["metadata"]["resourceVersion"]):
            return
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._ending.set()

    def object_deleted(self) -> None:
        """Stop the pod, whose object no longer exists."""
        self._object_gone = True
        self._ending.set()

    def status_changed(self) -> None:
        """Write the status soon."""
        self._dirty.set()

    def record_event(self, type: str, reason: str, message: str) -> None:
        """Record an event of the pod, of type `Normal` or `Warning`."""
        kind: Literal["Normal", "Warning"] = "Warning" if type == "Warning" else "Normal"
        with contextlib.suppress(asyncio.QueueFull):
            self._events.put_nowait((kind, reason, message))

    async def run(self) -> None:
        """Run until the pod is removed from this computer and from the API."""
        tasks = Supervisor(log, within=self._node.tasks)
        name = f"{self.record.namespace}/{self.record.name}"
        tasks.start(f"status of pod {name}", self._publish, describe=_described)
        tasks.start(f"events of pod {name}", self._record_events, describe=_described)
        work = SupervisedTask(
            f"pod {name}",
            self._work,
            backoff=Backoff(RETRY_SECONDS),
            describe=_described,
            log=log,
            ends=True,
        )
        try:
            work.start()
            await self._ending.wait()
            await work.stop(CANCEL_SECONDS, again=CANCEL_RETRY_SECONDS)
            await tasks.start(
                f"end of pod {name}", self._end, describe=_described, ends=True
            ).finished()
        finally:
            await work.stop(CANCEL_SECONDS, again=CANCEL_RETRY_SECONDS)
            await tasks.stop()
            # A program that is being started has to be in the record when the node runs again.
            await self._launched()

    # Running

    async def _work(self) -> None:
        try:
            await self._live()
        except OSError as error:
            self.record_event(
                "Warning",
                "Failed",
                f"The system refused to start the pod: {error}. This is retried.",
            )
            raise

    async def _live(self) -> None:
        spec = self.pod["spec"]
        if (self.pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        # First, because a status without containers would report the pod as ready.
        self._init_containers = [
            Container(self._node, self, found) for found in spec.get("initContainers") or ()
        ]
        self._containers = [Container(self._node, self, found) for found in spec["containers"]]
        self.status_changed()
        await self._assign_address()
        for container in self._init_containers:
            end = await container.run()
            container.state.ready = end.exit_code == 0
            if end.exit_code != 0:
                return
        tasks = [asyncio.create_task(container.run()) for container in self._containers]
        try:
            await asyncio.gather(*tasks)
        finally:
            await ended(tasks, CANCEL_SECONDS, log, again=CANCEL_RETRY_SECONDS)

    async def _assign_address(self) -> None:
        """Choose address and ports for the life of the pod.

        Ports that differ from the declared ones are written to annotations of the pod.
        """
        self.files.prepare()
        if not self.record.address:
            wanted = [
                port["containerPort"]
                for container in self.pod["spec"]["containers"]
                for port in container.get("ports") or ({"containerPort": DEFAULT_PORT},)
            ]
            others = {address for uid, address in self._taken.items() if uid != self.uid}
            self.record.address, self.record.ports = addresses.allocate(
                dict.fromkeys(wanted), others, self._node.host.settings.many_addresses
            )
            self.record.started_at = time.time()
            self.files.save(self.record)
        self._taken[self.uid] = self.record.address
        await self._write_ports()

    async def replace_taken_ports(self, ports: Sequence[int]) -> None:
        """Choose other ports for container ports at which other programs listen by now."""
        real = {str(port): self.record.ports.get(str(port), port) for port in ports}
        kept = {name: addresses.free_port(self.record.address, port) for name, port in real.items()}
        if kept != real:
            self.record.ports |= kept
            self.files.save(self.record)
            await self._write_ports()

    async def _write_ports(self) -> None:
        moved = {
            f"{self._node.host.settings.port_annotation}{port}": str(real)
            for port, real in self.record.ports.items()
            if int(port) != real
        }
        held = self.pod["metadata"].get("annotations") or {}
        if any(held.get(name) != value for name, value in moved.items()):
            await self._patch({"metadata": {"uid": self.uid, "annotations": moved}})

    # Reporting

    async def _publish(self) -> None:
        """Write the status when it has changed; changes at the same time are written together."""
        written: ObjectView = {}
        self._dirty.set()
        while True:
            await self._dirty.wait()
            await asyncio.sleep(STATUS_DELAY_SECONDS)
            self._dirty.clear()
            current = self._status()
            if current == written:
                continue
            try:
                await self._patch({"metadata": {"uid": self.uid}, "status": current}, "status")
                written = current
            except (NotFound, Conflict):
                continue  # deleted or replaced; the watch reports it
            except ClusterError as error:
                log.debug("Cannot write the status of pod %s: %s", self.record.name, error)
                self._dirty.set()
                await asyncio.sleep(1.0)

    def _status(self) -> dict[str, Any]:
        return status.build(
            self.pod,
            self.record.address,
            self.record.started_at or time.time(),
            [container.state for container in self._containers],
            [container.state for container in self._init_containers],
            ending=self._ending.is_set(),
        )

    async def _record_events(self) -> None:
        while True:
            kind, reason, message = await self._events.get()
            await record_event(
                self._node.cluster, dict(self.pod), kind, reason, message, component=COMPONENT
            )

    async def _patch(self, patch: ObjectView, subresource: str | None = None) -> None:
        answer = await self._node.cluster.patch(
            PODS, self.record.name, patch, self.record.namespace, subresource=subresource
        )
        # The next status is based on this answer, which the watch may not have reported yet.
        self.update(answer)

    # Ending

    async def _end(self) -> None:
        """Stop the programs, kill them after the grace period, and delete the object."""
        await self._launched()
        processes = await asyncio.to_thread(trees.shims, self.files)
        if processes:
            if not self._object_gone:
                self.record_event("Normal", "Killing", "Stopping the programs of the pod")
                if self._containers:
                    for container in self._containers:
                        container.state.ready = False
                    self.status_changed()
            await self._run_pre_stop_hooks()
            await self._stop(processes)
        await asyncio.to_thread(trees.kill_lost, self.files, self._node.host.settings.uid_variable)
        for name, kept in self.record.containers.items():
            self._node.metrics.remove((self.uid, name))
            clear_points(kept.made)
        self._taken.pop(self.uid, None)
        await asyncio.to_thread(self.files.remove)
        while not self._object_gone:
            try:
                await self._node.cluster.delete(
                    PODS, self.record.name, self.record.namespace, grace_seconds=0, uid=self.uid
                )
                return
            except (NotFound, Conflict):
                return
            except ClusterError as error:
                log.warning(
                    "Pod %s has ended but cannot be deleted yet: %s", self.record.name, error
                )
                await asyncio.sleep(RETRY_SECONDS)

    async def _run_pre_stop_hooks(self) -> None:
        """Run the preStop hooks within the grace period, unless the object is already deleted."""
        if self._object_gone:
            return
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds", GRACE_SECONDS)
        access = PodAccess(self._node.host.directory)
        for problem in await hooks.run_pre_stop(
            self._node.session, access, self.pod, self.record, grace
        ):
            self.record_event("Warning", "FailedPreStopHook", problem)

    async def _launched(self) -> None:
        for container in (*self._init_containers, *self._containers):
            await container.launched()

    async def _stop(self, processes: list[psutil.Process]) -> None:
        started = time.monotonic()
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        waiting = asyncio.gather(*(shims.wait_ended(process) for process in processes))
        try:
            # Checked again and again, because the grace period may be shortened meanwhile.
            while not waiting.done() and (left := self._grace_left(time.monotonic() - started)) > 0:
                await asyncio.wait({waiting}, timeout=min(left, GRACE_CHECK_SECONDS))
        finally:
            await ended([waiting])
        alive = [
            process for process in processes if not await asyncio.to_thread(trees.kill, process)
        ]
        if alive:
            self.record_event(
                "Warning",
                "FailedKillPod",
                "A program cannot be killed; it may be waiting for a disk. This is retried.",
            )
            raise StillRunning(
                f"process {', '.join(str(process.pid) for process in alive)} cannot be killed"
            )

    def _grace_left(self, waited: float) -> float:
        """Return the seconds until programs are killed, `waited` seconds after their SIGTERM."""
        deletion = self.pod["metadata"].get("deletionTimestamp")
        if self._object_gone or not deletion:
            return LOST_GRACE_SECONDS - waited
        grace: int = self.pod["metadata"].get("deletionGracePeriodSeconds", GRACE_SECONDS)
        # The time in the object is in whole seconds, rounded down, by the clock of the API server,
        # which may be ahead of ours.
        until = datetime.fromisoformat(deletion.replace("Z", "+00:00")).timestamp() + (
            1.0 if grace else 0.0
        )
        return min(until - time.time(), grace + 1.0 - waited)


def _described(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, (ClusterError, OSError, StillRunning))
        else type(error).__name__
    )
