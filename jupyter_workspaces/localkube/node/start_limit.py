"""Starts at once are bounded: many programs that import at the same time only keep each other from getting ready."""

from __future__ import annotations

import asyncio
import os
from collections import deque

LONGEST_SECONDS = 60.0
"""Whoever takes longer than this to get ready no longer holds others up."""


class Slot:
    """Room to start one program. Release it when the program is ready or over; it releases itself after a minute."""

    def __init__(self, room: Room) -> None:
        self._room: Room | None = room
        self._timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, self.release)

    def release(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            self._timer.cancel()
            room._give_back()


class Room:
    """As many slots as cores, given in the order they were asked for."""

    def __init__(self, size: int | None = None) -> None:
        self._free = size or os.cpu_count() or 1
        self._waiting: deque[asyncio.Future[Slot]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return sum(1 for waiting in self._waiting if not waiting.done())

    @property
    def full(self) -> bool:
        return self._free <= 0

    async def enter(self) -> Slot:
        """Wait for a slot; only leaving it unasked or cancelling bounds the wait, since each slot ends by itself."""
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

    def _give_back(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(Slot(self))
                return
        self._free += 1
