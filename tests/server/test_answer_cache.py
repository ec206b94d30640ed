"""Answers of the cluster outlive its silence, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_workspaces.kube.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    Unauthorized,
    Unreachable,
    is_unavailable,
)
from jupyter_workspaces.server import answer_cache
from jupyter_workspaces.server.answer_cache import AnswerCache, Lifetime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Answers in turn; the last one again and again. None: never."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self) -> Any:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def lives(fresh: float = 10, long: float = math.inf) -> Callable[[Any], Lifetime]:
    return lambda _: Lifetime(fresh, long)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AnswerCache[str, Any]:
    return AnswerCache(
        size=3, silent=is_unavailable, first_seconds=0.3, patience_seconds=0.1, clock=clock
    )


async def test_a_fresh_value_is_not_read_again(cache: AnswerCache[str, Any], clock: Clock) -> None:
    source = Source(1, 2)
    assert [await cache.get("a", source, lives()) for _ in range(3)] == [1, 1, 1]
    clock.now += 11
    assert await cache.get("a", source, lives()) == 2


@pytest.mark.parametrize(
    "error", [Unreachable("away"), ClusterError("broken"), ClusterError("slow down", status=429)]
)
async def test_an_older_value_is_used_when_nothing_was_decided(
    cache: AnswerCache[str, Any], clock: Clock, error: Exception
) -> None:
    source = Source(1, error)
    await cache.get("a", source, lives())
    clock.now += 11
    assert await cache.get("a", source, lives()) == 1


@pytest.mark.parametrize("error", [Forbidden("no"), NotFound("gone"), Unauthorized("who?")])
async def test_a_refusal_ends_an_older_value(
    cache: AnswerCache[str, Any], clock: Clock, error: Exception
) -> None:
    source = Source(1, error, Unreachable("away"))
    await cache.get("a", source, lives())
    clock.now += 11
    with pytest.raises(type(error)):
        await cache.get("a", source, lives())
    with pytest.raises(Unreachable):
        await cache.get("a", source, lives())


async def test_an_older_value_has_an_end(cache: AnswerCache[str, Any], clock: Clock) -> None:
    source = Source(1, Unreachable("away"))
    await cache.get("a", source, lives(long=300))
    clock.now += 299
    assert await cache.get("a", source, lives(long=300)) == 1
    clock.now += 2
    with pytest.raises(Unreachable):
        await cache.get("a", source, lives(long=300))


async def test_failed_reads_are_repeated_with_growing_pauses(
    cache: AnswerCache[str, Any], clock: Clock
) -> None:
    source = Source(1, Unreachable("away"))
    await cache.get("a", source, lives(0))
    asked_at = []
    for _ in range(1000):
        before = source.asked
        assert await cache.get("a", source, lives(0)) == 1
        await asyncio.sleep(0)  # the read is a task
        if source.asked > before:
            asked_at.append(clock.now)
        clock.now += 0.5
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 30]
    assert max(pauses) <= answer_cache.LONGEST_PAUSE


async def test_a_value_that_nobody_knows_is_waited_for_so_long_only(
    cache: AnswerCache[str, Any],
) -> None:
    source, loop = Source(None), asyncio.get_running_loop()
    begun = loop.time()
    results = await asyncio.gather(
        *(cache.get("a", source, lives()) for _ in range(10)), return_exceptions=True
    )
    assert {type(result) for result in results} == {Unreachable}
    with pytest.raises(Unreachable):  # joins the read that is in flight, whose time is up
        await cache.get("a", source, lives())
    assert loop.time() - begun < 1
    assert source.asked == 1
    await cache.close()


async def test_a_caller_that_goes_away_does_not_end_the_read(cache: AnswerCache[str, Any]) -> None:
    go = asyncio.Event()

    async def read() -> int:
        await go.wait()
        return 1

    first = asyncio.ensure_future(cache.get("a", read, lives()))
    second = asyncio.ensure_future(cache.get("a", read, lives()))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert await second == 1


async def test_a_value_that_is_doubted_is_read_again_once_in_a_while(
    cache: AnswerCache[str, Any], clock: Clock
) -> None:
    source = Source(1, 1, 2)
    await cache.get("a", source, lives())
    for _ in range(5):
        cache.doubt("a", 1)
        assert await cache.get("a", source, lives()) == 1
    assert source.asked == 2
    clock.now += answer_cache.DOUBT_SECONDS - 1
    cache.doubt("a", 1)
    assert source.asked == 2
    clock.now += 1
    cache.doubt("a", 1)
    assert await cache.get("a", source, lives()) == 2
    cache.doubt("a", 1)  # what is known now is not what was doubted
    assert await cache.get("a", source, lives()) == 2
    assert source.asked == 3


async def test_what_is_dropped_is_not_used_again(
    cache: AnswerCache[str, Any], clock: Clock
) -> None:
    await cache.get("a", Source(1), lives())
    reading = asyncio.ensure_future(cache.get("b", Source(None), lives()))
    await asyncio.sleep(0)
    cache.drop(lambda key: True)
    assert len(cache) == 0
    with pytest.raises(Unreachable):
        await reading
    with pytest.raises(Unreachable):
        await cache.get("a", Source(Unreachable("away")), lives())


async def test_no_more_is_kept_than_the_bound(cache: AnswerCache[str, Any]) -> None:
    for number in range(10):
        await cache.get(str(number), Source(number), lives())
    assert len(cache) == 3


async def test_a_fault_of_our_own_is_raised_and_logged(
    cache: AnswerCache[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyError):
        await cache.get("a", Source(KeyError("x")), lives())
    await asyncio.sleep(0)
    assert "Reading from the cluster failed" in caplog.text
