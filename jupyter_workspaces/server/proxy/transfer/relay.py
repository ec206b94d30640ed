"""The two halves of a proxied WebSocket: bytes pass in pieces, however long their messages are, and the slower side sets the pace.

Neither side has negotiated an extension, so frames are the same on both. A frame of the browser is masked by its own key, as the
workspace expects it of a client. What one socket holds in memory is bounded by `BUFFER_BYTES` and the buffers of the transports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from tornado.iostream import IOStream, StreamClosedError

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.common.transports import abort, unsent_bytes

from .frames import (
    PING,
    Frames,
    Violation,
    close_frame,
    frame,
)

BUFFER_BYTES = 64 * 2**10
CLOSE_SECONDS = 10.0
"""For the answer to a close frame."""
DEAD_AFTER = 3
"""Number of unanswered pings after which a browser counts as gone."""
BLOCKED_SECONDS = 600.0
"""Seconds after which a browser that accepts no data (and so no pings) counts as gone."""

_BROKE_OFF = Violation(1011, "The workspace broke off.")
_GOING_AWAY = Violation(1001, "")
_SILENT = Violation(1001, "The browser does not answer.")


class Inside:
    """The connection to the workspace after its 101, as bytes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        connection = response.connection
        assert connection is not None
        protocol, transport = connection.protocol, connection.transport
        assert protocol is not None
        assert transport is not None
        self._response, self._protocol, self._transport = response, protocol, transport
        self._reader = aiohttp.StreamReader(protocol, BUFFER_BYTES, loop=asyncio.get_running_loop())
        protocol.set_parser(_Pass(self._reader), self._reader)

    async def read(self) -> bytes:
        """What came, at least a byte; nothing at the end, however it came about."""
        try:
            return await self._reader.readany()
        except (aiohttp.ClientError, OSError):
            return b""

    async def write(self, data: bytes) -> None:
        """Raises `ConnectionError`. Returns when the transport takes more."""
        if self._transport.is_closing():
            raise ConnectionResetError("the workspace closed its connection")
        self._transport.write(data)
        await self._protocol._drain_helper()

    def close(self) -> None:
        """At once; what has not been sent is dropped."""
        if unsent_bytes(self._transport):
            abort(self._transport)
        self._response.close()


