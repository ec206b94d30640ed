"""Keys that wait for a reconciler: each at most once, none twice at a time, failed ones again after a growing pause."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from jupyter_workspaces.common.supervision import Health, SupervisedTask, Supervisor

from .errors import Conflict, Unreachable

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0


class WorkQueue(Generic[Key]):
    """Feed it keys with `add` (from a reflector's listener, any time), and let one task `run` it until cancelled.

    It holds a key, not a change: many changes of one object become one reconcile of its latest state. Its size is bounded by
    the number of objects there are. `add` and `run` belong to one event loop.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._active: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self._workers: list[SupervisedTask] = []

    def __len__(self) -> int:
        """Keys that are ready and not taken yet."""
        return len(self._ready)

    def add(self, key: Key, after: float = 0.0) -> None:
        """Reconcile `key` in `after` seconds, the soonest request counts. While the key is being worked on: right after that."""
        if self._closed:
            return
        timer = self._timers.get(key)
        if after > 0:
            loop = asyncio.get_running_loop()
            if timer is not None and timer.when() <= loop.time() + after:
                return
            if timer is not None:
                timer.cancel()
            self._timers[key] = loop.call_later(after, self._due, key)
            return
        if timer is not None:
            timer.cancel()
            del self._timers[key]
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake.set()

    @property
    def health(self) -> list[Health]:
        """Health of its workers while it runs."""
        return [worker.health for worker in self._workers]

    async def run(
        self, reconcile: Callable[[Key], Awaitable[float | None]], workers: int = 4
    ) -> None:
        """Work until cancelled, at most `workers` keys at once. `reconcile` answers in how many seconds to look again, None for never.

        What it raises is logged and tried again after 0.1 s, 0.2 s, … 60 s with jitter; a `Conflict` and an `Unreachable` are daily
        life and stay out of the log.
        """
        tasks = Supervisor(log)
        try:
            for number in range(workers):
                self._workers.append(
                    tasks.start(f"{self.name} worker {number}", partial(self._work, reconcile))
                )
            await asyncio.Event().wait()
        finally:
            self._closed = True
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
            self._workers.clear()
            await tasks.stop()

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    async def _work(self, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key = self._ready.popleft()
            self._waiting.discard(key)
            self._active.add(key)
            try:
                after = await self._attempt(reconcile, key)
            finally:
                self._active.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif after is not None:
                self.add(key, max(after, 0.001))

    async def _attempt(
        self, reconcile: Callable[[Key], Awaitable[float | None]], key: Key
    ) -> float | None:
        try:
            after = await reconcile(key)
        except (Conflict, Unreachable) as error:
            log.debug("%s %s: %s", self.name, key, error)
        except Exception:  # the outermost edge of a reconcile: one object's fault must not end the work on all others
            log.exception("%s could not reconcile %s", self.name, key)
        else:
            self._failures.pop(key, None)
            return after
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE) * random.uniform(
            0.8, 1.2
        )
