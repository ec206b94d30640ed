"""Runs a command in a container through the API server (WebSocket protocol `v4.channel.k8s.io`).

The official client's `stream` blocks a thread for each command, so this uses our own client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from .catalog import PODS
from .client import Cluster
from .errors import Forbidden

PROTOCOL = "v4.channel.k8s.io"
RIGHTS = "get and create on pods/exec"
"""Required permissions; API servers before 1.35 do not require both."""

_STDOUT, _STDERR, _ERROR = b"\x01", b"\x02", b"\x03"
_KEPT_BYTES = 64 * 2**10


class ExecutionFailed(Exception):
    """The command could not be run, or its exit status is unknown. The text is the node's."""


@dataclass(frozen=True)
class Ended:
    """Result of a command, with the first 64 KiB of each output stream."""

    exit_code: int
    output: bytes
    errors: bytes


async def execute(
    cluster: Cluster, namespace: str, pod: str, container: str, command: Sequence[str]
) -> Ended:
    """Run a command to its end, without input. Cancellation closes the connection.

    Raises:
        ExecutionFailed: the command could not be run, or its exit status is unknown.
        Forbidden: the user lacks permissions; the message names them.
        ClusterError: any other failure of the request.
    """
    import aiohttp

    query = [
        ("container", container),
        ("stdout", "true"),
        ("stderr", "true"),
        *(("command", word) for word in command),
    ]
    try:
        socket = await cluster.websocket(PODS.path(namespace, pod, "exec"), [PROTOCOL], query=query)
    except Forbidden as error:
        raise Forbidden(f"{error.message}. Grant {RIGHTS} in namespace {namespace}.") from error
    kept = {_STDOUT: bytearray(), _STDERR: bytearray()}
    try:
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise ExecutionFailed("the connection to the pod ended before the command did")
            channel, data = message.data[:1], message.data[1:]
            if channel == _ERROR:
                return Ended(_exit_code(data), bytes(kept[_STDOUT]), bytes(kept[_STDERR]))
            if channel in kept:
                kept[channel] += data[: _KEPT_BYTES - len(kept[channel])]
    finally:
        await socket.close()


def _exit_code(data: bytes) -> int:
    """Read the final Status of a command. Raises `ExecutionFailed` if it could not be run."""
    try:
        status = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise ExecutionFailed("the exit status of the command is not valid JSON") from error
    if status.get("status") == "Success":
        return 0
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    raise ExecutionFailed(str(status.get("message") or "the command could not be run"))
