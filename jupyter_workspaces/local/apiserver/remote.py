"""exec, attach and port-forward: streams between a client's WebSocket and a program of a pod, ended together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from aiohttp import web

from . import channels, containers
from .channels import CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT, V1, V1_TEXT, V4, V4_TEXT, V5, Channels
from .logs import LogOptions, LogsUnavailable, PodLogReader, flag
from .status import Refusal, bad_request

Object = dict[str, Any]

COMMAND_PROTOCOLS = (V5, V4, V4_TEXT, V1, V1_TEXT)
FORWARD_PROTOCOLS = (V4, V4_TEXT)
PIECE_BYTES = 32 * 1024
PORTS_AT_ONCE = 32
SUCCESS: Object = {"metadata": {}, "status": "Success"}


class NotPossible(Exception):
    """The node cannot do this; the text says why."""


class Execution(Protocol):
    """A command that runs in a container. `outputs` are its streams by channel: stdout, stderr, or with a terminal stdout alone."""

    @property
    def outputs(self) -> Mapping[int, asyncio.StreamReader]: ...
    async def write(self, data: bytes) -> None:
        """To its standard input; returns when it has been taken. What nobody reads any more is dropped."""

    def end_input(self) -> None: ...
    def resize(self, width: int, height: int) -> None: ...
    async def wait(self) -> int:
        """Its exit code, 128 + n for a signal n. Raises `NotPossible` when it could not be started."""

    async def stop(self) -> None:
        """Kill it and all that it started."""


class PodPrograms(Protocol):
    """What a node does with the programs of its pods."""

    async def execute(self, pod: Mapping[str, Any], container: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Execution:
        """Raises `NotPossible`."""

    async def dial(self, pod: Mapping[str, Any], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod. Raises `OSError`, `NotPossible`."""


async def execute(request: web.Request, pod: Object, programs: PodPrograms | None) -> web.StreamResponse:
    """Raises `Refusal`."""
    query = request.query
    container = containers.choose(pod, query.get("container", ""))
    node = containers.node_of(pod)
    protocol = channels.negotiated(request, COMMAND_PROTOCOLS)
    command = query.getall("command", [])
    stdin, tty = flag(query, "stdin"), flag(query, "tty")
    if not command:
        raise bad_request("a command must be given (`command`, once for each word)")
    _check_streams(query)
    if programs is None:
        raise containers.silent(node)
    client = Channels(request, protocol)
    await client.open()
    with contextlib.suppress(ConnectionError):
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


async def attach(request: web.Request, pod: Object, reader: PodLogReader | None) -> web.StreamResponse:
    """What the container's program writes from now on, until it ends; it reads no standard input here. Raises `Refusal`."""
    query = request.query
    container = containers.choose(pod, query.get("container", ""))
    node = containers.node_of(pod)
    protocol = channels.negotiated(request, COMMAND_PROTOCOLS)
    _check_streams(query)
    if reader is None:
        raise containers.silent(node)
    client = Channels(request, protocol)
    await client.open()
    asked = [(STDOUT, "stdout"), (STDERR, "stderr")]
    wanted = [(channel, name) for channel, name in asked if flag(query, name)]
    with contextlib.suppress(ConnectionError):
        await client.send(_first(query), b"")
        copies = [_copy_log(client, channel, reader, pod, container, name) for channel, name in wanted]
        outcome = SUCCESS
        try:
            await _first_of(_gone(client), asyncio.gather(*copies))
        except LogsUnavailable as why:
            outcome = _failed(f"error attaching to container: {why}")
        await _conclude(client, outcome)
    return client.response


