"""Into a pod from outside: commands beside its program, connections to its ports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.peers import open_connection
from jupyter_workspaces.localkube.apiserver.pods.programs import NotPossible

from .processes import programs
from .records import ContainerRecord, PodFiles

if TYPE_CHECKING:
    from .processes.execution import Execution

Object = Mapping[str, Any]

DIAL_SECONDS = 5.0
PIECE_BYTES = 64 * 1024


class PodAccess:
    """Answers `ApiServer.programs` for the pods of one node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def execute(
        self, pod: Object, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Execution:
        """Run a command beside the container's program, with its environment and in its mount namespace. Raises `NotPossible`.

        It begins in the container's working directory.
        """
        if os.name != "posix":
            raise NotPossible("commands can be run in pods on Linux and macOS only")
        from .processes.execution import Execution  # terminals, which Windows does not have

        program, kept = await asyncio.to_thread(self._program, pod, container)
        try:
            environment, directory = await asyncio.to_thread(
                lambda: (program.environ(), kept.directory or program.cwd())
            )
        except psutil.Error as error:
            raise NotPossible(
                f"the environment of the program in container {container} cannot be read: {error}"
            ) from error
        try:
            return await Execution.start(
                program.pid,
                environment,
                directory,
                command,
                tty=tty,
                stdin=stdin,
                cgroup=kept.cgroup,
            )
        except OSError as error:
            raise NotPossible(f"this computer cannot start another process: {error}") from error

    async def dial(
        self, pod: Object, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the pod's own address, and to programs of our own user only. Raises `OSError`, `NotPossible`."""
        record = await asyncio.to_thread(PodFiles(self._directory, pod["metadata"]["uid"]).load)
        if record is None or not record.address:
            raise NotPossible(f"the pod {pod['metadata']['name']} does not run here")
        real = record.ports.get(str(port), port)
        if record.address == "127.0.0.1" and str(port) not in record.ports:
            raise NotPossible(
                f"the pod has no port {port}; where all pods share 127.0.0.1 only declared ports can be reached"
            )
        try:
            async with timeout(DIAL_SECONDS):
                return await open_connection(record.address, real, limit=PIECE_BYTES)
        except asyncio.TimeoutError as error:
            raise NotPossible(f"port {port} did not answer within {DIAL_SECONDS:g} s") from error

    def _program(self, pod: Object, container: str) -> tuple[psutil.Process, ContainerRecord]:
        """The program that a container's shim holds, the first of its children, and its record. Raises `NotPossible`."""
        record = PodFiles(self._directory, pod["metadata"]["uid"]).load()
        kept = None if record is None else record.containers.get(container)
        shim = None if kept is None else programs.find(kept.pid, kept.birth)
        if kept is None or shim is None:
            raise NotPossible(
                f"container {container} of pod {pod['metadata']['name']} does not run now"
            )
        try:
            held = sorted(shim.children(), key=lambda process: (process.create_time(), process.pid))
        except psutil.Error:
            held = []
        if not held:
            raise NotPossible(
                f"container {container} of pod {pod['metadata']['name']} has just ended"
            )
        return held[0], kept
