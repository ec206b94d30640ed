"""Turns the probes and hooks of a container's spec into checks, for all types of probes.

Source: Kubernetes API reference, “Probe”.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.loopback import at_pod
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.apiserver.pods.channels import STDERR
from jupyter_workspaces.localkube.apiserver.pods.programs import NotPossible
from jupyter_workspaces.localkube.node.access import PodAccess
from jupyter_workspaces.localkube.node.records import PodRecord

from . import checks, grpc_health
from .checks import Check

if TYPE_CHECKING:
    from jupyter_workspaces.localkube.node.processes.execution import Execution

EXEC_EAGER_SECONDS = 0.5
"""Time between checks by a command while a program starts; a command costs more than a request."""

START_SECONDS = 2.0
"""Added to the timeout of a command, because its start may take long on a busy computer."""

OUTPUT_BYTES = 1024


def check_of(
    probe: ObjectView | None,
    access: PodAccess,
    pod: ObjectView,
    container: ObjectView,
    record: PodRecord,
    leading: str = "",
    impossible: Callable[[str], None] | None = None,
) -> Check | None:
    """Return the check for a probe or hook of a container; None if it has none.

    Args:
        probe: The probe in the container's spec.
        access: Runs commands in the pod.
        pod: The pod.
        container: The container's spec.
        record: The pod's record.
        leading: Part of `NB_PREFIX` at which the program is not served; removed from HTTP paths.
        impossible: Called with the reason if a command cannot be run, which then does not count as
            a failure. Without it, it does.
    """
    if not probe:
        return None
    if (command := (probe.get("exec") or {}).get("command")) is not None:
        common = checks.timing(probe)
        words = [at_pod(word, record.address, record.ports) for word in command]
        ask = partial(run, access, pod, container["name"], words, common["timeout"], impossible)
        return Check(record.address, 0, ask=ask, eager=EXEC_EAGER_SECONDS, **common)
    if (grpc := probe.get("grpc")) is not None:
        common = checks.timing(probe)
        port = record.ports.get(str(grpc["port"]), int(grpc["port"]))
        ask = partial(
            grpc_health.ask, record.address, port, grpc.get("service") or "", common["timeout"]
        )
        return Check(record.address, port, ask=ask, **common)
    check = checks.check_of(probe, container, record.address, record.ports)
    path = (probe.get("httpGet") or {}).get("path") or ""
    if check is not None and check.url is not None and leading and path.startswith(f"{leading}/"):
        return replace(check, url=check.url.replace(path, path[len(leading) :], 1))
    return check


async def run(
    access: PodAccess,
    pod: ObjectView,
    container: str,
    command: Sequence[str],
    seconds: float,
    impossible: Callable[[str], None] | None = None,
) -> str | None:
    """Run a command in a container. Return None if it exits with 0, otherwise what went wrong.

    Args:
        access: Runs commands in the pod.
        pod: The pod.
        container: Name of the container.
        command: The command.
        seconds: Timeout.
        impossible: See `check_of`.
    """
    try:
        async with timeout(seconds + START_SECONDS):
            execution = await access.execute(pod, container, command, tty=False, stdin=False)
            try:
                code, output = await _output(execution)
            finally:
                await execution.stop()
    except asyncio.TimeoutError:
        return f"the command {command[0]} did not end within {seconds:g} s"
    except NotPossible as error:
        text = f"the command {command[0]} cannot run here: {error}"
        if "not found" in str(error):
            text += ". Install it on this computer, or change the probe"
        if impossible is None:
            return text
        impossible(text)
        return None
    if code == 0:
        return None
    return f"the command {command[0]} ended with exit code {code}" + (
        f": {output}" if output else ""
    )


async def _output(execution: Execution) -> tuple[int, str]:
    """Return a command's exit code and the beginning of its output."""
    kept: dict[int, bytes] = {}

    async def read(channel: int, stream: asyncio.StreamReader) -> None:
        while piece := await stream.read(65536):
            kept[channel] = (kept.get(channel, b"") + piece)[:OUTPUT_BYTES]

    readers = [
        asyncio.create_task(read(channel, stream)) for channel, stream in execution.outputs.items()
    ]
    try:
        code = await execution.wait()
        with contextlib.suppress(asyncio.TimeoutError):
            async with timeout(START_SECONDS):
                await asyncio.wait(readers)
    finally:
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    output = kept.get(STDERR) or next(iter(kept.values()), b"")
    return code, " ".join(output.decode(errors="replace").split())[:200]
