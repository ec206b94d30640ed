"""One pod: its address, its containers in order, its status as it changes, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
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

from . import addresses, status
from .access import PodAccess
from .container import GRACE_SECONDS, Container, Node
from .preparation import DEFAULT_PORT
from .probes import hooks
from .processes import programs, trees
from .processes.mounts import clear_points
from .records import PodFiles, PodRecord

log = logging.getLogger(__name__)

Object = Mapping[str, Any]

COMPONENT = "node"
AGAIN_SECONDS = 5.0
LOST_GRACE_SECONDS = 5.0
"""For a pod whose object is gone already: nobody waits for it, but its files should get written."""

LET_GO_SECONDS, CANCEL_AGAIN_SECONDS = 20.0, 2.0
"""How long the work on a pod may take to let go of its programs; then they are ended all the same."""

LOOK_SECONDS = 0.5
GATHER_SECONDS = 0.02
EVENTS_WAITING = 100


class StillRunning(Exception):
    """A program cannot be killed, so its pod has not ended."""


class Pod:
    """One task runs it, from taking it over until it is gone. Cancelling the task leaves its programs running."""

    def __init__(self, node: Node, pod: Object, taken: dict[str, str]) -> None:
        self.pod = pod
        self._node = node
        self._taken = taken
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self.files = PodFiles(node.place.directory, self.uid)
        self.record = self.files.load() or PodRecord(
            self.uid, metadata["namespace"], metadata["name"]
        )
        self._containers: list[Container] = []
        self._init_containers: list[Container] = []
        self._going = asyncio.Event()
        self._gone = False
        self._dirty = asyncio.Event()
        self._events: asyncio.Queue[tuple[Literal["Normal", "Warning"], str, str]] = asyncio.Queue(
            EVENTS_WAITING
        )
        self.update(pod)

    def update(self, pod: Object) -> None:
        """Hear of an object of the same pod; an older one than is known is left aside."""
        if int(pod["metadata"]["resourceVersion"]) < int(self.pod["metadata"]["resourceVersion"]):
            return
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._going.set()

    def vanish(self) -> None:
        """Its object is gone; end what it left."""
        self._gone = True
        self._going.set()

    def changed(self) -> None:
        self._dirty.set()

    def tell(self, type: str, reason: str, message: str) -> None:
        kind: Literal["Normal", "Warning"] = "Warning" if type == "Warning" else "Normal"
        with contextlib.suppress(asyncio.QueueFull):
            self._events.put_nowait((kind, reason, message))

    async def run(self) -> None:
        """Until it is gone from this computer and from the API."""
        tasks = Supervisor(log, within=self._node.tasks)
        name = f"{self.record.namespace}/{self.record.name}"
        tasks.start(f"status of pod {name}", self._publish, describe=_described)
        tasks.start(f"events of pod {name}", self._record_events, describe=_described)
        work = SupervisedTask(
            f"pod {name}",
            self._work,
            backoff=Backoff(AGAIN_SECONDS),
            describe=_described,
            log=log,
            ends=True,
        )
        try:
            work.start()
            await self._going.wait()
            await work.stop(LET_GO_SECONDS, again=CANCEL_AGAIN_SECONDS)
            await tasks.start(
                f"end of pod {name}", self._end, describe=_described, ends=True
            ).finished()
        finally:
            await work.stop(LET_GO_SECONDS, again=CANCEL_AGAIN_SECONDS)
            await tasks.stop()
            await (
                self._launched()
            )  # so that whoever comes next finds in the record what was being started

    # Living

    async def _work(self) -> None:
        try:
            await self._live()
        except OSError as error:
            self.tell(
                "Warning",
                "Failed",
                f"This computer did not let the pod start: {error}. It is tried again.",
            )
            raise

    async def _live(self) -> None:
        spec = self.pod["spec"]
        if (self.pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        await self._settle()
        self._init_containers = [
            Container(self._node, self, found) for found in spec.get("initContainers") or ()
        ]
        self._containers = [Container(self._node, self, found) for found in spec["containers"]]
        self.changed()
        for container in self._init_containers:
            over = await container.run()
            container.state.ready = over.exit_code == 0
            if over.exit_code != 0:
                return
        tasks = [asyncio.create_task(container.run()) for container in self._containers]
        try:
            await asyncio.gather(*tasks)
        finally:
            await ended(tasks, LET_GO_SECONDS, log, again=CANCEL_AGAIN_SECONDS)

    async def _settle(self) -> None:
        """Address and ports, kept for the pod's whole life; ports that differ are written on the pod for who wants to connect."""
        self.files.prepare()
        if not self.record.address:
            wanted = [
                port["containerPort"]
                for container in self.pod["spec"]["containers"]
                for port in container.get("ports") or ({"containerPort": DEFAULT_PORT},)
            ]
            others = {address for uid, address in self._taken.items() if uid != self.uid}
            self.record.address, self.record.ports = addresses.allocate(
                dict.fromkeys(wanted), others, self._node.place.settings.many_addresses
            )
            self.record.started_at = time.time()
            self.files.save(self.record)
        self._taken[self.uid] = self.record.address
        await self._write_ports()

    async def keep_ports(self, ports: Sequence[int]) -> None:
        """Take other ports for those that somebody else has taken meanwhile."""
        real = {str(port): self.record.ports.get(str(port), port) for port in ports}
        kept = {name: addresses.usable(self.record.address, port) for name, port in real.items()}
        if kept != real:
            self.record.ports |= kept
            self.files.save(self.record)
            await self._write_ports()

    async def _write_ports(self) -> None:
        moved = {
            f"{self._node.place.settings.port_annotation}{port}": str(real)
            for port, real in self.record.ports.items()
            if int(port) != real
        }
        held = self.pod["metadata"].get("annotations") or {}
        if any(held.get(name) != value for name, value in moved.items()):
            await self._patch({"metadata": {"uid": self.uid, "annotations": moved}})

    # Telling

    async def _publish(self) -> None:
        """Write the status whenever it has changed; what changes at once is written once."""
        written: Object = {}
        self._dirty.set()
        while True:
            await self._dirty.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._dirty.clear()
            current = self._status()
            if current == written:
                continue
            try:
                await self._patch({"metadata": {"uid": self.uid}, "status": current}, "status")
                written = current
            except (NotFound, Conflict):
                continue  # it is gone or another has its name: the watch tells
            except ClusterError as error:
                log.debug("Status of pod %s: %s", self.record.name, error)
                self._dirty.set()
                await asyncio.sleep(1.0)

    def _status(self) -> dict[str, Any]:
        return status.build(
            self.pod,
            self.record.address,
            self.record.started_at or time.time(),
            [container.state for container in self._containers],
            [container.state for container in self._init_containers],
            ending=self._going.is_set(),
        )

    async def _record_events(self) -> None:
        while True:
            kind, reason, message = await self._events.get()
            await record_event(
                self._node.cluster, dict(self.pod), kind, reason, message, component=COMPONENT
            )

    async def _patch(self, patch: Object, subresource: str | None = None) -> None:
        answer = await self._node.cluster.patch(
            PODS, self.record.name, patch, self.record.namespace, subresource=subresource
        )
        self.update(
            answer
        )  # the next status is reckoned from it, though the watch may not have told of it yet

    # Ending

    async def _end(self) -> None:
        """Ask its programs to end, wait as long as they have, kill what is left, and let the object go."""
        await self._launched()
        shims = await asyncio.to_thread(trees.shims, self.files)
        if shims:
            if not self._gone:
                self.tell("Normal", "Killing", "Stopping the pod's programs")
                if self._containers:
                    for container in self._containers:
                        container.state.ready = False
                    self.changed()
            await self._before_stop()
            await self._stop(shims)
        await asyncio.to_thread(trees.kill_lost, self.files, self._node.place.settings.uid_variable)
        for name, kept in self.record.containers.items():
            self._node.metrics.remove((self.uid, name))
            clear_points(kept.made)
        self._taken.pop(self.uid, None)
        await asyncio.to_thread(self.files.remove)
        while not self._gone:
            try:
                await self._node.cluster.delete(
                    PODS, self.record.name, self.record.namespace, grace_seconds=0, uid=self.uid
                )
                return
            except (NotFound, Conflict):
                return
            except ClusterError as error:
                log.warning(
                    "Pod %s has ended but could not be deleted yet: %s", self.record.name, error
                )
                await asyncio.sleep(AGAIN_SECONDS)

    async def _before_stop(self) -> None:
        """Run the hooks of a pod that is deleted, for as long as its programs have to end. One whose object is gone has no time."""
        if self._gone:
            return
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds", GRACE_SECONDS)
        access = PodAccess(self._node.place.directory)
        for problem in await hooks.before_end(
            self._node.session, access, self.pod, self.record, grace
        ):
            self.tell("Warning", "FailedPreStopHook", problem)

    async def _launched(self) -> None:
        for container in (*self._init_containers, *self._containers):
            await container.launched()

    async def _stop(self, shims: list[psutil.Process]) -> None:
        asked = time.monotonic()
        for shim in shims:
            with contextlib.suppress(psutil.Error):
                shim.terminate()
        waiting = asyncio.gather(*(programs.ended(shim) for shim in shims))
        try:
            # Looked at anew each time: whoever waits may shorten the grace meanwhile.
            while not waiting.done() and (left := self._grace_left(time.monotonic() - asked)) > 0:
                await asyncio.wait({waiting}, timeout=min(left, LOOK_SECONDS))
        finally:
            await ended([waiting])
        alive = [shim for shim in shims if not await asyncio.to_thread(trees.kill, shim)]
        if alive:
            self.tell(
                "Warning",
                "FailedKillPod",
                "A program cannot be killed (it may wait for a disk); it is tried again.",
            )
            raise StillRunning(
                f"process {', '.join(str(shim.pid) for shim in alive)} cannot be killed"
            )

    def _grace_left(self, waited: float) -> float:
        """Seconds until its programs are killed, `waited` seconds after they were asked to end."""
        going = self.pod["metadata"].get("deletionTimestamp")
        if self._gone or not going:
            return LOST_GRACE_SECONDS - waited
        grace: int = self.pod["metadata"].get("deletionGracePeriodSeconds", GRACE_SECONDS)
        # The time in the object is in whole seconds, rounded down. It is the API server's, whose clock may be ahead of ours.
        until = datetime.fromisoformat(going.replace("Z", "+00:00")).timestamp() + (
            1.0 if grace else 0.0
        )
        return min(until - time.time(), grace + 1.0 - waited)


def _described(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, (ClusterError, OSError, StillRunning))
        else type(error).__name__
    )
