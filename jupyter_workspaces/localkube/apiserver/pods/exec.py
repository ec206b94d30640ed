"""The subresources exec and attach of pods.

They copy streams between a client's WebSocket and a command or program in the pod, and end both
together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing

import msgspec
from aiohttp import web

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request

from . import channels, containers
from .channels import (
    CLOSE,
    ERROR,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    V1,
    V1_TEXT,
    V4,
    V4_TEXT,
    V5,
    Channels,
)
from .first_completed import first_completed
from .logs import (
    LogOptions,
    LogsUnavailable,
    PodLogReader,
    flag,
)
from .programs import Execution, NotPossible, PodPrograms

COMMAND_PROTOCOLS = (V5, V4, V4_TEXT, V1, V1_TEXT)
CHUNK_BYTES = 32 * 1024
SUCCESS: Object = {"metadata": {}, "status": "Success"}


async def execute(
    request: web.Request, pod: Object, programs: PodPrograms | None
) -> web.StreamResponse:
    """Run a command in a container until it exits or the client disconnects.

    Raises:
        Refusal: if the request is invalid or the node is not available.
    """
    query = request.query
    container = containers.container_name(pod, query.get("container", ""))
    node = containers.node_name(pod)
    client = _client(request)
    command = query.getall("command", [])
    stdin, tty = flag(query, "stdin"), flag(query, "tty")
    if not command:
        raise bad_request("a command must be given (`command`, once for each word)")
    _check_streams(query)
    if programs is None:
        raise containers.node_unavailable(node)
    with contextlib.suppress(ConnectionError):
        await client.open()
        await client.send(_lowest_output(query), b"")  # shows the client that the streams are open
        try:
            running = await programs.execute(pod, container, command, tty=tty, stdin=stdin)
        except NotPossible as why:
            await _finish(client, _failed(f"error executing command in container: {why}"))
            return client.response
        try:
            await _finish(client, await _run_command(client, running, command, query, stdin))
        finally:
            await running.stop()
    return client.response


async def attach(
    request: web.Request, pod: Object, reader: PodLogReader | None
) -> web.StreamResponse:
    """Stream what the container's program writes from now on, until it ends.

    Programs of this cluster have no standard input.

    Raises:
        Refusal: if the request is invalid or the node is not available.
    """
    query = request.query
    container = containers.container_name(pod, query.get("container", ""))
    node = containers.node_name(pod)
    client = _client(request)
    _check_streams(query)
    if reader is None:
        raise containers.node_unavailable(node)
    requested = [(STDOUT, "stdout"), (STDERR, "stderr")]
    wanted = [(channel, name) for channel, name in requested if flag(query, name)]
    with contextlib.suppress(ConnectionError):
        await client.open()
        await client.send(_lowest_output(query), b"")
        copies = [
            _copy_log(client, channel, reader, pod, container, name) for channel, name in wanted
        ]
        outcome = SUCCESS
        try:
            await first_completed(_until_disconnect(client), asyncio.gather(*copies))
        except LogsUnavailable as why:
            outcome = _failed(f"error attaching to container: {why}")
        await _finish(client, outcome)
    return client.response


def _client(request: web.Request) -> Channels:
    """Return the channels of the client's WebSocket, which is not accepted yet.

    Raises:
        Refusal: if the request is not a WebSocket upgrade that is supported.
    """
    return Channels(request, channels.negotiate(request, COMMAND_PROTOCOLS))


async def _run_command(
    client: Channels,
    running: Execution,
    command: Sequence[str],
    query: Mapping[str, str],
    stdin: bool,
) -> Object:
    """Copy both ways until the command exits or the client disconnects. Return the status."""
    requested = {
        channel: flag(query, name) for channel, name in ((STDOUT, "stdout"), (STDERR, "stderr"))
    }

    async def ended() -> int:
        outputs = [
            _copy_output(client, channel, stream, requested[channel])
            for channel, stream in running.outputs.items()
        ]
        waiting = asyncio.ensure_future(running.wait())
        await asyncio.gather(waiting, *outputs)
        return waiting.result()

    try:
        code = await first_completed(ended(), _copy_input(client, running, stdin))
    except NotPossible as why:
        return _failed(f"error executing command in container: {why}")
    return SUCCESS if code == 0 else _exited(command, code)


async def _copy_output(
    client: Channels, channel: int, stream: asyncio.StreamReader, requested: bool
) -> None:
    while data := await _read_chunk(stream):
        if requested:
            await client.send(channel, data)


async def _read_chunk(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.read(CHUNK_BYTES)
    except OSError:  # EIO: the terminal was closed
        return b""


async def _copy_input(client: Channels, running: Execution, stdin: bool) -> int:
    """Copy the client's messages to the command.

    Returns only by `ConnectionResetError`: a client that disconnects ends its command.
    """
    while (message := await client.receive()) is not None:
        channel, data = message
        if channel == STDIN and stdin:
            await running.write(data)
        elif channel == CLOSE and data[:1] == b"\0" and client.protocol == V5:
            running.end_input()
        elif channel == RESIZE:
            _resize(running, data)
    raise ConnectionResetError("the client has disconnected")


def _resize(running: Execution, data: bytes) -> None:
    try:
        size = msgspec.json.decode(data, type=dict[str, int])
        width, height = size["Width"], size["Height"]
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError):
        return
    if 0 < width < 65536 and 0 < height < 65536:
        running.resize(width, height)


async def _copy_log(
    client: Channels, channel: int, reader: PodLogReader, pod: Object, container: str, stream: str
) -> None:
    async with aclosing(
        reader(pod, container, LogOptions(follow=True, tail_lines=0, stream=stream))
    ) as pieces:
        async for piece in pieces:
            await client.send(channel, piece)


async def _until_disconnect(client: Channels) -> None:
    """Read until the client disconnects, and raise `ConnectionResetError`."""
    while await client.receive() is not None:
        continue
    raise ConnectionResetError("the client has disconnected")


async def _finish(client: Channels, outcome: Object) -> None:
    if client.protocol in (V5, V4, V4_TEXT):
        await client.send(ERROR, msgspec.json.encode(outcome))
    elif outcome is not SUCCESS:
        await client.send(ERROR, outcome["message"].encode())
    await client.close()


def _lowest_output(query: Mapping[str, str]) -> int:
    """Return the lowest channel that the client reads."""
    return next(
        (
            channel
            for channel, name in ((STDOUT, "stdout"), (STDERR, "stderr"))
            if flag(query, name)
        ),
        ERROR,
    )


def _check_streams(query: Mapping[str, str]) -> None:
    if not any(flag(query, name) for name in ("stdin", "stdout", "stderr")):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")


def _failed(why: str) -> Object:
    text = f"Internal error occurred: {why}"
    refusal = Refusal(500, "InternalError", text, details={"causes": [{"message": why}]}).document()
    return {key: value for key, value in refusal.items() if key not in ("kind", "apiVersion")}


def _exited(command: Sequence[str], code: int) -> Object:
    text = (
        "command terminated with non-zero exit code: "
        f"error executing command [{' '.join(command)}], exit code {code}"
    )
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "NonZeroExitCode",
        "details": {"causes": causes},
    }
