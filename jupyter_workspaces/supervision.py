"""Long-lived tasks that never end silently: run again with backoff, logged once per kind, with their health.

Every task that lives as long as its owner is a `SupervisedTask`, or belongs to a `Supervisor`. Tasks
that are meant to end (one transfer, one start) are given to `Supervisor.run_once`, so that what they
raise is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
JITTER = 0.25
"""Pauses are this share longer or shorter, so that many who lost the same server do not return together."""
STOP_SECONDS = 10.0

Work = Callable[[], Awaitable[None]]
Describe = Callable[[Exception], str]
Changed = Callable[["Health"], None]


class Backoff:
    """Pauses in seconds that double from `first` to `longest`, with jitter, until `reset`."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        self.first, self.longest = first, longest
        self._pause = first

    def next(self) -> float:
        """The pause to make now."""
        pause, self._pause = self._pause, min(self._pause * 2, self.longest)
        return min(pause * random.uniform(1 - JITTER, 1 + JITTER), self.longest)

    def reset(self) -> None:
        """Begin with the first pause again. Call it after progress, not after a mere connection."""
        self._pause = self.first


@dataclass(frozen=True)
class Health:
    """How a task does: `failures` since the last progress, `total` of all, and when the first of them was."""

    name: str
    healthy: bool
    failures: int = 0
    total: int = 0
    since: datetime | None = None
    problem: str = ""


def type_of(error: Exception) -> str:
    """The name of an exception's type: its text may hold what nobody should read."""
    return type(error).__name__


class SupervisedTask:
    """Runs `work` until `stop`: after it raised or returned, again after a growing pause.

    `work` calls `progressed` whenever it did something useful; that ends the backoff and makes it
    healthy. Work that never calls it is taken to have progressed when it ran for twice the longest
    pause. What it raises is logged with its traceback once per kind and until progress, and told in
    `health` by `describe` (the default names the type only). `backoff` may be shared with the work.
    `on_change` is called with the new health after each failure and when it works again.
    """

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        backoff: Backoff | None = None,
        describe: Describe = type_of,
        log: logging.Logger | None = None,
        on_change: Changed | None = None,
    ) -> None:
        self.name = name
        self._work, self._describe, self._on_change = work, describe, on_change
        self._backoff = backoff or Backoff()
        self._log = log or logging.getLogger(__name__)
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._told: set[str] = set()
        self._health = Health(name, healthy=True)

    @property
    def health(self) -> Health:
        return self._health

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin. Does nothing while it runs."""
        if not self.running:
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Cancel the work and wait for its end, at most `seconds`. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            await ended([task], seconds, self._log)

    def cancel(self) -> None:
        """Ask the work to end, without waiting for it; `stop` waits."""
        if self._task is not None:
            self._task.cancel()

    def progressed(self) -> None:
        """Something useful was done: failures before this are over."""
        self._backoff.reset()
        self._told.clear()
        if not self._health.healthy:
            self._log.info("%s works again after %d failures", self.name, self._health.failures)
            self._health = Health(self.name, healthy=True, total=self._health.total)
            self._changed()

    def wake(self) -> None:
        """End the pause after a failure: there is reason to believe that the next try succeeds."""
        self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._woken.clear()
            try:
                await self._work()
                self._failed("it ended by itself", None, loop.time() - began)
            except Exception as error:  # noqa: BLE001  the outermost edge of a task: it is told, and the work goes on
                self._failed(self._describe(error), error, loop.time() - began)
            await self._pause()

    def _failed(self, problem: str, error: Exception | None, seconds: float) -> None:
        if seconds > self._backoff.longest * 2:
            self.progressed()
        before = self._health
        self._health = Health(
            self.name,
            healthy=False,
            failures=before.failures + 1,
            total=before.total + 1,
            since=before.since or datetime.now(timezone.utc),
            problem=problem,
        )
        kind = f"{type(error).__name__}: {problem}"
        if kind not in self._told:
            self._told.add(kind)
            self._log.error("%s failed and is tried again: %s", self.name, problem, exc_info=_traced(error))
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self._health)

    async def _pause(self) -> None:
        timer = asyncio.get_running_loop().call_later(self._backoff.next(), self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()


def _traced(error: BaseException | None) -> BaseException | None:
    """Where it was raised, without its text: foreign texts may hold secrets."""
    return None if error is None else RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


class Supervisor:
    """The tasks of one owner: started together or one by one, stopped together, with their health."""

    def __init__(self, log: logging.Logger | None = None) -> None:
        self._log = log or logging.getLogger(__name__)
        self._tasks: list[SupervisedTask] = []
        self._once: set[asyncio.Task[Any]] = set()
        self._lost = 0

    def start(
        self,
        name: str,
        work: Work,
        *,
        backoff: Backoff | None = None,
        describe: Describe = type_of,
    ) -> SupervisedTask:
        """Run `work` until `stop`, as a `SupervisedTask`."""
        task = SupervisedTask(name, work, backoff=backoff, describe=describe, log=self._log)
        self._tasks.append(task)
        task.start()
        return task

    def run_once(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work that is meant to end. What it raises is logged, unless somebody awaits the task."""
        task = asyncio.create_task(work, name=name)
        self._once.add(task)
        task.add_done_callback(self._ended)
        return task

    @property
    def health(self) -> list[Health]:
        """Of every supervised task."""
        return [task.health for task in self._tasks]

    @property
    def healthy(self) -> bool:
        return all(found.healthy for found in self.health)

    @property
    def lost(self) -> int:
        """How many tasks that were to run once have raised."""
        return self._lost

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Cancel everything and wait for its end, at most `seconds`. Safe to call twice."""
        supervised, self._tasks = self._tasks, []
        once, self._once = self._once, set()
        for task in once:
            task.cancel()
        await asyncio.gather(*(task.stop(seconds) for task in supervised))
        await ended(list(once), seconds, self._log)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._once.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._lost += 1
        self._log.error("%s failed: %s", task.get_name(), type(error).__name__, exc_info=_traced(error))


async def ended(tasks: list[asyncio.Task[Any]], seconds: float, log: logging.Logger) -> None:
    """Cancel tasks and wait until they have ended, at most `seconds`; the slow ones are named in the log."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    _, slow = await asyncio.wait(tasks, timeout=seconds)
    for task in slow:
        log.warning("%s did not stop within %g s", task.get_name(), seconds)
