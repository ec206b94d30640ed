"""Supervised asyncio tasks: restarted with backoff, with logged failures and a health state.

Every task that lives as long as its owner is a `SupervisedTask`, or belongs to a `Supervisor`.
Tasks that are meant to end (one transfer, one start) run in `Supervisor.run_once`, which logs the
exceptions that they raise. Libraries for retries (tenacity, backoff) retry a call; they neither
restart a task that returned nor keep its health.
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
"""Random share by which a pause is longer or shorter, so that clients do not reconnect at once."""
STOP_SECONDS = 10.0

Result = TypeVar("Result")
Work = Callable[[], Awaitable[None]]
Describe = Callable[[Exception], str]
Changed = Callable[["TaskHealth"], None]
Pause = Callable[["Exception | None", float], float]
"""Returns the seconds to wait after a failure.

Its arguments are the exception (None if the work returned) and the pause of the backoff.
"""


class Backoff:
    """Pauses in seconds that double from `first` to `longest`, with jitter, until `reset`."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        """Start with a pause of `first` seconds."""
        self.first, self.longest = first, longest
        self._pause = first

    def next(self) -> float:
        """Return the next pause in seconds."""
        pause, self._pause = self._pause, min(self._pause * 2, self.longest)
        return min(pause * random.uniform(1 - JITTER, 1 + JITTER), self.longest)

    def reset(self) -> None:
        """Restart at the first pause. Call it after progress, not after a successful connect."""
        self._pause = self.first


@dataclass(frozen=True)
class TaskHealth:
    """Health of a task.

    `failures` counts failures since the last progress, `total` all failures. `since` is the time of
    the first failure after the last progress (UTC), `problem` describes the latest failure.
    """

    name: str
    healthy: bool
    failures: int = 0
    total: int = 0
    since: datetime | None = None
    problem: str = ""


def type_of(error: Exception) -> str:
    """Return the name of an exception's type. Its text may contain secrets."""
    return type(error).__name__


class SupervisedTask:
    """Runs `work` until `stop`, and restarts it with backoff when it raises or returns.

    `work` calls `progressed` after each success, which resets the backoff and the failures. Unless
    `reports_progress` is true, work that has run for twice the longest pause counts as a success.

    Args:
        name: Name of the task in logs and in `health`.
        work: Called without arguments for each attempt.
        backoff: Pauses between attempts; may be shared with `work`.
        describe: Returns the text of an exception for logs and `health`. Defaults to its type.
        expected: Exception types that are logged as a warning without a traceback. All others are
            logged as an error with one. A failure is logged again only after progress.
        reports_progress: Whether `work` always calls `progressed` itself.
        pause: Returns the pause after a failure; may lengthen the pause of the backoff.
        log: Logger; by default the logger of this module.
        ends: Whether the task is done when `work` returns. `finished` waits for that.
        on_change: Called with the new health after each failure and after a recovery.
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
        """Make a task; `start` starts it."""
        self.name = name
        self._ends = ends
        self._work, self._describe, self._on_change = work, describe, on_change
        self._expected, self._reports_progress, self._pause_after = (
            expected,
            reports_progress,
            pause,
        )
        self._backoff = backoff or Backoff()
        self._log = log or logging.getLogger(__name__)
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._told: set[str] = set()
        self._health = TaskHealth(name, healthy=True)

    @property
    def health(self) -> TaskHealth:
        """Health of the task now."""
        return self._health

    @property
    def running(self) -> bool:
        """Whether the task runs."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Start the task. Does nothing if it is running."""
        if not self.running:
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self, seconds: float = STOP_SECONDS, *, again: float | None = None) -> None:
        """Cancel the work and wait up to `seconds` for its end. Idempotent.

        `again` is explained at `ended`.
        """
        task, self._task = self._task, None
        if task is not None:
            await ended([task], seconds, self._log, again=again)

    async def finished(self) -> None:
        """Wait until the task is done: its work has returned (with `ends`), or it was stopped."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def cancel(self) -> None:
        """Cancel the work without waiting for its end."""
        if self._task is not None:
            self._task.cancel()

    def progressed(self) -> None:
        """Report progress: reset the backoff and the failures."""
        self._backoff.reset()
        self._told.clear()
        if self._health.failures:
            self._log.info("%s works again after %d failures", self.name, self._health.failures)
            self._changed_to(TaskHealth(self.name, healthy=True, total=self._health.total))

    def recovered(self) -> None:
        """Report a recovery before any progress: set healthy, but do not reset the backoff."""
        if not self._health.healthy:
            self._changed_to(
                TaskHealth(
                    self.name,
                    healthy=True,
                    failures=self._health.failures,
                    total=self._health.total,
                )
            )

    def wake(self) -> None:
        """End the current pause and retry now."""
        self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        # Work that ignored its cancellation is not restarted.
        while self._task is asyncio.current_task():
            lasts = (
                None
                if self._reports_progress
                else loop.call_later(self._backoff.longest * 2, self.progressed)
            )
            self._woken.clear()
            failure: Exception | None = None
            try:
                await self._work()
                if self._ends:
                    return self.progressed()
                self._failed("it ended unexpectedly", None)
            except asyncio.CancelledError:
                if self._is_cancelled():
                    raise
                self._failed("something that it waited for was cancelled", None)
            except Exception as error:  # noqa: BLE001  outermost handler: logs and restarts
                failure = error
                self._failed(self._describe(error), error)
            finally:
                if lasts is not None:
                    lasts.cancel()
            await self._pause(self._pause_after(failure, self._backoff.next()))

    def _is_cancelled(self) -> bool:
        """Return whether this task was cancelled, not only a future that it awaits.

        Python 3.10 does not tell; there this returns True.
        """
        task = asyncio.current_task()
        cancelling = getattr(task, "cancelling", lambda: 1)
        return self._task is not task or bool(cancelling())

    def _failed(self, problem: str, error: Exception | None) -> None:
        before = self._health
        kind = f"{type(error).__name__}: {problem}"
        if kind not in self._told:
            self._told.add(kind)
            if isinstance(error, self._expected):
                self._log.warning("%s failed and will be retried: %s", self.name, problem)
            else:
                self._log.error(
                    "%s failed and will be retried: %s", self.name, problem, exc_info=traced(error)
                )
        self._changed_to(
            TaskHealth(
                self.name,
                healthy=False,
                failures=before.failures + 1,
                total=before.total + 1,
                since=before.since or datetime.now(timezone.utc),
                problem=problem,
            )
        )

    def _changed_to(self, health: TaskHealth) -> None:
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
    """Return an error with the type's name and traceback of `error`. Its text may hold secrets."""
    return (
        None
        if error is None
        else RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
    )


