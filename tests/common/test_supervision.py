"""Supervised tasks: restart with backoff, one log line for each kind of failure, stop."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest
from waiting import until

from jupyter_workspaces.common.supervision import (
    Backoff,
    SupervisedTask,
    Supervisor,
    ended,
)
from jupyter_workspaces.common.timeouts import timeout

TEXT = "hunter2"


class Secret(Exception):
    pass


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
        "worker failed and will be retried: Secret",
        "worker failed and will be retried: ValueError",
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
    await until(
        lambda: all(found.get_name() != "stubborn" for found in asyncio.all_tasks())
    )  # it is not begun again


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
    assert {found.name: found.healthy for found in supervisor.health} == {
        "well": True,
        "ill": False,
    }
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


async def test_work_that_ends_is_done_when_it_returns_and_runs_again_after_it_raised():
    runs = []

    async def work():
        runs.append(1)
        if len(runs) < 3:
            raise OSError

    task = SupervisedTask("worker", work, backoff=Backoff(0.001, 0.002), ends=True)
    task.start()
    async with timeout(5):
        await task.finished()
    assert len(runs) == 3
    assert task.health.healthy
    assert not task.running


async def test_work_that_lasts_after_a_failure_is_healthy_again_without_saying_so():
    runs = []

    async def work():
        runs.append(1)
        if len(runs) == 1:
            raise OSError
        await asyncio.sleep(60)

    task = SupervisedTask("worker", work, backoff=Backoff(0.01, 0.05))
    task.start()
    await until(lambda: not task.health.healthy)
    await until(lambda: task.health.healthy)
    await task.stop()


async def test_a_supervisor_tells_of_the_tasks_within_it_until_they_are_stopped():
    async def broken():
        raise OSError

    outer = Supervisor()
    inner = Supervisor(within=outer)
    inner.start("inner worker", broken, backoff=Backoff(0.001, 0.002))
    await until(lambda: outer.problem is not None)
    assert "inner worker fails" in outer.problem
    assert "OSError" in outer.problem
    assert not outer.healthy
    await inner.stop()
    assert outer.problem is None
    assert outer.health == []


async def test_a_supervisor_includes_the_health_of_tasks_of_others_until_it_excludes_them():
    async def broken():
        raise OSError

    supervisor = Supervisor()
    own, other = (
        SupervisedTask(name, broken, backoff=Backoff(0.001, 0.002)) for name in ("own", "other")
    )
    exclude = supervisor.include(lambda: [own.health])
    supervisor.include(lambda: [other.health])
    own.start()
    await until(lambda: supervisor.problem is not None)
    assert "own fails" in supervisor.problem
    assert "other fails" not in supervisor.problem
    exclude()
    exclude()
    assert supervisor.health == [other.health]
    assert supervisor.problem is None
    await own.stop()


async def test_a_cancellation_that_was_lost_is_repeated():
    lost = []

    async def forgetful():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append(1)
                if len(lost) == 3:
                    raise

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    await ended([task], 5.0, again=0.01)
    assert task.cancelled()
    assert len(lost) == 3


async def test_waiting_for_the_end_has_a_limit(caplog):
    async def stubborn():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if over:
                    raise

    over = []
    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await ended([task], 0.05)
    assert "stubborn did not stop within 0.05 s" in caplog.text
    over.append(1)
    await ended([task])


async def test_expected_failures_are_warnings_without_a_traceback(caplog):
    async def work():
        raise Secret(TEXT)

    task = SupervisedTask("worker", work, backoff=Backoff(0.001, 0.001), expected=(Secret,))
    task.start()
    await until(lambda: task.health.failures >= 3)
    await task.stop()
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert TEXT not in caplog.text


async def test_recovery_makes_healthy_and_leaves_the_backoff_as_it_is():
    backoff, going = Backoff(0.001, 0.004), asyncio.Event()

    async def work():
        if not going.is_set():
            raise OSError
        task.recovered()
        await asyncio.sleep(60)

    task = SupervisedTask("worker", work, backoff=backoff, reports_progress=True)
    task.start()
    await until(lambda: task.health.failures >= 3)
    going.set()
    await until(lambda: task.health.healthy)
    assert task.health.failures >= 3
    assert backoff.next() > 0.002
    task.progressed()
    assert task.health.failures == 0
    assert backoff.next() <= 0.00125
    await task.stop()


async def test_long_work_that_reports_its_progress_has_made_none_unasked():
    backoff = Backoff(0.001, 0.002)

    async def work():
        await asyncio.sleep(0.01)
        raise OSError

    task = SupervisedTask("worker", work, backoff=backoff, reports_progress=True)
    task.start()
    await until(lambda: task.health.failures >= 4)
    await task.stop()


async def test_a_pause_can_be_chosen_by_the_failure():
    seen = []

    def pause(error, seconds):
        seen.append((type(error), seconds))
        return 0.001

    async def work():
        raise OSError

    task = SupervisedTask("worker", work, backoff=Backoff(60, 60), pause=pause)
    task.start()
    await until(lambda: len(seen) >= 3)
    await task.stop()
    assert seen[0][0] is OSError
    assert 45 <= seen[0][1] <= 60


async def test_work_whose_own_task_was_cancelled_runs_again():
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 cannot tell who was cancelled")
    runs = []

    async def work():
        runs.append(1)
        other = asyncio.ensure_future(asyncio.sleep(60))
        other.cancel()
        await other

    task = SupervisedTask("worker", work, backoff=Backoff(0.001, 0.001))
    task.start()
    await until(lambda: len(runs) >= 2)
    assert task.running
    await task.stop()


async def test_what_is_expected_of_work_that_runs_once_is_left_to_those_who_await_it(caplog):
    supervisor = Supervisor()

    async def fails():
        raise Secret(TEXT)

    task = supervisor.run_once("one transfer", fails(), expected=(Secret,))
    with pytest.raises(Secret):
        await task
    await asyncio.sleep(0)
    assert supervisor.lost == 0
    assert caplog.text == ""
    await supervisor.stop()


async def test_a_supervisor_knows_how_many_tasks_that_run_once_have_not_ended() -> None:
    supervisor, gate = Supervisor(), asyncio.Event()
    supervisor.run_once("one transfer", gate.wait())
    supervisor.run_once("another", gate.wait())
    assert supervisor.running == 2
    gate.set()
    await until(lambda: supervisor.running == 0)
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
