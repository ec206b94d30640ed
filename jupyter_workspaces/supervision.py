"""Long-lived tasks that never end silently: run again with backoff, logged once per kind, with their health.

Every task that lives as long as its owner is a `SupervisedTask`, or belongs to a `Supervisor`. Tasks
that are meant to end (one transfer, one start) are run by `Supervisor.run_once`, which logs what they
raise.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
JITTER = 0.25
"""Pauses are this share longer or shorter, so that many who lost the same server do not return together."""
STOP_SECONDS = 10.0

Result = TypeVar("Result")
Work = Callable[[], Awaitable[None]]
Describe = Callable[[Exception], str]
Changed = Callable[["Health"], None]
Pause = Callable[["Exception | None", float], float]
"""The seconds to wait after a failure, from what was raised (None: the work ended) and the backoff's own pause."""


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
    """Return the name of an exception's type: its text may hold secrets."""
    return type(error).__name__


class SupervisedTask:
    """Runs `work` until `stop`: after it raised or returned, again after a growing pause.

    `work` calls `progressed` whenever it did something useful; that ends the backoff and makes it
    healthy. Work that never calls it is taken to have progressed when it ran for twice the longest
    pause, unless `reports_progress` says that it always calls it. What it raises is logged with its
    traceback once per kind and until progress, and told in `health` by `describe` (the default names
    the type only); types that are `expected` are logged as a warning without traceback. `backoff` may
    be shared with the work; `pause` may lengthen its pauses for some failures. With `ends` work that
    returns is done, and `finished` returns. `on_change` is called with the new health after each
    failure and when it works again.
    """

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        backoff: Backoff | None = None,
        describe: Describe = type_of,
        expected: tuple[type[Exception], ...] = (),
        reports_progress: bool = False,
        pause: Pause = lambda error, seconds: seconds,
        log: logging.Logger | None = None,
        ends: bool = False,
        on_change: Changed | None = None,
    ) -> None:
        self.name = name
        self._ends = ends
        self._work, self._describe, self._on_change = work, describe, on_change
        self._expected, self._reports_progress, self._pause_after = expected, reports_progress, pause
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

    async def stop(self, seconds: float = STOP_SECONDS, *, again: float | None = None) -> None:
        """Cancel the work and wait for its end, at most `seconds`. Safe to call twice. `again`: see `ended`."""
        task, self._task = self._task, None
        if task is not None:
            await ended([task], seconds, self._log, again=again)

    async def finished(self) -> None:
        """Return once work that `ends` has returned, or the task was stopped."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def cancel(self) -> None:
        """Ask the work to end, without waiting for it; `stop` waits."""
        if self._task is not None:
            self._task.cancel()

    def progressed(self) -> None:
        """Something useful was done: failures before this are over."""
        self._backoff.reset()
        self._told.clear()
        if self._health.failures:
            self._log.info("%s works again after %d failures", self.name, self._health.failures)
            self._changed_to(Health(self.name, healthy=True, total=self._health.total))

    def recovered(self) -> None:
        """The work goes well again, but has not progressed: healthy, while the backoff stays as it is."""
        if not self._health.healthy:
            self._changed_to(Health(self.name, healthy=True, failures=self._health.failures, total=self._health.total))

    def wake(self) -> None:
        """End the pause after a failure: there is reason to believe that the next try succeeds."""
        self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._task is asyncio.current_task():  # work that ignored its cancellation is not begun again
            lasts = None if self._reports_progress else loop.call_later(self._backoff.longest * 2, self.progressed)
            self._woken.clear()
            failure: Exception | None = None
            try:
                await self._work()
                if self._ends:
                    return self.progressed()
                self._failed("it ended by itself", None)
            except asyncio.CancelledError:
                if self._is_cancelled():
                    raise
                self._failed("something that it waited for was cancelled", None)
            except Exception as error:  # noqa: BLE001  the outermost edge of a task: it is logged, and the task is retried
                failure = error
                self._failed(self._describe(error), error)
            finally:
                if lasts is not None:
                    lasts.cancel()
            await self._pause(self._pause_after(failure, self._backoff.next()))

    def _is_cancelled(self) -> bool:
        """Whether this task was cancelled, not only something that the work awaited. Unknown on Python 3.10."""
        task = asyncio.current_task()
        cancelling = getattr(task, "cancelling", lambda: 1)
        return self._task is not task or bool(cancelling())

    def _failed(self, problem: str, error: Exception | None) -> None:
        before = self._health
        kind = f"{type(error).__name__}: {problem}"
        if kind not in self._told:
            self._told.add(kind)
            if isinstance(error, self._expected):
                self._log.warning("%s failed and is tried again: %s", self.name, problem)
            else:
                self._log.error("%s failed and is tried again: %s", self.name, problem, exc_info=traced(error))
        self._changed_to(
            Health(
                self.name,
                healthy=False,
                failures=before.failures + 1,
                total=before.total + 1,
                since=before.since or datetime.now(timezone.utc),
                problem=problem,
            )
        )

    def _changed_to(self, health: Health) -> None:
        self._health = health
        if self._on_change is not None:
            self._on_change(health)

    async def _pause(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()


def traced(error: BaseException | None) -> BaseException | None:
    """Where it was raised, without its text: foreign texts may hold secrets."""
    return None if error is None else RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


class Supervisor:
    """The tasks of one owner: started together or one by one, stopped together, with their health."""

    def __init__(self, log: logging.Logger | None = None, *, within: Supervisor | None = None) -> None:
        """`within` includes the health of this supervisor's tasks in its own, until this one is stopped."""
        self._log = log or logging.getLogger(__name__)
        self._tasks: list[SupervisedTask] = []
        self._once: dict[asyncio.Task[Any], tuple[type[Exception], ...]] = {}
        self._included: list[Callable[[], Iterable[Health]]] = []
        self._exclude = within.include(lambda: self.health) if within is not None else None
        self._lost = 0

    def start(
        self,
        name: str,
        work: Work,
        *,
        backoff: Backoff | None = None,
        describe: Describe = type_of,
        ends: bool = False,
    ) -> SupervisedTask:
        """Run `work` until `stop`, as a `SupervisedTask`."""
        task = SupervisedTask(name, work, backoff=backoff, describe=describe, log=self._log, ends=ends)
        self._tasks.append(task)
        task.start()
        return task

    def run_once(self, name: str, work: Coroutine[Any, Any, Result], *, expected: tuple[type[Exception], ...] = ()) -> asyncio.Task[Result]:
        """Run work that is meant to end. What it raises is logged, except `expected` types, which its caller reports."""
        task = asyncio.create_task(work, name=name)
        self._once[task] = expected
        task.add_done_callback(self._ended)
        return task

    def include(self, health: Callable[[], Iterable[Health]]) -> Callable[[], None]:
        """Include the health of tasks that others own. Returns a function that excludes it again."""
        self._included.append(health)

        def exclude() -> None:
            if health in self._included:
                self._included.remove(health)

        return exclude

    @property
    def running(self) -> int:
        """How many tasks that run once have not ended."""
        return len(self._once)

    @property
    def health(self) -> list[Health]:
        """Health of every supervised task, and of what is included."""
        return [task.health for task in self._tasks] + [found for included in self._included for found in included()]

    @property
    def healthy(self) -> bool:
        return all(found.healthy for found in self.health)

    @property
    def problem(self) -> str | None:
        """The tasks that fail, each with its latest problem, as one line for a health check; None while all work."""
        failing = [f"{found.name} fails ({found.failures} times): {found.problem}" for found in self.health if not found.healthy]
        return "; ".join(failing) or None

    @property
    def lost(self) -> int:
        """How many tasks that were to run once have raised."""
        return self._lost

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Cancel everything and wait for its end, at most `seconds`. Safe to call twice."""
        if self._exclude is not None:
            self._exclude()
        supervised, self._tasks = self._tasks, []
        once, self._once = self._once, {}
        for task in once:
            task.cancel()
        await asyncio.gather(*(task.stop(seconds) for task in supervised))
        await ended(list(once), seconds, self._log)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        expected = self._once.pop(task, ())
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, expected):
            return
        self._lost += 1
        self._log.error("%s failed: %s", task.get_name(), type(error).__name__, exc_info=traced(error))


async def ended(
    tasks: Collection[asyncio.Future[Any]],
    seconds: float = STOP_SECONDS,
    log: logging.Logger | None = None,
    *,
    again: float | None = None,
) -> None:
    """Cancel tasks and wait until they have ended, at most `seconds`; the slow ones are named in the log.

    Their results and errors are left to whoever reads them. With `again` the cancellation is repeated
    every so many seconds, for work that may lose one in a library (aiohttp's and async_timeout's
    timeouts before Python 3.11) and whose clean-up may be interrupted.
    """
    loop = asyncio.get_running_loop()
    for task in tasks:
        task.cancel()
    slow, until = set(tasks), loop.time() + seconds
    while slow and (left := until - loop.time()) > 0:
        _, slow = await asyncio.wait(slow, timeout=min(left, again or left))
        for task in slow if again else ():
            task.cancel()
    for task in slow:
        name = task.get_name() if isinstance(task, asyncio.Task) else "A task"
        (log or logging.getLogger(__name__)).warning("%s did not stop within %g s", name, seconds)