class Supervisor:
    """Group of tasks with one owner: stops them together and reports their health."""

    def __init__(
        self, log: logging.Logger | None = None, *, within: Supervisor | None = None
    ) -> None:
        """`within` is a supervisor whose health includes this one until it is stopped."""
        self._log = log or logging.getLogger(__name__)
        self._tasks: list[SupervisedTask] = []
        self._once: dict[asyncio.Task[Any], tuple[type[Exception], ...]] = {}
        self._included: list[Callable[[], Iterable[TaskHealth]]] = []
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
        """Start a `SupervisedTask` that runs `work` until `stop`."""
        task = SupervisedTask(
            name, work, backoff=backoff, describe=describe, log=self._log, ends=ends
        )
        self._tasks.append(task)
        task.start()
        return task

    def run_once(
        self,
        name: str,
        work: Coroutine[Any, Any, Result],
        *,
        expected: tuple[type[Exception], ...] = (),
    ) -> asyncio.Task[Result]:
        """Run work once, and log an exception unless its type is `expected` by the caller."""
        task = asyncio.create_task(work, name=name)
        self._once[task] = expected
        task.add_done_callback(self._ended)
        return task

    def include(self, health: Callable[[], Iterable[TaskHealth]]) -> Callable[[], None]:
        """Add the health of tasks of other owners. Returns a function that removes it."""
        self._included.append(health)

        def exclude() -> None:
            if health in self._included:
                self._included.remove(health)

        return exclude

    @property
    def running(self) -> int:
        """Number of tasks of `run_once` that have not ended."""
        return len(self._once)

    @property
    def health(self) -> list[TaskHealth]:
        """Health of all supervised tasks, own and included."""
        return [task.health for task in self._tasks] + [
            found for included in self._included for found in included()
        ]

    @property
    def healthy(self) -> bool:
        """Whether all supervised tasks are healthy."""
        return all(found.healthy for found in self.health)

    @property
    def problem(self) -> str | None:
        """Failing tasks with their latest problem, as one line; None if all are healthy."""
        failing = [
            f"{found.name} fails ({found.failures} times): {found.problem}"
            for found in self.health
            if not found.healthy
        ]
        return "; ".join(failing) or None

    @property
    def lost(self) -> int:
        """Number of tasks of `run_once` that raised an unexpected exception."""
        return self._lost

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Cancel all tasks and wait up to `seconds` for their end. Idempotent."""
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
        self._log.error(
            "%s failed: %s", task.get_name(), type(error).__name__, exc_info=traced(error)
        )


async def ended(
    tasks: Collection[asyncio.Future[Any]],
    seconds: float = STOP_SECONDS,
    log: logging.Logger | None = None,
    *,
    again: float | None = None,
) -> None:
    """Cancel tasks and wait up to `seconds` for their end. Logs the names of tasks that still run.

    Does not read their results or errors. With `again` the cancellation is repeated every `again`
    seconds, for work that may lose one in a library (aiohttp's and async_timeout's
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
