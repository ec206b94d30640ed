"""Rate limits for error responses of unavailable workspaces, and for their log lines.

Open pages of a paused or deleted workspace keep sending requests, many without a pause. A status
code stops some clients; for the others the response is delayed.

No library is used: `limits` rejects requests instead of delaying them, and does not bound the
number of clients in memory; `aiolimiter` has no keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache

FREE = 10
"""Number of error responses that a client gets without a delay."""
SECONDS = 2.0
"""Seconds between two error responses to a client after that."""
LONGEST = 10.0
"""Longest delay of an error response, in seconds."""
WAITING = 256
"""Number of requests that may wait at the same time. Further requests are answered at once."""
LINES = 20
"""Number of equal log lines that are written per period of `LINES_SECONDS`."""
LINES_SECONDS = 60.0
KEYS = 1024
"""Number of clients, and of log lines, that are remembered."""


class ErrorDelays:
    """Delays of error responses by client (generic cell rate algorithm, ITU-T I.371).

    Attributes:
        waiting: Number of requests that wait now. The caller counts them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any client."""
        self._clock = clock
        self._due: LRUCache[Hashable, float] = LRUCache(KEYS)
        self.waiting = 0

    def delay(self, client: Hashable) -> float:
        """Count an error response to a client. Returns its delay in seconds."""
        now, early = self._clock(), FREE * SECONDS
        due = max(self._due.pop(client, 0.0), now)
        delay = min(max(due - now - early + SECONDS, 0.0), LONGEST)
        self._due[client] = min(due + SECONDS, now + early + LONGEST)
        return delay if self.waiting < WAITING else 0.0


class LogLimit:
    """Limits equal log lines to the first few of each minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any line."""
        self._clock = clock
        self._windows: LRUCache[Hashable, tuple[float, int]] = LRUCache(KEYS)

    def count(self, line: Hashable) -> tuple[bool, int]:
        """Count a line.

        Returns:
            Whether to write the line, and how many equal ones were omitted in the last minute.
        """
        now = self._clock()
        began, number = self._windows.pop(line, (now, 0))
        omitted = 0
        if now - began > LINES_SECONDS:
            omitted, began, number = max(number - LINES, 0), now, 0
        self._windows[line] = began, number + 1
        return number < LINES, omitted
