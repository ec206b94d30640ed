"""port-forward as kubectl wants it: SPDY, a pair of streams (error, data) for each connection; in a WebSocket (KEP-4006), or before 1.31 bare."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from jupyter_workspaces.localkube.apiserver.http.first import first_of

from . import spdy, spdy_channels
from .programs import NotPossible, PodPrograms
from .upgraded import switching, upgrade

log = logging.getLogger(__name__)

Object = dict[str, Any]

STREAMS = "portforward.k8s.io"
PROTOCOL = f"SPDY/3.1+{STREAMS}"
PIECE_BYTES = 32 * 1024
CONNECTIONS = 256
WAITING = 16
"""Frames of one connection that may wait for its pod; then all of the client's connections wait."""


@dataclass
class _Connection:
    """What the client calls a request: its streams, and what came for the pod (None: no more will)."""

    port: int
    error: int = 0
    data: int = 0
    arrived: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(WAITING))
    task: asyncio.Task[None] | None = None


class _Connected(Protocol):
    """What the frames come and go by."""

    @property
    def closed(self) -> bool: ...

    async def read(self) -> bytes:
        """What came; nothing when no more will."""

    async def write(self, data: bytes) -> None:
        """Raises `ConnectionError` when the client has gone."""


class _InWebSocket:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    @property
    def closed(self) -> bool:
        return self._socket.closed

    async def read(self) -> bytes:
        while (message := await self._socket.receive()).type is WSMsgType.BINARY:
            if message.data:
                data: bytes = message.data
                return data
        return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


async def serve(request: web.Request, pod: Object, programs: PodPrograms) -> web.StreamResponse:
    """In a WebSocket, until the client goes."""
    socket = web.WebSocketResponse(
        protocols=(PROTOCOL,), max_msg_size=4 * 2**20, compress=False, timeout=5.0
    )
    await socket.prepare(request)
    await _run(_Tunnel(_InWebSocket(socket), pod, programs), pod)
    await socket.close()
    return socket


async def serve_bare(
    request: web.Request, pod: Object, programs: PodPrograms
) -> web.StreamResponse:
    """Without one, until the client goes. Raises `Refusal`."""
    spdy_channels.negotiate(request, STREAMS)
    response = switching(spdy_channels.UPGRADE, {spdy_channels.VERSIONS: STREAMS})
    with contextlib.suppress(ConnectionError):
        connection = await upgrade(request, response)
        await _run(_Tunnel(connection, pod, programs), pod)
        await connection.close()
    return response


async def _run(tunnel: _Tunnel, pod: Object) -> None:
    try:
        await tunnel.run()
    except spdy.Broken as fault:
        log.info("A port-forward to %s ends: the client sent %s", pod["metadata"]["name"], fault)
    except ConnectionError:
        log.debug("The client of a port-forward to %s has gone", pod["metadata"]["name"])
    finally:
        await tunnel.stop()


class _Tunnel:
    def __init__(self, connection: _Connected, pod: Object, programs: PodPrograms) -> None:
        self._connection, self._pod, self._programs = connection, pod, programs
        self._decoder, self._encoder = spdy.Decoder(), spdy.Encoder()
        self._sending = asyncio.Lock()
        self._connections: dict[str, _Connection] = {}
        self._by_data: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Raises `spdy.Broken`, `ConnectionError`."""
        while data := await self._connection.read():
            for frame in self._decoder.feed(data):
                await self._handle(frame)

    async def stop(self) -> None:
        tasks = [found.task for found in self._connections.values() if found.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _handle(self, frame: spdy.Frame) -> None:
        match frame.kind:
            case spdy.SYN_STREAM:
                await self._open(frame)
            case None:
                if (found := self._by_data.get(frame.stream)) is not None:
                    if frame.data:
                        await found.arrived.put(frame.data)
                    if frame.ends:
                        await found.arrived.put(None)
            case spdy.RST_STREAM:
                if (
                    found := self._by_data.get(frame.stream)
                ) is not None and found.task is not None:
                    found.task.cancel()
            case spdy.PING if frame.value % 2:  # the client's; even ones would answer ours
                await self._send(spdy.ping_frame(frame.value))

    async def _open(self, frame: spdy.Frame) -> None:
        headers = frame.headers
        kind, port, name = (
            headers.get("streamtype"),
            headers.get("port", ""),
            headers.get("requestid") or headers.get("port", ""),
        )
        if kind not in ("error", "data") or not port.isdigit() or not 0 < int(port[:9]) < 65536:
            return await self._send(spdy.reset_frame(frame.stream, spdy.PROTOCOL_ERROR))
        if name not in self._connections and len(self._connections) >= CONNECTIONS:
            return await self._send(spdy.reset_frame(frame.stream, spdy.REFUSED_STREAM))
        found = self._connections.setdefault(name, _Connection(int(port)))
        async with self._sending:
            await self._connection.write(self._encoder.reply(frame.stream))
        if kind == "error":
            found.error = frame.stream
        else:
            found.data = frame.stream
            self._by_data[frame.stream] = found
        if found.error and found.data and found.task is None:
            found.task = asyncio.create_task(self._carry(name, found), name=f"port-forward {name}")

    async def _carry(self, name: str, found: _Connection) -> None:
        try:
            await self._connect(found)
            for stream in (found.data, found.error):
                await self._send(spdy.data_frame(stream, b"", ends=True))
        except ConnectionError:
            log.debug("Connection %s of a port-forward ended with its tunnel", name)
        finally:
            self._connections.pop(name, None)
            self._by_data.pop(found.data, None)
            while (
                not found.arrived.empty()
            ):  # whoever waits to put something in learns that nobody takes it
                found.arrived.get_nowait()

    async def _connect(self, found: _Connection) -> None:
        try:
            reader, writer = await self._programs.dial(self._pod, found.port)
        except (OSError, NotPossible) as error:
            metadata = self._pod["metadata"]
            text = f"error forwarding port {found.port} to pod {metadata['name']}, uid {metadata['uid']}: {error}"
            return await self._send(spdy.data_frame(found.error, text.encode()))
        try:
            await first_of(self._outward(reader, found.data), self._inward(writer, found))
        except OSError as error:
            if self._connection.closed:
                raise ConnectionResetError("the tunnel has ended") from error
            log.debug("A connection to port %d broke off: %s", found.port, error)
        finally:
            writer.close()

    async def _outward(self, reader: asyncio.StreamReader, stream: int) -> None:
        while data := await reader.read(PIECE_BYTES):
            await self._send(spdy.data_frame(stream, data))

    async def _inward(self, writer: asyncio.StreamWriter, found: _Connection) -> None:
        """Goes on after the client's last word: the pod has still to answer."""
        while (data := await found.arrived.get()) is not None:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        await asyncio.Event().wait()

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            await self._connection.write(frame)
