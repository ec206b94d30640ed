"""One container: started, watched, restarted with growing pauses, adopted again after a restart of ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import psutil

from jupyter_workspaces.common.supervision import (
    Backoff,
    SupervisedTask,
    Supervisor,
    ended,
)
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.peers import FOREIGN

from .access import PodAccess
from .logs import tail
from .preparation import Place, Prepared, prepare
from .probes import checks, hooks, probes
from .probes.checks import ProbeNotPossible
from .processes import (
    cgroups,
    limits,
    mounts,
    programs,
    trees,
)
from .records import (
    ENDED,
    OUT_OF_MEMORY,
    ContainerRecord,
    Ended,
    PodFiles,
    PodRecord,
    is_final,
)
from .start_limit import Room, Slot
from .status import ContainerState
from .waiting import ROOM, START, Waiting

log = logging.getLogger(__name__)

Object = Mapping[str, Any]

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
HEALTHY_SECONDS = 600.0
"""After running this long a program that ends is started again at once."""

CHECK_SECONDS, CHECK_FAILURES = 5.0, 4
"""Readiness where a pod's spec has no probe: a program that stops answering is not ready within 25 s, one that pauses for 15 s still is."""

PROBE_AGAIN_SECONDS = 1.0
MESSAGE_BYTES = 2048
GRACE_SECONDS = 30


@dataclass
class Node:
    """What all containers of this node share."""

    cluster: Cluster
    place: Place
    room: Room
    metrics: limits.NodeMetrics
    session: aiohttp.ClientSession
    tasks: Supervisor
    first_pause: float = FIRST_PAUSE


class Owner(Protocol):
    """The pod, as its containers see it."""

    pod: Object
    record: PodRecord
    files: PodFiles

    async def keep_ports(self, ports: Sequence[int]) -> None:
        """Take other ports for those that somebody else has taken meanwhile."""

    def changed(self) -> None:
        """Write the status soon."""

    def tell(self, type: str, reason: str, message: str) -> None:
        """Record an event."""


