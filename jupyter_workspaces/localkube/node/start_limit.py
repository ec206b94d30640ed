"""Limits how many programs start at the same time.

Programs that start together compete for the cores and delay each other's readiness.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

SLOT_SECONDS = 60.0
"""A program that needs longer than this to get ready no longer delays others."""


class Slot:
    """The right to start one program.

    Release it once the program is ready or has ended. It is released automatically after a minute.
    """

    def __init__(self, limit: StartLimit) -> None:
        """Create a slot of `limit`, which has counted it already."""
        self._limit: StartLimit | None = limit
        self._timer = asyncio.get_running_loop().call_later(SLOT_SECONDS, self.release)

    def release(self) -> None:
        """Let the next program start. Further calls have no effect."""
        limit, self._limit = self._limit, None
        if limit is not None:
            self._timer.cancel()
            limit._return_slot()


class StartLimit:
    """Hands out a limited number of slots, first come, first served."""

    def __init__(self, size: int | None = None) -> None:
        """Create a limit with `size` slots, by default one for each core."""
        self._free = size or os.cpu_count() or 1
        self._waiting: deque[asyncio.Future[Slot]] = deque()

    def __len__(self) -> int:
        """Return how many programs wait for a slot."""
        return sum(1 for waiting in self._waiting if not waiting.done())

    @property
    def full(self) -> bool:
        """Whether the next program has to wait."""
        return self._free <= 0

    async def enter(self) -> Slot:
        """Wait for a slot. The wait is bounded, since slots are released automatically."""
        if self._free > 0:
            self._free -= 1
            return Slot(self)
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                turn.result().release()
            raise

    def _return_slot(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(Slot(self))
                return
        self._free += 1
