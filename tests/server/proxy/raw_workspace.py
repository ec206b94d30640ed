"""A program that responds with any bytes, valid HTTP or not, and a client that sends any bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.common.timeouts import timeout

from .conftest import ADDRESS, PORT

LIMIT = 10
"""Seconds that any step of a test may take."""


@dataclass
class RawWorkspace:
    """What the program received."""

    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: int = 0

    async def all_ended(self) -> None:
        for _ in range(100 * LIMIT):
            if self.ended == self.connections:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError(f"{self.connections - self.ended} connections are still open")


@asynccontextmanager
async def raw_workspace(
    view: Any, answer: bytes | Callable[[bytes], bytes], *, closes: bool = False
) -> AsyncIterator[RawWorkspace]:
    """Make the view's workspace respond to every request with these bytes."""
    seen = RawWorkspace()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            while True:
                seen.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer(seen.requests[-1]) if callable(answer) else answer)
                await writer.drain()
                if closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            seen.ended += 1
            writer.close()

    server = await asyncio.start_server(serve, ADDRESS, 0)
    view.pod["metadata"]["annotations"][f"jupyter-workspaces/local-port.{PORT}"] = str(
        server.sockets[0].getsockname()[1]
    )
    try:
        yield seen
    finally:
        server.close()


async def exchange(port: int, sent: bytes, *, responses: int = 0) -> bytes:
    """Send bytes, and return the response up to the end of the connection or of `responses`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        writer.write(sent)
        await writer.drain()
        async with timeout(LIMIT):
            if not responses:
                return await reader.read()
            while len(statuses(received)) < responses and not reader.at_eof():
                received += await _response(reader)
            return received
    finally:
        writer.close()


async def _response(reader: asyncio.StreamReader) -> bytes:
    """Return one response, or its beginning if the connection is closed early."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *([0-9]+)\r\n", head.lower())
        if b"\r\ntransfer-encoding: chunked\r\n" in head.lower():
            return head + await reader.readuntil(b"0\r\n\r\n")
        if length is None or head[9:12] == b"304":
            return head
        return head + await reader.readexactly(int(length[1]))
    except asyncio.IncompleteReadError as error:
        return error.partial


def statuses(received: bytes) -> list[int]:
    """Return the final status codes of the responses in the bytes of a connection."""
    found = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", received)]
    return [status for status in found if status >= 200]
