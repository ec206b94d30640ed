"""Stream of a request's body from the browser to the workspace, with back-pressure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

CHUNKS = 4
"""Number of chunks that wait for the workspace before the browser has to wait."""


class BodyStream:
    """Queue of a body's chunks between Tornado, which receives, and aiohttp, which sends."""

    def __init__(self) -> None:
        """Start with an empty queue."""
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(CHUNKS)
        self._abandoned = False
        # When the workspace accepted the last chunk; None while the browser has to send.
        self._accepted_at: float | None = None

    async def put(self, chunk: bytes | None) -> None:
        """Add a chunk; None ends the body. Waits while the queue is full."""
        if not self._abandoned:
            await self._chunks.put(chunk)

    def abandon(self) -> None:
        """Drop what is queued and everything that follows."""
        self._abandoned = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the chunks until the end of the body."""
        while (chunk := await self._chunks.get()) is not None:
            self._accepted_at = asyncio.get_running_loop().time()
            yield chunk
            self._accepted_at = None
        self._accepted_at = asyncio.get_running_loop().time()

    def stalled(self) -> float:
        """Return for how many seconds the workspace has had all of the body that arrived.

        Returns 0 while the browser has to send more of it.
        """
        if self._accepted_at is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._accepted_at
