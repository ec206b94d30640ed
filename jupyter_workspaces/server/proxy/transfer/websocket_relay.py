"""Relay of a WebSocket's bytes between a browser and a workspace, with back-pressure.

Neither side has negotiated an extension, so frames are the same on both. Frames of the browser are
masked with its own key, as the workspace expects from a client. `BUFFER_BYTES` and the buffers of
the transports limit the memory of a WebSocket, whatever the size of its messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from tornado.iostream import IOStream, StreamClosedError

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.common.transports import abort, unsent_bytes

from .websocket_frames import (
    PING,
    FrameChecker,
    Violation,
    close_frame,
    frame,
)

BUFFER_BYTES = 64 * 2**10
CLOSE_SECONDS = 10.0
"""Seconds to wait for the response to a close frame."""
DEAD_AFTER = 3
"""Number of unanswered pings after which a browser counts as gone."""
BLOCKED_SECONDS = 600.0
"""Seconds after which a browser that accepts no data (and so no pings) counts as gone."""

_DISCONNECTED = Violation(1011, "The workspace closed the connection.")
_GOING_AWAY = Violation(1001, "")
_SILENT = Violation(1001, "The browser does not respond to pings.")


class WorkspaceConnection:
    """The connection to the workspace after its 101, as a stream of bytes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Take the connection of a response."""
        connection = response.connection
        assert connection is not None
        protocol, transport = connection.protocol, connection.transport
        assert protocol is not None
        assert transport is not None
        self._response, self._protocol, self._transport = response, protocol, transport
        self._reader = aiohttp.StreamReader(protocol, BUFFER_BYTES, loop=asyncio.get_running_loop())
        protocol.set_parser(_PassThroughParser(self._reader), self._reader)

    async def read(self) -> bytes:
        """Return at least one byte; nothing after the end of the connection or an error."""
        try:
            return await self._reader.readany()
        except (aiohttp.ClientError, OSError):
            return b""

    async def write(self, data: bytes) -> None:
        """Write, and wait until the transport accepts more. Raises `ConnectionError`."""
        if self._transport.is_closing():
            raise ConnectionResetError("the workspace closed its connection")
        self._transport.write(data)
        await self._protocol._drain_helper()

    def close(self) -> None:
        """Close at once, and drop what has not been sent."""
        if unsent_bytes(self._transport):
            abort(self._transport)
        self._response.close()


class _PassThroughParser:
    """Parser for aiohttp's `set_parser` that passes the bytes to a reader."""

    def __init__(self, reader: aiohttp.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class WebSocketRelay:
    """One WebSocket, from the handshakes to the end of both connections.

    With `ping_seconds`, a browser that sends nothing for so long gets a ping. Its pong is forwarded
    to the workspace, which ignores it (RFC 6455 §5.5.3). So proxies on either side see traffic, and
    a browser that disappeared is detected: both sides are closed after `DEAD_AFTER` unanswered
    pings. The workspace gets no pings: a busy program may be silent for hours, and TCP keepalive
    (`transfer.direct`) detects a machine that disappeared.
    """

    def __init__(
        self,
        browser: IOStream,
        workspace: WorkspaceConnection,
        longest: int,
        on_violation: Callable[[str, Violation], None],
        ping_seconds: float | None = None,
    ) -> None:
        """Prepare the relay; `run` starts it.

        Args:
            browser: The browser's connection after our 101.
            workspace: The workspace's connection after its 101.
            longest: Size limit of a message in bytes.
            on_violation: Called once with the sender (`browser` or `workspace`) of an invalid frame
                or a message above the limit.
            ping_seconds: Seconds of silence after which the browser gets a ping, None for no pings.
        """
        self._browser, self._workspace = browser, workspace
        self._outward, self._inward = (
            FrameChecker(masked=False, longest=longest),
            FrameChecker(masked=True, longest=longest),
        )
        self._browser_closed = self._workspace_closed = False
        self._on_violation, self._ping_seconds = on_violation, ping_seconds
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._last_from_browser = loop.time()
        self._writing_since: float | None = None
        self._unanswered = 0
        self._ending: asyncio.Future[Violation] = asyncio.get_running_loop().create_future()

    def end(self, why: Violation) -> None:
        """Close both sides for a reason of this server."""
        if not self._ending.done():
            self._ending.set_result(why)

    async def run(self) -> None:
        """Relay until both sides have closed, or 10 s after the first one has."""
        directions = {
            asyncio.create_task(self._relay_outward()),
            asyncio.create_task(self._relay_inward()),
        }
        pings = asyncio.create_task(self._keep_alive())
        try:
            waited: set[asyncio.Future[Any]] = {*directions, self._ending}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done():
                await self._close_both(self._ending.result())
            await asyncio.wait(directions, timeout=CLOSE_SECONDS)
        finally:
            for direction in (*directions, pings):
                direction.cancel()
            ended = await asyncio.gather(*directions, pings, return_exceptions=True)
            await self._flush()
            self._browser.close()
            self._workspace.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _close_both(self, why: Violation) -> None:
        """Close both sides. Does not wait for a side that accepts no data."""
        for close in (self._close_workspace, self._close_browser):
            try:
                async with timeout(CLOSE_SECONDS):
                    await close(why)
            except asyncio.TimeoutError:
                continue

    async def _keep_alive(self) -> None:
        """Ping a silent browser, and end the WebSocket if it does not respond."""
        if not self._ping_seconds:
            return
        while True:
            await asyncio.sleep(self._ping_seconds)
            now = self._time()
            if self._writing_since is not None:
                if now - max(self._writing_since, self._last_from_browser) > BLOCKED_SECONDS:
                    self.end(_SILENT)
            elif now - self._last_from_browser < self._ping_seconds:
                continue
            elif self._unanswered >= DEAD_AFTER:
                self.end(_SILENT)
            elif self._outward.between:
                self._unanswered += 1
                await self._to_browser(frame(PING, b"", masked=False))

    async def _relay_outward(self) -> None:
        while data := await self._workspace.read():
            await self._to_browser(self._outward.feed(data))
            if self._outward.violation is not None:
                await self._close_for_violation("workspace", self._outward.violation)
                await self._discard()
                return
            if self._outward.closed:
                return
        await self._close_browser(_DISCONNECTED)

    async def _relay_inward(self) -> None:
        while data := await self._from_browser():
            await self._to_workspace(self._inward.feed(data))
            if self._inward.violation is not None:
                await self._close_for_violation("browser", self._inward.violation)
                return
            if self._inward.closed:
                return
        await self._close_workspace(_GOING_AWAY)

    async def _discard(self) -> None:
        """Read and drop what the workspace still sends. `run` limits the time."""
        # Closing a connection with unread bytes resets it, and our close frame may be lost.
        while await self._workspace.read():
            pass

    async def _close_for_violation(self, sender: str, violation: Violation) -> None:
        self._on_violation(sender, violation)
        await self._close_workspace(violation)
        await self._close_browser(violation)

    async def _from_browser(self) -> bytes:
        try:
            data = await self._browser.read_bytes(BUFFER_BYTES, partial=True)
        except StreamClosedError:
            return b""
        self._last_from_browser, self._unanswered = self._time(), 0
        return data

    async def _to_browser(self, data: bytes) -> None:
        """Write to the browser, unless we sent a close frame or the connection has ended."""
        if data and not self._browser_closed:
            self._writing_since = self._time()
            try:
                await self._browser.write(data)
            except StreamClosedError:
                self._browser_closed = True
            finally:
                self._writing_since = None

    async def _to_workspace(self, data: bytes) -> None:
        if data and not self._workspace_closed:
            try:
                await self._workspace.write(data)
            except (aiohttp.ClientError, ConnectionError):
                self._workspace_closed = True

    async def _close_browser(self, why: Violation) -> None:
        if self._outward.between and not self._outward.closed:
            await self._to_browser(close_frame(why, masked=False))
        self._browser_closed = True

    async def _close_workspace(self, why: Violation) -> None:
        if self._inward.between and not self._inward.closed:
            await self._to_workspace(close_frame(why, masked=True))
        self._workspace_closed = True

    async def _flush(self) -> None:
        """Wait up to 1 s until the last bytes for the browser have been written."""
        try:
            async with timeout(1):
                await self._browser.write(b"")
        except (StreamClosedError, asyncio.TimeoutError):
            return
