"""Clients that ask again and again for a workspace that cannot be reached: each waits longer, and the log stays short.

A page that stays open on a workspace that was paused or deleted goes on asking, many of them without any pause. A status code stops
some clients; for the others the answer itself takes its time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

FREE = 10
"""Refusals of one client that are answered at once, however fast they are asked for."""
SECONDS = 2.0
"""Between two refusals of one client after that."""
LONGEST = 10.0
WAITING = 256
"""Requests that may wait at once; one more is answered at once."""
LINES = 20
LINES_SECONDS = 60.0
KEYS = 1024


class Refusals:
    """How long each client has to wait for the next refusal (the generic cell rate algorithm, ITU-T I.371)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: OrderedDict[Hashable, float] = OrderedDict()
        self.waiting = 0

    def pause(self, client: Hashable) -> float:
        """Count one more refusal of a client. Returns the seconds that it has to wait for it."""
        now, early = self._clock(), FREE * SECONDS
        due = max(self._due.pop(client, 0.0), now)
        wait = min(max(due - now - early + SECONDS, 0.0), LONGEST)
        self._due[client] = min(due + SECONDS, now + early + LONGEST)
        if len(self._due) > KEYS:
            self._due.popitem(last=False)
        return wait if self.waiting < WAITING else 0.0


class Repeats:
    """Which of many equal lines are written to the log: the first few of each minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def count(self, line: Hashable) -> tuple[bool, int]:
        """Count a line. Returns whether to write it, and how many were left out in the minute that has ended."""
        now = self._clock()
        began, number = self._windows.pop(line, (now, 0))
        left_out = 0
        if now - began > LINES_SECONDS:
            left_out, began, number = max(number - LINES, 0), now, 0
        self._windows[line] = began, number + 1
        if len(self._windows) > KEYS:
            self._windows.popitem(last=False)
        return number < LINES, left_out
