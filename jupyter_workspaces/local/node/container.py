"""One container: started, watched, restarted with growing pauses, adopted again after a restart of ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import psutil

from ...cluster.client import Cluster
from ..processes import alive
from . import environment, limits, mounts, programs, readiness, runtimes, trees
from .logs import tail
from .mounts import Mount
from .records import ENDED, OUT_OF_MEMORY, ContainerRecord, Ended, PodFiles, PodRecord
from .room import Room, Slot
from .status import ContainerState
from .volumes import Volumes
from .waiting import ROOM, VOLUME, Waiting

log = logging.getLogger(__name__)

Object = Mapping[str, Any]

LOG_BYTES = 10 * 2**20
LOG_FILES = 3
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
HEALTHY_SECONDS = 600.0
"""After running this long a program that ends is started again at once."""

HOME_VOLUME = "home-volume"
DEFAULT_PORT = 8888
MESSAGE_BYTES = 2048
GRACE_SECONDS = 30


@dataclass
class Node:
    """What all containers of this node share."""

    cluster: Cluster
    directory: Path
    namespaces: str | None
    room: Room
    metrics: limits.NodeMetrics
    session: aiohttp.ClientSession
    log_bytes: int = LOG_BYTES
    log_files: int = LOG_FILES
    first_pause: float = FIRST_PAUSE


class Owner(Protocol):
    """The pod, as its containers see it."""

    pod: Object
    record: PodRecord
    files: PodFiles

    def changed(self) -> None:
        """Write the status soon."""

    def tell(self, type: str, reason: str, message: str) -> None:
        """Record an event."""


class Container:
    """Runs until its restart policy says that it is over. Cancelling it leaves the program running."""

    def __init__(self, node: Node, owner: Owner, spec: Object, *, init: bool = False) -> None:
        self._node = node
        self._owner = owner
        self._spec = spec
        self._init = init
        self._name: str = spec["name"]
        self._kept = owner.record.containers.setdefault(self._name, ContainerRecord())
        self.state = ContainerState(self._name, spec["image"], ended=self._kept.ended, restarts=self._kept.restarts)

    async def run(self) -> Ended:
        """How it ended for good."""
        process = self._adopt()
        if process is None and self._kept.pid:
            self._conclude()
        while True:
            if process is None:
                if (over := self._over()) is not None:
                    return over
                await self._back_off()
                process = await self._start()
            await self._attend(process)
            process = None
            self._conclude()

    @property
    def process(self) -> psutil.Process | None:
        """Its shim, while it lives."""
        return alive({"pid": self._kept.pid, "createTime": self._kept.create_time}) if self._kept.pid else None

    # Between two runs

    def _over(self) -> Ended | None:
        ended = self._kept.ended
        policy = "OnFailure" if self._init else self._owner.pod["spec"].get("restartPolicy", "Always")
        if ended is None or policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0):
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
            self._waits("CrashLoopBackOff", f"back-off {self._kept.pause:g}s restarting failed container={self._name}")
            self._owner.tell("Warning", "BackOff", f"Container {self._name} ended and is started again after {self._kept.pause:g} s")
            await asyncio.sleep(min(wait, LONGEST_PAUSE))

    def _conclude(self) -> None:
        """Take down how the run ended, and how long to wait before the next."""
        kept, files = self._kept, self._owner.files
        # With several containers nobody could tell whose they are; the pod's end takes them.
        if not self._ended_cleanly() and self._alone() and trees.kill_marked(self._owner.record.uid):
            log.info("Processes of %s outlived their supervisor and were killed", self._owner.record.name)
        ended = files.ended(self._name, kept.attempt, kept.started_at, time.time())
        if ended.reason == "OOMKilled":
            limit = (self._spec.get("resources") or {}).get("limits", {}).get("memory")
            ended.message = f"It needed more memory than its limit of {limit}."
        elif ended.reason == "Error" and not ended.message:
            ended.message = tail(files.log(self._name, kept.attempt), MESSAGE_BYTES)
        lasted = ended.finished_at - ended.started_at
        kept.pause = 0.0 if lasted >= HEALTHY_SECONDS else kept.pause
        mounts.clear_points(kept.made)
        kept.pid, kept.made, kept.ended = 0, [], ended
        files.save(self._owner.record)
        self._node.metrics.remove(self._key)
        self.state.ended, self.state.started_at = ended, None
        self.state.ready = self.state.started = False
        self._waits("ContainerCreating", "")
        if ended.reason == "ContainerCannotRun":
            self._owner.tell("Warning", "Failed", f"Container {self._name} could not be started: {ended.message}")

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
                self._waits(VOLUME, f"This computer did not let the container start: {error}")
                log.warning("%s cannot be started: %s", self._owner.pod["metadata"]["name"], error)
                await asyncio.sleep(10.0)

    async def _try_to_start(self) -> psutil.Process:
        node, owner = self._node, self._owner
        pod, record = owner.pod, owner.record
        variables = await environment.variables(node.cluster, pod, self._spec, record.address)
        runtime = await asyncio.to_thread(runtimes.resolve, self._spec["image"], self._spec, variables, node.directory)
        volumes = await Volumes(node.cluster, pod, owner.files, node.directory).mounts(self._spec)
        if node.room.full and not self._init:
            self._waits(ROOM, "Waiting for its turn: as many workspaces are starting as this computer has cores.")
        slot = await node.room.enter()
        try:
            process = await self._launch(runtime, variables, volumes, slot)
        except BaseException:
            slot.release()
            raise
        owner.tell("Normal", "Pulled", runtime.sentence)
        owner.tell("Normal", "Created", f"Created container {self._name}")
        owner.tell("Normal", "Started", f"Started container {self._name}")
        return process

    async def _launch(self, runtime: runtimes.Runtime, variables: dict[str, str], volumes: list[Mount], slot: Slot) -> psutil.Process:
        node, owner, kept = self._node, self._owner, self._kept
        files, record = owner.files, owner.record
        private = files.path
        for name in ("tmp", "run"):
            files.below(name)
        files.below("containers", self._name)
        place, plan = self._place(runtime, volumes)
        root = str(files.path / "root") if node.namespaces is None else ""
        needed = environment.base(owner.pod, place.home, root, private, runtime.programs)
        built = needed | dict(runtime.environment) | variables | {name: needed[name] for name in environment.FIXED}
        check = None
        if runtime.check is not None and not self._spec.get("readinessProbe"):
            check = f"http://{place.address}:{place.port}{place.fill(runtime.check)}"
        files.forget(self._name, kept.attempt - 1)
        attempt = kept.attempt + 1
        # In a mount namespace its home does not exist outside; the shim goes there after it has mounted it.
        directory = self._spec.get("workingDir") or place.home
        job = {
            "command": runtime.line(place),
            "environment": built,
            "directory": directory,
            "log": str(files.log(self._name, attempt)),
            "logBytes": node.log_bytes,
            "logFiles": node.log_files,
            "exit": str(files.run(self._name, attempt, ENDED)),
            "namespace": node.namespaces if volumes else None,
            "steps": plan.steps,
            "staging": str(files.below("staging")),
        }

        files.log(self._name, attempt).touch(mode=0o600)  # so that whoever asks for the log of this run finds it from now on

        def remember(process: psutil.Process) -> None:
            kept.restarts += 1 if kept.ended is not None else 0
            if kept.ended is not None:
                kept.pause = min(max(kept.pause * 2, node.first_pause), LONGEST_PAUSE)
            kept.attempt, kept.pid, kept.create_time = attempt, process.pid, process.create_time()
            kept.started_at, kept.made, kept.check = time.time(), plan.made, check
            files.save(record)

        bound = limits.cores(self._spec, node.metrics.processes())
        process = await asyncio.shield(asyncio.to_thread(programs.launch, job, remember, bound))
        self._slot = slot
        return process

    def _place(self, runtime: runtimes.Runtime, volumes: list[Mount]) -> tuple[runtimes.Place, mounts.Plan]:
        """Where it serves and where its home is, with the steps that bring its volumes there."""
        files, record = self._owner.files, self._owner.record
        port = next((found["containerPort"] for found in self._spec.get("ports") or ()), DEFAULT_PORT)
        prefix = "/"
        for entry in self._spec.get("env") or ():
            if entry["name"] == "NB_PREFIX" and entry.get("value"):
                prefix = "/" + entry["value"].strip("/") + "/"
        home = self._home(volumes)
        plan = mounts.Plan()
        if self._node.namespaces is None:
            root = files.path / "root"
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(mode=0o700)
            mounts.link(volumes, root, home)
            directory = str(home.source) if home is not None else str(files.below("home"))
        else:
            needed = [self._node.directory, files.path, mounts.SHIM, *runtime.needs]
            try:
                plan = mounts.plan(volumes, needed)
                directory = home.path if home is not None else str(files.below("home"))
            except mounts.Hides as hides:
                if hides.mount is not home:
                    raise Waiting(VOLUME, f"{hides}. Give the volume another path.", 60.0) from hides
                # What runs the workspace lies where its home should appear: the home is used where it is instead.
                plan = mounts.plan([mount for mount in volumes if mount is not home], needed)
                directory = str(home.source)
        return runtimes.Place(record.address, record.ports.get(str(port), port), prefix, directory), plan

    def _home(self, volumes: list[Mount]) -> Mount | None:
        """The home claim: by its volume's name, else what is mounted as somebody's home."""
        mounted = list(zip(self._spec.get("volumeMounts") or (), volumes, strict=True))
        for described, mount in mounted:
            if described["name"] == HOME_VOLUME and mount.source.is_dir():
                return mount
        for _, mount in mounted:
            if mount.path.startswith("/home/") and mount.path.strip("/").count("/") == 1 and not mount.read_only:
                return mount
        return None

    # Running

    def _adopt(self) -> psutil.Process | None:
        process = self.process
        return None if process is None or programs.is_over(process) else process

    async def _attend(self, process: psutil.Process) -> None:
        """Until the program has ended."""
        kept = self._kept
        self.state.started_at = kept.started_at
        self.state.restarts = kept.restarts
        self.state.container_id = f"process://{self._owner.record.uid}/{self._name}/{kept.attempt}"
        self.state.reason, self.state.message = "", ""
        limit = limits.memory_limit(self._spec)
        loop = asyncio.get_running_loop()
        ended = asyncio.create_task(programs.ended(process))
        probes = asyncio.create_task(self._probe(process))
        killers: list[asyncio.Task[Any]] = []

        def exceeded(used: int) -> None:
            files = self._owner.files
            files.run(self._name, kept.attempt, OUT_OF_MEMORY).touch(mode=0o600)
            log.info("%s uses %d bytes of %s and is killed", self._owner.pod["metadata"]["name"], used, limit)
            killers.append(loop.create_task(asyncio.to_thread(trees.kill, process)))

        self._node.metrics.add(self._key, process, limit, exceeded)
        self._owner.changed()
        try:
            await asyncio.wait({ended, probes}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._terminate(process)  # a probe has given it up
            await ended
        finally:
            self._free_slot()
            for task in (probes, ended):
                task.cancel()
            await asyncio.gather(probes, ended, *killers, return_exceptions=True)

    async def _probe(self, process: psutil.Process) -> None:
        """Returns when the container is to be killed for what its probes say."""
        node, spec, record = self._node, self._spec, self._owner.record
        startup, live, ready = (
            readiness.check_of(spec.get(name), spec, record.address, record.ports)
            for name in ("startupProbe", "livenessProbe", "readinessProbe")
        )
        if ready is None and self._kept.check is not None:
            ready = readiness.Check(record.address, 0, self._kept.check, period=5.0, timeout=5.0, failures=6)
        if startup is not None and (problem := await readiness.succeeded(node.session, startup)) is not None:
            self._owner.tell("Warning", "Unhealthy", f"Startup probe failed: {problem}")
            return
        self.state.started = True
        failed = asyncio.Event()

        def turned(good: bool, problem: str) -> None:
            if self.state.ready != good:
                self.state.ready = good
                self._owner.changed()
            if good:
                self._settled(process)
            else:
                self._owner.tell("Warning", "Unhealthy", f"Readiness probe failed: {problem}")

        def lives(good: bool, problem: str) -> None:
            if not good:
                self._owner.tell("Warning", "Unhealthy", f"Liveness probe failed: {problem}")
                failed.set()

        tasks = []
        if ready is None:
            turned(True, "")
        else:
            tasks.append(asyncio.create_task(readiness.watch(node.session, ready, turned)))
        if live is not None:
            tasks.append(asyncio.create_task(readiness.watch(node.session, live, lives)))
        try:
            await failed.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _settled(self, process: psutil.Process) -> None:
        """It started at full speed; from now on it has its share, and others may start."""
        self._free_slot()
        limits.share(process, limits.niceness(self._spec))

    async def _terminate(self, process: psutil.Process) -> None:
        self._owner.tell("Normal", "Killing", f"Container {self._name} is stopped because a probe failed")
        grace = self._owner.pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        with contextlib.suppress(psutil.Error):
            process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(programs.ended(process), max(grace, 1))
            return
        await asyncio.to_thread(trees.kill, process)

    _slot: Slot | None = None

    def _free_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def _waits(self, reason: str, message: str) -> None:
        if (self.state.reason, self.state.message) != (reason, message) or self.state.started_at is not None:
            self.state.reason, self.state.message, self.state.started_at = reason, message, None
            self._owner.changed()

    @property
    def _key(self) -> tuple[str, str]:
        return self._owner.record.uid, self._name