class Container:
    """Runs until its restart policy says that it is over. Cancelling it leaves the program running."""

    def __init__(self, node: Node, owner: Owner, spec: Object) -> None:
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
        """How it ended for good."""
        process = self.process
        adopted = process is not None
        if process is None and self._kept.pid:
            await self._end_group()
            self._conclude()
        while True:
            if process is None:
                if (over := self._over()) is not None:
                    return over
                await self._back_off()
                process = await self._start()
            await self._attend(process, adopted)
            process, adopted = None, False
            await self._end_group()
            self._conclude()

    @property
    def process(self) -> psutil.Process | None:
        """Its shim, while it lives."""
        return programs.find(self._kept.pid, self._kept.birth)

    # Between two runs

    def _over(self) -> Ended | None:
        ended = self._kept.ended
        if ended is None or not is_final(self._owner.pod, self._name, ended):
            return None
        self.state.over, self.state.started_at = True, None
        self._owner.changed()
        return ended

    async def _back_off(self) -> None:
        ended = self._kept.ended
        if ended is None:
            return
        wait = ended.finished_at + self._kept.pause - time.time()
        if wait > 0:
            self._waits(
                "CrashLoopBackOff",
                f"back-off {self._kept.pause:g}s restarting failed container={self._name}",
            )
            self._owner.tell(
                "Warning",
                "BackOff",
                f"Container {self._name} ended and is started again after {self._kept.pause:g} s",
            )
            await asyncio.sleep(min(wait, LONGEST_PAUSE))

    async def _end_group(self) -> None:
        """A shim that was killed leaves what its program started; its control group has all of it."""
        if self._kept.cgroup:
            await asyncio.to_thread(cgroups.end, Path(self._kept.cgroup))

    def _conclude(self) -> None:
        """Take down how the run ended, and how long to wait before the next."""
        kept, files = self._kept, self._owner.files
        # A shim that is killed leaves what its program started, and systems without subreapers leave it anyhow. With several
        # containers nobody could tell whose they are; the pod's end takes them.
        left = not self._ended_cleanly() or not sys.platform.startswith("linux")
        uid, variable = self._owner.record.uid, self._node.place.settings.uid_variable
        if left and self._alone() and trees.kill_marked(uid, variable):
            log.info(
                "Processes of %s outlived their supervisor and were killed", self._owner.record.name
            )
        ended = files.ended(self._name, kept.attempt, kept.started_at, time.time())
        ended.attempt = kept.attempt
        if ended.reason == "OOMKilled":
            limit = (self._spec.get("resources") or {}).get("limits", {}).get("memory")
            ended.message = f"It needed more memory than its limit of {limit}."
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
        self._waits("ContainerCreating", "")
        if ended.reason == "ContainerCannotRun":
            self._owner.tell(
                "Warning", "Failed", f"Container {self._name} could not be started: {ended.message}"
            )

    def _ended_cleanly(self) -> bool:
        return self._owner.files.run(self._name, self._kept.attempt, ENDED).exists()

    def _alone(self) -> bool:
        return len(self._owner.record.containers) == 1

    # Starting

    async def _start(self) -> psutil.Process:
        told = ""
        while True:
            try:
                return await self._try_to_start()
            except Waiting as waiting:
                self._waits(waiting.reason, waiting.message)
                if waiting.message != told and waiting.seconds >= 1.0:
                    told = waiting.message
                    self._owner.tell("Warning", "Failed", waiting.message)
                await asyncio.sleep(waiting.seconds)
            except OSError as error:
                self._waits(START, f"This computer did not let the container start: {error}")
                log.warning("%s cannot be started: %s", self._owner.pod["metadata"]["name"], error)
                await asyncio.sleep(10.0)

    async def _try_to_start(self) -> psutil.Process:
        node, owner = self._node, self._owner
        prepared = await prepare(
            node.cluster, node.place, owner.pod, self._spec, owner.files, owner.record.address
        )
        if node.room.full:
            self._waits(
                ROOM,
                "Waiting for its turn: as many workspaces are starting as this computer has cores.",
            )
        slot = await node.room.enter()
        try:
            await owner.keep_ports(
                [port["containerPort"] for port in self._spec.get("ports") or ()]
            )
            process = await self._launch(prepared)
        except BaseException:
            slot.release()
            raise
        self._slot = slot
        owner.tell("Normal", "Pulled", prepared.sentence)
        for limitation in prepared.limitations():
            owner.tell(limitation.type, limitation.reason, limitation.message)
        owner.tell("Normal", "Created", f"Created container {self._name}")
        owner.tell("Normal", "Started", f"Started container {self._name}")
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
            kept.attempt, kept.pid, kept.birth = attempt, process.pid, programs.birth(process)
            kept.started_at, kept.made, kept.check, kept.any_status = (
                time.time(),
                job.made,
                job.check,
                job.any_status,
            )
            kept.cgroup, kept.directory, kept.leading = job.cgroup, job.directory, prepared.left_out
            files.save(record)

        cores = limits.cores(self._spec, self._node.metrics.processes())
        # It cannot be called back half way; whoever ends the pod waits for it with `launched`.
        self._launching = asyncio.ensure_future(
            asyncio.to_thread(programs.launch, job.plan, remember, cores)
        )
        return await asyncio.shield(self._launching)

    async def launched(self) -> None:
        """Return once no start is under way. Call it after cancelling `run`."""
        if self._launching is not None:
            await asyncio.wait({self._launching})
            if not self._launching.cancelled():
                self._launching.exception()  # a caller that was cancelled does not need the result

    # Running

    async def _attend(self, process: psutil.Process, adopted: bool) -> None:
        """Until the program has ended. One that was adopted is as ready as it was, until its probes say otherwise."""
        kept = self._kept
        self.state.started_at = kept.started_at
        self.state.restarts = kept.restarts
        self.state.attempt = kept.attempt
        self.state.reason, self.state.message, self.state.problem = "", "", ""
        if adopted:
            self.state.ready, self.state.started = self._was()
        limit = limits.memory_limit(self._spec)
        loop = asyncio.get_running_loop()
        over = asyncio.create_task(programs.ended(process), name=f"end of {self._title}")
        probing = SupervisedTask(
            f"probes of {self._title}",
            self._probe,
            backoff=Backoff(PROBE_AGAIN_SECONDS),
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
                "%s uses %d bytes of %s and is killed",
                self._owner.pod["metadata"]["name"],
                used,
                limit,
            )
            killers.append(loop.create_task(asyncio.to_thread(trees.kill, process)))

        self._node.metrics.add(self._key, process, limit, exceeded)
        self._owner.changed()
        try:
            await asyncio.wait({over, given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not over.done():
                await self._terminate(process)  # a probe has given it up
            await over
        finally:
            self._free_slot()
            await probing.stop()
            await ended([over, given_up, *killers])

    def _was(self) -> tuple[bool, bool]:
        """Ready and started, as last written of this run."""
        for found in (self._owner.pod.get("status") or {}).get("containerStatuses") or ():
            if found["name"] == self._name and found.get("containerID") == self.state.container_id:
                return bool(found.get("ready")), bool(found.get("started"))
        return False, False

    async def _probe(self) -> None:
        """Return when the container is to be killed for what its probes say. Raises what is a fault of ours, which says nothing of it."""
        try:
            await self._probe_until_given_up()
        except ProbeNotPossible as error:
            self._owner.tell(
                "Warning",
                "ProbeNotPossible",
                f"A probe could not be made and is tried again: {error}",
            )
            raise

    async def _probe_until_given_up(self) -> None:
        node, spec, record = self._node, self._spec, self._owner.record
        access = PodAccess(node.place.directory)
        if (problem := await self._started(access)) is not None:
            self._owner.tell(
                "Warning",
                "FailedPostStartHook",
                f"The postStart hook of container {self._name} failed: {problem}",
            )
            return
        impossible = partial(self._owner.tell, "Warning", "ProbeNotPossible")
        startup, live, ready = (
            probes.check_of(
                spec.get(name), access, self._owner.pod, spec, record, self._kept.leading, told
            )
            for name, told in (
                ("startupProbe", impossible),
                ("livenessProbe", impossible),
                ("readinessProbe", None),
            )
        )
        if ready is None and self._kept.check is not None:
            ready = checks.Check(
                record.address,
                0,
                self._kept.check,
                period=CHECK_SECONDS,
                timeout=CHECK_SECONDS,
                failures=CHECK_FAILURES,
                any_status=self._kept.any_status,
            )
        if (
            startup is not None
            and not self.state.started
            and (problem := await checks.succeeded(node.session, startup)) is not None
        ):
            self._owner.tell("Warning", "Unhealthy", f"Startup probe failed: {problem}")
            return
        self.state.started = True
        failed = asyncio.Event()

        def turned(good: bool, problem: str) -> None:
            if (self.state.ready, self.state.problem) != (good, problem):
                self.state.ready, self.state.problem = good, problem
                self._owner.changed()
            if good:
                self._free_slot()
                self._node.metrics.settle(self._key, limits.niceness(self._spec))
            else:
                self._owner.tell(
                    "Warning",
                    "AddressTaken" if problem == FOREIGN else "Unhealthy",
                    f"Readiness probe failed: {problem}",
                )

        def lives(good: bool, problem: str) -> None:
            if not good:
                self._owner.tell("Warning", "Unhealthy", f"Liveness probe failed: {problem}")
                failed.set()

        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(failed.wait())]
        if ready is None:
            turned(True, "")
        else:
            tasks.append(_watching(node.session, ready, turned))
        if live is not None:
            tasks.append(_watching(node.session, live, lives))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(tasks)

    async def _started(self, access: PodAccess) -> str | None:
        """Run the hook for a container that has started, once for each run: what went wrong."""
        hook, kept = (self._spec.get("lifecycle") or {}).get("postStart"), self._kept
        if hook is None or kept.hooked == kept.attempt:
            return None
        seconds, owner = hooks.AFTER_START_SECONDS, self._owner
        problem = await hooks.run(
            hook, self._node.session, access, owner.pod, self._spec, owner.record, seconds
        )
        kept.hooked = kept.attempt
        owner.files.save(owner.record)
        return problem

    async def _terminate(self, process: psutil.Process) -> None:
        self._owner.tell(
            "Normal", "Killing", f"Container {self._name} is stopped because a probe failed"
        )
        grace = self._owner.pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        with contextlib.suppress(psutil.Error):
            process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            async with timeout(max(grace, 1)):
                await programs.ended(process)
            return
        await asyncio.to_thread(trees.kill, process)

    def _free_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def _waits(self, reason: str, message: str) -> None:
        if (self.state.reason, self.state.message) != (
            reason,
            message,
        ) or self.state.started_at is not None:
            self.state.reason, self.state.message, self.state.started_at = reason, message, None
            self._owner.changed()

    @property
    def _title(self) -> str:
        return f"{self._owner.record.name}/{self._name}"

    @property
    def _key(self) -> tuple[str, str]:
        return self._owner.record.uid, self._name


def _watching(
    session: aiohttp.ClientSession, check: checks.Check, changed: Callable[[bool, str], None]
) -> asyncio.Task[Any]:
    return asyncio.create_task(checks.watch(session, check, changed))


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, ProbeNotPossible) else type(error).__name__