class _Pass:
    """For `set_parser`: nothing is parsed."""

    def __init__(self, reader: aiohttp.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class Relay:
    """One WebSocket, from the handshakes to the end of both connections.

    `refused` is called once when a side breaks the protocol or sends a message above `longest` bytes.

    With `ping_seconds` a browser that sends nothing for so long is sent a ping. Its answer passes to the
    workspace, which ignores it (RFC 6455 §5.5.3). So proxies on either side see traffic, and a browser
    that went away without a word is found out: both sides are closed after `DEAD_AFTER` pings that it did
    not answer. The workspace is not pinged: a program that computes may be silent for hours, and the
    system's own keepalive (`transfer`) tells whether its machine still lives.
    """

    def __init__(
        self,
        browser: IOStream,
        inside: Inside,
        longest: int,
        refused: Callable[[str, Violation], None],
        ping_seconds: float | None = None,
    ) -> None:
        self._browser, self._inside = browser, inside
        self._outward, self._inward = (
            Frames(masked=False, longest=longest),
            Frames(masked=True, longest=longest),
        )
        self._told_browser = self._told_inside = False
        self._refused, self._ping_seconds = refused, ping_seconds
        loop = asyncio.get_running_loop()
        self._time = loop.time
        self._heard_browser = loop.time()
        self._writing_since: float | None = None
        self._unanswered = 0
        self._ending: asyncio.Future[Violation] = asyncio.get_running_loop().create_future()

    def end(self, why: Violation) -> None:
        """Close both sides for a reason of the server's own."""
        if not self._ending.done():
            self._ending.set_result(why)

    async def run(self) -> None:
        """Until both sides have closed, or one has and the other does not answer that within 10 s."""
        ways = {asyncio.create_task(self._pass_outward()), asyncio.create_task(self._pass_inward())}
        pings = asyncio.create_task(self._keep_alive())
        try:
            waited: set[asyncio.Future[Any]] = {*ways, self._ending}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done():
                await self._say_why(self._ending.result())
            await asyncio.wait(ways, timeout=CLOSE_SECONDS)
        finally:
            for way in (*ways, pings):
                way.cancel()
            ended = await asyncio.gather(*ways, pings, return_exceptions=True)
            await self._flush()
            self._browser.close()
            self._inside.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _say_why(self, why: Violation) -> None:
        """Close both sides, without waiting for one that accepts no data."""
        for close in (self._close_inside, self._close_browser):
            try:
                async with timeout(CLOSE_SECONDS):
                    await close(why)
            except asyncio.TimeoutError:
                continue

    async def _keep_alive(self) -> None:
        """Ping a silent browser, and end the WebSocket of one that is gone."""
        if not self._ping_seconds:
            return
        while True:
            await asyncio.sleep(self._ping_seconds)
            now = self._time()
            if self._writing_since is not None:
                if now - max(self._writing_since, self._heard_browser) > BLOCKED_SECONDS:
                    self.end(_SILENT)
            elif now - self._heard_browser < self._ping_seconds:
                continue
            elif self._unanswered >= DEAD_AFTER:
                self.end(_SILENT)
            elif self._outward.between:
                self._unanswered += 1
                await self._to_browser(frame(PING, b"", masked=False))

    async def _pass_outward(self) -> None:
        while data := await self._inside.read():
            await self._to_browser(self._outward.feed(data))
            if self._outward.violation is not None:
                await self._refuse("workspace", self._outward.violation)
                await self._discard()
                return
            if self._outward.closed:
                return
        await self._close_browser(_BROKE_OFF)

    async def _pass_inward(self) -> None:
        while data := await self._from_browser():
            await self._to_workspace(self._inward.feed(data))
            if self._inward.violation is not None:
                await self._refuse("browser", self._inward.violation)
                return
            if self._inward.closed:
                return
        await self._close_inside(_GOING_AWAY)

    async def _discard(self) -> None:
        """Read what the workspace still sends until it has ended. `run` bounds the time."""
        # A connection that is closed with unread bytes is reset, and the workspace may lose our close frame.
        while await self._inside.read():
            pass

    async def _refuse(self, sender: str, violation: Violation) -> None:
        self._refused(sender, violation)
        await self._close_inside(violation)
        await self._close_browser(violation)

    async def _from_browser(self) -> bytes:
        try:
            data = await self._browser.read_bytes(BUFFER_BYTES, partial=True)
        except StreamClosedError:
            return b""
        self._heard_browser, self._unanswered = self._time(), 0
        return data

    async def _to_browser(self, data: bytes) -> None:
        """Nothing after a close frame of our own; nothing where nobody is left, which `_pass_inward` finds out too."""
        if data and not self._told_browser:
            self._writing_since = self._time()
            try:
                await self._browser.write(data)
            except StreamClosedError:
                self._told_browser = True
            finally:
                self._writing_since = None

    async def _to_workspace(self, data: bytes) -> None:
        if data and not self._told_inside:
            try:
                await self._inside.write(data)
            except (aiohttp.ClientError, ConnectionError):
                self._told_inside = True

    async def _close_browser(self, why: Violation) -> None:
        if self._outward.between and not self._outward.closed:
            await self._to_browser(close_frame(why, masked=False))
        self._told_browser = True

    async def _close_inside(self, why: Violation) -> None:
        if self._inward.between and not self._inward.closed:
            await self._to_workspace(close_frame(why, masked=True))
        self._told_inside = True

    async def _flush(self) -> None:
        """A moment for what the browser has been sent last."""
        try:
            async with timeout(1):
                await self._browser.write(b"")
        except (StreamClosedError, asyncio.TimeoutError):
            return
