"""A cache behind a failing API server sends few requests, and is in sync soon after recovery."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from failing_api import (
    HANGING,
    MOST_A_MINUTE,
    SCALE,
    VISIBLE_AFTER_HANG_SECONDS,
    VISIBLE_SECONDS,
    Measured,
    embedded,
    failing,
    faster,
    measure,
    shorten_limits,
)
from flaky_api import MODES
from real_cluster import RealCluster
from shared_cluster import clean, prepare
from waiting import until

from jupyter_workspaces.kube.catalog import NAMESPACES
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import NotFound

SPAN_SECONDS = 60.0
AT_ONCE = 3
STALE = (
    "refuse",
    "html",
    "json",
    "error",
    "busy",
    "garbage",
    "half",
    "hang",
    "freeze",
    "body",
    "short",
)
"""Modes in which a cache cannot know of changes."""


def visible_within(mode: str) -> float:
    return VISIBLE_AFTER_HANG_SECONDS if mode in HANGING else VISIBLE_SECONDS


@pytest.fixture
def endpoint(
    cluster_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], AbstractAsyncContextManager[Endpoint]]:
    """`async with endpoint() as found`, on each cluster of the session."""
    if cluster_kind != "real":
        return lambda: embedded(tmp_path)
    real: RealCluster = request.getfixturevalue("real_cluster")

    @asynccontextmanager
    async def prepared() -> AsyncIterator[Endpoint]:
        async with Cluster(real.endpoint()) as cluster:
            await prepare(cluster)
            yield real.endpoint()
            for mode in MODES:
                with contextlib.suppress(NotFound):
                    await cluster.delete(NAMESPACES, f"made-while-{mode}")
            await clean(cluster)

    return prepared


@pytest.fixture(scope="module")
def measured_by_mode(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    """Measure each mode ten times as fast as in reality, several modes at the same time.

    They can overlap because all of them mostly wait.
    """

    async def measure_all() -> list[Measured]:
        few = asyncio.Semaphore(AT_ONCE)

        async def measure_one(mode: str) -> Measured:
            async with few:
                seconds = SPAN_SECONDS / SCALE / 2
                return await measure(endpoint, mode, seconds, faster(), slow_seconds=0.5)

        async with embedded(tmp_path_factory.mktemp("api")) as endpoint:
            return await asyncio.gather(*(measure_one(mode) for mode in MODES))

    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten_limits(monkeypatch)
        return {found.mode: found for found in asyncio.run(measure_all())}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_failing_api_is_asked_seldom_and_shown_soon_after(
    mode: str, measured_by_mode: dict[str, Measured]
) -> None:
    found = measured_by_mode[mode]
    assert found.requests <= MOST_A_MINUTE * 0.6, (
        found
    )  # in half of a minute that runs ten times as fast
    assert found.visible <= visible_within(mode) / SCALE + 1.0, found  # a second for a busy machine


@pytest.mark.slow
async def test_requests_and_recovery_with_the_real_pauses(
    endpoint: Callable[[], AbstractAsyncContextManager[Endpoint]],
) -> None:
    async with endpoint() as api:
        measured: list[Measured] = await asyncio.gather(
            *(measure(api, mode, SPAN_SECONDS) for mode in MODES)
        )
    assert {
        found.mode: found.requests for found in measured if found.requests > MOST_A_MINUTE
    } == {}
    assert {
        found.mode: found.visible
        for found in measured
        if found.visible > visible_within(found.mode)
    } == {}
    assert {found.mode for found in measured if not found.stale} & set(STALE) == set()


@pytest.mark.slow
async def test_an_idle_cluster_is_not_called_stale_and_is_asked_little(
    endpoint: Callable[[], AbstractAsyncContextManager[Endpoint]],
) -> None:
    async with endpoint() as api, failing(api) as found:
        await until(lambda: found.cache.stale_since is None and found.cache.healthy)
        end = asyncio.get_running_loop().time() + SPAN_SECONDS * 1.25
        while asyncio.get_running_loop().time() < end:
            assert found.cache.stale_since is None
            assert found.cache.healthy
            await asyncio.sleep(0.2)
        asked = found.api.reset()
        assert asked.pop("version") <= 9
        assert max(asked.values()) <= 6, asked