async def forward(request: web.Request, pod: Object, programs: PodPrograms | None) -> web.StreamResponse:
    """One connection for each port, a pair of channels each: data and error, both begun by the port. Raises `Refusal`."""
    ports = _ports(request.query.getall("ports", []))
    node = containers.node_of(pod)
    protocol = channels.negotiated(request, FORWARD_PROTOCOLS)
    if programs is None:
        raise containers.silent(node)
    if not ports:
        raise bad_request('query parameter "ports" is required')
    client = Channels(request, protocol or V4)
    await client.open()
    with contextlib.suppress(ConnectionError):
        forwards = [_Forward(client, index * 2, port) for index, port in enumerate(ports)]
        for found in forwards:
            await found.announce()
        tasks = [asyncio.ensure_future(found.run(pod, programs)) for found in forwards]
        try:
            await _first_of(_distribute(client, forwards), asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    return client.response


# Commands


async def _carry(client: Channels, running: Execution, command: Sequence[str], query: Mapping[str, str], stdin: bool) -> Object:
    """Both ways until the command has ended or the client has gone. What to tell of the end."""
    asked = {channel: flag(query, name) for channel, name in ((STDOUT, "stdout"), (STDERR, "stderr"))}

    async def ended() -> int:
        outputs = [_copy_output(client, channel, stream, asked[channel]) for channel, stream in running.outputs.items()]
        waiting = asyncio.ensure_future(running.wait())
        await asyncio.gather(waiting, *outputs)
        return waiting.result()

    try:
        code = await _first_of(ended(), _copy_input(client, running, stdin))
    except NotPossible as why:
        return _failed(f"error executing command in container: {why}")
    return SUCCESS if code == 0 else _exited(command, code)


async def _copy_output(client: Channels, channel: int, stream: asyncio.StreamReader, asked: bool) -> None:
    while data := await _piece(stream):
        if asked:
            await client.send(channel, data)


async def _piece(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.read(PIECE_BYTES)
    except OSError:  # how a terminal ends
        return b""


async def _copy_input(client: Channels, running: Execution, stdin: bool) -> int:
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


async def _copy_log(client: Channels, channel: int, reader: PodLogReader, pod: Object, container: str, stream: str) -> None:
    async with aclosing(reader(pod, container, LogOptions(follow=True, tail_lines=0, stream=stream))) as pieces:
        async for piece in pieces:
            await client.send(channel, piece)


async def _gone(client: Channels) -> None:
    """Returns never; raises `ConnectionResetError` when the client has gone."""
    while await client.receive() is not None:
        continue
    raise ConnectionResetError("the client has gone")


async def _conclude(client: Channels, outcome: Object) -> None:
    if client.protocol in (V5, V4, V4_TEXT):
        await client.send(ERROR, msgspec.json.encode(outcome))
    elif outcome is not SUCCESS:
        await client.send(ERROR, outcome["message"].encode())
    await client.close()


def _first(query: Mapping[str, str]) -> int:
    """The lowest channel that the client reads."""
    return next((channel for channel, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if flag(query, name)), ERROR)


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
    return {"metadata": {}, "status": "Failure", "message": text, "reason": "NonZeroExitCode", "details": {"causes": causes}}


# Ports


class _Forward:
    """One port's connection. `data` waits for whoever reads it: sixteen messages at most, then the client waits."""

    def __init__(self, client: Channels, channel: int, port: int) -> None:
        self._client, self._channel, self._port = client, channel, port
        self.data: asyncio.Queue[bytes] = asyncio.Queue(16)
        self.over = False

    async def announce(self) -> None:
        for channel in (self._channel, self._channel + 1):
            await self._client.send(channel, self._port.to_bytes(2, "little"))

    async def run(self, pod: Object, programs: PodPrograms) -> None:
        try:
            reader, writer = await programs.dial(pod, self._port)
        except (OSError, NotPossible) as error:
            metadata = pod["metadata"]
            text = f"error forwarding port {self._port} to pod {metadata['name']}, uid {metadata['uid']}: {error}"
            await self._client.send(self._channel + 1, text.encode())
        else:
            try:
                await _first_of(self._outward(reader), self._inward(writer))
            except OSError as error:
                if isinstance(error, ConnectionResetError) and self._client.response.closed:
                    raise
            finally:
                writer.close()
        finally:
            self.over = True
            while not self.data.empty():
                self.data.get_nowait()

    async def _outward(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(PIECE_BYTES):
            await self._client.send(self._channel, data)

    async def _inward(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await self.data.get())
            await writer.drain()


async def _distribute(client: Channels, forwards: Sequence[_Forward]) -> None:
    """Never returns but by `ConnectionResetError`."""
    while (message := await client.receive()) is not None:
        channel, data = message
        index, kind = divmod(channel, 2)
        if kind == 0 and index < len(forwards) and not forwards[index].over:
            await forwards[index].data.put(data)
    raise ConnectionResetError("the client has gone")


def _ports(given: Sequence[str]) -> list[int]:
    found = []
    for text in (text for entry in given for text in entry.split(",")):
        if not text.isascii() or not text.isdigit():
            raise bad_request(f'cannot convert to []int32: strconv.ParseUint: parsing "{text[:40]}": invalid syntax')
        if not 0 < int(text[:9]) < 65536:
            raise bad_request(f"{text[:9]} is not a port: it must be between 1 and 65535")
        found.append(int(text))
    if len(found) > PORTS_AT_ONCE:
        raise bad_request(f"at most {PORTS_AT_ONCE} ports can be forwarded at once")
    return found


async def _first_of(one: Awaitable[Any], other: Awaitable[Any]) -> Any:
    """What ends first, or its exception; the other one is cancelled and awaited."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
