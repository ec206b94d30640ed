from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import Conflict
from jupyter_workspaces.kube.work_queue import WorkQueue

LIMIT_SECONDS = 5.0


@asynccontextmanager
async def working(
    queue: WorkQueue[str], reconcile: Callable[[str], Awaitable[float | None]], workers: int = 4
) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(reconcile, workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Work:
    """Remembers what it was asked, holds each until it is let go."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.active: list[str] = []
        self.most = 0
        self.open = asyncio.Event()
        self.begun = asyncio.Event()
        self._finished = asyncio.Semaphore(0)

    async def __call__(self, key: str) -> float | None:
        self.active.append(key)
        self.most = max(self.most, len(self.active))
        self.begun.set()
        await self.open.wait()
        self.active.remove(key)
        self.done.append(key)
        self._finished.release()
        return None

    async def has_done(self, count: int) -> None:
        for _ in range(count):
            async with timeout(LIMIT_SECONDS):
                await self._finished.acquire()
        assert len(self.done) == count


async def test_a_key_added_often_before_its_turn_is_worked_on_once() -> None:
    queue, work = WorkQueue[str]("test"), Work()
    work.open.set()
    for _ in range(10):
        queue.add("a")

    async with working(queue, work):
        await work.has_done(1)

    assert work.done == ["a"]


async def test_a_key_that_changes_while_worked_on_is_taken_once_more_and_never_twice_at_a_time(
) -> None:  # fmt: skip
    queue, work = WorkQueue[str]("test"), Work()
    async with working(queue, work):
        queue.add("a")
        await work.begun.wait()
        queue.add("a")
        queue.add("a")
        work.open.set()
        await work.has_done(2)

    assert work.most == 1


async def test_no_more_are_worked_on_at_once_than_there_are_workers() -> None:
    queue, work = WorkQueue[str]("test"), Work()
    async with working(queue, work, workers=2):
        for key in "abcdef":
            queue.add(key)
        await work.begun.wait()
        work.open.set()
        await work.has_done(6)

    assert work.most == 2


async def test_the_soonest_of_two_delays_counts() -> None:
    queue, work = WorkQueue[str]("test"), Work()
    work.open.set()
    async with working(queue, work):
        queue.add("a", after=60)
        queue.add("a", after=0.01)
        queue.add("a", after=60)
        await work.has_done(1)


async def test_what_asks_to_be_looked_at_again_is() -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    seen = asyncio.Semaphore(0)

    async def reconcile(key: str) -> float | None:
        seen.release()
        return 0.001

    async with working(queue, reconcile):
        queue.add("a")
        for _ in range(3):
            async with timeout(LIMIT_SECONDS):
                await seen.acquire()


async def test_a_fault_is_logged_and_tried_again_after_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    loop, times = asyncio.get_running_loop(), []
    done = asyncio.Event()

    async def reconcile(key: str) -> float | None:
        times.append(loop.time())
        if len(times) < 4:
            raise ValueError("broken")
        done.set()
        return None

    async with working(queue, reconcile):
        queue.add("a")
        async with timeout(LIMIT_SECONDS):
            await done.wait()

    pauses = [after - before for before, after in pairwise(times)]
    assert 0.07 < pauses[0] < pauses[1] < pauses[2]
    assert caplog.text.count("ValueError: broken") == 3


async def test_a_conflict_is_tried_again_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    tried, done = [], asyncio.Event()

    async def reconcile(key: str) -> float | None:
        tried.append(key)
        if len(tried) == 1:
            raise Conflict("changed meanwhile")
        done.set()
        return None

    with caplog.at_level(logging.INFO):
        async with working(queue, reconcile):
            queue.add("a")
            async with timeout(LIMIT_SECONDS):
                await done.wait()

    assert caplog.text == ""


async def test_one_keys_fault_does_not_hold_up_another() -> None:
    queue: WorkQueue[str] = WorkQueue("test")
    done = asyncio.Event()

    async def reconcile(key: str) -> float | None:
        if key == "bad":
            raise ValueError(key)
        done.set()
        return None

    async with working(queue, reconcile, workers=1):
        queue.add("bad")
        queue.add("good")
        async with timeout(LIMIT_SECONDS):
            await done.wait()
