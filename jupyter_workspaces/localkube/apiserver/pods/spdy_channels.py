"""exec and attach for kubectl before 1.31: the channels as SPDY/3.1 streams, named by their header `streamtype`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from aiohttp import web

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.localkube.apiserver.http.status import Refusal

from . import spdy
from .channels import (
    CLOSE,
    ERROR,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    V4,
    V5,
)
from .logs import flag
from .upgraded import Upgraded, switching, upgrade

log = logging.getLogger(__name__)

UPGRADE = "SPDY/3.1"
VERSIONS = "X-Stream-Protocol-Version"
OPEN_SECONDS = 30.0
_NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


def is_wanted(request: web.Request) -> bool:
    """Whether the request wants to become SPDY, without a WebSocket around it."""
    return request.headers.get("Upgrade", "").lower() == UPGRADE.lower()


def negotiate(request: web.Request, known: str) -> None:
    """Raises `Refusal` 403 for a client that does not offer this version of the streams."""
    offered = [
        word.strip() for line in request.headers.getall(VERSIONS, ()) for word in line.split(",")
    ]
    if known not in offered:
        raise Refusal(
            403,
            "Forbidden",
            f"none of the stream protocols {', '.join(offered) or '(none)'} is known here; {known} is",
        )


class SpdyChannels:
    """As `channels.Channels`, for one request. Its streams end one by one, which is what v5 can and v4 cannot."""

    protocol = V5

    def __init__(self, request: web.Request) -> None:
        """Raises `Refusal`."""
        negotiate(request, V4)
        self._request = request
        self._decoder, self._encoder = spdy.Decoder(), spdy.Encoder()
        self._sending = asyncio.Lock()
        self._streams: dict[int, int] = {}
        self._channels: dict[int, int] = {}
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._connection: Upgraded | None = None
        self.response = switching(UPGRADE, {VERSIONS: V4})

    async def open(self) -> None:
        """Until the client has opened its streams. Raises `ConnectionError`."""
        query = self._request.query
        wanted = {ERROR} | {
            _NAMES[name] for name in ("stdin", "stdout", "stderr") if flag(query, name)
        }
        if flag(query, "tty"):
            wanted = wanted - {STDERR}
        self._connection = await upgrade(self._request, self.response)
        try:
            async with timeout(OPEN_SECONDS):
                while not wanted <= set(self._streams):
                    if not await self._read():
                        raise ConnectionResetError("the client has gone")
        except asyncio.TimeoutError as error:
            raise ConnectionResetError("the client did not open its streams") from error

    async def send(self, channel: int, data: bytes) -> None:
        """Nothing for what the client has no stream for. Raises `ConnectionError` when it has gone."""
        if data and (stream := self._streams.get(channel)) is not None:
            await self._write(spdy.data_frame(stream, data))

    async def receive(self) -> tuple[int, bytes] | None:
        """The next channel and data; None when the client has closed. The end of its standard input comes as in v5."""
        while not self._waiting:
            if not await self._read():
                return None
        return self._waiting.popleft()

    async def close(self) -> None:
        assert self._connection is not None, "not open"
        for channel in (STDOUT, STDERR, ERROR):
            if (stream := self._streams.get(channel)) is not None:
                await self._write(spdy.data_frame(stream, b"", ends=True))
        await self._connection.close()

    async def _read(self) -> bool:
        """Take what came; False when the client has closed or speaks something else."""
        assert self._connection is not None, "not open"
        data = await self._connection.read()
        try:
            for frame in self._decoder.feed(data):
                await self._handle(frame)
        except spdy.Broken as fault:
            log.info("The streams of %s end: the client sent %s", self._request.path, fault)
            data = b""
        if not data:
            self._connection.end()
        return bool(data)

    async def _handle(self, frame: spdy.Frame) -> None:
        match frame.kind:
            case spdy.SYN_STREAM:
                channel = _NAMES.get(frame.headers.get("streamtype", ""))
                if channel is None or channel in self._streams:
                    return await self._write(spdy.reset_frame(frame.stream, spdy.PROTOCOL_ERROR))
                self._streams[channel], self._channels[frame.stream] = frame.stream, channel
                async with self._sending:
                    await self._write_at_once(self._encoder.reply(frame.stream))
            case None:
                channel = self._channels.get(frame.stream)
                if channel is not None and frame.data:
                    self._waiting.append((channel, frame.data))
                if channel == STDIN and frame.ends:
                    self._waiting.append((CLOSE, bytes((STDIN,))))
            case spdy.PING if frame.value % 2:  # the client's; even ones would answer ours
                await self._write(spdy.ping_frame(frame.value))

    async def _write(self, frame: bytes) -> None:
        async with self._sending:
            await self._write_at_once(frame)

    async def _write_at_once(self, data: bytes) -> None:
        assert self._connection is not None, "not open"
        await self._connection.write(data)
