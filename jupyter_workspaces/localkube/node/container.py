"""One container: starts its program, supervises it, and restarts it with growing pauses.

The program outlives the node's process. When the node starts again, it finds the program by the
container's record and supervises it as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from jupyter_workspaces.common.supervision import Backoff, SupervisedTask, ended
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.types import ObjectView

from .container_probes import ContainerProbes
from .context import GRACE_SECONDS, LONGEST_PAUSE, NodeContext, Owner
from .logs import tail
from .preparation import Prepared, prepare
from .probes.checks import ProbeNotPossible
from .processes import (
    cgroups,
    limits,
    mounts,
    shims,
    trees,
)
from .records import (
    ENDED,
    OUT_OF_MEMORY,
    ContainerRecord,
    Ended,
    is_final,
)
from .start_limit import Slot
from .status import ContainerState
from .waiting import ROOM, START, Waiting

log = logging.getLogger(__name__)

HEALTHY_SECONDS = 600.0
"""A program that ran this long is started again without a pause."""

PROBE_RETRY_SECONDS = 1.0
START_RETRY_SECONDS = 10.0
MESSAGE_BYTES = 2048
"""How much of the log becomes the message of a container that failed."""


class Container:
    """Runs one container of a pod until its restart policy ends it.

    Cancelling `run` leaves the program running.
    """

    def __init__(self, node: NodeContext, owner: Owner, spec: ObjectView) -> None:
        """Create the container with a spec of the pod `owner`."""
        self._node = node
        self._owner = owner
        self._spec = spec
        self._name: str = spec["name"]
        self._kept = owner.record.containers.setdefault(self._name, ContainerRecord())
        self._slot: Slot | None = None
        self._launching: asyncio.Future[psutil.Process] | None = None
        self.state = ContainerState(
            self._name,
            spec["image"],
            container_prefix=f"process://{owner.record.uid}/{self._name}/",
            ended=self._kept.ended,
            previous=self._kept.previous,
            restarts=self._kept.restarts,
        )

    async def run(self) -> Ended:
        """Run until the container has ended for good, and return its end."""
        process = self._process
        adopted = process is not None
        if process is None and self._kept.pid:
            await self._kill_group()
            self._record_end()
        while True:
            if process is None:
                if (final := self._final_end()) is not None:
                    return final
                await self._back_off()
                process = await self._start()
            await self._supervise(process, adopted)
            process, adopted = None, False
            await self._kill_group()
            self._record_end()

    @property
    def _process(self) -> psutil.Process | None:
        """The shim of the present run; None if none runs."""
        return shims.find(self._kept.pid, self._kept.birth)

    # Between two runs

    def _final_end(self) -> Ended | None:
        ended = self._kept.ended
        if ended is None or not is_final(self._owner.pod, self._name, ended):
            return None
        self.state.over, self.state.started_at = True, None
        self._owner.status_changed()
        return ended

    async def _back_off(self) -> None:
        ended = self._kept.ended
        if ended is None:
            return
        wait = ended.finished_at + self._kept.pause - time.time()
        if wait > 0:
            self._set_waiting(
                "CrashLoopBackOff",
                f"back-off {self._kept.pause:g}s restarting failed container={self._name}",
            )
            self._owner.record_event(
                "Warning",
                "BackOff",
                f"Container '{self._name}' ended and is restarted after {self._kept.pause:g} s",
            )
            await asyncio.sleep(min(wait, LONGEST_PAUSE))

    async def _kill_group(self) -> None:
        """Kill processes that a killed shim left behind; its control group contains all of them."""
        if self._kept.cgroup:
            await asyncio.to_thread(cgroups.end, Path(self._kept.cgroup))

    def _record_end(self) -> None:
        """Record how the run ended and the pause before the next."""
        kept, files = self._kept, self._owner.files
        # A killed shim leaves processes behind, and so does every shim on systems without
        # subreapers. With several containers in the pod they cannot be told apart; they are killed
        # at the end of the pod.
        orphans = not self._ended_cleanly() or not sys.platform.startswith("linux")
        uid, variable = self._owner.record.uid, self._node.host.settings.uid_variable
        if orphans and self._is_only_container() and trees.kill_marked(uid, variable):
            log.info(
                "Killed processes of pod %s that outlived their supervisor", self._owner.record.name
            )
        ended = files.ended(self._name, kept.attempt, kept.started_at, time.time())
        ended.attempt = kept.attempt
        if ended.reason == "OOMKilled":
            limit = (self._spec.get("resources") or {}).get("limits", {}).get("memory")
            ended.message = f"The program used more memory than its limit of {limit}."
        elif ended.reason == "Error" and not ended.message:
            ended.message = tail(files.log(self._name, kept.attempt), MESSAGE_BYTES)
        lasted = ended.finished_at - ended.started_at
        kept.pause = 0.0 if lasted >= HEALTHY_SECONDS else kept.pause
        mounts.clear_points(kept.made)
        kept.pid, kept.made, kept.cgroup, kept.ended = 0, [], "", ended
        files.save(self._owner.record)
        self._node.metrics.remove(self._key)
        self.state.ended, self.state.previous, self.state.started_at = ended, kept.previous, None
        self.state.ready = self.state.started = False
        self._set_waiting("ContainerCreating", "")
        if ended.reason == "ContainerCannotRun":
            self._owner.record_event(
                "Warning", "Failed", f"Cannot start container '{self._name}': {ended.message}"
            )

    def _ended_cleanly(self) -> bool:
        return self._owner.files.run(self._name, self._kept.attempt, ENDED).exists()

    def _is_only_container(self) -> bool:
        return len(self._owner.record.containers) == 1

    # Starting

    async def _start(self) -> psutil.Process:
        recorded = ""
        while True:
            try:
                return await self._try_to_start()
            except Waiting as waiting:
                self._set_waiting(waiting.reason, waiting.message)
                if waiting.message != recorded and waiting.seconds >= 1.0:
                    recorded = waiting.message
                    self._owner.record_event("Warning", "Failed", waiting.message)
                await asyncio.sleep(waiting.seconds)
            except OSError as error:
                self._set_waiting(START, f"The system refused to start the container: {error}")
                log.warning("Cannot start %s: %s", self._title, error)
                await asyncio.sleep(START_RETRY_SECONDS)

    async def _try_to_start(self) -> psutil.Process:
        node, owner = self._node, self._owner
        prepared = await prepare(
            node.cluster, node.host, owner.pod, self._spec, owner.files, owner.record.address
        )
        if node.start_limit.full:
            self._set_waiting(
                ROOM,
                "Waiting for its turn: as many programs are starting as this computer has cores.",
            )
        slot = await node.start_limit.enter()
        try:
            await owner.replace_taken_ports(
                [port["containerPort"] for port in self._spec.get("ports") or ()]
            )
            process = await self._launch(prepared)
        except BaseException:
            slot.release()
            raise
        self._slot = slot
        owner.record_event("Normal", "Pulled", prepared.description)
        for limitation in prepared.limitations():
            owner.record_event(limitation.type, limitation.reason, limitation.message)
        owner.record_event("Normal", "Created", f"Created container '{self._name}'")
        owner.record_event("Normal", "Started", f"Started container '{self._name}'")
        return process

    async def _launch(self, prepared: Prepared) -> psutil.Process:
        files, record, kept = self._owner.files, self._owner.record, self._kept
        files.forget(self._name, kept.attempt - 1)
        attempt = kept.attempt + 1
        job = await asyncio.to_thread(prepared.job, record, files, attempt)

        def remember(process: psutil.Process) -> None:
            if kept.ended is not None:
                kept.restarts += 1
                kept.pause = min(max(kept.pause * 2, self._node.first_pause), LONGEST_PAUSE)
            kept.previous = kept.ended
            kept.attempt, kept.pid, kept.birth = attempt, process.pid, shims.birth(process)
            kept.started_at, kept.made, kept.check, kept.any_status = (
                time.time(),
                job.made,
                job.check,
                job.any_status,
            )
            kept.cgroup, kept.directory, kept.leading = job.cgroup, job.directory, prepared.left_out
            files.save(record)

        cores = limits.cores(self._spec, self._node.metrics.processes())
        # Starting a process cannot be cancelled; the end of the pod waits for it by `launched`.
        self._launching = asyncio.ensure_future(
            asyncio.to_thread(shims.launch, job.plan, remember, cores)
        )
        return await asyncio.shield(self._launching)

    async def launched(self) -> None:
        """Wait until no start is in progress. Call it after cancelling `run`."""
        if self._launching is not None:
            await asyncio.wait({self._launching})
            if not self._launching.cancelled():
                self._launching.exception()  # retrieved, because a cancelled caller does not do it

    # Running

    async def _supervise(self, process: psutil.Process, adopted: bool) -> None:
        """Wait until the program has ended.

        An adopted program keeps its readiness until its probes change it.
        """
        kept = self._kept
        self.state.started_at = kept.started_at
        self.state.restarts = kept.restarts
        self.state.attempt = kept.attempt
        self.state.reason, self.state.message, self.state.problem = "", "", ""
        if adopted:
            self.state.ready, self.state.started = self._published_readiness()
        limit = limits.memory_limit(self._spec)
        loop = asyncio.get_running_loop()
        end = asyncio.create_task(shims.wait_ended(process), name=f"end of {self._title}")
        container_probes = ContainerProbes(
            self._node, self._owner, self._spec, kept, self.state, self._release_slot
        )
        probing = SupervisedTask(
            f"probes of {self._title}",
            container_probes.run,
            backoff=Backoff(PROBE_RETRY_SECONDS),
            describe=_described,
            log=log,
            ends=True,
        )
        probing.start()
        given_up = asyncio.create_task(probing.finished())
        killers: list[asyncio.Task[Any]] = []

        def exceeded(used: int) -> None:
            files = self._owner.files
            files.run(self._name, kept.attempt, OUT_OF_MEMORY).touch(mode=0o600)
            log.info(
                "Killing %s: it uses %d bytes of memory, its limit is %s",
                self._title,
                used,
                limit,
            )
            killers.append(loop.create_task(asyncio.to_thread(trees.kill, process)))

        self._node.metrics.add(self._key, process, limit, exceeded)
        self._owner.status_changed()
        try:
            await asyncio.wait({end, given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                await self._terminate(process)  # a probe failed
            await end
        finally:
            self._release_slot()
            await probing.stop()
            await ended([end, given_up, *killers])

    def _published_readiness(self) -> tuple[bool, bool]:
        """Return `ready` and `started` as last written to the status for this run."""
        for found in (self._owner.pod.get("status") or {}).get("containerStatuses") or ():
            if found["name"] == self._name and found.get("containerID") == self.state.container_id:
                return bool(found.get("ready")), bool(found.get("started"))
        return False, False

    async def _terminate(self, process: psutil.Process) -> None:
        self._owner.record_event(
            "Normal", "Killing", f"Stopping container '{self._name}' because a probe failed"
        )
        grace = self._owner.pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        with contextlib.suppress(psutil.Error):
            process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            async with timeout(max(grace, 1)):
                await shims.wait_ended(process)
            return
        await asyncio.to_thread(trees.kill, process)

    def _release_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def _set_waiting(self, reason: str, message: str) -> None:
        if (self.state.reason, self.state.message) != (
            reason,
            message,
        ) or self.state.started_at is not None:
            self.state.reason, self.state.message, self.state.started_at = reason, message, None
            self._owner.status_changed()

    @property
    def _title(self) -> str:
        return f"{self._owner.record.name}/{self._name}"

    @property
    def _key(self) -> tuple[str, str]:
        return self._owner.record.uid, self._name


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, ProbeNotPossible) else type(error).__name__
