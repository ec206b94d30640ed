"""Rate limits for error responses of unreachable workspaces, and for their log lines.

Open pages of a paused or deleted workspace keep sending requests, many without a pause. A status
code stops some clients; for the others the response is delayed.
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
WAITING = 256
"""Number of requests that may wait at the same time; others are answered at once."""
LINES = 20
LINES_SECONDS = 60.0
KEYS = 1024


class Refusals:
    """Delays of error responses by client (generic cell rate algorithm, ITU-T I.371)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: LRUCache[Hashable, float] = LRUCache(KEYS)
        self.waiting = 0

    def pause(self, client: Hashable) -> float:
        """Count an error response to a client. Returns its delay in seconds."""
        now, early = self._clock(), FREE * SECONDS
        due = max(self._due.get(client, 0.0), now)
        wait = min(max(due - now - early + SECONDS, 0.0), LONGEST)
        self._due[client] = min(due + SECONDS, now + early + LONGEST)
        return wait if self.waiting < WAITING else 0.0


class Repeats:
    """Limits equal log lines to the first few of each minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: LRUCache[Hashable, tuple[float, int]] = LRUCache(KEYS)

    def count(self, line: Hashable) -> tuple[bool, int]:
        """Count a line. Returns whether to write it, and how many were omitted in the last minute."""
        now = self._clock()
        began, number = self._windows.get(line, (now, 0))
        left_out = 0
        if now - began > LINES_SECONDS:
            left_out, began, number = max(number - LINES, 0), now, 0
        self._windows[line] = began, number + 1
        return number < LINES, left_out
