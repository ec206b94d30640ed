"""Port-forward tunnels of kubectl: SPDY in a WebSocket (KEP-4006).

Each connection to the pod has two SPDY streams: error and data.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from jupyter_workspaces.kube.types import Object

from . import spdy
from .first_completed import first_completed
from .programs import NotPossible, PodPrograms

log = logging.getLogger(__name__)


STREAMS = "portforward.k8s.io"
PROTOCOL = f"SPDY/3.1+{STREAMS}"
CHUNK_BYTES = 32 * 1024
MAX_CONNECTIONS = 256
MAX_QUEUED = 16
"""Frames of one connection that may wait for its pod. Then all connections of the client wait."""


@dataclass
class _Connection:
    """One forwarded connection.

    Attributes:
        error: its error stream, 0 until the client opens it.
        data: its data stream, 0 until the client opens it.
        arrived: data for the pod; None after the client has closed the stream.
    """

    port: int
    error: int = 0
    data: int = 0
    arrived: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUED))
    task: asyncio.Task[None] | None = None


class _FrameSocket:
    """The WebSocket as a connection that carries bytes of frames."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    @property
    def closed(self) -> bool:
        return self._socket.closed

    async def read(self) -> bytes:
        """Return the next data; empty when the client has closed."""
        while (message := await self._socket.receive()).type is WSMsgType.BINARY:
            if message.data:
                data: bytes = message.data
                return data
        return b""

    async def write(self, data: bytes) -> None:
        """Send data.

        Raises:
            ConnectionError: if the client has disconnected.
        """
        await self._socket.send_bytes(data)


async def serve(request: web.Request, pod: Object, programs: PodPrograms) -> web.StreamResponse:
    """Serve a tunnel in a WebSocket until the client disconnects."""
    socket = web.WebSocketResponse(
        protocols=(PROTOCOL,), max_msg_size=4 * 2**20, compress=False, timeout=5.0
    )
    await socket.prepare(request)
    await _run(_Tunnel(_FrameSocket(socket), pod, programs), pod)
    await socket.close()
    return socket


async def _run(tunnel: _Tunnel, pod: Object) -> None:
    try:
        await tunnel.run()
    except spdy.ProtocolError as fault:
        log.info("A port-forward to %s ends: the client sent %s", pod["metadata"]["name"], fault)
    except ConnectionError:
        log.debug("The client of a port-forward to %s has disconnected", pod["metadata"]["name"])
    finally:
        await tunnel.stop()


class _Tunnel:
    def __init__(self, connection: _FrameSocket, pod: Object, programs: PodPrograms) -> None:
        self._connection, self._pod, self._programs = connection, pod, programs
        self._decoder, self._encoder = spdy.Decoder(), spdy.Encoder()
        self._sending = asyncio.Lock()
        self._connections: dict[str, _Connection] = {}
        self._by_data: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Handle frames until the client closes.

        Raises:
            spdy.ProtocolError: if the client sends anything else.
            ConnectionError: if the client has disconnected.
        """
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
            case spdy.PING if frame.value % 2:  # pings of the client have odd numbers
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
        if name not in self._connections and len(self._connections) >= MAX_CONNECTIONS:
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
            found.task = asyncio.create_task(
                self._serve_connection(name, found), name=f"port-forward {name}"
            )

    async def _serve_connection(self, name: str, found: _Connection) -> None:
        try:
            await self._connect(found)
            for stream in (found.data, found.error):
                await self._send(spdy.data_frame(stream, b"", ends=True))
        except ConnectionError:
            log.debug("Connection %s of a port-forward ended with its tunnel", name)
        finally:
            self._connections.pop(name, None)
            self._by_data.pop(found.data, None)
            while not found.arrived.empty():  # wakes a task that waits to put data into it
                found.arrived.get_nowait()

    async def _connect(self, found: _Connection) -> None:
        try:
            reader, writer = await self._programs.dial(self._pod, found.port)
        except (OSError, NotPossible) as error:
            metadata = self._pod["metadata"]
            text = (
                f"error forwarding port {found.port} to pod {metadata['name']}, "
                f"uid {metadata['uid']}: {error}"
            )
            return await self._send(spdy.data_frame(found.error, text.encode()))
        try:
            await first_completed(self._from_pod(reader, found.data), self._to_pod(writer, found))
        except OSError as error:
            if self._connection.closed:
                raise ConnectionResetError("the tunnel has ended") from error
            log.debug("A connection to port %d broke off: %s", found.port, error)
        finally:
            writer.close()

    async def _from_pod(self, reader: asyncio.StreamReader, stream: int) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._send(spdy.data_frame(stream, data))

    async def _to_pod(self, writer: asyncio.StreamWriter, found: _Connection) -> None:
        """Copy the client's data to the pod.

        Continues after the client closed its stream, because the pod has still to respond.
        """
        while (data := await found.arrived.get()) is not None:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        await asyncio.Event().wait()

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            await self._connection.write(frame)
