"""Access to pods for the API server: commands in containers and connections to ports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.peers import open_connection
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.apiserver.pods.programs import NotPossible

from .processes import shims
from .records import ContainerRecord, PodFiles

if TYPE_CHECKING:
    from .processes.execution import Execution

DIAL_SECONDS = 5.0
PIECE_BYTES = 64 * 1024


class PodAccess:
    """Access to the pods of one node, as `ApiServer.programs` needs it."""

    def __init__(self, directory: Path) -> None:
        """Give access to the pods in the directory of a cluster."""
        self._directory = directory

    async def execute(
        self, pod: ObjectView, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Execution:
        """Run a command in a container, in its working directory.

        The command gets the environment and the mount namespace of the container's program.

        Raises:
            NotPossible: The container does not run, or the command cannot be started.
        """
        if os.name != "posix":
            raise NotPossible("commands can only be run in pods on Linux and macOS")
        from .processes.execution import Execution  # terminals, which Windows does not have

        program, kept = await asyncio.to_thread(self._program, pod, container)
        try:
            environment, directory = await asyncio.to_thread(
                lambda: (program.environ(), kept.directory or program.cwd())
            )
        except psutil.Error as error:
            raise NotPossible(
                f"cannot read the environment of the program in container '{container}': {error}"
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
            raise NotPossible(f"cannot start another process: {error}") from error

    async def dial(
        self, pod: ObjectView, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port of a pod, if the program at it belongs to our user.

        Raises:
            OSError: The connection failed.
            NotPossible: The pod does not run, or does not have the port.
        """
        record = await asyncio.to_thread(PodFiles(self._directory, pod["metadata"]["uid"]).load)
        if record is None or not record.address:
            raise NotPossible(f"pod '{pod['metadata']['name']}' does not run on this node")
        real = record.ports.get(str(port), port)
        if record.address == "127.0.0.1" and str(port) not in record.ports:
            raise NotPossible(
                f"the pod does not declare port {port}; only declared ports can be reached where "
                "all pods share 127.0.0.1"
            )
        try:
            async with timeout(DIAL_SECONDS):
                return await open_connection(record.address, real, limit=PIECE_BYTES)
        except asyncio.TimeoutError as error:
            raise NotPossible(f"port {port} did not answer within {DIAL_SECONDS:g} s") from error

    def _program(self, pod: ObjectView, container: str) -> tuple[psutil.Process, ContainerRecord]:
        """Return a container's program, the first child of its shim, and the container's record.

        Raises:
            NotPossible: The container does not run.
        """
        record = PodFiles(self._directory, pod["metadata"]["uid"]).load()
        kept = None if record is None else record.containers.get(container)
        shim = None if kept is None else shims.find(kept.pid, kept.birth)
        if kept is None or shim is None:
            raise NotPossible(
                f"container '{container}' of pod '{pod['metadata']['name']}' is not running"
            )
        try:
            held = sorted(shim.children(), key=lambda process: (process.create_time(), process.pid))
        except psutil.Error:
            held = []
        if not held:
            raise NotPossible(
                f"container '{container}' of pod '{pod['metadata']['name']}' has just ended"
            )
        return held[0], kept
