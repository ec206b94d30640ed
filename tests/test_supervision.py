"""A supervised task runs again after a failure, backs off until progress, tells of it once per kind, and stops."""

from __future__ import annotations

import asyncio
import logging

import pytest

from jupyter_workspaces.supervision import Backoff, SupervisedTask, Supervisor
from jupyter_workspaces.timeouts import timeout

TEXT = "hunter2"


class Secret(Exception):
    pass


async def until(condition, seconds=5.0):
    async with timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)


async def test_work_that_raises_or_returns_runs_again():
    runs = []

    async def work():
        runs.append(1)
        if len(runs) % 2:
            raise OSError

    task = SupervisedTask("worker", work, backoff=Backoff(0.001, 0.002))
    task.start()
    await until(lambda: len(runs) >= 4)
    assert task.running
    await task.stop()
    assert not task.running


async def test_health_counts_failures_until_progress():
    going = asyncio.Event()

    async def work():
        if not going.is_set():
            raise OSError
        task.progressed()
        await asyncio.sleep(60)

    task = SupervisedTask("worker", work, backoff=Backoff(0.001, 0.002))
    task.start()
    await until(lambda: task.health.failures >= 3)
    assert not task.health.healthy
    assert task.health.since is not None
    assert task.health.problem == "OSError"
    going.set()
    await until(lambda: task.health.healthy)
    assert task.health.failures == 0
    assert task.health.total >= 3
    assert task.health.since is None
    await task.stop()


async def test_a_kind_of_failure_is_logged_once_without_its_text(caplog):
    errors = [Secret(TEXT), Secret(TEXT), ValueError(TEXT), Secret(TEXT)]
    runs = []

    async def work():
        runs.append(1)
        if errors:
            raise errors.pop()
        await asyncio.sleep(60)

    task = SupervisedTask("worker", work, backoff=Backoff(0.001, 0.001))
    with caplog.at_level(logging.ERROR):
        task.start()
        await until(lambda: len(runs) == 5)
    await task.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "worker failed and is tried again: Secret",
        "worker failed and is tried again: ValueError",
    ]
    assert TEXT not in caplog.text
    assert "in work" in caplog.text


def test_pauses_double_to_the_longest_until_reset():
    backoff = Backoff(1.0, 8.0)
    pauses = [backoff.next() for _ in range(6)]
    for pause, expected in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert 0.75 * expected <= pause <= min(1.25 * expected, 8.0)
    backoff.reset()
    assert backoff.next() <= 1.25


async def test_waking_ends_the_pause():
    runs = []

    async def work():
        runs.append(1)

    task = SupervisedTask("worker", work, backoff=Backoff(60, 60))
    task.start()
    await until(lambda: task.health.failures == 1)
    task.wake()
    await until(lambda: len(runs) == 2)
    await task.stop()


async def test_a_task_that_ignores_cancellation_is_named_when_stopped(caplog):
    end = asyncio.Event()

    async def work():
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    task = SupervisedTask("stubborn", work)
    task.start()
    await asyncio.sleep(0)
    await task.stop(0.05)
    assert "stubborn did not stop within 0.05 s" in caplog.text
    end.set()


async def test_a_supervisor_stops_all_and_tells_who_is_ill():
    supervisor = Supervisor()
    ended = []

    async def well():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("well")

    async def ill():
        raise OSError

    supervisor.start("well", well)
    supervisor.start("ill", ill, backoff=Backoff(60, 60))
    await until(lambda: not supervisor.healthy)
    assert {found.name: found.healthy for found in supervisor.health} == {"well": True, "ill": False}
    await supervisor.stop()
    assert ended == ["well"]
    assert supervisor.health == []


async def test_what_runs_once_tells_what_it_raised(caplog):
    supervisor = Supervisor()

    async def fails():
        raise Secret(TEXT)

    task = supervisor.run_once("one transfer", fails())
    with pytest.raises(Secret):
        await task
    await until(lambda: supervisor.lost == 1)
    assert "one transfer failed: Secret" in caplog.text
    assert TEXT not in caplog.text
    await supervisor.stop()


async def test_a_change_of_health_is_told_and_a_task_can_be_cancelled_without_waiting():
    told = []
    fail = True

    async def work():
        if fail:
            raise OSError
        task.progressed()
        await asyncio.sleep(60)

    task = SupervisedTask("work", work, backoff=Backoff(0.01, 0.02), on_change=told.append)
    task.start()
    await until(lambda: len(told) >= 2)
    fail = False
    await until(lambda: told[-1].healthy)
    assert [health.healthy for health in told] == [False] * (len(told) - 1) + [True]
    task.cancel()
    await until(lambda: not task.running)
    await task.stop()
