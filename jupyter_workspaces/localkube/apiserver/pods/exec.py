"""exec and attach: streams between a client's WebSocket and a command or program in a pod, ended together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from jupyter_workspaces.localkube.apiserver.http.first import first_of
from jupyter_workspaces.localkube.apiserver.http.status import Refusal, bad_request

from . import channels, containers, spdy_channels
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
from .logs import (
    LogOptions,
    LogsUnavailable,
    PodLogReader,
    flag,
)
from .programs import Execution, NotPossible, PodPrograms
from .spdy_channels import SpdyChannels

Object = dict[str, Any]

Client = Channels | SpdyChannels

COMMAND_PROTOCOLS = (V5, V4, V4_TEXT, V1, V1_TEXT)
PIECE_BYTES = 32 * 1024
SUCCESS: Object = {"metadata": {}, "status": "Success"}


async def execute(
    request: web.Request, pod: Object, programs: PodPrograms | None
) -> web.StreamResponse:
    """Raises `Refusal`."""
    query = request.query
    container = containers.choose(pod, query.get("container", ""))
    node = containers.node_of(pod)
    client = _client(request)
    command = query.getall("command", [])
    stdin, tty = flag(query, "stdin"), flag(query, "tty")
    if not command:
        raise bad_request("a command must be given (`command`, once for each word)")
    _check_streams(query)
    if programs is None:
        raise containers.silent(node)
    with contextlib.suppress(ConnectionError):
        await client.open()
        await client.send(_first(query), b"")  # tells the client that the streams are there
        try:
            running = await programs.execute(pod, container, command, tty=tty, stdin=stdin)
        except NotPossible as why:
            await _conclude(client, _failed(f"error executing command in container: {why}"))
            return client.response
        try:
            await _conclude(client, await _carry(client, running, command, query, stdin))
        finally:
            await running.stop()
    return client.response


async def attach(
    request: web.Request, pod: Object, reader: PodLogReader | None
) -> web.StreamResponse:
    """What the container's program writes from now on, until it ends; it reads no standard input here. Raises `Refusal`."""
    query = request.query
    container = containers.choose(pod, query.get("container", ""))
    node = containers.node_of(pod)
    client = _client(request)
    _check_streams(query)
    if reader is None:
        raise containers.silent(node)
    asked = [(STDOUT, "stdout"), (STDERR, "stderr")]
    wanted = [(channel, name) for channel, name in asked if flag(query, name)]
    with contextlib.suppress(ConnectionError):
        await client.open()
        await client.send(_first(query), b"")
        copies = [
            _copy_log(client, channel, reader, pod, container, name) for channel, name in wanted
        ]
        outcome = SUCCESS
        try:
            await first_of(_gone(client), asyncio.gather(*copies))
        except LogsUnavailable as why:
            outcome = _failed(f"error attaching to container: {why}")
        await _conclude(client, outcome)
    return client.response


def _client(request: web.Request) -> Client:
    """Raises `Refusal`."""
    if spdy_channels.is_wanted(request):
        return SpdyChannels(request)
    return Channels(request, channels.negotiated(request, COMMAND_PROTOCOLS))


async def _carry(
    client: Client,
    running: Execution,
    command: Sequence[str],
    query: Mapping[str, str],
    stdin: bool,
) -> Object:
    """Both ways until the command has ended or the client has gone. What to tell of the end."""
    asked = {
        channel: flag(query, name) for channel, name in ((STDOUT, "stdout"), (STDERR, "stderr"))
    }

    async def ended() -> int:
        outputs = [
            _copy_output(client, channel, stream, asked[channel])
            for channel, stream in running.outputs.items()
        ]
        waiting = asyncio.ensure_future(running.wait())
        await asyncio.gather(waiting, *outputs)
        return waiting.result()

    try:
        code = await first_of(ended(), _copy_input(client, running, stdin))
    except NotPossible as why:
        return _failed(f"error executing command in container: {why}")
    return SUCCESS if code == 0 else _exited(command, code)


async def _copy_output(
    client: Client, channel: int, stream: asyncio.StreamReader, asked: bool
) -> None:
    while data := await _piece(stream):
        if asked:
            await client.send(channel, data)


async def _piece(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.read(PIECE_BYTES)
    except OSError:  # how a terminal ends
        return b""


async def _copy_input(client: Client, running: Execution, stdin: bool) -> int:
    """Never returns but by `ConnectionResetError`: a client that goes away ends its command."""
    while (message := await client.receive()) is not None:
        channel, data = message
        if channel == STDIN and stdin:
            await running.write(data)
        elif channel == CLOSE and data[:1] == b"\0" and client.protocol == V5:
            running.end_input()
        elif channel == RESIZE:
            _resize(running, data)
    raise ConnectionResetError("the client has gone")


def _resize(running: Execution, data: bytes) -> None:
    try:
        size = msgspec.json.decode(data, type=dict[str, int])
        width, height = size["Width"], size["Height"]
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError):
        return
    if 0 < width < 65536 and 0 < height < 65536:
        running.resize(width, height)


async def _copy_log(
    client: Client, channel: int, reader: PodLogReader, pod: Object, container: str, stream: str
) -> None:
    async with aclosing(
        reader(pod, container, LogOptions(follow=True, tail_lines=0, stream=stream))
    ) as pieces:
        async for piece in pieces:
            await client.send(channel, piece)


async def _gone(client: Client) -> None:
    """Returns never; raises `ConnectionResetError` when the client has gone."""
    while await client.receive() is not None:
        continue
    raise ConnectionResetError("the client has gone")


async def _conclude(client: Client, outcome: Object) -> None:
    if client.protocol in (V5, V4, V4_TEXT):
        await client.send(ERROR, msgspec.json.encode(outcome))
    elif outcome is not SUCCESS:
        await client.send(ERROR, outcome["message"].encode())
    await client.close()


def _first(query: Mapping[str, str]) -> int:
    """The lowest channel that the client reads."""
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
    text = f"command terminated with non-zero exit code: error executing command [{' '.join(command)}], exit code {code}"
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "NonZeroExitCode",
        "details": {"causes": causes},
    }
