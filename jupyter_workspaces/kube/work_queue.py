"""Work queue of a controller: keys of objects to reconcile, with delays and retry with backoff.

It follows client-go's workqueue: a key waits at most once, is never reconciled twice at the same
time, and is retried after a failure. `asyncio.Queue` has none of these properties.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from jupyter_workspaces.common.supervision import SupervisedTask, Supervisor, TaskHealth

from .errors import Conflict, Unreachable

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0


class WorkQueue(Generic[Key]):
    """Queue of keys to reconcile. Call `add` for each change, and `run` in one task.

    The queue holds keys, not changes: many changes of one object become one reconcile of its latest
    state, and the number of objects bounds the size. Use one event loop for `add` and `run`.
    """

    def __init__(self, name: str) -> None:
        """Make an empty queue; `name` identifies it in logs and health."""
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
        """Return the number of keys that are ready and not in work."""
        return len(self._ready)

    def add(self, key: Key, after: float = 0.0) -> None:
        """Reconcile `key` in `after` seconds; the earliest request counts.

        If the key is in work, it is reconciled again afterwards.
        """
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
    def health(self) -> list[TaskHealth]:
        """Health of its workers while it runs."""
        return [worker.health for worker in self._workers]

    async def run(
        self, reconcile: Callable[[Key], Awaitable[float | None]], workers: int = 4
    ) -> None:
        """Reconcile keys until cancelled, at most `workers` at the same time.

        Args:
            reconcile: reconciles one key; returns in how many seconds to reconcile it again, None
                for not at all. After an exception the key is retried in 0.1 s, 0.2 s, … 60 s with
                jitter. `Conflict` and `Unreachable` are common and only logged as debug messages.
            workers: number of tasks.
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
        except Exception:  # outermost handler: the failure of one object must not stop the others
            log.exception("%s could not reconcile %s", self.name, key)
        else:
            self._failures.pop(key, None)
            return after
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE) * random.uniform(
            0.8, 1.2
        )
