"""A connection that became another protocol at a request's wish: its bytes, both ways (RFC 9110, section 7.8)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from aiohttp import web

from jupyter_workspaces.common.timeouts import timeout

CLOSE_SECONDS = 5.0
PIECE_BYTES = 64 * 1024


class Upgraded:
    """One task reads; whoever writes waits while the client does not read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def closed(self) -> bool:
        return self._writer.is_closing()

    async def read(self) -> bytes:
        """What came; nothing when no more will."""
        with contextlib.suppress(ConnectionError):
            return await self._reader.read(PIECE_BYTES)
        return b""

    async def write(self, data: bytes) -> None:
        """Raises `ConnectionError` when the client has gone."""
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """At once."""
        self._writer.close()

    async def close(self) -> None:
        """After the client has, or soon: what was written last must reach it."""
        with contextlib.suppress(asyncio.TimeoutError):
            async with timeout(CLOSE_SECONDS):
                while await self.read():
                    continue
        self.end()


class _Taken(asyncio.StreamReaderProtocol):
    """Takes the connection's bytes from the server, and lets the server know when it ends: it counts its connections."""

    def __init__(self, reader: asyncio.StreamReader, server: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._server = server

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.connection_lost(exc)


def switching(protocol: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """The answer 101, not yet sent."""
    response = web.StreamResponse(
        status=101, headers={"Connection": "Upgrade", "Upgrade": protocol, **headers}
    )
    response.force_close()
    return response


async def upgrade(request: web.Request, response: web.StreamResponse) -> Upgraded:
    """Sends the answer and takes the connection. Raises `ConnectionError` when the client has gone.

    aiohttp upgrades to WebSocket alone, so the transport gets another protocol; nothing is lost, because clients wait for the answer.
    """
    await response.prepare(request)
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has gone")
    reader = asyncio.StreamReader()
    taken = _Taken(reader, transport.get_protocol())
    transport.set_protocol(taken)
    taken.connection_made(transport)
    return Upgraded(
        reader, asyncio.StreamWriter(transport, taken, reader, asyncio.get_running_loop())
    )
